"""From a rule for the blocks of all leaves to a transformation of any tree.

As :func:`leafwise` is for methods that treat each entry of an array apart, this is for
those that treat arrays as matrices: blocks of one shape, of whatever leaves, are to go
through one batched product, decomposition or solve.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.common import checks, numerics
from gradtx.common.leaves import frozen_update
from gradtx.common.types import AxisName, Count, OptState, Params, PyTree, Updates
from gradtx.core.leafwise import (
    Leaf,
    Wants,
    flatten_updates,
    matching_params,
    to_compute_dtype,
)
from gradtx.core.slots import make_slot
from gradtx.core.transformation import GradientTransformation
from gradtx.linalg import axes
from gradtx.linalg.blocks import Back, Blocks
from gradtx.linalg.stacks import by_shape
from gradtx.lowering.fusion import hint_horizontal_fusion
from gradtx.lowering.packing import is_sharded
from gradtx.lowering.sharding import sharded_like, zero_count
from gradtx.lowering.shares import in_parts
from gradtx.lowering.varying_matrices import warn_of_shards
from gradtx.tree.packed import unpacked_only
from gradtx.tree.params import is_placeholder

Plan = Callable[..., Blocks]
Slot = Callable[[jax.Array, Blocks], PyTree]
Column = list[Any]  # of something for every leaf


class Leaves:
    """The leaves that have a gradient, as a rule sees them.

    A column is a list of one thing for every leaf: arrays of the leaf's shape, or, for
    every region of the leaf, a tree of arrays that begin with the axis of its blocks.
    """

    def __init__(
        self,
        g: Column,
        blocks: list[Blocks],
        pick: Callable[[PyTree], Column],
        count: Count,
        split: AxisName = None,
    ) -> None:
        self.g, self.blocks, self.pick, self.count = g, blocks, pick, count
        self.split = split
        pairs = zip(g, blocks, strict=True)
        self._back: list[Back] = [self._unfolded(x, b)[1] for x, b in pairs]

    def _unfolded(self, x: jax.Array, blocks: Blocks) -> tuple[jax.Array, Back]:
        return blocks.unfold(x, whole=self.split is None)

    def some(self, which: Sequence[int]) -> "Leaves":
        """Return only some of the leaves, by their places."""

        def here(column: Column) -> Column:
            return [column[i] for i in which]

        g, blocks = here(self.g), here(self.blocks)
        return Leaves(g, blocks, lambda x: here(self.pick(x)), self.count, self.split)

    def column(self, tree: PyTree) -> Column:
        """Return the leaves of another tree of the same structure, in float32 at least.

        For an extra argument of ``update``.
        """
        return [to_compute_dtype(jnp.asarray(x)) for x in self.pick(tree)]

    def cut(self, column: Column) -> Column:
        """Return the blocks of arrays of the leaves' shapes."""
        pairs = zip(column, self.blocks, strict=True)
        return [b.cut(self._unfolded(x, b)[0]) for x, b in pairs]

    def join(self, column: Column) -> Column:
        """Return the arrays that :meth:`cut` gave these blocks of."""
        rows = zip(column, self.blocks, self._back, strict=True)
        return self.together([back(b.join(x)) for x, b, back in rows])

    def together(self, column: Column) -> Column:
        """Return a column as it is; what is made of it is to share kernels on a GPU.

        For what comes out of a stack and is then treated entry by entry.
        """
        arrays, treedef = jax.tree.flatten(column)
        return treedef.unflatten(hint_horizontal_fusion(arrays, self.count))

    def each(self, function: Callable[..., Any], *columns: Column) -> Column:
        """Apply a function to the arrays of every leaf."""
        return [function(*row) for row in zip(*columns, strict=True)]

    def stacked(self, function: Callable[..., PyTree], *columns: Column) -> Column:
        """Apply a function to blocks, once for all that have the same shapes.

        Args:
          function: of a row: for every column what it has for a region.
          *columns: with a sequence for the regions of every leaf.
        """
        places, rows = [], []
        done: list[list[Any]] = [[None] * len(b.regions) for b in self.blocks]
        for i, (b, *parts) in enumerate(zip(self.blocks, *columns, strict=True)):
            for r, row in enumerate(zip(*parts, strict=True)):
                if b.elementwise:  # nothing is gained by a stack
                    done[i][r] = function(*row)
                else:
                    places.append((i, r))
                    rows.append(row)
        made = by_shape(function, rows, self.split)
        for (i, r), result in zip(places, made, strict=True):
            done[i][r] = result
        return [tuple(x) for x in done]


