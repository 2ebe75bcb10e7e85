"""Add the updates to the parameters, or take the sums that are known already."""

import weakref
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.common import checks, leaves
from gradtx.common.types import Params, Updates
from gradtx.lowering.eager import one_program


@one_program
def apply_updates(params: Params, updates: Updates) -> Params:
    """Return params + updates, leaf by leaf, in the parameters' types.

    A leaf whose update is None or of float0 stays as it is, whatever it is: integers,
    random keys, functions. Integers may have integer updates.

    Args:
      params: a tree of arrays.
      updates: a tree of the same structure, with leaves of the same shapes.

    Raises:
      ValueError: if the trees or the shapes of two leaves differ, or if a float would
        be added to what cannot have a gradient: nothing is broadcast or cut off.
    """
    paths, treedef = jax.tree_util.tree_flatten_with_path(
        updates, is_leaf=checks.is_none
    )
    targets = checks.leaves_like(params, treedef, "parameters", "updates")
    return treedef.unflatten(
        [_moved(path, p, u) for (path, u), p in zip(paths, targets, strict=True)]
    )


def _moved(path: Any, p: Any, u: Any) -> Any:
    if u is None or p is None or leaves.is_missing(u):
        return p
    moved = known_sum(p, u)
    if moved is not None:
        return moved
    numeric = leaves.is_numeric(p) and leaves.is_numeric(u)
    if not numeric or leaves.is_differentiable(u) > leaves.is_differentiable(p):
        raise checks.Misuse(
            f"apply_updates: the parameter at {checks.path_name(path)} is "
            f"{leaves.described(p)} and cannot take an update "
            f"{leaves.described(u)}: give None where there is none"
        )
    p, u = jnp.asarray(p), jnp.asarray(u)
    checks.same_shape(u.shape, p.shape, path, "the update", "the parameter")
    if jnp.iscomplexobj(u) and not jnp.iscomplexobj(p):
        raise checks.Misuse(
            f"apply_updates: a complex update for the real parameter at "
            f"{checks.path_name(path)}"
        )
    # In the wider of the two types, so that the parameter is rounded only once.
    dtype = jnp.promote_types(p.dtype, u.dtype)
    return (p.astype(dtype) + u.astype(dtype)).astype(p.dtype)


# --- sums that are known before their update is added ---

# By the update's identity, for as long as it lives: itself, the parameter, their sum.
_SUMS: dict[int, tuple[Any, Any, Any]] = {}


def remember_sum(p: Any, u: Any, moved: Any) -> None:
    """Remember that ``p + u`` is ``moved``, while a program is traced.

    Where a step may be left out, the sum is best made within what is left out: then the
    program never reads the parameter, and what remains unused, the update, is dropped.
    Outside of tracing nothing is remembered, as there nothing would be dropped.

    ``moved`` must not be computed from ``u``, only beside it: it would keep ``u`` alive
    and be remembered for ever.
    """
    if isinstance(u, Tracer) and isinstance(p, Tracer):
        key = id(u)
        itself = weakref.ref(u, lambda _, forget=_SUMS.pop: forget(key, None))
        _SUMS[key] = (itself, weakref.ref(p), moved)


def known_sum(p: Any, u: Any) -> Any:
    """Return the sum of these very two, if it is remembered, and else None."""
    itself, parameter, moved = _SUMS.get(id(u), (None, None, None))
    if itself is None or itself() is not u or parameter() is not p:
        return None
    return moved
