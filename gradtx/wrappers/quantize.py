"""State in few bits, around any transformation."""

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx import checks, numerics
from gradtx.base import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.codecs import Codec, Encoded, int8, is_encoded
from gradtx.codecs.layout import put_like
from gradtx.leafwise import zero_count
from gradtx.tree import keys
from gradtx.tree.params import is_placeholder
from gradtx.typing import Count, OptState, Params, PyTree, Updates

# ``where(path, leaf)``, with a path as those of :func:`gradtx.tree.get_all_with_path`.
Where = Callable[[keys.Path, Any], bool]

# Fields that hold weights or what is subtracted from them, which a few bits would ruin.
WEIGHTS = frozenset(
    {
        "average",
        "cache",
        "diff_params_memory",
        "init_params",
        "init_particles",
        "master",
        "params",
        "params0",
        "remainder",
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


class QuantizedState(NamedTuple):
    """What :func:`quantize_state` remembers."""

    inner_state: OptState  # with :class:`gradtx.codecs.Encoded` for what is in few bits
    roundings: Count  # so far: what the next one is seeded with


@transformation
def quantize_state(
    tx: GradientTransformation,
    codec: Codec | Mapping[str, Codec | None] | None = None,
    where: Where | None = None,
    min_size: int = 4096,
) -> GradientTransformation:
    """Keep the state of any transformation in few bits.

        s = decode(e),    u, s = tx(g, s, p),    e ← encode(s)

    Only real floats of at least ``min_size`` numbers are encoded; scalars, counts,
    random keys and complex arrays stay as they are. So do, unless a mapping names them,
    copies of the weights, such as the slow ones of :func:`gradtx.lookahead`.

    :func:`gradtx.tree.get` returns arrays, not codes. ``init`` makes the state of
    ``tx`` before it is encoded; jitted it never holds it.

    Args:
      tx: any transformation.
      codec: what to encode with; None means ``int8()``. Or a mapping from keys as
        :func:`gradtx.tree.get` takes them, ``"mu"``, ``"ScaleByAdamState.nu"``,
        ``"0/mu"``, or the name of a layer, to codecs, or to None for what stays; the
        first key that names an array or something around it counts, and what none
        names stays as it is.
      where: ``where(path, leaf)`` says which arrays are encoded, of those that would
        be; all, if None.
      min_size: the least size of an array that is encoded.

    Raises:
      ValueError: from ``init``, if a key names nothing in the state, for a codec in
        which a mean of squares would stand still, for one without signs where nothing
        says that there are none, and for integer parameters.

    Reference: Dettmers et al., 2022, https://arxiv.org/abs/2110.02861
    """
    checks.at_least(0, min_size=min_size)
    inner = with_extra_args_support(tx)
    choose = _Choice(codec, where, min_size)

    def init(params: Params) -> QuantizedState:
        checks.float_leaves(params, "the parameter")
        state = inner.init(params)
        choose.check(state)
        seed = zero_count(params)
        # Without the barrier XLA would fold the codes of zeros, one by one.
        still = jax.tree.map(_opaque, state)
        return QuantizedState(_encoded(choose, still, seed), seed)

    def update(
        updates: Updates,
        state: QuantizedState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, QuantizedState]:
        kept: dict[int, tuple[Any, Encoded]] = {}
        old = _decoded(state.inner_state, kept)
        updates, new = inner.update(updates, old, params, **extra)
        seed = numerics.safe_increment(state.roundings)
        return updates, QuantizedState(_encoded(choose, new, seed, kept), seed)

    return GradientTransformation(init, update)


# --- which codec -------------------------------------------------------------


class _Choice:
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
        if not _may_be_encoded(leaf) or leaf.size < max(self.min_size, 1):
            return None
        codec = self._named(path)
        if codec is None or (self.where and not self.where(path, leaf)):
            return None
        _check_fits(codec, path, by_key=self.by_key)
        return codec

    def _named(self, path: keys.Path) -> Codec | None:
        if not self.by_key:
            weights = not WEIGHTS.isdisjoint(_fields(path))
            return None if weights else self.codecs[None]
        found = (k for k in self.codecs if _names(k, path))
        return self.codecs.get(next(found, None))

    def check(self, state: OptState) -> None:
        """Refuse a key that names nothing."""
        if not self.by_key or any(map(is_placeholder, _leaves(state))):
            return
        paths = [path for path, _ in _walk((), state)]
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


def _opaque(x: Any) -> Any:
    return jax.lax.optimization_barrier(x) if isinstance(x, Tracer) else x


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


# --- the walk ----------------------------------------------------------------


def _walk(path: keys.Path, node: PyTree) -> Iterator[tuple[keys.Path, Any]]:
    """Yield the leaves with paths that tell the classes of named tuples."""
    children, _ = keys.children(node)
    if is_encoded(node) or not children:
        yield path, node
        return
    for key, child in children:
        yield from _walk((*path, key), child)


def _leaves(tree: PyTree) -> list[Any]:
    return jax.tree.leaves(tree, is_leaf=is_placeholder)


def _decoded(state: OptState, kept: dict[int, tuple[Any, Encoded]]) -> OptState:
    """Decode, and note what came of what."""

    def one(x: Any) -> Any:
        if not is_encoded(x):
            return x
        bare = jax.tree.map(_bare, x, is_leaf=_is_variable)
        array = bare.decode()
        array = x.codes.replace(array) if _is_variable(x.codes) else array
        kept[id(array)] = array, x
        return array

    return jax.tree.map(one, state, is_leaf=is_encoded)


def _encoded(
    choose: _Choice,
    state: OptState,
    seed: Count,
    kept: Mapping[int, tuple[Any, Encoded]] | None = None,
) -> OptState:
    """Encode, but for the arrays that the transformation has left as they were."""
    leaves, treedef = jax.tree.flatten(state, is_leaf=_is_whole)
    paths = [path for path, x in _walk((), state) if jax.tree.leaves(x)]
    new = []
    for salt, (path, leaf) in enumerate(zip(paths, leaves, strict=True)):
        array = _bare(leaf)
        codec = choose(path, array)
        if codec is None:
            new.append(leaf)
        elif kept and id(leaf) in kept:
            new.append(kept[id(leaf)][1])
        else:
            made = codec.encode(array, seed, salt)
            new.append(jax.tree.map(partial(_held_like, leaf, array), made))
    return treedef.unflatten(new)


def _held_like(leaf: Any, array: jax.Array, made: jax.Array) -> Any:
    """Put codes or scales where their array lies, and into a variable if it is in one.

    A variable of Flax holds arrays and no trees, so that the tree goes around it.
    """
    made = put_like(array, made)
    return leaf.replace(made) if _is_variable(leaf) else made


def _bare(x: Any) -> Any:
    return x.get_value() if _is_variable(x) else x


def _is_whole(x: Any) -> bool:
    return is_encoded(x) or _is_variable(x)


def _is_variable(x: Any) -> bool:
    """Whether this is what ``nnx`` of Flax keeps an array in."""
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(x, nnx.Variable)