def columns_of(column: Column, many: int) -> tuple[Column, ...]:
    """Part a column of tuples for every region into so many columns."""
    return tuple([tuple(x[k] for x in leaf) for leaf in column] for k in range(many))


def sharded_along(p: jax.Array, blocks: Blocks, i: int, made: jax.Array) -> jax.Array:
    """Return what is made for axis i of a leaf, sharded as that axis of the parameter.

    There the compiler leaves what it sums over the other axes on an automatic mesh.
    Made elsewhere, state would move in the first step, and the second be compiled anew.
    """
    if len(blocks.regions) > 1 or is_sharded(p) or not _may_be_sharded(p):
        return made
    whole, _ = blocks.unfold(p)
    others = tuple(j for j in range(1, whole.ndim) if j != i + 1)
    sums = jnp.sum(whole.astype(made.dtype), axis=others)
    if len(sums) != len(made):
        return made
    like = sums.reshape(*sums.shape, *[1] * (made.ndim - 2))
    return sharded_like(jnp.broadcast_to(like, made.shape), made)


def _may_be_sharded(p: Any) -> bool:
    if isinstance(p, Tracer):
        return True
    return getattr(getattr(p, "sharding", None), "num_devices", 1) > 1


def blockwise(
    rule: Callable[..., Any],
    state_type: Any,
    plan: Plan,
    numbers: Any = None,
    split: AxisName = None,
    **slots: Slot,
) -> GradientTransformation:
    """Make a transformation of a rule for the leaves of a tree, taken as blocks.

        u, *new_slots = rule(leaves, *old_slots, t=step)

    The rule is given :class:`Leaves`, and of every slot a column, and returns columns:
    the updates, in the leaves' shapes, and the new slots. It names by keyword what else
    it wants: ``t``, the step counted from 1; any extra argument of ``update``, with a
    default if it may be left out.

    As for :func:`leafwise`, all is computed in float32 or wider, slots are kept in
    the types they were made in, updates leave in the types of the parameters, leaves
    without a gradient are passed over, and what does not fit is refused.

    Args:
      rule: the equations of the method.
      state_type: a NamedTuple with a field for every slot, and with ``count``. Other
        fields are left to the caller: ``init`` makes them None, ``update`` keeps them.
      plan: ``plan(shape, numbers, path, left=...)`` tells how a leaf is taken apart;
        ``left`` is True where others have dimension numbers and this one has none.
      numbers: dimension numbers, as :func:`gradtx.scale_by_muon` takes them; None takes
        every leaf for one tensor.
      split: the axis, or axes, of the mesh over which every stack of blocks is shared
        out, see :func:`gradtx.lowering.shares.in_split`. Slots of matrices are then
        kept in parts over them.
      **slots: for each slot, how it is made from a parameter and its blocks.

    Raises:
      ValueError: from ``init`` for complex parameters; from ``update`` for
        trees or shapes that do not match. The leaf's path is named.
    """
    wants = Wants(rule, list(slots))

    def spread(slot: PyTree, like: Any) -> PyTree:
        if split is None or not isinstance(slot, tuple):  # it is shaped as a leaf
            return slot
        return jax.tree.map(lambda x: in_parts(x, split, like), slot)

    def init(params: Params) -> OptState:
        unpacked_only(params)
        made: dict[str, Any] = dict.fromkeys(state_type._fields)
        made["count"] = zero_count(params)
        if is_placeholder(params):
            return state_type(**made | dict.fromkeys(slots, params))
        paths, treedef = jax.tree_util.tree_flatten_with_path(
            params, is_leaf=checks.is_none
        )
        plans = _plans(params, paths, plan, numbers)
        for name, make in slots.items():
            column = [
                make_slot(lambda x, b=b, make=make: spread(make(x, b), x), p)
                for (_, p), b in zip(paths, plans, strict=True)
            ]
            made[name] = treedef.unflatten(column)
        return state_type(**made)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        leaves, treedef = flatten_updates(updates)
        targets = matching_params(params, leaves, treedef)
        old = [
            checks.leaves_like(
                getattr(state, name), treedef, f"the state {name!r}", "updates"
            )
            for name in slots
        ]
        given = wants.chosen(extra)
        t = numerics.safe_increment(state.count)
        if wants.takes_t:
            given["t"] = t
        plans = _plans(updates, leaves, plan, numbers)
        here = [i for i, (_, g) in enumerate(leaves) if numerics.is_differentiable(g)]
        warn_of_shards(leaves[i] for i in here if not plans[i].elementwise)

        def pick(tree: PyTree) -> Column:
            found = checks.leaves_like(tree, treedef, "an extra argument", "updates")
            return [found[i] for i in here]

        g = [_wide(leaves[i][1], targets[i]) for i in here]
        u, *new = rule(
            Leaves(g, [plans[i] for i in here], pick, state.count, split),
            *(
                [jax.tree.map(to_compute_dtype, column[i]) for i in here]
                for column in old
            ),
            **given,
        )
        likes = [leaves[i][1] if targets[i] is None else targets[i] for i in here]
        moved = [
            numerics.cast(x, jnp.result_type(like))
            for x, like in zip(u, likes, strict=True)
        ]
        fields = {
            name: treedef.unflatten(_put(before, here, list(map(spread, after, g))))
            for name, before, after in zip(slots, old, new, strict=True)
        }
        none = [frozen_update(g, p) for (_, g), p in zip(leaves, targets, strict=True)]
        whole = treedef.unflatten(_put(none, here, moved, typed=False))
        return whole, state._replace(count=t, **fields)

    return GradientTransformation(init, update)


