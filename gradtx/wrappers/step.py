"""One step of an inner transformation that may be left out."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.codecs import Encoded, is_encoded
from gradtx.common import checks, numerics, spec
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.apply_updates import apply_updates, remember_sum
from gradtx.core.transformation import EmptyState, GradientTransformation
from gradtx.lowering.conditional import run_when
from gradtx.primitives.scale import set_to_zero


def run_if(
    condition: Any,
    inner: GradientTransformation,
    updates: Updates,
    state: OptState,
    params: Params | None,
    extra: dict[str, Any],
    *,
    otherwise: Updates,
    zero: bool,
) -> tuple[Updates, OptState]:
    """Return what ``inner`` makes of the updates, or ``otherwise`` and the old state.

    Only one of the two is computed. The types are those of ``otherwise`` and of the old
    state, whatever types the inner transformation returns. Whether ``otherwise`` is
    zero is told by ``zero``: then the parameters too stand still, unread.
    """

    def run(old: Any) -> Any:
        zeros, state, params = old
        new, new_state = inner.update(updates, state, params, **extra)
        new = typed_like(zeros, new)
        return new, typed_like(state, new_state), moved(params, new, zero=zero)

    new, new_state, sums = run_when(condition, run, (otherwise, state, params))
    if zero:
        remember(params, new, sums)
    return new, new_state


def moved(params: Params | None, updates: Updates, *, zero: bool = True) -> Any:
    """Return params + updates where they fit together, and the parameters if not."""
    if not zero or not _fit(params, updates):
        return params
    return apply_updates(params, updates)


def remember(params: Params | None, updates: Updates, sums: Params | None) -> None:
    """Let :func:`apply_updates` find the sum of these parameters and these updates."""
    if _fit(params, updates):
        trees = (params, updates, sums)
        for p, u, moved in zip(*map(_leaves, trees), strict=True):
            remember_sum(p, u, moved)


def _fit(params: Params | None, updates: Updates) -> bool:
    structures = [
        jax.tree.structure(x, is_leaf=checks.is_none) for x in (params, updates)
    ]
    pairs = zip(_leaves(params), _leaves(updates), strict=False)
    return structures[0] == structures[1] and all(_alike(p, u) for p, u in pairs)


def _alike(p: Any, u: Any) -> bool:
    if p is None or u is None or is_missing(u):
        return True
    types = (jax.dtypes.result_type(p), jax.dtypes.result_type(u))
    return jnp.shape(p) == jnp.shape(u) and types[0] == types[1]


def _leaves(tree: PyTree) -> list[Any]:
    return jax.tree.leaves(tree, is_leaf=checks.is_none)


def typed_like(like: PyTree, tree: PyTree) -> PyTree:
    """Return the tree in the types of another, if it has that one's structure."""
    whole = [jax.tree.structure(x, is_leaf=is_encoded) for x in (like, tree)]
    if whole[0] != whole[1]:
        return tree
    return jax.tree.map(_typed, like, tree, is_leaf=is_encoded)


def _typed(like: Any, x: Any) -> Any:
    if is_encoded(like) or is_encoded(x):
        same = is_encoded(like) and is_encoded(x) and like.codec == x.codec
        return Encoded(x.codes, x.scales, x.codec, x.shape, like.dtype) if same else x
    dtype = jax.dtypes.result_type(like)
    return x if jax.dtypes.result_type(x) == dtype else jnp.asarray(x).astype(dtype)


def zeros_for(updates: Updates, params: Params | None) -> Updates:
    """Return updates of zero, in the types of the parameters where they are given."""
    return _ZERO.update(updates, EmptyState(), params)[0]


# Made once: outside of jit a new one would be compiled anew.
_ZERO = set_to_zero()


def as_updates(updates: Updates, params: Params | None) -> Updates:
    """Return the updates in the types of the parameters where they are given."""
    return jax.tree.map(_kept, updates, zeros_for(updates, params))


def _kept(u: Any, zero: Any) -> Any:
    return u if u is None else zero if is_missing(u) else _typed(zero, jnp.asarray(u))


def is_missing(x: Any) -> bool:
    """Whether this is what JAX gives for the gradient of an integer parameter."""
    return getattr(x, "dtype", None) == jax.dtypes.float0


def moves(x: Any) -> bool:
    """Whether this is a gradient: of floats or complex numbers."""
    return not is_missing(x) and jnp.issubdtype(jax.dtypes.result_type(x), jnp.inexact)


def widest(tree: PyTree) -> Any:
    """Return float32, or the type of wider floats where there are any."""
    dtypes = [jax.dtypes.result_type(x) for x in jax.tree.leaves(tree)]
    floats = [numerics.real(x) for x in dtypes if jnp.issubdtype(x, jnp.inexact)]
    return functools.reduce(jnp.promote_types, floats, jnp.dtype(jnp.float32))


def is_ours(tx: Any) -> bool:
    """Whether a transformation and all its parts are of this library.

    Then it may be given gradients of more bits than its parameters have.
    """
    if not spec.is_value(tx):
        return False
    parts = jax.tree.leaves(tx.recipe.arguments, is_leaf=_is_pair)
    return all(is_ours(part) for part in parts if _is_pair(part))


def _is_pair(x: Any) -> bool:
    return hasattr(x, "init") and hasattr(x, "update")
