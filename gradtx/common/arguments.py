"""The arguments of a value: which are static, how they compare and are written.

A number is dynamic: it is a leaf of the value. A flag, a name, a type or a function is
static: it is part of the structure. So is an array of several numbers or a random key,
compared by what it holds, unless it is traced: frameworks that keep an optimizer next
to arrays that are trained, such as ``nnx`` of Flax, take no arrays in it.
"""

import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.common import lines
from gradtx.common.numerics import holds_numbers, is_constant
from gradtx.common.types import Schedule

_NAMES = (bool, int, str, types.NoneType)


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the types that a union is made of."""
    if isinstance(annotation, types.UnionType) or (
        typing.get_origin(annotation) is typing.Union
    ):
        for member in typing.get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def is_static(parameter: inspect.Parameter) -> bool:
    """Whether the structure depends on it: counts, flags and names by annotation."""
    members = _members(parameter.annotation)
    return all(member in _NAMES or _says("fixed", member) for member in members)


def is_in_order(parameter: inspect.Parameter) -> bool:
    """Whether the order of a mapping counts, by annotation."""
    return any(_says("in order", member) for member in _members(parameter.annotation))


def _says(what: str, annotation: Any) -> bool:
    return what in getattr(annotation, "__metadata__", ())


def may_be_count(parameter: inspect.Parameter) -> bool:
    """Whether a whole number here is a count, which is structure: int, not float."""
    members = list(_members(parameter.annotation))
    return int in members and float not in members


def may_be_number(parameter: inspect.Parameter) -> bool:
    """Whether an argument is a setting of the type float, by annotation."""
    return float in _members(parameter.annotation)


def may_be_schedule(parameter: inspect.Parameter) -> bool:
    """Whether an argument is a setting that may be a schedule, by annotation."""
    members = list(_members(parameter.annotation))
    return float in members or Schedule in members


def is_ours(function: Any) -> bool:
    """Whether a function is this library's, and not a user's or another library's."""
    module = getattr(function, "__module__", None) or ""
    return module.split(".")[0] == __name__.split(".")[0]


class Constant:
    """An array within the structure of a value, which is hashed and compared."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __hash__(self) -> int:
        return hash((self.array.shape, str(self.array.dtype)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constant):
            return False
        # Most often it is one array, which need not be read.
        return self.array is other.array or key(self.array) == key(other.array)


def in_order(value: Any) -> Any:
    """Return the items of a mapping, or a list of pairs, as a tuple in their order."""
    if isinstance(value, Mapping):
        return tuple(value.items())
    if isinstance(value, list):
        return tuple(tuple(x) if isinstance(x, list) else x for x in value)
    return value


def key(leaf: Any) -> Any:
    """Return what a number is known by when compared."""
    if isinstance(leaf, Tracer) or not holds_numbers(leaf):
        return id(leaf)
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    if not array.shape:
        return array.item()
    return array.shape, array.dtype.str, array.tobytes()


def same(value: Any, default: Any) -> bool:
    """Whether an argument is its default, and need not be written."""
    leaves, treedef = jax.tree.flatten(value)
    others, structure = jax.tree.flatten(default)
    return treedef == structure and all(map(_one_same, leaves, others))


def _one_same(value: Any, default: Any) -> bool:
    if value is default or (isinstance(value, str) and value == default):
        return True
    return (
        holds_numbers(value) and holds_numbers(default) and key(value) == key(default)
    )


def shown(signature: inspect.Signature, given: dict[str, Any]) -> list[str]:
    """Write the arguments of a call, without those that are their defaults."""
    texts = []
    for name, parameter in signature.parameters.items():
        value = given[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            texts += [format_argument(x) for x in value]
        elif parameter.kind is parameter.VAR_KEYWORD:
            texts += [headed(f"{key}=", x) for key, x in value.items()]
        elif not same(value, parameter.default):
            texts.append(headed(f"{name}=", value))
    return texts


def format_argument(value: Any) -> str:
    """Write an argument as one would type it."""
    if type(value) is tuple:
        end = ",)" if len(value) == 1 else ")"
        return lines.enclosed("(", lambda: list(map(format_argument, value)), end)
    if type(value) is list:
        return lines.enclosed("[", lambda: list(map(format_argument, value)), "]")
    if type(value) is dict:
        return lines.enclosed(
            "{", lambda: [headed(f"{k!r}: ", x) for k, x in value.items()], "}"
        )
    return _one_written(value)


def headed(head: str, value: Any) -> str:
    """Write an argument after something that stands on the same line."""
    with lines.narrower(len(head)):
        return head + format_argument(value)


def _one_written(value: Any) -> str:
    if inspect.isfunction(value):
        return value.__qualname__
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, np.dtype):
        return value.name
    concrete = isinstance(value, np.generic | np.ndarray | jax.Array)
    number = concrete and not isinstance(value, Tracer) and value.shape == ()
    if number and not is_constant(value):  # random keys are no numbers
        return repr(np.asarray(value).item())
    return repr(value)
