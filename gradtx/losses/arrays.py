"""What losses ask of their arrays: their types, their shapes, their precision."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from gradtx.common import numerics

Axis = int | Sequence[int] | None


# --- types -------------------------------------------------------------------


def floating(name: str, what: str, value: ArrayLike) -> jax.Array:
    """Return ``value`` as an array, refusing all but real floating-point numbers."""
    array = jnp.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{name}: {what} must be real floating-point numbers, got {array.dtype}"
        )
    return array


def real(name: str, what: str, value: ArrayLike) -> jax.Array:
    """Return ``value`` as an array, refusing complex numbers."""
    array = jnp.asarray(value)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError(f"{name}: {what} must be real, got {array.dtype}")
    return array


def integers(name: str, what: str, value: ArrayLike) -> jax.Array:
    """Return ``value`` as an array of at least 32 bits, refusing all but integers."""
    array = jnp.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"{name}: {what} must be integers, got {array.dtype}")
    narrow = array.dtype.itemsize < np.dtype(np.int32).itemsize
    return array.astype(jnp.int32) if narrow else array


def widen(*arrays: jax.Array) -> tuple[Any, list[jax.Array]]:
    """Return the type to answer in, and the arrays in the type to compute in."""
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(*arrays)
        if not jnp.issubdtype(dtype, jnp.floating):
            dtype = jnp.result_type(float)
    return dtype, [array.astype(numerics.compute_dtype(dtype)) for array in arrays]


# --- shapes ------------------------------------------------------------------


def same_shape(name: str, **pair: jax.Array) -> None:
    """Refuse two arrays of different shape."""
    (first, a), (second, b) = pair.items()
    if a.shape != b.shape:
        raise ValueError(
            f"{name}: {first} has shape {a.shape}, but {second} has shape {b.shape}"
        )


def fit(name: str, **pair: jax.Array) -> jax.Array:
    """Return the second array broadcast to the shape of the first."""
    (first, a), (second, b) = pair.items()
    try:
        return jnp.broadcast_to(b, a.shape)
    except ValueError as error:
        raise ValueError(
            f"{name}: {second} of shape {b.shape} does not broadcast to {first} of "
            f"shape {a.shape}"
        ) from error


def axes(axis: Axis, rank: int) -> tuple[int, ...]:
    """Return ``axis`` as numbers from 0, all of them for None."""
    if axis is None:
        return tuple(range(rank))
    return np.lib.array_utils.normalize_axis_tuple(axis, rank)


def align(name: str, axis: Axis, **pair: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return two arrays of one rank whose axes outside ``axis`` broadcast.

    The axes in ``axis`` must be equal, since a class or a feature that is repeated is
    a mistake. An array of lower rank must broadcast to the shape of the other, so that
    shapes (n, 1, k) and (n, k) do not silently give n² values.
    """
    (first, a), (second, b) = pair.items()
    rank = max(a.ndim, b.ndim)
    long_a, long_b = ((1,) * (rank - x.ndim) + x.shape for x in (a, b))
    good = _broadcast(long_a, long_b, axes(axis, rank))
    if good and a.ndim != b.ndim:
        good = np.broadcast_shapes(long_a, long_b) in (a.shape, b.shape)
    if not good:
        raise ValueError(
            f"{name}: {first} of shape {a.shape} and {second} of shape {b.shape} do "
            f"not belong together along axis {axis}"
        )
    return a.reshape(long_a), b.reshape(long_b)


def _broadcast(a: tuple[int, ...], b: tuple[int, ...], fixed: tuple[int, ...]) -> bool:
    """Whether two shapes of one rank broadcast, the axes ``fixed`` being equal."""
    return len(a) == len(b) and all(
        m == n or (i not in fixed and 1 in (m, n))
        for i, (m, n) in enumerate(zip(a, b, strict=True))
    )


def inclusion(
    name: str, where: ArrayLike | None, shape: tuple[int, ...], axis: Axis
) -> jax.Array | None:
    """Return ``where`` as booleans of ``shape``.

    It may be given for all elements, or for whole vectors: without the axes ``axis``.
    """
    if where is None:
        return None
    mask = jnp.asarray(where).astype(jnp.bool_)
    fixed = axes(axis, len(shape))
    batch = tuple(n for i, n in enumerate(shape) if i not in fixed)
    if mask.ndim != len(shape) and mask.shape == batch:
        mask = jnp.expand_dims(mask, fixed)
    try:
        return jnp.broadcast_to(mask, shape)
    except ValueError as error:
        raise ValueError(
            f"{name}: where of shape {mask.shape} does not broadcast to {shape}"
        ) from error


def vectors(
    name: str,
    axis: Axis,
    where: ArrayLike | None,
    **pair: ArrayLike,
) -> tuple[jax.Array, jax.Array, jax.Array | None, Any]:
    """Return a pair of vectors along ``axis``, what to include, the type to answer in.

    Elements that are left out come back as 0, so that nothing in them can spread.
    """
    (first, a), (second, b) = pair.items()
    dtype, (a, b) = widen(floating(name, first, a), real(name, second, b))
    a, b = align(name, axis, **{first: a, second: b})
    mask = inclusion(name, where, np.broadcast_shapes(a.shape, b.shape), axis)
    if mask is not None:
        a, b = jnp.where(mask, a, 0), jnp.where(mask, b, 0)
    return a, b, mask, dtype


# --- settings ----------------------------------------------------------------


def settings(check: Callable[..., None], **values: ArrayLike | None) -> None:
    """Apply ``check`` to the settings that are one number; others are one for each."""
    check(**{key: x for key, x in values.items() if x is not None and not np.ndim(x)})


# --- arithmetic --------------------------------------------------------------


def weigh(weights: jax.Array, values: jax.Array) -> jax.Array:
    """Return weights · values, where a weight of 0 silences an infinite value."""
    void = (weights == 0) & jnp.isinf(values)
    return jnp.where(void, 0, weights * jnp.where(void, 0, values))


def pick(
    name: str, scores: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the scores, the score of each label, and whether the label is a class.

    Args:
      name: the loss.
      scores: of shape (..., classes).
      labels: integers of shape (...).
    """
    if not scores.ndim or not _broadcast(scores.shape[:-1], labels.shape, ()):
        raise ValueError(
            f"{name}: labels of shape {labels.shape} do not fit scores whose shape, "
            f"classes last, is {scores.shape}"
        )
    classes = scores.shape[-1]
    shape = np.broadcast_shapes(scores.shape[:-1], labels.shape)
    scores = jnp.broadcast_to(scores, (*shape, classes))
    labels = jnp.broadcast_to(labels, shape)
    known = (labels >= 0) & (labels < classes)
    index = jnp.where(known, labels, 0)[..., None]
    return scores, jnp.take_along_axis(scores, index, axis=-1)[..., 0], known


def only(known: jax.Array, loss: jax.Array) -> jax.Array:
    """Return ``loss``, but NaN where the label is not known."""
    return jnp.where(known, loss, jnp.nan)
