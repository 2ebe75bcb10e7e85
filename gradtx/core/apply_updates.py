"""Add the updates to the parameters, or take the sums that are known already.

``update`` and :func:`apply_updates` are two calls, and only the updates pass from one
to the other. Where a wrapper leaves a step out, or sets the parameters to weights that
it knows exactly, it knows p + u before anyone adds it. So there is a protocol, for the
time in which one program is traced:

* the wrapper calls :func:`remember` with the parameters that it was given, the updates
  that it returns, and their sums;
* :func:`apply_updates`, given these very parameters and these very updates (the same
  tracers, not equal ones), returns those sums instead of adding;
* whoever adds the updates by other means, or changes them first, gets p + u, which is
  the same number but for the rounding of u.

It is kept by the wrappers that leave steps out (``accumulate``, ``apply_if_finite``,
``conditionally_mask``), by ``lookahead``, and by ``quantize_state`` with kernels. Calls
outside of ``jit`` are programs of their own, between which no tracer passes: there
nothing is remembered, and p + u is added.
"""

import weakref
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.common import checks, leaves
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import Params, Updates
from gradtx.lowering.one_program import one_program


@one_program
def apply_updates(params: Params, updates: Updates) -> Params:
    """Return params + updates, leaf by leaf, in the parameters' types.

    A leaf whose update is None or of float0 stays as it is, whatever it is: integers,
    random keys, functions. Integers may have integer updates.

    Within one jitted step, updates that come straight from a wrapper which knows where
    the parameters go are not added again: the sum that it made is returned, and what it
    leaves out of a step is not read. In half precision the two may differ in the last
    bit: when :func:`gradtx.lookahead` synchronises bfloat16 weights, a jitted step ends
    exactly at the slow weights, and elsewhere at p + u with u rounded.

    Args:
      params: a tree of arrays.
      updates: a tree of the same structure, with leaves of the same shapes.

    Raises:
      ValueError: if the trees or the shapes of two leaves differ, or if a float would
        be added to what cannot have a gradient: nothing is broadcast or cut off.

    Example:
      >>> params, updates = {"a": jnp.ones(2)}, {"a": jnp.array([0.5, -1.0])}
      >>> print(gradtx.apply_updates(params, updates)["a"])
      [1.5 0. ]
    """
    paths, treedef = jax.tree_util.tree_flatten_with_path(
        updates, is_leaf=checks.is_none
    )
    targets = checks.leaves_like(params, treedef, "parameters", "updates")
    return treedef.unflatten(
        [_added(path, p, u) for (path, u), p in zip(paths, targets, strict=True)]
    )


def _added(path: Any, p: Any, u: Any) -> Any:
    if u is None or p is None or leaves.is_missing(u):
        return p
    known = known_sum(p, u)
    if known is not None:
        return known
    numeric = leaves.is_numeric(p) and leaves.is_numeric(u)
    if not numeric or is_differentiable(u) > is_differentiable(p):
        raise checks.InvalidArgument(
            f"apply_updates: the parameter at {checks.path_name(path)} is "
            f"{leaves.described(p)} and cannot take an update "
            f"{leaves.described(u)}: give None where there is none"
        )
    p, u = jnp.asarray(p), jnp.asarray(u)
    checks.same_shape(u.shape, p.shape, path, "the update", "the parameter")
    if jnp.iscomplexobj(u) and not jnp.iscomplexobj(p):
        raise checks.InvalidArgument(
            f"apply_updates: a complex update for the real parameter at "
            f"{checks.path_name(path)}"
        )
    # In the wider of the two types, so that the parameter is rounded only once.
    dtype = jnp.promote_types(p.dtype, u.dtype)
    return (p.astype(dtype) + u.astype(dtype)).astype(p.dtype)


# --- sums that are known before their update is added ---

# By the update's identity, for as long as it lives: itself, the parameter, their sum.
_SUMS: dict[int, tuple[Any, Any, Any]] = {}


def remember(params: Params | None, updates: Updates, sums: Params | None) -> None:
    """Let :func:`apply_updates` find the sums of these parameters and these updates.

    Args:
      params: the parameters as ``update`` was given them.
      updates: the updates as ``update`` returns them.
      sums: params + updates, in the parameters' types; not computed from ``updates``,
        but from what those are computed from.
    """
    if fit(params, updates):
        trees = (params, updates, sums)
        for p, u, total in zip(*map(_leaves, trees), strict=True):
            remember_sum(p, u, total)


def fit(params: Params | None, updates: Updates) -> bool:
    """Whether updates have the structure, shapes and types of the parameters."""
    structures = [
        jax.tree.structure(x, is_leaf=checks.is_none) for x in (params, updates)
    ]
    pairs = zip(_leaves(params), _leaves(updates), strict=False)
    return structures[0] == structures[1] and all(_alike(p, u) for p, u in pairs)


def _alike(p: Any, u: Any) -> bool:
    if not (is_differentiable(p) and is_differentiable(u)):
        return True
    types = (jax.dtypes.result_type(p), jax.dtypes.result_type(u))
    return jnp.shape(p) == jnp.shape(u) and types[0] == types[1]


def _leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree, is_leaf=checks.is_none)


def remember_sum(p: Any, u: Any, total: Any) -> None:
    """Remember that ``p + u`` is ``total``, while a program is traced.

    Where a step may be left out, the sum is best made within what is left out: then the
    program never reads the parameter, and what remains unused, the update, is dropped.
    Outside of tracing nothing is remembered, as there nothing would be dropped.

    ``total`` must not be computed from ``u``, but from what ``u`` is computed from: it
    would keep ``u`` alive and be remembered for ever.
    """
    if isinstance(u, Tracer) and isinstance(p, Tracer):
        key = id(u)
        itself = weakref.ref(u, lambda _, forget=_SUMS.pop: forget(key, None))
        _SUMS[key] = (itself, weakref.ref(p), total)


def known_sum(p: Any, u: Any) -> Any:
    """Return the sum of these very two, if it is remembered, and else None."""
    itself, parameter, total = _SUMS.get(id(u), (None, None, None))
    if itself is None or itself() is not u or parameter() is not p:
        return None
    return total
