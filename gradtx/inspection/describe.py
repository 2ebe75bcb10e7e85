"""A transformation as a tree, and what it does to each group of leaves."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gradtx.common import spec
from gradtx.common.types import Params
from gradtx.groups.by_path import DEFAULT, by_path
from gradtx.groups.paths import text_of
from gradtx.inspection import paths, routes, tables
from gradtx.inspection.parts import name_of, parts
from gradtx.inspection.storage import Kind, arrays_of, entries, storage
from gradtx.tree.placeholders import known_placeholder


@dataclass(frozen=True)
class Group:
    """Leaves that are treated alike.

    Attributes:
      pattern: how the paths of its leaves look.
      paths: the paths, with slashes between the names.
      parameters: the number of parameters in them.
      methods: the transformations that they pass through, in order.
      decayed: whether weight decay moves them.
      frozen: whether their updates are zero, whatever their gradients.
      state: the bytes of their state, by the name of the slot and its type.
    """

    pattern: str
    paths: tuple[str, ...]
    parameters: int
    methods: tuple[str, ...]
    decayed: bool
    frozen: bool
    state: dict[Kind, int]

    @property
    def state_bytes(self) -> int:
        """The bytes of all of their state."""
        return sum(self.state.values())


@dataclass(frozen=True)
class Description(tables.Shown):
    """What :func:`describe` returns.

    Attributes:
      tree: the composition.
      groups: the groups of leaves, the largest first; empty without parameters.
      shared_bytes: the bytes of state that belong to no single leaf, such as counts.

    Example:
      >>> found = gradtx.describe(gradtx.adam(0.1), {"w": jnp.ones(4)})
      >>> [group.pattern for group in found.groups]
      ['w']
    """

    tree: tables.Node
    groups: tuple[Group, ...] = ()
    shared_bytes: int = 0

    @property
    def state_bytes(self) -> int:
        """The bytes of the state."""
        return self.shared_bytes + sum(x.state_bytes for x in self.groups)

    def page(self) -> Iterator[Any]:
        """Return the tree and the table."""
        yield self.tree
        if self.groups:
            yield tables.Table(_HEAD, tuple(map(_row, self.groups)))
            yield (
                f"{sum(x.parameters for x in self.groups):,} parameters, "
                f"{tables.size(self.state_bytes)} of state, of which "
                f"{tables.size(self.shared_bytes)} belong to no single leaf"
            )


_HEAD = ("leaves", ">number", ">parameters", "decayed", "frozen", "state", "method")


def _row(group: Group) -> tuple[str, ...]:
    state = ", ".join(
        f"{slot} {kind} {tables.size(n)}" for (slot, kind), n in group.state.items()
    )
    return (
        group.pattern,
        str(len(group.paths)),
        f"{group.parameters:,}",
        "yes" if group.decayed else "no",
        "yes" if group.frozen else "no",
        state or "none",
        " → ".join(group.methods) or "none",
    )


def describe(tx: Any, params: Params | None = None) -> Description:
    """Describe a transformation: what it is made of, and which leaf gets what.

    Nothing is computed: shapes of parameters suffice, as ``jax.eval_shape`` gives them.

    Args:
      tx: a transformation. Of one that was made by hand or by another library, the name
        of its class and the bytes of its state are all that is known.
      params: the parameters, or their shapes; None for the tree alone.

    Returns:
      A :class:`Description`, with the groups of leaves that are treated alike.
      ``print(description)`` prints it in plain text, ``description.show()`` by the
      package rich where that is installed.

    Raises:
      ValueError: what the transformation's ``init`` refuses, it refuses here too.

    Example::

        print(gradtx.describe(tx, jax.eval_shape(model.init, key, batch)))

    Example:
      >>> print("adam" in str(gradtx.describe(gradtx.adam(0.1))))
      True
    """
    tree = _tree(tx)
    if params is None:
        return Description(tree)
    params = arrays_of(params)
    stored = storage(tx, params)
    return Description(tree, tuple(groups(tx, params, stored.by_leaf)), stored.shared)


def groups(
    tx: Any, params: Params, by_leaf: dict[str, Counter[Kind]]
) -> Iterator[Group]:
    """Yield the groups of leaves, the largest first.

    Args:
      tx: a transformation.
      params: the parameters, or their shapes.
      by_leaf: the bytes of the state of each leaf, by slot.
    """
    leaves = paths.leaves(params)
    passed = routes.methods(tx, params)
    fates = routes.fates(tx, params)
    alike: dict[Any, list[str]] = {}
    for path in leaves:
        key = passed[path], fates[path], frozenset(by_leaf[path])
        alike.setdefault(key, []).append(path)
    found = [
        Group(
            pattern=paths.pattern(some, list(leaves)),
            paths=tuple(some),
            parameters=sum(entries(leaves[path]) for path in some),
            methods=ways,
            decayed=fate == "decay",
            frozen=fate == "freeze",
            state=dict(sum((by_leaf[path] for path in some), Counter[Kind]())),
        )
        for (ways, fate, _), some in alike.items()
    ]
    yield from sorted(found, key=lambda group: -group.parameters)


def _tree(tx: Any, label: str = "") -> tables.Node:
    head = f"{label}: " if label else ""
    return tables.Node(head + routes.line(tx), tuple(_below(tx)))


def _below(tx: Any) -> Iterator[tables.Node]:
    """Yield a part of a transformation after another; groups by path in their order."""
    within = {x.label: x.tx for x in parts(tx, known_placeholder())}
    for label in _patterns(tx) or within:
        if label in within:
            yield _tree(within[label], _worth_saying(label, within[label]))
        else:
            yield tables.Node(f"{label}: frozen")


def _patterns(tx: Any) -> list[str]:
    if not spec.is_value(tx) or tx.recipe.factory is not by_path.factory:  # type: ignore[attr-defined]
        return []
    given = tx.recipe.arguments["groups"]
    return [*(text_of(pattern) for pattern, _ in given), DEFAULT]


def _worth_saying(label: str, tx: Any) -> str:
    """Return a label that says more than the name of the factory."""
    name = name_of(tx)
    return "" if label == name or label.startswith(f"{name}[") else label
