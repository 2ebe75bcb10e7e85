"""From a mean of gradients, through stacks of its matrices, to an update of any tree.

As :mod:`gradtx.core.leafwise`, for methods that bring the singular values of a mean of
gradients near 1: what is done entry by entry before and after is done leaf by leaf, and
what takes products of matrices once for all leaves of one shape.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from gradtx.common import checks
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import AxisName, OptState, Params, PyTree, Updates
from gradtx.core.by_hand import settled_leaves, stored, wide_leaves
from gradtx.core.leafwise import (
    Leaf,
    flatten_updates,
    leafwise,
    matching_params,
    to_compute_dtype,
)
from gradtx.core.slots import Slot, make_slot
from gradtx.core.transformation import GradientTransformation
from gradtx.linalg.leaf_stacks import in_stacks
from gradtx.lowering.fusion import hint_horizontal_fusion
from gradtx.tree.packed import unpacked_only

Numbers = Callable[[PyTree], list[Any]]


def matrixwise(
    rule: Callable[..., Any],
    orthogonal: Callable[..., jax.Array],
    numbers: Numbers,
    state_type: Any,
    afterwards: Callable[..., Any] | None = None,
    late: Callable[[jax.Array, Any, Any], jax.Array] | None = None,
    split: AxisName = None,
    **slots: Slot,
) -> GradientTransformation:
    """Make a transformation of a rule for one leaf and a function of stacked matrices.

        x, *new_slots = rule(g, *old_slots, t=step, p=param)
        u = orthogonal(matrices of x, state)
        u, nu = afterwards(u, nu, numbers, path)

    Args:
      rule: as :func:`gradtx.leafwise` takes it.
      orthogonal: from a batch of matrices (b, in, out), and the state, to another.
      numbers: from a tree to the dimension numbers of its leaves.
      state_type: a NamedTuple with ``count`` and a field for each slot, and ``nu`` if
        there is something to do afterwards.
      afterwards: from the leaf's u, its ``nu``, its dimension numbers and its path to
        both anew; leaves without entries are passed over.
      late: makes ``nu`` of a parameter, its dimension numbers and its path.
      split: as :func:`gradtx.linalg.leaf_stacks.in_stacks` takes it.
      **slots: how each slot of the rule is made from a parameter.

    Raises:
      ValueError: from ``update``, if a leaf is no matrix; what ``leafwise`` refuses.
    """
    made: dict[str, Any] = slots  # of which none is an argument of `leafwise`
    average = leafwise(rule, state_type, elementwise=True, **made)

    def init(params: Params) -> OptState:
        unpacked_only(params)
        state = average.init(params)
        return (
            state
            if late is None
            else state._replace(nu=slots_of_matrices(late, params, numbers))
        )

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        leaves, treedef = flatten_updates(updates)
        # The mean goes on in float32, and only the result is rounded.
        wide = None if params is None else wide_leaves(params)
        live = [g if is_differentiable(g) else None for _, g in leaves]
        grads = treedef.unflatten(hint_horizontal_fusion(live, state.count))
        mean, state = average.update(wide_leaves(grads), state, wide, **extra)
        found = numbers(updates)
        means, _ = flatten_updates(mean)
        stacked = partial(orthogonal, state=state)
        u = in_stacks(means, found, stacked, split=split)
        new = hint_horizontal_fusion(u, state.count)
        if afterwards is not None:
            old = checks.leaves_like(state.nu, treedef, "the state 'nu'", "updates")
            new, nu = _after(afterwards, leaves, new, old, found)
            state = state._replace(nu=stored(state.nu, treedef.unflatten(nu)))
        targets = matching_params(params, leaves, treedef)
        return treedef.unflatten(settled_leaves(new, leaves, targets)), state

    return GradientTransformation(init, update)


def _after(
    afterwards: Callable[..., Any],
    leaves: list[Leaf],
    new: list[Any],
    old: list[Any],
    numbers: list[Any],
) -> tuple[list[Any], list[Any]]:
    pairs = []
    for (path, _), u, v, which in zip(leaves, new, old, numbers, strict=True):
        if u is None or u.size == 0:
            pairs.append((u, v))
            continue
        changed, slot = afterwards(u, to_compute_dtype(v), which, path)
        pairs.append((changed, slot))
    return [u for u, _ in pairs], [v for _, v in pairs]


def slots_of_matrices(
    make: Callable[..., PyTree], params: Params, numbers: Numbers
) -> PyTree:
    """Make one slot for every parameter, which depends on its dimension numbers.

    Args:
      make: ``make(p, numbers=..., path=...)``.
      params: the parameters.
      numbers: from a tree to the dimension numbers of its leaves.
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(
        params, is_leaf=checks.is_none
    )
    found = numbers(params)
    slots = [
        make_slot(partial(make, numbers=which, path=path), p)
        for (path, p), which in zip(leaves, found, strict=True)
    ]
    return treedef.unflatten(slots)


def has_entries(g: Any) -> bool:
    """Whether this is a gradient, and not an empty one."""
    return is_differentiable(g) and g.size > 0
