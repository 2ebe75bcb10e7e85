"""Numbers, arrays, types and containers as plain JSON, and back."""

import math
import re
from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.common import arguments, checks
from gradtx.groups.mask_by_path import PathMask, mask_by_path
from gradtx.linalg.heads import MatrixAxes
from gradtx.optimizers.low_rank import GaLoreDimensionNumbers
from gradtx.primitives.shape import MuonDimensionNumbers
from gradtx.saving.addresses import address_of, found
from gradtx.tree.keys import is_named_tuple

Write = Callable[[Any, str], Any]
Read = Callable[[Any], Any]

# Classes of settings, and functions that make some.
CLASSES: dict[str, Any] = {
    cls.__name__: cls
    for cls in (MatrixAxes, GaLoreDimensionNumbers, MuonDimensionNumbers)
} | {"mask_by_path": mask_by_path}


def class_at(name: Any) -> Any:
    """Return the class of settings of that name, or None."""
    return CLASSES.get(name) if isinstance(name, str) else None


def written(x: Any, where: str, write: Write, reserved: Collection[Any]) -> Any:
    """Write what is no transformation and no schedule.

    Args:
      x: an argument, or a part of one.
      where: what it is, for errors.
      write: writes what is within it.
      reserved: the sets of keys that mean something else.
    """
    if isinstance(x, Tracer):
        raise checks.InvalidArgument(
            f"to_config: {where} is traced: call it outside of jit"
        )
    if x is None or type(x) in (bool, int, str):
        return x
    if isinstance(x, dict):
        return _mapping(x, where, write, reserved)
    if isinstance(x, list | tuple | PathMask):
        return _sequence(x, where, write)
    known = _number(x) or _name(x)
    if known is None:
        raise _refused(x, where)
    return x if type(known.get("float")) is float else known


def _sequence(x: Any, where: str, write: Write) -> Any:
    if isinstance(x, PathMask):
        patterns = [write(pattern, where) for pattern in x.patterns]
        return {"name": "mask_by_path", "arguments": {"patterns": patterns}}
    if is_named_tuple(x):
        if type(x).__name__ not in CLASSES:
            raise _refused(x, where)
        fields = {name: write(item, where) for name, item in x._asdict().items()}
        return {"name": type(x).__name__, "arguments": fields}
    items = [write(item, where) for item in x]
    return items if type(x) is list else {"tuple": items}


def _mapping(x: Any, where: str, write: Write, reserved: Collection[Any]) -> Any:
    plain = all(type(key) is str for key in x)
    if plain and frozenset(x) not in {*reserved, *READERS}:
        return {key: write(item, where) for key, item in x.items()}
    return {"items": [[write(k, where), write(v, where)] for k, v in x.items()]}


def _number(x: Any) -> dict[str, Any] | None:
    """Write a number, an array or a random key."""
    if type(x) is float:
        return {"float": x if math.isfinite(x) else str(x)}
    if type(x) is complex:
        return {"complex": [str(x.real), str(x.imag)]}
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        impl = str(jax.random.key_impl(x))
        return {"key_data": np.asarray(jax.random.key_data(x)).tolist(), "impl": impl}
    if isinstance(x, np.generic | np.ndarray | jax.Array):
        array = np.asarray(x)
        return {"array": _numbers(array), "dtype": array.dtype.name}
    return None


def _name(x: Any) -> dict[str, Any] | None:
    """Write what is known by a name: a type, an expression, a function of ours."""
    if isinstance(x, np.dtype):
        return {"dtype": x.name}
    if isinstance(x, re.Pattern):
        return {"regex": x.pattern, "flags": x.flags}
    name = _type_name(x)
    if name is not None:
        return {"type": name}
    if not (arguments.is_ours(x) and hasattr(x, "__qualname__")):
        return None
    address = address_of(x)
    return None if address is None else {"function": address}


