"""What is refused, and the words it is refused with.

Settings are checked where a transformation is made, and only when they are concrete: a
traced number passes. Trees are checked where they come in, by path.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.common.types import OptState, PyTree


class InvalidArgument(ValueError):
    """A wrong setting or argument, with the transformations it passed through."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.owners: list[str] = []

    def within(self, owner: str) -> "InvalidArgument":
        """Note that ``owner`` was at work, from the innermost outwards.

        A private factory is of no use to who reads the message.
        """
        if not owner.startswith("_"):
            self.owners.append(owner)
        return self

    def __str__(self) -> str:
        if not self.owners:
            return self.message
        inner, outer = self.owners[0], self.owners[-1]
        name = outer if inner == outer else f"{outer} (in {inner})"
        return f"{name}: {self.message}"


class MissingExtraArg(InvalidArgument, TypeError):
    """An extra argument that was not given: a TypeError too, as Python's own."""


class Unavailable(InvalidArgument, ImportError):
    """A feature that this version of JAX does not have: an ImportError too."""


@contextmanager
def named(*owners: str) -> Iterator[None]:
    """Put names on what is refused inside: those at work, the innermost first."""
    try:
        yield
    except InvalidArgument as error:
        for owner in owners:
            error.within(owner)
        raise


# Whether what is made now is the copy of something with other numbers.
_COPYING = ContextVar("_COPYING", default=False)


@contextmanager
def copying() -> Iterator[None]:
    """Make something again that has been checked, and has warned, once already."""
    token = _COPYING.set(True)
    try:
        yield
    finally:
        _COPYING.reset(token)


def is_copying() -> bool:
    """Whether what is made now was checked when it was made first."""
    return _COPYING.get()


def deprecated(message: str) -> None:
    """Warn whoever makes something that is deprecated, where it is made first."""
    if not is_copying():
        warnings.warn(message, DeprecationWarning, stacklevel=3)


def require_extra_arg(name: str, value: Any) -> None:
    """Refuse a missing extra argument of ``update``."""
    if value is None:
        raise MissingExtraArg(
            f"update needs the extra argument {name!r}: "
            f"call update(updates, state, params, {name}=...)"
        )


# --- settings ----------------------------------------------------------------


def known_number(value: Any) -> float | None:
    """Return the number to look at, or None where there is nothing to see yet."""
    if value is None or callable(value) or isinstance(value, Tracer):
        return None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # a placeholder of some tree function
        return None
    if array.shape:
        raise InvalidArgument(
            f"a hyperparameter must be a scalar, got an array of shape {array.shape}: "
            "map over stacked ones with jax.vmap"
        )
    if array.dtype.kind not in "fiu" and not jnp.issubdtype(array.dtype, jnp.floating):
        raise InvalidArgument(f"a hyperparameter must be a real number, got {value!r}")
    return float(array)


def _require(name: str, value: Any, low: float, high: float, interval: str) -> None:
    number = known_number(value)
    if number is None:
        return
    open_low, open_high = interval[0] == "(", interval[-1] == ")"
    above = number > low if open_low else number >= low
    below = number < high if open_high else number <= high
    if not (above and below):
        raise InvalidArgument(f"{name} must be in {interval}, got {number:g}")


def decay_rates(**rates: Any) -> None:
    """Refuse a decay rate outside [0, 1): 1 would never forget."""
    for name, rate in rates.items():
        _require(name, rate, 0, 1, "[0, 1)")


def unit_interval(**values: Any) -> None:
    """Refuse a value outside [0, 1]."""
    for name, value in values.items():
        _require(name, value, 0, 1, "[0, 1]")


def non_negative(**values: Any) -> None:
    """Refuse a negative, infinite or undefined value."""
    for name, value in values.items():
        _require(name, value, 0, np.inf, "[0, inf)")


def positive(**values: Any) -> None:
    """Refuse a value that is not above zero and finite."""
    for name, value in values.items():
        _require(name, value, 0, np.inf, "(0, inf)")


def at_least(low: float, **values: Any) -> None:
    """Refuse a value below ``low``, infinite or undefined."""
    for name, value in values.items():
        _require(name, value, low, np.inf, f"[{low:g}, inf)")


