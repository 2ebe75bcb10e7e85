"""Find the averaged weights that a state keeps, however deep they lie in it."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp

from gradtx.codecs import decoded
from gradtx.common import checks
from gradtx.common.foreign import is_instance, plain
from gradtx.common.leaves import differentiable
from gradtx.common.types import OptState, Params, PyTree
from gradtx.tree import masks
from gradtx.tree.params import FastAndSlow
from gradtx.wrappers.flatten import packed

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


def eval_params(state: OptState, params: Params) -> Params:
    """Return the weights to evaluate a model with: averaged ones where there are any.

    Looks through the whole state, at any depth of chains and wrappers, for those that
    keep a second, steadier copy of the weights: the slow weights of
    :func:`gradtx.lookahead`, for one. Leaves that no wrapper averages, and all of them
    where there is no such wrapper, are those of ``params``.

    Args:
      state: the state of any transformation.
      params: the current parameters.

    Raises:
      ValueError: if the averaged weights are not of such parameters.
    """
    return held_like(params, averaged(plain(state), plain(params), _averages, _ask))


def averaged(
    state: OptState,
    params: Params,
    is_node: Callable[[Any], bool],
    average: Callable[[Any, Params], Params],
) -> Params:
    """Return what the averaging states within a state make of the parameters.

    Args:
      state: the state of any transformation.
      params: the current parameters.
      is_node: whether a part of the state is one that averages.
      average: what it makes of the parameters.
    """

    def find(state: OptState, params: Params) -> Params:
        def ends(x: Any) -> bool:
            return is_node(x) or isinstance(x, ShowsParams)

        for node in jax.tree.leaves(state, is_leaf=ends):
            if is_node(node):
                params = _as_it_sees_them(partial(average, node), params)
            elif isinstance(node, ShowsParams):
                params = _as_it_sees_them(partial(node.seen_by_inner, find), params)
        return params

    return find(decoded(state), params)


def _as_it_sees_them(average: Callable[[Params], Params], params: Params) -> Params:
    """Average the parameters as they are or, within ``flatten``, as one vector."""
    flat, unpack = packed(params)
    for seen, back in ((params, lambda x: x), (flat, unpack)):
        try:
            found = average(seen)
        except (TypeError, ValueError):  # these are not the trees that it averages
            continue
        if _alike(found, seen.slow if holds_both(seen) else seen):
            return back(found)
    raise checks.Misuse(
        "eval_params: the averaged weights in the state are of other parameters: their "
        "structure or their shapes are not those of `params`"
    )


def _alike(one: PyTree, other: PyTree) -> bool:
    same = jax.tree.structure(one) == jax.tree.structure(other)
    shapes = [list(map(jnp.shape, differentiable(x))) for x in (one, other)]
    return same and shapes[0] == shapes[1]


def _ask(node: Any, params: Params) -> Params:
    return node.averaged_params(params)


def held_like(params: Params, found: Params) -> Params:
    """Put what was found into the variables in which the parameters are."""
    if jax.tree.structure(found) != jax.tree.structure(plain(params)):
        return found
    return jax.tree.structure(params).unflatten(jax.tree.leaves(found))


def holds_both(params: Any) -> bool:
    """Whether parameters are fast and slow ones held together, by us or by optax."""
    return isinstance(params, FastAndSlow) or is_instance(
        params, "optax", "LookaheadParams"
    )


def _averages(node: Any) -> bool:
    return isinstance(node, Averages)


def merge(averaged: PyTree, params: Params) -> Params:
    """Return the averaged weights, and the current ones where there are none.

    As where they are masked out, or cannot have a gradient. They may be kept in more
    bits than the parameters, whose types they come in.
    """
    return jax.tree.map(
        lambda a, p: p if is_absent(a) else a.astype(jnp.result_type(p)),
        averaged,
        params,
        is_leaf=is_absent,
    )


def is_absent(slot: Any) -> bool:
    """Whether a tree of state has nothing for a parameter."""
    return slot is None or masks.is_masked(slot)
