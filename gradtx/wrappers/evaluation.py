"""Find the weights to evaluate with in a state, at any depth."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from gradtx.codecs import decoded
from gradtx.common import checks
from gradtx.common.foreign import plain
from gradtx.common.leaves import differentiable
from gradtx.common.types import OptState, Params, PyTree
from gradtx.tree import keys
from gradtx.wrappers.averages import Averages, ShowsParams, holds_both, is_same
from gradtx.wrappers.flatten import packed

Test: TypeAlias = Callable[[Any], bool]


def eval_params(
    state: OptState, params: Params, which: str | tuple[Any, ...] | None = None
) -> Params:
    """Return the weights to evaluate a model with: averaged ones where there are any.

    Looks through the whole state, at any depth of chains and wrappers, for those that
    keep a second, steadier copy of the weights: the mean of :func:`gradtx.average`, the
    slow weights of :func:`gradtx.lookahead`. Leaves that no wrapper averages, and all
    of them where there is no such wrapper, are those of ``params``.

    Of two nested ones the outer one decides. Where two independent ones average the
    same leaf, say which is meant.

    A state of one's own takes part by a method ``averaged_params(params)``, which
    returns the weights in the types of the parameters, and leaves for which it has none
    as they came.

    Args:
      state: the state of any transformation.
      params: the current parameters.
      which: what to take of several: the name of the state's class or field, such as
        "AverageState", or where it stands in the state, such as "1/inner_state", as
        :func:`gradtx.tree.get` takes it. All that averages, if None.

    Raises:
      ValueError: if the averaged weights are not of such parameters, if several states
        average a leaf, which are named, or if ``which`` names none that averages.

    Example:
      >>> tx, params = gradtx.average(gradtx.sgd(0.1)), jnp.ones(2)
      >>> print(gradtx.eval_params(tx.init(params), params))
      [1. 1.]
    """
    state = decoded(plain(state))
    is_node, is_way = _averages, _shows
    if which is not None:
        is_node, is_way = _counting(state, which)
    return held_like(params, averaged(state, plain(params), is_node, _ask, is_way))


def averaged(
    state: OptState,
    params: Params,
    is_node: Test,
    average: Callable[[Any, Params], Params],
    is_way: Test | None = None,
) -> Params:
    """Return what the averaging states within a state make of the parameters.

    Args:
      state: the state of any transformation.
      params: the current parameters.
      is_node: whether a part of the state is one that averages.
      average: what it makes of the parameters.
      is_way: whether a part is one through which to look; all :class:`ShowsParams` are,
        if None.

    Raises:
      ValueError: if two states average the same leaf.
    """
    whole, is_way = decoded(state), is_way or _shows

    def find(state: OptState, params: Params) -> Params:
        found: _Found | None = None
        for node in jax.tree.leaves(state, is_leaf=lambda x: is_node(x) or is_way(x)):
            if is_node(node):
                new = _as_it_sees_them(partial(average, node), params)
            elif is_way(node):
                new = _as_it_sees_them(partial(node.seen_by_inner, find), params)
            else:
                continue
            found = found or _Found.none(params)
            for twice in found.add(new, node):
                raise _several(whole, (twice, node), is_node)
        return params if found is None else found.params

    return find(whole, params)


class _Found:
    """The weights that are found, and which state each leaf is from."""

    def __init__(self, leaves: list[Any], treedef: Any) -> None:
        self._start, self._leaves, self._treedef = leaves, list(leaves), treedef
        self._by: dict[int, Any] = {}

    @classmethod
    def none(cls, params: Params) -> "_Found":
        """Start from the parameters, or from the slow ones of a pair."""
        return cls(*jax.tree.flatten(_base(params), is_leaf=checks.is_none))

    @property
    def params(self) -> Params:
        """The weights, those of ``params`` where no state has any."""
        return self._treedef.unflatten(self._leaves)

    def add(self, new: Params, node: Any) -> Iterator[Any]:
        """Take what a state averages; yield the states that did so for a leaf of it."""
        for i, x in enumerate(self._treedef.flatten_up_to(new)):
            if x is not self._start[i]:
                if i in self._by:
                    yield self._by[i]
                self._by[i], self._leaves[i] = node, x


# --- what is where -----------------------------------------------------------


class _Place(NamedTuple):
    path: keys.Path
    node: Any


def _places(node: Any, path: keys.Path = ()) -> Iterator[_Place]:
    """Yield all parts of a state that average or show, each before those within it."""
    if _averages(node) or _shows(node):
        yield _Place(path, node)
    for key, child in keys.children(node)[0]:
        yield from _places(child, (*path, key))


def _counting(state: OptState, which: Any) -> tuple[Test, Test]:
    """Return which parts count if one of them is named: it, and what is within it."""
    places = list(_places(state))
    at = keys.is_path(which)
    named = [
        path
        for path, node in places
        if (keys.is_at(which, path) if at else keys.is_named(which, path, node))
    ]
    if not named:
        listed = ", ".join(map(_written, places)) or "none"
        raise checks.InvalidArgument(
            f"eval_params: which={which!r} names no part of the state that averages "
            f"weights; there are {listed}"
        )
    within = {id(x.node) for x in places for p in named if x.path[: len(p)] == p}
    around = {id(x.node) for x in places for p in named if p[: len(x.path)] == x.path}
    ways = within | around
    return (
        lambda node: id(node) in within and _averages(node),
        lambda node: id(node) in ways and _shows(node),
    )


class Several(checks.InvalidArgument):
    """Several states average the same leaf."""


def _several(state: OptState, nodes: Any, is_node: Test) -> Several:
    """Return the error that names the states which average the same leaf."""
    each: list[_Place] = []
    for place in _places(state):
        if any(place.node is node for node in nodes):
            # Of a wrapper that only shows, what averages within it is meant.
            within = [x for x in _places(place.node, place.path) if is_node(x.node)]
            each += within or [place]
    names = " and ".join(map(_written, each))
    example = keys.written(each[0].path) if each else "..."
    return Several(
        f"eval_params: {names} average the same weights: say which are meant, by "
        f"eval_params(state, params, which={example})"
    )


def _written(place: _Place) -> str:
    return f"{type(place.node).__name__} at {keys.written(place.path)}"


# --- what a state is shown ---------------------------------------------------


def _as_it_sees_them(average: Callable[[Params], Params], params: Params) -> Params:
    """Average the parameters as they are or, within ``flatten``, as one vector."""
    flat, unpack = packed(params)
    for seen, back in ((params, lambda x: x), (flat, unpack)):
        try:
            found = average(seen)
        except Several:
            raise
        except (AttributeError, TypeError, ValueError):
            continue  # these are not the trees that it averages
        if _alike(found, _base(seen)):
            return _base(params) if is_same(found, _base(seen)) else back(found)
    raise checks.InvalidArgument(
        "eval_params: the averaged weights in the state do not match `params` in "
        "structure or shape: give the parameters that the state was made for"
    )


def _base(params: Params) -> Params:
    """Return the parameters, or the slow ones of a pair."""
    return params.slow if holds_both(params) else params


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


def _averages(node: Any) -> bool:
    return isinstance(node, Averages)


def _shows(node: Any) -> bool:
    return isinstance(node, ShowsParams)
