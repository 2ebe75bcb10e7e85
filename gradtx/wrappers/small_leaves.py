"""Put small leaves together: many of them cost one kernel, not one each."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gradtx.common import checks
from gradtx.common.leaves import frozen_update
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.leafwise import flatten_updates, matching_params
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.fusion import shared_predicate
from gradtx.lowering.packing import SMALL, is_sharded, may_be_sharded
from gradtx.lowering.sharding import everywhere, sharded_like
from gradtx.lowering.varying import all_axes, varying_axes
from gradtx.tree.packed import PackedLeaves, is_packed, is_packed_node
from gradtx.tree.placeholders import PackedNode, is_placeholder
from gradtx.wrappers.averages import Find, is_same

# What XLA puts into one kernel has at most 96 inputs and outputs together.
TOGETHER = 64


class PackSmallLeavesState(NamedTuple):
    """What :func:`pack_small_leaves` remembers."""

    inner_state: OptState

    def seen_by_inner(self, find: Find, params: Params) -> Params:
        """Return what ``find`` finds in the inner state for the packed parameters."""
        nodes = jax.tree.leaves(self.inner_state, is_leaf=is_packed)
        for node in filter(is_packed, nodes):
            layout = _layout_like(node, params)
            shown = layout.pack(params)
            found = find(self.inner_state, shown)
            return params if is_same(shown, found) else layout.unpack(found)
        return params


@transformation
def pack_small_leaves(
    inner: GradientTransformation, below: int = SMALL
) -> GradientTransformation:
    """Let ``inner`` see all small leaves of one type concatenated into one vector.

    A tree of a thousand biases and scales takes a thousand kernels a step, of which
    each takes longer to start than to run, and a compiler that plans them all. Packed
    they are a few dozen. Large leaves are shown as they are. The state of small leaves
    is kept packed; their gradients and parameters are gathered in each step, which a
    CPU, whose kernels start immediately, is better spared.

    What ``inner`` does elementwise (SGD, Adam, Lion and their like), or over all
    entries together (a global norm), is the same as without. What it does leaf by leaf
    (trust ratios, factored moments, orthogonalisation) it does by vector: not for
    those. Masks and labels belong outside, as in ``masked(pack_small_leaves(tx), m)``:
    ``inner`` is shown :class:`PackedLeaves`. Extra arguments are passed on as they are.
    A small leaf without a gradient is not updated; ``inner`` is shown the gradient 0.

    Small leaves should be replicated on every device. Where the sharding is part of the
    type (explicit axes of a mesh), sharded ones are left as they are; otherwise they
    are gathered, and their updates come back sharded as the leaves are.

    Args:
      inner: an elementwise transformation.
      below: how many entries a leaf that is not small has at least.

    Raises:
      ValueError: if ``below`` is no whole number of at least 1; for trees or shapes
        that do not match.

    Example:
      >>> tx, params = gradtx.pack_small_leaves(gradtx.sgd(0.1)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    checks.positive_int(below=below)
    inner = with_extra_args_support(inner)

    def init(params: Params) -> PackSmallLeavesState:
        if is_placeholder(params):  # it stands for the vectors too
            return PackSmallLeavesState(inner.init(params))
        leaves, treedef = jax.tree.flatten(params, is_leaf=checks.is_none)
        layout = Layout(treedef, leaves, below)
        shapes = any(isinstance(x, jax.ShapeDtypeStruct) for x in leaves)
        packed = layout.shapes(params) if shapes else layout.pack(params)
        return PackSmallLeavesState(inner.init(packed))

    def update(
        updates: Updates,
        state: PackSmallLeavesState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, PackSmallLeavesState]:
        pairs, treedef = flatten_updates(updates)
        grads = [g for _, g in pairs]
        found = matching_params(params, pairs, treedef)
        like = [g if p is None else p for g, p in zip(grads, found, strict=True)]
        layout = Layout(treedef, like, below)
        layout.agree_with(state.inner_state)
        shown = None if params is None else layout.pack(params)
        new, kept = inner.update(
            layout.pack(updates), state.inner_state, shown, **extra
        )
        moved = treedef.flatten_up_to(layout.unpack(new))
        there = [
            _placed_like(x, u) if is_differentiable(g) else frozen_update(g, p)
            for g, p, x, u in zip(grads, found, like, moved, strict=True)
        ]
        return treedef.unflatten(there), PackSmallLeavesState(kept)

    return GradientTransformation(init, update)


class Layout:
    """Which leaves of a tree are in which vector."""

    def __init__(
        self, treedef: Any, like: Sequence[Any], below: int | None = None
    ) -> None:
        """Put the leaves with fewer than ``below`` entries into vectors by type."""
        self._treedef = treedef
        self._like = [
            jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x))
            if is_differentiable(x)
            else None
            for x in like
        ]
        small = [_is_small(x, below) for x in like]
        names = zip(small, _kinds(like), strict=True)
        self.kinds = [kind if small else None for small, kind in names]
        many = Counter(self.kinds)
        # One leaf alone is no smaller program in a vector.
        self.kinds = [k if many[k] > 1 else None for k in self.kinds]

    def agree_with(self, state: OptState) -> None:
        """Call the vectors as a state does that was made for leaves of other types.

        Wrappers around this one may show half-precision parameters in float32.

        Raises:
          InvalidArgument: if leaves of several types have become leaves of one.
        """
        nodes = jax.tree.leaves(state, is_leaf=is_packed)
        names = {name for node in filter(is_packed, nodes) for name in node.small}
        if not names or names == set(self._names()):
            return
        if len(names) != 1 or len(self._names()) != 1:
            raise checks.InvalidArgument(
                f"the state has vectors of small leaves for {sorted(names)}, but the "
                f"leaves are now of {self._names()}: put pack_small_leaves around the "
                "wrapper that shows them in another type"
            )
        (name,) = names
        self.kinds = [None if kind is None else name for kind in self.kinds]

    def pack(self, tree: PyTree) -> PackedLeaves:
        """Return a tree of the layout's structure with its small leaves put together.

        What is no gradient where a small leaf is expected counts as 0.
        """
        leaves = self._treedef.flatten_up_to(tree)
        small = {
            kind: jnp.concatenate(
                [_laid_out(x, like) for x, like, _ in self._of(kind, leaves)]
            )
            for kind in self._names()
        }
        return PackedLeaves(small, self._rest(tree))

    def shapes(self, tree: PyTree) -> PackedLeaves:
        """Return what :meth:`pack` makes, of shapes alone, on the same devices."""
        known = [getattr(x, "sharding", None) for x in jax.tree.leaves(tree)]
        meshes = [s.mesh for s in known if isinstance(s, NamedSharding)]
        mesh = next((mesh for mesh in meshes if isinstance(mesh, Mesh)), None)
        place = None if mesh is None else NamedSharding(mesh, PartitionSpec())
        small = {
            kind: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place)
            for kind, x in jax.eval_shape(self.pack, tree).small.items()
        }
        return PackedLeaves(small, self._rest(tree))

    def unpack(self, packed: PackedLeaves) -> PyTree:
        """Return the tree that was packed, or one like it."""
        leaves = self._treedef.flatten_up_to(packed.rest)
        for kind in self._names():
            members = list(self._of(kind, leaves))
            parts = _parts(packed.small[kind], [like.shape for _, like, _ in members])
            for (_, _, i), part in zip(members, parts, strict=True):
                leaves[i] = everywhere(part)
        return self._treedef.unflatten(leaves)

    def _rest(self, tree: PyTree) -> PyTree:
        """Return the tree without the leaves that are in vectors."""
        pairs = zip(self._treedef.flatten_up_to(tree), self.kinds, strict=True)
        left = [x if kind is None else PackedNode() for x, kind in pairs]
        return self._treedef.unflatten(left)

    def _names(self) -> list[str]:
        return sorted({kind for kind in self.kinds if kind is not None})

    def _of(self, kind: str, leaves: Sequence[Any]) -> list[tuple[Any, Any, int]]:
        triples = zip(leaves, self._like, range(len(leaves)), strict=True)
        return [t for t, k in zip(triples, self.kinds, strict=True) if k == kind]


