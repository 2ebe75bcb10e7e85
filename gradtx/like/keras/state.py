"""Go on with a state of Keras's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gradtx.common import checks, spec
from gradtx.common.types import OptState, Params
from gradtx.core.transformation import GradientTransformation
from gradtx.groups.paths import paths_of
from gradtx.like.state.entries import (
    Entry,
    Layouts,
    checked_names,
    layout_of,
    output_first,
)
from gradtx.like.state.filled import Table, filled
from gradtx.optimizers.layouts import Model
from gradtx.saving.slots import slots

# In the order of Keras's variables: for each line, for each parameter, what it has.
_ORDER = (
    ("AverageState.average",),
    ("AccumulationState.total",),
    ("MuonState.mu", "ScaleByAdamState.mu", "ScaleByAdamState.nu"),
    ("ScaleByAmsgradState.mu", "ScaleByAmsgradState.nu"),
    ("ScaleByAmsgradState.nu_max",),
    ("ScaleByRisingNadamState.mu", "ScaleByRisingNadamState.nu"),
    ("ScaleByAdaDeltaState.e_g", "ScaleByAdaDeltaState.e_x"),
    ("ScaleByRssState.sum_of_squares",),
    ("ScaleByRmsState.nu",),
    ("ScaleByRStdDevState.nu",),
    ("TraceState.trace",),
    ("ScaleByRStdDevState.mu",),
    ("ScaleByLionState.mu",),
    ("FtrlState.accumulator", "FtrlState.linear"),
    ("ScheduleFreeState.z", "ScaleByRmsWithCountState.nu"),
    ("FactoredState.v_row", "FactoredState.v_col", "FactoredState.v"),
)
_FACTORED = {"v_row": "row_var", "v_col": "col_var", "v": "variance"}
_TURNED = ("weight",)
_SHARED = {
    "ScaleByRisingNadamState.mu_product": lambda x: x.numbers["mu_product"],
    "ScheduleFreeState.weight_sum": lambda x: x.steps,
    "AverageState.count": lambda x: x.numbers["calls"],
    "AccumulationState.count": lambda x: x.numbers["calls"] % x.numbers["every"],
}
_HEAD = ("iteration", "learning_rate")


def state_from(
    tx: GradientTransformation,
    variables: Sequence[Any] | Mapping[str, Any],
    params: Params,
    names: Sequence[str],
    *,
    layouts: Layouts | None = None,
) -> OptState:
    """Make a state from the variables of an optimizer of Keras.

        kept = [np.asarray(x) for x in optimizer.variables]
        tx = gradtx.like.keras.AdamW(1e-3)
        state = gradtx.like.keras.state_from(
            tx, kept, params, names=["dense/kernel", "dense/bias"]
        )

    The next step is the one that Keras would have made. Keras's kernels have the axes
    of Flax's and Haiku's. A leaf called "weight" (Equinox) has them turned from
    (..., in, out) to (out, in, ...), as for linear layers and convolutions, unless it
    is an embedding's. Where that is not so, ``layouts`` says how axes are turned, as it
    was done to the weights.

    Args:
      tx: the function of Keras's name in :mod:`gradtx.like.keras`, with the settings
        that Keras's optimizer had.
      variables: the arrays of ``optimizer.variables`` in their order, or the mapping
        from "0", "1", ... to them that Keras writes to files.
      params: the parameters, in this library's layout; of any framework.
      names: the path in ``params``, as :func:`gradtx.by_path` writes paths, of every
        one of the model's ``trainable_variables``, in their order.
      layouts: from patterns of paths to functions that turn an array of the weight's
        axes in Keras into one of those here, or to None where they are the same; the
        first pattern that matches counts.

    Returns:
      The state, for ``tx.update``. Its schedules count from Keras's ``iterations``.

    Raises:
      ValueError: for a name that is no path of a parameter, a number of variables or a
        shape that does not fit the transformation.

    Example:
      >>> tx, params = gradtx.like.keras.SGD(0.1, momentum=0.9), {"w": jnp.ones(2)}
      >>> kept = [jnp.array(3), jnp.array(0.1), jnp.array([1.0, 2.0])]
      >>> state = gradtx.like.keras.state_from(tx, kept, params, ["w"])
      >>> print(len(jax.tree.leaves(state)) > 0)
      True
    """
    with checks.named("state_from"):
        names = checked_names(names, params)
        if isinstance(variables, Mapping):
            variables = [variables[key] for key in sorted(variables, key=int)]
        expected = list(_expected(tx, params, names))
        entries = _entries([np.asarray(x) for x in variables], expected, _every(tx))
        still = _embeddings(params)
        for name in names:
            turned = () if name in still else _TURNED
            layout = layout_of(name, output_first, turned, layouts)
            entries[name] = entries[name]._replace(layout=layout)
        return filled(tx, params, entries, _table(expected), None)


def _embeddings(params: Params) -> set[str]:
    """Return the paths of embeddings, of which both libraries have rows of tokens."""
    leaves = jax.tree_util.tree_leaves_with_path(params, is_leaf=checks.is_none)
    model = Model(params, leaves)
    routes = map(model.route, range(len(leaves)))
    return {x.path for x in routes if x.reason == "embedding"}


def _entries(
    arrays: list[np.ndarray], expected: list[tuple[str, str]], every: int
) -> dict[str, Entry]:
    head, rest = _parted(arrays, expected)
    calls = int(head[0])
    numbers: dict[str, Any] = {"calls": calls, "every": every}
    entries: dict[str, Entry] = {}
    for (name, key), array in zip(expected, rest, strict=True):
        if not name:
            numbers[key] = float(array)
            continue
        nothing = Entry({}, numbers, calls // every, np.asarray)
        entry = entries.setdefault(name, nothing)
        if key:
            entry.arrays[key] = _with_side(key, array)
    return entries


def _expected(tx: Any, params: Params, names: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the parameter and the slot of every variable of Keras's, in their order.

    The slot is empty for what Keras does not use, the parameter for a number.
    """
    found = slots(tx.init, tx.init(params))
    there = {(x.name, x.param) for x in found}
    paths, _ = paths_of(params)
    axes = dict(zip(paths, map(np.ndim, jax.tree.leaves(params)), strict=True))
    for line in _ORDER:
        for name in names:
            for slot in line:
                if (slot, name) in there:
                    yield name, _used(slot, axes[name])
    if any("mu_product" in slot for slot, _ in there):
        yield "", "mu_product"


