"""Complex parameters as pairs of real ones."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common.numerics import is_differentiable
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core import state_fit
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.wrappers.averages import Find, put_back


class SplitRealAndImaginaryArrays(NamedTuple):
    """The two parts of a complex array.

    Example:
      >>> state = gradtx.split_real_and_imaginary(gradtx.trace(0.9)).init(
      ...     jnp.ones(2, complex)
      ... )
      >>> gradtx.tree.get(state, "SplitRealAndImaginaryArrays")._fields
      ('real', 'imaginary')
    """

    real: jax.Array
    imaginary: jax.Array


class SplitRealAndImaginaryState(NamedTuple):
    """What :func:`split_real_and_imaginary` remembers."""

    inner_state: OptState

    def seen_by_inner(self, find: Find, params: Params) -> Params:
        """Return what ``find`` finds in the inner state for the parts, joined."""
        shown = _split(params)
        found = find(self.inner_state, shown)
        return put_back(lambda _, f: _joined(f), params, shown, found)


@transformation
def split_real_and_imaginary(inner: GradientTransformation) -> GradientTransformation:
    """Let ``inner`` see every complex leaf as two real ones.

    A method that divides by |g| treats the two parts of a complex number alike; here
    each is divided by its own size, as PyTorch's optimizers do. Real leaves are passed
    on as they are. Extra arguments of ``update`` are passed on as they come.

    Args:
      inner: any transformation.

    Example:
      >>> tx, params = gradtx.split_real_and_imaginary(gradtx.sgd(0.1)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> OptState:
        return SplitRealAndImaginaryState(inner.init(_split(params)))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        state_fit.of_class(state, SplitRealAndImaginaryState, ["inner_state"])
        parts, new = inner.update(
            _split(updates), state.inner_state, _split(params), **extra
        )
        return _joined(parts), SplitRealAndImaginaryState(new)

    return GradientTransformation(init, update)


def _split(tree: PyTree) -> PyTree:
    def one(x: Any) -> Any:
        if is_differentiable(x) and jnp.iscomplexobj(x):
            return SplitRealAndImaginaryArrays(jnp.real(x), jnp.imag(x))
        return x

    return jax.tree.map(one, tree)


def _joined(tree: PyTree) -> PyTree:
    def is_pair(x: Any) -> bool:
        return isinstance(x, SplitRealAndImaginaryArrays)

    def one(x: Any) -> Any:
        return jax.lax.complex(*x) if is_pair(x) else x

    return jax.tree.map(one, tree, is_leaf=is_pair)