def finite(**values: Any) -> None:
    """Refuse an infinite or undefined value."""
    for name, value in values.items():
        _require(name, value, -np.inf, np.inf, "(-inf, inf)")


def positive_int(**values: Any) -> None:
    """Refuse anything but a whole number of at least 1."""
    for name, value in values.items():
        number = known_number(value)
        if number is not None and (number < 1 or number != int(number)):
            raise InvalidArgument(
                f"{name} must be a whole number of at least 1, got {value!r}"
            )


def ascending(**values: Any) -> None:
    """Refuse a sequence with a negative or infinite number, or out of order."""
    for name, sequence in values.items():
        non_negative(**{f"{name}[{i}]": x for i, x in enumerate(sequence)})
        known = [x for x in map(known_number, sequence) if x is not None]
        if known != sorted(known):
            raise InvalidArgument(
                f"{name} must be in ascending order, got {list(sequence)}"
            )


def not_both_zero(**values: Any) -> None:
    """Refuse values that are all zero."""
    numbers = [known_number(value) for value in values.values()]
    if all(number == 0 for number in numbers):
        raise InvalidArgument(f"one of {', '.join(values)} must not be 0")


# --- trees -------------------------------------------------------------------


def is_none(x: Any) -> bool:
    """Whether this is None, for walks in which None is a leaf."""
    return x is None


def path_name(path: Any) -> str:
    """Write a leaf's path as one would index it."""
    return jax.tree_util.keystr(path) or "(the whole tree)"


def require_params(params: PyTree) -> None:
    """Refuse a missing ``params``."""
    if params is None:
        raise InvalidArgument(
            "this transformation needs the current parameters: "
            "call update(updates, state, params)"
        )


def leaves_like(tree: PyTree, treedef: Any, what: str, like: str) -> list[Any]:
    """Return the subtrees of ``tree`` at the leaves of ``treedef``.

    Raises:
      InvalidArgument: if ``tree`` has another structure; the first path that differs
        is named.
    """
    try:
        return treedef.flatten_up_to(tree)
    except (ValueError, TypeError, KeyError) as error:
        where = _first_difference(tree, treedef)
        raise InvalidArgument(
            f"the tree of {what} does not match the tree of {like}{where}. "
            f"{what}: {jax.tree.structure(tree)}, {like}: {treedef}. {error}"
        ) from error


def _first_difference(tree: PyTree, treedef: Any) -> str:
    expected = treedef.unflatten([0] * treedef.num_leaves)
    paths = [p for p, _ in jax.tree_util.tree_leaves_with_path(expected)]
    given = [p for p, _ in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_none)]
    for path in paths:
        if not any(p[: len(path)] == path for p in given):
            return f": nothing at {path_name(path)}"
    for path in given:
        if not any(path[: len(p)] == p for p in paths):
            return f": unexpected {path_name(path)}"
    return ""


def same_shape(shape: Any, expected: Any, path: Any, what: str, like: str) -> None:
    """Refuse a leaf that would be broadcast."""
    if tuple(shape) != tuple(expected):
        raise InvalidArgument(
            f"{what} at {path_name(path)} has shape {tuple(shape)}, but {like} has "
            f"shape {tuple(expected)}"
        )


def same_shapes(state: OptState, expected: OptState) -> None:
    """Refuse a state of other shapes than another of the same structure.

    Args:
      state: the state that was given.
      expected: a state of the right shapes; if its structure is another, nothing is
        said.

    Raises:
      InvalidArgument: if a shape differs; its path is named.
    """
    given, treedef = jax.tree_util.tree_flatten_with_path(state)
    others, structure = jax.tree.flatten(expected)
    if treedef != structure:
        return
    for (path, x), other in zip(given, others, strict=True):
        # A number has no shape, nor has a function in a model.
        has, must = (getattr(leaf, "shape", ()) for leaf in (x, other))
        if has != must:
            raise InvalidArgument(
                f"the state at {path_name(path)} has shape {has}, but would be "
                f"of shape {must}: it was made for another parameter, or has been "
                "replaced"
            )
