"""A tree whose small leaves lie end to end."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.types import PyTree
from gradtx.tree.placeholders import PackedNode


class PackedLeaves(NamedTuple):
    """A tree whose small leaves lie end to end."""

    small: dict[str, Any]  # a vector for each type, by the type's name
    rest: PyTree  # the tree, with a :class:`PackedNode` where a leaf is in a vector

    def map_params(
        self, f: Callable[..., Any], *rest: PyTree, is_leaf: Callable[[Any], bool]
    ) -> "PackedLeaves":
        """Apply a function to the vectors and to the other leaves.

        Args:
          f: ``f(leaf, *leaves_of_rest)``; of a vector, it is given what the leaves in
            the vectors share.
          *rest: trees of the structure of the unpacked tree.
          is_leaf: says where the trees of parameters end; a masked leaf is one.

        Raises:
          ValueError: if a tree holds different things for leaves that are packed.
        """
        leaves, treedef = jax.tree.flatten(self.rest, is_leaf=is_leaf)
        columns = [treedef.flatten_up_to(tree) for tree in rest]
        packed = [i for i, x in enumerate(leaves) if is_packed_node(x)]
        shared = [_shared([column[i] for i in packed]) for column in columns]
        new = [
            x if is_packed_node(x) else f(x, *others)
            for x, *others in zip(leaves, *columns, strict=True)
        ]
        small = {
            kind: jax.tree.map(lambda x: f(x, *shared), vector, is_leaf=is_leaf)
            for kind, vector in self.small.items()
        }
        return PackedLeaves(small, treedef.unflatten(new))


def is_packed_node(x: Any) -> bool:
    """Whether a small leaf stood here that is in a vector."""
    return isinstance(x, PackedNode)


def is_packed(x: Any) -> bool:
    """Whether this is a tree whose small leaves lie end to end."""
    return isinstance(x, PackedLeaves)


BY_LEAF = "what it does to an entry depends on the leaf that the entry is in"
CALLS = "it calls a function with the parameters as they are in the model"


def unpacked_only(tree: PyTree, why: str = BY_LEAF) -> None:
    """Refuse a tree whose small leaves lie end to end, for what is not elementwise."""
    if any(map(is_packed, jax.tree.leaves(tree, is_leaf=is_packed))):
        raise checks.InvalidArgument(
            f"this method is not elementwise: {why}. It cannot work within "
            "pack_small_leaves, which puts small leaves together: leave that out, or "
            "put it around other links of the chain only"
        )


def _shared(things: list[Any]) -> Any:
    """Return the thing that all of some things are."""
    if not things:
        return None
    one = things[0]
    if not all(_same(one, other) for other in things[1:]):
        raise checks.InvalidArgument(
            "map_params: small leaves that pack_small_leaves has put into one vector "
            "must be given the same, but the trees to map with differ for them: keep "
            "these leaves out of the vectors (`below`), or map before packing"
        )
    return one


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return bool(one == other)
    except (TypeError, ValueError):  # arrays of several entries, or of other shapes
        return False
