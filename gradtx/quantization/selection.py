"""Which arrays of a state are kept in few bits, and in which."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.codecs import Codec, int8, is_encoded
from gradtx.common import checks
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.tree import keys
from gradtx.tree.params import is_placeholder

# ``where(path, leaf)``, with a path as those of :func:`gradtx.tree.get_all_with_path`.
Where = Callable[[keys.Path, Any], bool]

Step = Callable[[Updates, OptState, Params | None], tuple[Updates, OptState]]

# Fields that hold weights, what is subtracted from them, coefficients, or the factors,
# bases and roots of matrix methods, which a few bits would ruin.
EXACT = frozenset(
    {
        "average",
        "bases",
        "cache",
        "diff_params_memory",
        "factors",
        "gain",
        "init_params",
        "init_particles",
        "inverse_roots",
        "length",
        "master",
        "ns_coeffs",
        "params",
        "params0",
        "remainder",
        "roots",
        "slow_params",
        "x0",
        "z",
    }
)

# Fields that hold means or sums of squares, which move little at a step.
SQUARES = frozenset(
    {
        "e_g",
        "e_x",
        "exp_avg_sq",
        "grad_sum_sq",
        "n",
        "nu",
        "nu_max",
        "sum_of_squares",
        "v_col",
        "v_row",
    }
)


class Choice:
    """Which array gets which codec."""

    def __init__(self, codec: Any, where: Where | None, min_size: int) -> None:
        self.where, self.min_size = where, min_size
        self.by_key = isinstance(codec, Mapping)
        self.codecs = codec if self.by_key else {None: codec or int8()}
        for name, one in self.codecs.items():
            if one is not None and not isinstance(one, Codec):
                raise checks.Misuse(
                    f"codec must be made of codecs such as gradtx.codecs.int8(), got "
                    f"{one!r}" + (f" for {name!r}" if self.by_key else "")
                )

    def __call__(self, path: keys.Path, leaf: Any) -> Codec | None:
        """Return the codec of an array; None if it stays as it is."""
        if not _may_be_encoded(leaf) or leaf.size < max(self.min_size, 1):
            return None
        codec = self._named(path)
        if codec is None or (self.where and not self.where(path, leaf)):
            return None
        _check_fits(codec, path, by_key=self.by_key)
        return codec

    def _named(self, path: keys.Path) -> Codec | None:
        if not self.by_key:
            exact = not EXACT.isdisjoint(_fields(path))
            return None if exact else self.codecs[None]
        found = (k for k in self.codecs if _names(k, path))
        return self.codecs.get(next(found, None))

    def check(self, state: OptState) -> None:
        """Refuse a key that names nothing."""
        if not self.by_key or any(map(is_placeholder, _leaves(state))):
            return
        paths = [path for path, _ in walk((), state)]
        for key in self.codecs:
            if not any(_names(key, path) for path in paths):
                fields = sorted({str(x) for path in paths for x in _fields(path)})
                raise checks.Misuse(
                    f"codec names {key!r}, but there is nothing of that name in the "
                    f"state, which has {', '.join(fields) or 'no fields'}"
                )


def _check_fits(codec: Codec, path: keys.Path, *, by_key: bool) -> None:
    """Refuse a codec that would ruin what the fields along a path say it holds."""
    squares = not SQUARES.isdisjoint(_fields(path))
    if codec.format.unsigned and not squares and not by_key:
        raise checks.Misuse(
            f"{codec!r} has no numbers below 0, which {keys.written(path)} may hold: "
            "give codecs by the names of the fields"
        )
    if (codec.format.unsigned or squares) and codec.format.stalls:
        raise checks.Misuse(
            f"the mean of squares at {keys.written(path)} would not follow in "
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


def walk(path: keys.Path, node: PyTree) -> Iterator[tuple[keys.Path, Any]]:
    """Yield the leaves with paths that tell the classes of named tuples."""
    children, _ = keys.children(node)
    if is_encoded(node) or not children:
        yield path, node
        return
    for key, child in children:
        yield from walk((*path, key), child)


def _leaves(tree: PyTree) -> list[Any]:
    return jax.tree.leaves(tree, is_leaf=is_placeholder)
