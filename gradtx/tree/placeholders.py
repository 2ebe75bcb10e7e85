"""What stands for parameters, or for a part of them that is not there."""

import sys
from typing import Any, NamedTuple

import jax

from gradtx.common import foreign
from gradtx.common.types import PyTree, Role

# Where optax keeps its own placeholder.
_OPTAX = "optax.tree_utils._state_utils"


class MaskedNode(NamedTuple):
    """Stands where a leaf has been masked out: a node without leaves."""


class PackedNode(MaskedNode):
    """Stands where a small leaf has been put into a vector: a node without leaves."""

    __slots__ = ()


@jax.tree_util.register_pytree_node_class
class ParamsPlaceholder:
    """Stands for all parameters: a tree without leaves, so that it comes out as it is.

    What ``init`` makes for every parameter it makes of this too, in the same places.
    """

    def tree_flatten(self) -> tuple[tuple[()], None]:
        """Return no leaves."""
        return (), None

    @classmethod
    def tree_unflatten(cls, aux: None, leaves: Any) -> "ParamsPlaceholder":
        """Return another one, as good as the first."""
        del aux, leaves
        return cls()


@jax.tree_util.register_pytree_node_class
class SlotPlaceholder(ParamsPlaceholder):
    """Stands for all parameters, also in another form, and is told each slot's role.

    Attributes:
      role: in a state, what the slot that it stands in is declared as.
      flat: whether all parameters are concatenated where it stands.
    """

    def __init__(self, role: Role | None = None, *, flat: bool = False) -> None:
        self.role = role
        self.flat = flat

    def tree_flatten(self) -> tuple[tuple[()], Any]:
        """Return no leaves."""
        return (), (self.role, self.flat)

    @classmethod
    def tree_unflatten(cls, aux: Any, leaves: Any) -> "SlotPlaceholder":
        """Return another one, as good as the first."""
        del leaves
        role, flat = aux
        return cls(role, flat=flat)


def is_placeholder(x: Any) -> bool:
    """Whether ``x`` stands for all parameters, here or in optax."""
    return isinstance(x, ParamsPlaceholder) or foreign.is_instance(
        x, _OPTAX, "_ParamsPlaceholder"
    )


def is_slot(x: Any) -> bool:
    """Whether ``x`` asks for the roles of slots."""
    return isinstance(x, SlotPlaceholder)


def is_flat(x: Any) -> bool:
    """Whether ``x`` asks for the roles of slots of concatenated parameters."""
    return is_slot(x) and x.flat


def with_role(tree: PyTree, role: Role | None) -> PyTree:
    """Return a slot in which what stands for parameters tells the slot's role."""
    if role is None:
        return tree
    return jax.tree.map(
        lambda x: SlotPlaceholder(role, flat=x.flat) if is_slot(x) else x,
        tree,
        is_leaf=is_slot,
    )


def known_placeholder() -> Any:
    """Return a placeholder that every ``init`` knows, also one made by optax.

    There a mask given as a tree would not fit any placeholder but optax's own.
    """
    theirs = sys.modules.get(_OPTAX)
    return getattr(theirs, "_ParamsPlaceholder", ParamsPlaceholder)()
