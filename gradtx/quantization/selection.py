"""Which arrays of a state are kept in few bits, and in which."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.codecs import Codec, int8
from gradtx.common import checks
from gradtx.common.types import OptState, Params, PyTree, Role, Updates
from gradtx.tree import keys
from gradtx.tree.placeholders import is_placeholder
from gradtx.tree.roles import Part, walk

# ``where(path, leaf)``, with a path as those of :func:`gradtx.tree.get_all_with_path`.
Where = Callable[[keys.Path, Any], bool]

Init = Callable[[Params], OptState]
Step = Callable[[Updates, OptState, Params | None], tuple[Updates, OptState]]

# Roles whose arrays a few bits would ruin.
_KEPT = (Role.WEIGHTS, Role.EXACT)


class Choice:
    """Which array gets which codec.

    Args:
      init: makes the states, and tells as what their slots are made.
      codec: a codec for all, or codecs by names.
      where: which arrays of those are encoded; all, if None.
      min_size: the least size of an array that is encoded.
    """

    def __init__(
        self, init: Init, codec: Any, where: Where | None, min_size: int
    ) -> None:
        self.init, self.where, self.min_size = init, where, min_size
        self.by_key = isinstance(codec, Mapping)
        self.codecs = codec if self.by_key else {None: codec or int8()}
        for name, one in self.codecs.items():
            if one is not None and not isinstance(one, Codec):
                raise checks.InvalidArgument(
                    f"codec must be made of codecs such as gradtx.codecs.int8(), got "
                    f"{one!r}" + (f" for {name!r}" if self.by_key else "")
                )

    def __call__(self, part: Part) -> Codec | None:
        """Return the codec of an array; None if it stays as it is."""
        path, leaf, role = part
        if not _may_be_encoded(leaf) or leaf.size < max(self.min_size, 1):
            return None
        codec = self._named(path, role)
        if codec is None or (self.where and not self.where(path, leaf)):
            return None
        codec = codec.unsigned if role is Role.SECOND_MOMENT else codec
        _check_fits(codec, part, by_key=self.by_key)
        return codec

    def _named(self, path: keys.Path, role: Role | None) -> Codec | None:
        if not self.by_key:
            return None if role in _KEPT else self.codecs[None]
        found = (k for k in self.codecs if _names(k, path))
        return self.codecs.get(next(found, None))

    def check(self, state: OptState) -> None:
        """Refuse a key that names nothing."""
        if not self.by_key or any(map(is_placeholder, _leaves(state))):
            return
        paths = [path for path, *_ in walk(state)]
        for key in self.codecs:
            if not any(_names(key, path) for path in paths):
                fields = sorted({str(x) for path in paths for x in _fields(path)})
                raise checks.InvalidArgument(
                    f"codec names {key!r}, but there is nothing of that name in the "
                    f"state, which has {', '.join(fields) or 'no fields'}"
                )


def _check_fits(codec: Codec, part: Part, *, by_key: bool) -> None:
    """Refuse a codec that would ruin what an array is declared as."""
    squares = part.role is Role.SECOND_MOMENT
    if codec.format.unsigned and not squares and not by_key:
        raise checks.InvalidArgument(
            f"{codec!r} is unsigned, but {keys.written(part.path)} may be negative: "
            "give codecs by the names of the fields, or declare the slot as a "
            "gradtx.SecondMoment where its state is defined"
        )
    if (codec.format.unsigned or squares) and codec.format.stalls:
        raise checks.InvalidArgument(
            f"the mean of squares at {keys.written(part.path)} would stall in "
            f"{codec!r}: {codec.format.stalls}"
        )


def _may_be_encoded(leaf: Any) -> bool:
    is_array = getattr(leaf, "ndim", 0) > 0 and hasattr(leaf, "dtype")
    return is_array and jnp.issubdtype(leaf.dtype, jnp.floating)


def _names(key: Any, path: keys.Path) -> bool:
    """Whether a key names an array or something around it."""
    ends = range(1, len(path) + 1)
    return any(keys.is_named(key, path[:i], None) for i in ends) or any(
        keys.is_path(key) and keys.is_at(key, path[:i]) for i in ends
    )


def _fields(path: keys.Path) -> set[str]:
    """Return the names of the fields of named tuples along a path."""
    return {entry.name for entry in path if isinstance(entry, keys.NamedTupleKey)}


def _leaves(tree: PyTree) -> list[Any]:
    return jax.tree.leaves(tree, is_leaf=is_placeholder)
