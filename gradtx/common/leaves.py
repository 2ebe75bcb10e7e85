"""Which leaves of a tree can have a gradient; the others are frozen.

Floats and complex numbers can, as :func:`gradtx.common.numerics.is_differentiable`
says: arrays of them, their shapes (``jax.ShapeDtypeStruct``), Python's numbers.
Integers, booleans, random keys, functions, strings and all else cannot. One rule holds
for those everywhere:

- ``init`` makes no state for them: their place in a tree of state holds None;
- a gradient of None or of float0, which JAX gives for integers, leaves them as they
  are, and so does an integer: the update of None is None, any other is 0;
- no norm, mean or product over all leaves counts them;
- any other gradient for one is refused, and its path is named.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.common import checks
from gradtx.common.numerics import dtype_of, is_differentiable
from gradtx.common.types import PyTree


def is_numeric(x: Any) -> bool:
    """Whether this is a number or an array of numbers, integers and flags among them.

    Not what JAX gives for the gradient of an integer, nor random keys.
    """
    if isinstance(x, bool | int | float | complex):
        return True
    kind = dtype_of(x)
    return kind is not None and kind != jax.dtypes.float0 and _is_number(kind)


def is_array(x: Any) -> bool:
    """Whether this is data, which may be traced: numbers and random keys."""
    kind = getattr(x, "dtype", None)
    if isinstance(x, type) or kind is None or isinstance(kind, np.dtype):
        return is_numeric(x)
    return jnp.issubdtype(kind, jax.dtypes.extended)


def ndim(x: Any) -> int:
    """Return how many axes a leaf has; 0 if it cannot have a gradient."""
    return jnp.ndim(x) if is_differentiable(x) else 0


def is_missing(x: Any) -> bool:
    """Whether this is what JAX gives for the gradient of an integer parameter."""
    return getattr(x, "dtype", None) == jax.dtypes.float0


def differentiable(tree: PyTree) -> list[Any]:
    """Return the leaves of a tree that can have a gradient, or that are one."""
    return [x for x in jax.tree.leaves(tree) if is_differentiable(x)]


def parted(
    tree: PyTree, like: PyTree | None = None
) -> tuple[list[Any], Callable[..., PyTree]]:
    """Return the leaves that can have a gradient, and what puts others in their place.

    The second, ``put(new)``, returns the tree with other such leaves; with
    ``put(new, alone=True)`` they stand alone, and None where all else was.

    Args:
      tree: any tree.
      like: a tree of its structure, such as its gradients, of which those leaves count
        that can have a gradient; ``tree`` itself if None.
    """
    leaves, treedef = jax.tree.flatten(tree, is_leaf=_is_none)
    asked = leaves if like is None else treedef.flatten_up_to(like)
    places = [i for i, x in enumerate(asked) if is_differentiable(x)]

    def put(new: list[Any], *, alone: bool = False) -> PyTree:
        given = dict(zip(places, new, strict=True))
        rest = [None if alone else x for x in leaves]
        return treedef.unflatten([given.get(i, x) for i, x in enumerate(rest)])

    return [leaves[i] for i in places], put


def numeric(tree: PyTree) -> list[Any]:
    """Return the leaves of a tree that are numbers or arrays of numbers."""
    return [x for x in jax.tree.leaves(tree) if is_numeric(x)]


def map_differentiable(
    f: Callable[..., Any], tree: PyTree, *rest: PyTree, otherwise: Any = None
) -> PyTree:
    """Apply a function to the leaves that can have a gradient.

    Args:
      f: ``f(leaf, *leaves_of_rest)``.
      tree: what is mapped over; None is a leaf that stays.
      *rest: trees of the same structure, or with anything where ``tree`` has leaves.
      otherwise: takes the same of any other leaf, and returns what takes its place;
        None leaves it.
    """

    def one(x: Any, *others: Any) -> Any:
        if is_differentiable(x):
            return f(x, *others)
        return x if otherwise is None else otherwise(x, *others)

    return jax.tree.map(one, tree, *rest, is_leaf=_is_none)


def frozen_update(g: Any, p: Any = None) -> Any:
    """Return the update of a parameter that cannot have a gradient.

    Args:
      g: what came in the place of its gradient.
      p: the parameter, where it is known: the update is an integer as it is.
    """
    if g is None:
        return None
    like = p if is_numeric(p) else g
    if is_numeric(like):
        return jnp.zeros_like(like)
    return g if is_missing(g) else None


def gradients(tree: PyTree) -> PyTree:
    """Return a tree of gradients with None for what is none."""
    return map_differentiable(lambda g: g, tree, otherwise=lambda _: None)


def described(x: Any) -> str:
    """Name the type of a leaf."""
    if x is None:
        return "None"
    if is_missing(x):
        return "of type float0"
    kind = None if isinstance(x, type) else getattr(x, "dtype", None)
    return f"of type {type(x).__name__ if kind is None else kind}"


# --- what is refused in their place -------------------------------------------


def float_leaves(tree: PyTree, what: str) -> None:
    """Refuse leaves that cannot have a gradient, such as integers and booleans."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not is_differentiable(leaf):
            raise checks.InvalidArgument(
                f"{what} at {checks.path_name(path)} is {described(leaf)}, which has "
                "no gradient: leave it out, or convert it to floats"
            )


def gradient_fits(path: Any, g: Any, p: Any) -> None:
    """Refuse a gradient that its parameter cannot have."""
    if g is None or is_missing(g):
        return
    where, kind = checks.path_name(path), described(p)
    if is_differentiable(g) and not is_differentiable(p):
        raise checks.InvalidArgument(
            f"the parameter at {where} is {kind} and cannot have a gradient, but one "
            f"{described(g)} came for it: give None, or make it a float"
        )
    if not is_differentiable(g) and not _both_whole(g, p):
        raise checks.InvalidArgument(
            f"the gradient at {where} is {described(g)}, and the parameter "
            f"{kind}: give a gradient of floats, or None where there is none"
        )
    checks.same_shape(jnp.shape(g), jnp.shape(p), path, "the gradient", "the parameter")


def _both_whole(g: Any, p: Any) -> bool:
    """Whether this may be the update of integers, which is zero."""
    numeric = is_numeric(g) and is_numeric(p)
    return numeric and not is_differentiable(p)


def gradient_known(path: Any, g: Any) -> None:
    """Refuse what is no gradient, where there is no parameter to compare it with."""
    known = g is None or is_missing(g) or is_differentiable(g)
    if not known:
        raise checks.InvalidArgument(
            f"the gradient at {checks.path_name(path)} is {described(g)}: give one of "
            "floats, None where there is none, or the parameters too: "
            "update(updates, state, params)"
        )


def _is_none(x: Any) -> bool:
    return x is None


@cache
def _is_number(kind: Any) -> bool:
    return jnp.issubdtype(kind, jnp.number) or jnp.issubdtype(kind, jnp.bool_)