def _used(slot: str, axes: int) -> str:
    owner, field = slot.split(".")
    if owner != "FactoredState":
        return slot
    return _FACTORED[field] if (field == "v") == (axes < 2) else ""  # noqa: PLR2004


def _with_side(key: str, array: np.ndarray) -> np.ndarray:
    """Give a moment of rows or columns the axis that it has no more."""
    axis = {"row_var": -1, "col_var": -2}.get(key)
    return array if axis is None else np.expand_dims(array, axis)


def _parted(arrays: list[np.ndarray], expected: Any) -> Any:
    n = len(arrays) - len(expected)
    if n not in (1, len(_HEAD)):
        raise checks.InvalidArgument(
            f"there are {len(arrays)} variables, but these transformation and names "
            f"have {len(expected)}, after {' and '.join(_HEAD)}: give all of "
            "optimizer.variables, and the settings that Keras's optimizer had"
        )
    return arrays[:n], arrays[n:]


def _every(tx: Any) -> int:
    given = tx.recipe.arguments if spec.is_value(tx) else {}
    return given.get("gradient_accumulation_steps") or 1


def _table(expected: list[tuple[str, str]]) -> Table:
    keys = {key: (key,) for _, key in expected}
    # Keras's RMSprop adds up steps uphill, its SGD steps downhill.
    squares = {"ScaleByRmsState.nu", "ScaleByRStdDevState.nu"}
    signs = ("TraceState.trace",) if squares & keys.keys() else ()
    return Table(keys, _SHARED, signs)