def _numbers(array: Any) -> Any:
    wide = array if array.dtype.kind in "biuf" else array.astype(np.complex128)
    if array.dtype.kind not in "biufc":  # of few bits, as bfloat16 is
        wide = array.astype(np.float64)
    if wide.dtype.kind == "c":
        return {"real": _numbers(wide.real), "imag": _numbers(wide.imag)}
    if wide.dtype.kind == "f" and not np.isfinite(wide).all():
        return np.vectorize(str, otypes=[object])(wide).tolist()
    return wide.tolist()


def _type_name(x: Any) -> str | None:
    try:
        name = np.dtype(x).name
    except TypeError:
        return None
    return name if getattr(jnp, name, None) == x else None


_INSTEAD = {
    "'groups'": "leave with_metrics out, and put it around what from_config makes",
    "'param_labels'": "give a tree of labels, or make the groups by gradtx.by_path",
    "'depth'": "give a mapping from patterns of paths to whole numbers",
    "weight_dimension_numbers'": "give gradtx.matrices(params).tree, the tree of it",
}
_ELSE = (
    "give a schedule of gradtx.schedules (or one of your own, decorated with "
    "gradtx.schedules.schedule) for a schedule; for a mask gradtx.decay_mask, "
    "gradtx.mask_by_path or a tree of booleans; for a function of updates a "
    "transformation of your own, decorated with gradtx.transformation"
)


def _refused(x: Any, where: str) -> checks.InvalidArgument:
    if hasattr(x, "init") and hasattr(x, "update"):
        return checks.InvalidArgument(
            f"to_config: {where} is a pair (init, update) of which nothing is known: "
            "make it by a function decorated with gradtx.transformation"
        )
    kind = getattr(x, "__qualname__", None) or f"a {type(x).__name__}"
    hint = next((text for name, text in _INSTEAD.items() if name in where), _ELSE)
    return checks.InvalidArgument(
        f"to_config: {where} is {kind}, which cannot be written as data: {hint}"
    )


# --- read ----------------------------------------------------------------------


def read(x: Any, within: Read) -> Any:
    """Return what was written.

    Args:
      x: a piece of the data.
      within: reads what is within it.
    """
    if isinstance(x, list):
        return [within(item) for item in x]
    if not isinstance(x, dict):
        return x
    reader = READERS.get(frozenset(x))
    if reader is None:
        return {key: within(item) for key, item in x.items()}
    return reader(x, within)


def _array(x: dict[str, Any], _: Read) -> Any:
    dtype, numbers = jnp.dtype(x["dtype"]), x["array"]
    if isinstance(numbers, dict):
        whole = np.asarray(numbers["real"]) + 1j * np.asarray(numbers["imag"])
    else:
        whole = np.asarray(numbers, np.float64 if dtype.kind not in "biu" else dtype)
    array = whole.astype(dtype)
    return array if array.shape else array[()]


def _key(x: dict[str, Any], _: Read) -> Any:
    data = jnp.asarray(x["key_data"], jnp.uint32)
    return jax.random.wrap_key_data(data, impl=x["impl"])


def _function(x: dict[str, Any], _: Read) -> Any:
    thing = found(x["function"])
    if thing is None or not arguments.is_ours(thing):
        raise checks.InvalidArgument(
            f"there is no function {x['function']!r} in gradtx"
        )
    return thing


READERS: dict[frozenset[str], Callable[[dict[str, Any], Read], Any]] = {
    frozenset({"float"}): lambda x, _: float(x["float"]),
    frozenset({"complex"}): lambda x, _: complex(*map(float, x["complex"])),
    frozenset({"tuple"}): lambda x, within: tuple(map(within, x["tuple"])),
    frozenset({"items"}): lambda x, within: {
        within(k): within(v) for k, v in x["items"]
    },
    frozenset({"dtype"}): lambda x, _: jnp.dtype(x["dtype"]),
    frozenset({"type"}): lambda x, _: getattr(jnp, x["type"]),
    frozenset({"regex", "flags"}): lambda x, _: re.compile(x["regex"], x["flags"]),
    frozenset({"key_data", "impl"}): _key,
    frozenset({"array", "dtype"}): _array,
    frozenset({"function"}): _function,
}
