"""Go on with another optimizer: its state made of the state of the one before."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
from jax.core import Tracer

from gradtx.common import checks
from gradtx.common.types import OptState, Params
from gradtx.saving.matching import matched
from gradtx.saving.slots import (
    Slot,
    closed,
    is_whole,
    opened,
    slots,
    slots_alike,
    value_of,
)


class Changes(NamedTuple):
    """What :func:`migrate` did with every slot, by class and field; printed as lines.

    Args:
      carried: what the new state has from the old one.
      made: what the old state did not have, and starts as ``init`` makes it.
      dropped: what the new state has no place for.
    """

    carried: tuple[str, ...]
    made: tuple[str, ...]
    dropped: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [f"{kind}: {text}" for kind, x in self._asdict().items() for text in x]
        return "\n".join(lines)


def migrate(
    old_tx: Any,
    old_state: OptState,
    new_tx: Any,
    params: Params,
    *,
    renamed: Mapping[str, str] | None = None,
    strict: bool = False,
) -> tuple[OptState, Changes]:
    """Make the state of a new optimizer from the state of an old one.

        tx, old = gradtx.by_path({"embed*": adam}, default=adam), tx
        state, changes = gradtx.migrate(old, state, tx, params)
        print(changes)

    A slot is known by the class and the field that hold it and by the path of its
    parameter, wherever in the state it stands: links may have been added, groups made,
    wrappers put around, parameters concatenated by :func:`gradtx.pack_small_leaves` or
    :func:`gradtx.flatten`. Arrays come in the type of their new place, decoded or
    encoded.
    A number of a state, such as a count or a setting in ``inject_hyperparams``, is
    carried if the new optimizer starts it from the value that the old one did, and else
    taken from the new one. The count of a schedule that is new starts from the steps
    that the old state has counted; the count of a method whose arrays are all new from
    zero. Leaves that start anew in one group with others share their count, and so have
    no bias correction of their own: give them a group of their own. What has no
    counterpart is made by ``new_tx.init``.

    Args:
      old_tx: the optimizer that made ``old_state``: of this library or optax's.
      old_state: its state; also optax's, if optax's state of the same call has the same
        classes and fields.
      new_tx: the optimizer to go on with.
      params: the current parameters.
      renamed: from slots of the new state to slots of the old one that are to be taken
        for them: ``{"ScaleByLionState.mu": "ScaleByAdamState.mu"}``.
      strict: whether to refuse to drop anything.

    Returns:
      The new state, and the :class:`Changes`.

    Raises:
      ValueError: if the state is not one of ``old_tx``, if a renamed slot is not there,
        within ``jit``, and with ``strict`` if something would be dropped.

    Example:
      >>> params = jnp.ones(2)
      >>> old, new = gradtx.adam(0.1), gradtx.adamw(0.1)
      >>> state, told = gradtx.migrate(old, old.init(params), new, params)
      >>> print(gradtx.tree.get(state, "mu"))
      [0. 0.]
    """
    if any(isinstance(x, Tracer) for x in jax.tree.leaves((old_state, params))):
        raise checks.InvalidArgument(
            "migrate reads the numbers of states: call it outside jit"
        )
    starts, fresh = old_tx.init(params), new_tx.init(params)
    with checks.named("migrate"):
        old = opened(slots_alike(old_tx.init, starts, old_state, params))
        whole = slots(new_tx.init, fresh, params)
        new = opened(whole)
        begun = [x.leaf for x in opened(slots(old_tx.init, starts, params))]
        sources = matched(old, new, renamed or {}, [value_of(x) for x in begun])
        changes = _changes(old, new, sources)
        if strict and changes.dropped:
            raise checks.InvalidArgument(
                f"strict: the new state has no place for {', '.join(changes.dropped)}"
            )
    leaves = closed(whole, [None if i is None else old[i].leaf for i in sources])
    treedef = jax.tree.structure(fresh, is_leaf=is_whole)
    return treedef.unflatten(leaves), changes


# --- told ------------------------------------------------------------------------


def _changes(old: list[Slot], new: list[Slot], sources: list[int | None]) -> Changes:
    here = {x.name for x in new}
    carried = [x for x, i in zip(new, sources, strict=True) if i is not None]
    made = [x for x, i in zip(new, sources, strict=True) if i is None]
    dropped = [
        x
        for i, x in enumerate(old)
        if i not in sources and not (x.param is None and x.name in here)
    ]
    return Changes(
        tuple(_told(carried, made)),
        tuple(_told(made, carried)),
        tuple(_told([x for x in dropped if not _seeds(x)], carried)),
    )


def _told(found: list[Slot], others: list[Slot]) -> list[str]:
    """Name every slot once, with the parameters where it is a part of them only."""
    elsewhere = {x.name for x in others}
    params: dict[str, list[str]] = {}
    for x in found:
        params.setdefault(x.name, []).append(x.param or "")
    return [
        f"{name} of {', '.join(x for x in paths if x)}"
        if name in elsewhere and any(paths)
        else name
        for name, paths in params.items()
    ]


def _seeds(x: Slot) -> bool:
    """Whether this only seeds the rounding of what is quantized."""
    return x.name == "QuantizedState.roundings"