def _layout_like(packed: PackedLeaves, params: Params) -> Layout:
    """Return the layout of parameters in which what is masked is in a vector."""
    leaves, treedef = jax.tree.flatten(params, is_leaf=checks.is_none)
    rest = treedef.flatten_up_to(packed.rest)
    layout = Layout(treedef, leaves)
    layout.kinds = [
        kind if is_packed_node(r) else None
        for kind, r in zip(_kinds(leaves), rest, strict=True)
    ]
    return layout


def _is_small(x: Any, below: int | None) -> bool:
    if not is_differentiable(x) or below is None:
        return False
    return 0 < math.prod(jnp.shape(x)) < below and not is_sharded(x)


def _kinds(leaves: Sequence[Any]) -> list[str | None]:
    """Return the name of the vector that each leaf would be in, by its type.

    Within ``shard_map`` what is the same on every device stays so, in a vector apart
    from what is not.
    """
    axes = all_axes([x for x in leaves if is_differentiable(x)])

    def one(x: Any) -> str:
        same = sorted(map(str, axes - varying_axes(x)))
        name = jnp.result_type(x).name
        return f"{name}, the same over {' '.join(same)}" if same else name

    return [one(x) if is_differentiable(x) else None for x in leaves]


def _laid_out(x: Any, like: Any) -> jax.Array:
    there = x if is_differentiable(x) else jnp.zeros(like.shape, like.dtype)
    return everywhere(jnp.ravel(there))


def _parts(vector: jax.Array, shapes: Sequence[tuple[int, ...]]) -> list[jax.Array]:
    ends = list(accumulate(map(math.prod, shapes)))
    flags = [shared_predicate(vector[:2]) for _ in shapes[::TOGETHER]]
    return [
        jnp.where(
            flags[i // TOGETHER][0],
            jnp.reshape(vector[end - math.prod(shape) : end], shape),
            0,
        )
        for i, (end, shape) in enumerate(zip(ends, shapes, strict=True))
    ]


def _placed_like(x: Any, u: jax.Array) -> jax.Array:
    """Shard an update as its parameter is, which within its vector it was not."""
    return sharded_like(x, u) if may_be_sharded(x) and isinstance(u, Tracer) else u
