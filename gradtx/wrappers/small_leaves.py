"""Put small leaves together: many of them cost one kernel, not one each."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.common import checks
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.leafwise import flatten_updates, matching_params
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.fusion import seen_by_all
from gradtx.lowering.packing import SMALL, is_sharded, may_be_sharded
from gradtx.lowering.sharding import everywhere, sharded_like
from gradtx.lowering.varying import all_axes, varying_axes
from gradtx.tree.masks import MaskedNode

# What XLA puts into one kernel has at most 96 inputs and outputs together.
TOGETHER = 64


class PackedLeaves(NamedTuple):
    """A tree whose small leaves lie end to end."""

    small: dict[str, jax.Array]  # a vector for each type, by the type's name
    rest: PyTree  # the tree, masked where a leaf is in a vector


class PackSmallLeavesState(NamedTuple):
    """What :func:`pack_small_leaves` remembers."""

    inner_state: OptState

    def seen_by_inner(
        self, find: Callable[[OptState, Params], Params], params: Params
    ) -> Params:
        """Return what ``find`` finds in the inner state for the packed parameters."""
        nodes = jax.tree.leaves(self.inner_state, is_leaf=_is_packed)
        for node in filter(_is_packed, nodes):
            layout = _layout_like(node, params)
            return layout.unpack(find(self.inner_state, layout.pack(params)))
        return params


@transformation
def pack_small_leaves(
    inner: GradientTransformation, below: int = SMALL
) -> GradientTransformation:
    """Let ``inner`` see all small leaves of one type as one vector, laid end to end.

    A tree of a thousand biases and scales takes a thousand kernels a step, of which
    each takes longer to start than to run, and a compiler that plans them all. Packed
    they are a few dozen. Large leaves are shown as they are. The state of small leaves
    is kept packed; their gradients and parameters are gathered in each step, which a
    CPU, whose kernels start at once, is better spared.

    What ``inner`` does entry by entry (SGD, Adam, Lion and their like), or over all
    entries together (a global norm), is the same as without. What it does leaf by leaf
    (trust ratios, factored moments, orthogonalisation) it does by vector: not for
    those. Masks and labels belong outside, as in ``masked(pack_small_leaves(tx), m)``:
    ``inner`` is shown :class:`PackedLeaves`. Extra arguments are passed on as they are.
    A small leaf without a gradient stands still, and ``inner`` is shown the gradient 0.

    Small leaves should lie whole on every device. Where the layout is part of the type
    (a mesh with explicit axes), those that do not are left as they are; otherwise they
    are gathered, and their updates come back laid out as the leaves are.

    Args:
      inner: a transformation that works entry by entry.
      below: how many entries a leaf that is not small has at least.

    Raises:
      ValueError: if ``below`` is no whole number of at least 1; for integer leaves, or
        trees or shapes that do not match.
    """
    checks.whole(below=below)
    inner = with_extra_args_support(inner)

    def init(params: Params) -> PackSmallLeavesState:
        checks.float_leaves(params, "the parameter")
        leaves, treedef = jax.tree.flatten(params, is_leaf=checks.is_none)
        layout = Layout(treedef, leaves, below)
        shapes = any(isinstance(x, jax.ShapeDtypeStruct) for x in leaves)
        packed = jax.eval_shape(layout.pack, params) if shapes else layout.pack(params)
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
        shown = None if params is None else layout.pack(params)
        new, kept = inner.update(
            layout.pack(updates), state.inner_state, shown, **extra
        )
        moved = zip(grads, like, treedef.flatten_up_to(layout.unpack(new)), strict=True)
        there = [None if g is None else _placed_like(x, u) for g, x, u in moved]
        return treedef.unflatten(there), PackSmallLeavesState(kept)

    return GradientTransformation(init, update)


class Layout:
    """Which leaves of a tree lie in which vector."""

    def __init__(
        self, treedef: Any, like: Sequence[Any], below: int | None = None
    ) -> None:
        """Put the leaves with fewer than ``below`` entries into vectors by type."""
        self._treedef = treedef
        self._like = [
            x if x is None else jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x))
            for x in like
        ]
        small = [_is_small(x, below) for x in like]
        names = zip(small, _kinds(like), strict=True)
        self.kinds = [kind if small else None for small, kind in names]
        many = Counter(self.kinds)
        # One leaf alone is no smaller program in a vector.
        self.kinds = [k if many[k] > 1 else None for k in self.kinds]

    def pack(self, tree: PyTree) -> PackedLeaves:
        """Return a tree of the layout's structure with its small leaves put together.

        What is None where a small leaf is expected counts as 0.
        """
        leaves = self._treedef.flatten_up_to(tree)
        small = {
            kind: jnp.concatenate(
                [_laid_out(x, like) for x, like, _ in self._of(kind, leaves)]
            )
            for kind in self._names()
        }
        pairs = zip(leaves, self.kinds, strict=True)
        rest = [x if kind is None else MaskedNode() for x, kind in pairs]
        return PackedLeaves(small, self._treedef.unflatten(rest))

    def unpack(self, packed: PackedLeaves) -> PyTree:
        """Return the tree that was packed, or one like it."""
        leaves = self._treedef.flatten_up_to(packed.rest)
        for kind in self._names():
            members = list(self._of(kind, leaves))
            parts = _parts(packed.small[kind], [like.shape for _, like, _ in members])
            for (_, _, i), part in zip(members, parts, strict=True):
                leaves[i] = everywhere(part)
        return self._treedef.unflatten(leaves)

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
        kind if isinstance(r, MaskedNode) else None
        for kind, r in zip(_kinds(leaves), rest, strict=True)
    ]
    return layout


def _is_small(x: Any, below: int | None) -> bool:
    if x is None or below is None:
        return False
    return 0 < math.prod(jnp.shape(x)) < below and not is_sharded(x)


def _kinds(leaves: Sequence[Any]) -> list[str | None]:
    """Return the name of the vector that each leaf would be in, by its type.

    Within ``shard_map`` what is the same on every device stays so, in a vector apart
    from what is not.
    """
    axes = all_axes(leaves)

    def one(x: Any) -> str:
        same = sorted(map(str, axes - varying_axes(x)))
        name = jnp.result_type(x).name
        return f"{name}, the same over {' '.join(same)}" if same else name

    return [None if x is None else one(x) for x in leaves]


def _laid_out(x: Any, like: Any) -> jax.Array:
    return everywhere(jnp.ravel(jnp.zeros(like.shape, like.dtype) if x is None else x))


def _parts(vector: jax.Array, shapes: Sequence[tuple[int, ...]]) -> list[jax.Array]:
    ends = list(accumulate(map(math.prod, shapes)))
    flags = [seen_by_all(vector[:2]) for _ in shapes[::TOGETHER]]
    return [
        jnp.where(
            flags[i // TOGETHER][0],
            jnp.reshape(vector[end - math.prod(shape) : end], shape),
            0,
        )
        for i, (end, shape) in enumerate(zip(ends, shapes, strict=True))
    ]


def _placed_like(x: Any, u: jax.Array) -> jax.Array:
    """Let an update lie as its parameter does, which within its vector it did not."""
    return sharded_like(x, u) if may_be_sharded(x) and isinstance(u, Tracer) else u


def _is_packed(x: Any) -> bool:
    return isinstance(x, PackedLeaves)
