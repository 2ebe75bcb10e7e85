"""What the arrays of a state are, as it was declared where they are made.

The class of a state declares it by the types of its fields::

    class MyState(NamedTuple):
        count: Count
        mu: Updates  # undeclared: any numbers
        nu: SecondMoment
        anchor: Weights

and a slot of :func:`gradtx.leafwise` by how it is made: ``nu=squares``. What the class
says counts first. Any class that is a pytree with named fields may declare them.
"""

import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple, get_args, get_type_hints

import jax

from gradtx.codecs import is_encoded
from gradtx.common.types import OptState, PyTree, Role
from gradtx.tree import keys
from gradtx.tree.params import fits, marks_of
from gradtx.tree.placeholders import SlotPlaceholder, is_placeholder, is_slot


class Part(NamedTuple):
    """A leaf of a state.

    Args:
      path: where it stands; the classes of named tuples are told.
      leaf: the array, encoded or not.
      role: what it is declared as; None where nothing is declared.
    """

    path: keys.Path
    leaf: Any
    role: Role | None


def parts(
    init: Callable[[Any], OptState],
    state: OptState,
    is_leaf: Callable[[Any], bool] = is_encoded,
) -> list[Part]:
    """Return the leaves of a state, each with what it is declared as.

    Args:
      init: what made the state.
      state: the state.
      is_leaf: what besides arrays is a leaf.
    """
    found = [x for x in walk(state, is_leaf) if jax.tree.leaves(x.leaf)]
    made = _made_as(init, state, is_leaf)
    return [
        x if x.role else x._replace(role=role)
        for x, role in zip(found, made, strict=True)
    ]


def walk(
    node: PyTree,
    is_leaf: Callable[[Any], bool] = is_encoded,
    path: keys.Path = (),
    role: Role | None = None,
) -> Iterator[Part]:
    """Yield the leaves, and nodes without any, as the classes around them declare.

    Of several classes around a leaf the nearest one counts.

    Args:
      node: a state, or what is left of it at ``path``.
      is_leaf: what besides arrays is a leaf.
      path: where the node stands.
      role: what is declared around it.
    """
    children, _ = keys.children(node)
    if is_leaf(node) or not children:
        yield Part(path, node, role)
        return
    declared = field_roles(type(node))
    for key, child in children:
        known = declared.get(keys.plain(key), role) if declared else role
        yield from walk(child, is_leaf, (*path, key), known)


@lru_cache(maxsize=1024)
def field_roles(cls: type) -> dict[str, Role]:
    """Return what the fields of a class are declared as, of those that are."""
    return {
        name: role
        for name, hint in getattr(cls, "__annotations__", {}).items()
        for role in get_args(_resolved(cls, name, hint))
        if isinstance(role, Role)
    }


def _resolved(cls: type, name: str, hint: Any) -> Any:
    """Return the type of a field; None if its name means nothing where it stands."""
    around = vars(sys.modules.get(cls.__module__, object))
    one = SimpleNamespace(__annotations__={name: hint})
    try:
        return get_type_hints(one, dict(around), include_extras=True)[name]
    except NameError:  # imported for type checkers only
        return None


def _made_as(
    init: Callable[[Any], OptState], state: OptState, is_leaf: Callable[[Any], bool]
) -> list[Role | None]:
    """Return for every leaf of a state as what its slot was made."""
    marks = marked(init, state)
    if marks is None:
        return [None] * len(jax.tree.leaves(state, is_leaf=is_leaf))
    found, treedef = jax.tree.flatten(marks, is_leaf=is_placeholder)
    roles: list[Role | None] = []
    for mark, part in zip(found, treedef.flatten_up_to(state), strict=True):
        role = mark.role if is_slot(mark) else None
        roles += [role] * len(jax.tree.leaves(part, is_leaf=is_leaf))
    return roles


def marked(init: Callable[[Any], OptState], state: OptState) -> Any:
    """Return what marks the places of parameters; None where ``init`` cannot say.

    That is an ``init`` written by hand for arrays only: then the classes must declare.
    """
    try:
        marks = marks_of(init, state, SlotPlaceholder())
    except (TypeError, ValueError, AttributeError, LookupError):
        return None
    return marks if fits(marks, state) else None