def _plans(tree: PyTree, leaves: Sequence[Leaf], plan: Plan, numbers: Any) -> list[Any]:
    """Return the blocks of every leaf, None for one that cannot have a gradient."""
    found = axes.resolve_dimension_numbers(numbers, tree, lambda _: None)
    listed = axes.listed_dimension_numbers(found)
    plans: list[Any] = []
    for (path, x), which in zip(leaves, listed, strict=True):
        if not numerics.is_differentiable(x):
            plans.append(None)
            continue
        if jnp.issubdtype(jnp.result_type(x), jnp.complexfloating):
            raise checks.InvalidArgument(
                f"the leaf at {checks.path_name(path)} is complex, and the method is "
                "for real matrices: wrap the optimizer in split_real_and_imaginary"
            )
        left = numbers is not None and which is None
        plans.append(plan(jnp.shape(x), which, path, left=left))
    return plans


def _wide(g: jax.Array, target: Any) -> jax.Array:
    """Return a gradient in enough precision."""
    if target is not None:
        g = g.astype(jnp.promote_types(g.dtype, jnp.result_type(target)))
    return to_compute_dtype(g)


def _put(before: Column, here: list[int], after: Column, *, typed: bool = True) -> Any:
    """Return a column of all leaves, in which those that have a gradient are new."""
    whole = list(before)
    for i, x in zip(here, after, strict=True):
        whole[i] = jax.tree.map(_stored, before[i], x) if typed else x
    return whole


def _stored(old: jax.Array, new: jax.Array) -> jax.Array:
    return new.astype(old.dtype)
