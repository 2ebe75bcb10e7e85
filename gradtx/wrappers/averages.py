"""What a state says of the weights to evaluate with, whatever its class.

* One that keeps a steadier copy of the weights has ``averaged_params(params)``, see
  :class:`Averages`.
* One of a wrapper that shows its transformation the parameters otherwise, in other
  types, split, or at another place, has ``seen_by_inner(find, params)``, see
  :class:`ShowsParams`.

A parameter that a state has nothing for is returned as it came, the same object: by
that it is known which leaves a state averages.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.foreign import is_instance
from gradtx.common.types import OptState, Params, PyTree
from gradtx.core.leafwise import to_compute_dtype
from gradtx.tree import masks
from gradtx.tree.params import FastAndSlow

# From a state and the parameters to the weights to evaluate with.
Find: TypeAlias = Callable[[OptState, Params], Params]


@runtime_checkable
class Averages(Protocol):
    """A state that keeps a second, steadier copy of the weights."""

    def averaged_params(self, params: Params) -> Params:
        """Return the weights to evaluate with, in the types of the parameters."""
        ...


@runtime_checkable
class ShowsParams(Protocol):
    """A state of a wrapper that shows its transformation the parameters otherwise."""

    def seen_by_inner(self, find: Find, params: Params) -> Params:
        """Return what ``find`` finds in the inner state, as the parameters are."""
        ...


def merge(averaged: PyTree, params: Params) -> Params:
    """Return the averaged weights, and the current ones where there are none.

    As where they are masked out, or cannot have a gradient. They may be kept in more
    bits than the parameters, whose types they come in.
    """
    return made_with(averaged, params, lambda a, _: a)


def made_with(
    kept: PyTree, params: Params, make: Callable[[jax.Array, jax.Array], jax.Array]
) -> Params:
    """Return what is made of what a state keeps and the parameters, in their types.

    Args:
      kept: a tree of state; where it has nothing, the parameter is returned.
      params: the parameters.
      make: from what is kept and the parameter, in float32 at least, to the weights.
    """

    def one(a: Any, p: Any) -> Any:
        if is_absent(a):
            return p
        p = jnp.asarray(p)
        return make(to_compute_dtype(a), to_compute_dtype(p)).astype(p.dtype)

    return jax.tree.map(one, kept, params, is_leaf=is_absent)


def is_same(one: PyTree, other: PyTree) -> bool:
    """Whether two trees hold the very same objects."""
    pairs = zip(*map(jax.tree.leaves, (one, other)), strict=True)
    return all(x is y for x, y in pairs)


def put_back(
    back: Callable[[Any, Any], Any], params: Params, shown: Params, found: Params
) -> Params:
    """Return what was found for parameters that were shown otherwise.

    Args:
      back: from a parameter and what was found for it to that in the parameter's form.
      params: the parameters.
      shown: what was shown of each; what is found the same is left as it came.
      found: what was found for it.
    """

    def one(p: Any, s: Any, f: Any) -> Any:
        return p if is_same(s, f) else back(p, f)

    return jax.tree.map(one, params, shown, found, is_leaf=checks.is_none)


def holds_both(params: Any) -> bool:
    """Whether parameters are fast and slow ones held together, by us or by optax."""
    return isinstance(params, FastAndSlow) or is_instance(
        params, "optax", "LookaheadParams"
    )


def is_absent(slot: Any) -> bool:
    """Whether a tree of state has nothing for a parameter."""
    return slot is None or masks.is_masked(slot)
