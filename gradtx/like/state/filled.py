"""A state with what another library kept in the places that it belongs to."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from gradtx.common import checks
from gradtx.common.types import OptState, Params
from gradtx.like.state.entries import Entry
from gradtx.saving.slots import Slot, in_place_of, is_whole, slots, value_of

# Counts that do no more than tell the first step from later ones.
_ANY_COUNT = ("DampenedTraceState.count", "MuonState.count")
_OF_SCHEDULES = ("ScaleByScheduleState.count",)
_PARTS = ("real", "imaginary")


class Table(NamedTuple):
    """Where a library kept what a state holds.

    Args:
      keys: from slots, by class and field, to the names that their arrays may have
        there.
      shared: from slots that belong to no parameter to what makes them of the entry of
        any parameter of their group.
      signs: the slots that have the other sign there.
    """

    keys: Mapping[str, tuple[str, ...]]
    shared: Mapping[str, Callable[[Entry], Any]]
    signs: tuple[str, ...] = ()


def filled(
    tx: Any,
    params: Params,
    entries: Mapping[str, Entry],
    table: Table,
    steps: int | None,
) -> OptState:
    """Make the state of a transformation of what another library kept.

    Args:
      tx: the transformation.
      params: the parameters.
      entries: what was kept, by the path of the parameter.
      table: where.
      steps: the number that schedules count from; that of the entries if None.

    Raises:
      ValueError: if the state has a place that nothing was kept for, something kept has
        no place, or a shape differs.
    """
    if any(isinstance(x, Tracer) for x in jax.tree.leaves(params)):
        raise checks.InvalidArgument("call it outside jit: a state is made once")
    state = tx.init(params)
    found = slots(tx.init, state)
    source = _Source(found, entries, table, steps)
    leaves = [in_place_of(x.leaf, source.value(x)) for x in found]
    source.refuse_what_is_left()
    return jax.tree.structure(state, is_leaf=is_whole).unflatten(leaves)


class _Source:
    def __init__(
        self,
        found: list[Slot],
        entries: Mapping[str, Entry],
        table: Table,
        steps: int | None,
    ) -> None:
        self.found, self.entries, self.table, self.steps = found, entries, table, steps
        self.taken: set[tuple[str, str]] = set()

    def value(self, slot: Slot) -> Any:
        """Return what goes to a place; what is there, if it is a setting."""
        if slot.param is not None:
            return self._of_parameter(slot, slot.param)
        if slot.field in ("count", "step_count"):
            return self._count(slot)
        if slot.name in self.table.shared:
            found = self._agreed(slot, self.table.shared[slot.name])
            return value_of(slot.leaf) if found is None else found
        return value_of(slot.leaf)

    def refuse_what_is_left(self) -> None:
        """Refuse an array that no place has taken."""
        for path, entry in self.entries.items():
            for key in entry.arrays:
                if (path, key) not in self.taken:
                    raise checks.InvalidArgument(
                        f"the transformation has no place for {key!r} of {path!r}: "
                        "give it the settings that the state was made with"
                    )

    def _of_parameter(self, slot: Slot, param: str) -> Any:
        path, part = self._path(param)
        entry = self.entries.get(path)
        if entry is None or not entry.arrays:
            return value_of(slot.leaf)  # it has had no gradient yet
        if slot.owner == "FactoredState":
            return self._factored(slot, path, entry)
        keys = self.table.keys.get(slot.name, ())
        key = next((x for x in keys if x in entry.arrays), None)
        if key is None:
            raise checks.InvalidArgument(
                f"nothing was kept for {slot.name} of {path!r}, which has "
                f"{', '.join(map(repr, entry.arrays))}: give the transformation that "
                "the state was made by, and go to another one by gradtx.migrate"
            )
        self.taken.add((path, key))
        value = entry.layout(entry.arrays[key])
        value = getattr(value, part) if part else value
        if value.shape != slot.shape:
            raise checks.InvalidArgument(
                f"{key!r} of {path!r} has shape {entry.arrays[key].shape}, turned "
                f"{value.shape}, where the state has {slot.shape}: say by layouts "
                "how its axes are to be turned"
            )
        return -value if slot.name in self.table.signs else value

    def _path(self, param: str) -> tuple[str, str]:
        """Return the path of a parameter, and which part of it if it is complex."""
        head, _, last = param.rpartition("/")
        if param not in self.entries and head in self.entries and last in _PARTS:
            return head, {"real": "real", "imaginary": "imag"}[last]
        return param, ""

    def _factored(self, slot: Slot, path: str, entry: Entry) -> Any:
        """Return moments of rows and columns, which change places where axes do."""
        keys = ("row_var", "col_var", "variance")
        self.taken |= {(path, key) for key in keys}
        if "variance" in entry.arrays:
            if slot.field != "v":
                return value_of(slot.leaf)  # not used
            return entry.layout(entry.arrays["variance"])
        if slot.field == "v":
            return value_of(slot.leaf)
        axis = -1 if slot.field == "v_row" else -2
        for key in ("row_var", "col_var"):
            value = entry.layout(entry.arrays[key])
            if value.shape[axis] == 1 and value.squeeze(axis).shape == slot.shape:
                return value.squeeze(axis)
        raise checks.InvalidArgument(
            f"the factored moments of {path!r} are over other axes than here, where "
            f"{slot.name} has shape {slot.shape}: keep the parameter's axes as they "
            "were there"
        )

    def _group(self, slot: Slot) -> list[Entry]:
        """Return what was kept for the parameters that share a slot."""
        for n in range(len(slot.node), -1, -1):
            params = [
                self._path(x.param)[0]
                for x in self.found
                if x.param is not None and x.node[:n] == slot.node[:n]
            ]
            if params:
                nothing = Entry({}, {}, 0, np.asarray)
                return [self.entries.get(path, nothing) for path in params]
        return list(self.entries.values())

    def _agreed(self, slot: Slot, of: Callable[[Entry], Any]) -> Any:
        values = sorted({of(x) for x in self._group(slot)} - {None})
        if len(values) > 1:
            raise checks.InvalidArgument(
                f"{slot.name} differs between the parameters that share it here: "
                f"{', '.join(map(str, values))}; give each number of steps a group of "
                "its own by gradtx.by_path"
            )
        return values[0] if values else None

    def _count(self, slot: Slot) -> int:
        given = self.steps if slot.name in _OF_SCHEDULES else None
        own = self.table.shared.get(slot.name, lambda entry: entry.steps)
        found = given if given is not None else self._agreed(slot, own)
        if found is None:
            found = 1 if slot.name in _ANY_COUNT else self.steps
        if found is None:
            raise checks.InvalidArgument(
                f"the number of steps for {slot.name} was not kept: give it as steps"
            )
        return found
