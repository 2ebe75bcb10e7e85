"""Connectionist temporal classification (CTC)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx.common import checks
from gradtx.common.types import Scalar
from gradtx.losses import arrays
from gradtx.lowering.control_flow import scan


def ctc_loss(
    logits: ArrayLike,
    logit_paddings: ArrayLike,
    labels: ArrayLike,
    label_paddings: ArrayLike,
    *,
    blank_id: int = 0,
    log_epsilon: Scalar = -1e5,
) -> jax.Array:
    """Return the loss of :func:`ctc_loss_with_forward_probs`, of shape (batch,).

    Args:
      logits: of shape (batch, frames, classes), blank included.
      logit_paddings: of shape (batch, frames), 1 for a padded frame and 0 for a real
        one. Padded frames are passed over.
      labels: integers, of shape (batch, labels), none of them the blank.
      label_paddings: of shape (batch, labels), 1 for a padded label and 0 for a real
        one; the padded ones must be on the right.
      blank_id: the class of the blank, from 0 on.
      log_epsilon: what stands for log 0, a finite number; no logarithm falls below it.

    Raises:
      ValueError: as :func:`ctc_loss_with_forward_probs`.
      TypeError: as :func:`ctc_loss_with_forward_probs`.

    Example:
      >>> logits, labels = jnp.zeros((1, 4, 3)), jnp.array([[1, 2]])
      >>> loss = gradtx.ctc_loss(logits, jnp.zeros((1, 4)), labels, jnp.zeros((1, 2)))
      >>> print(loss.round(3))  # 15 of 81 alignments spell 1, 2
      [1.6860001]
    """
    return ctc_loss_with_forward_probs(
        logits,
        logit_paddings,
        labels,
        label_paddings,
        blank_id=blank_id,
        log_epsilon=log_epsilon,
    )[0]


def ctc_loss_with_forward_probs(
    logits: ArrayLike,
    logit_paddings: ArrayLike,
    labels: ArrayLike,
    label_paddings: ArrayLike,
    *,
    blank_id: int = 0,
    log_epsilon: Scalar = -1e5,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the connectionist temporal classification loss and its forward sums.

        L = -log Σ_π Π_t p_t(π_t)

    over all alignments π, one symbol for each frame, that give the labels when
    repeated symbols are merged first and blanks are dropped then. With φ for the blank,

        α_φ(t, n) = all alignments of n labels with t frames that end in a blank,
                    or that may go on without one
        α_y(t, n) = those that end in label n

    A label that is not a class makes its sequence's loss NaN. Padded labels may be
    anything.

    Args:
      logits: of shape (batch, frames, classes), blank included.
      logit_paddings: of shape (batch, frames), 1 for a padded frame and 0 for a real
        one. Padded frames are passed over.
      labels: integers, of shape (batch, labels), none of them the blank.
      label_paddings: of shape (batch, labels), 1 for a padded label and 0 for a real
        one; the padded ones must be on the right.
      blank_id: the class of the blank.
      log_epsilon: what stands for log 0; no logarithm falls below it.

    Returns:
      ``(loss, log α_φ, log α_y)`` of shapes (batch,), (frames, batch, labels + 1) and
      (frames, batch, labels). Entry t is the state after frame t; after the last one,
      log α_φ holds the whole sums, those that end in a label included.

    Raises:
      ValueError: if the shapes do not belong together, the blank is not a class, or
        log_epsilon is not finite.
      TypeError: if the logits are not real floating-point numbers, or the labels not
        integers.

    Reference: Graves et al., Connectionist Temporal Classification, 2006.

    Example:
      >>> logits, labels = jnp.zeros((1, 4, 3)), jnp.array([[1, 2]])
      >>> loss, blank, emit = gradtx.ctc_loss_with_forward_probs(
      ...     logits, jnp.zeros((1, 4)), labels, jnp.zeros((1, 2))
      ... )
      >>> print(blank.shape, emit.shape)
      (4, 1, 3) (4, 1, 2)
    """
    checks.finite(log_epsilon=log_epsilon)
    name = "ctc_loss"
    dtype, (z,) = arrays.widen(arrays.floating(name, "logits", logits))
    y = arrays.integers(name, "labels", labels)
    frame_pad = jnp.asarray(logit_paddings) != 0
    label_pad = jnp.asarray(label_paddings) != 0
    _check(name, z, frame_pad, y, label_pad, blank_id)
    known = jnp.all((y >= 0) & (y < z.shape[-1]) | label_pad, axis=1)
    floor = jnp.asarray(log_epsilon, z.dtype)
    frames = _frames(z, frame_pad, jnp.where(label_pad, blank_id, y), blank_id, floor)
    whole, blank_sums, label_sums = _forward(frames, _repeats(y), floor)
    length = jnp.sum(~label_pad, axis=1, keepdims=True)
    loss = -jnp.take_along_axis(whole, length, axis=1)[:, 0]
    return (
        arrays.only(known, loss).astype(dtype),
        blank_sums.astype(dtype),
        label_sums.astype(dtype),
    )


class _Frames(NamedTuple):
    """The log probabilities of each frame, frames first."""

    label: jax.Array  # (frames, batch, labels)
    blank: jax.Array  # (frames, batch, 1)
    pad: jax.Array  # (frames, batch, 1)


def _check(
    name: str,
    z: jax.Array,
    frame_pad: jax.Array,
    y: jax.Array,
    label_pad: jax.Array,
    blank_id: int,
) -> None:
    if z.ndim != 3 or y.ndim != 2 or len(z) != len(y):  # noqa: PLR2004
        raise ValueError(
            f"{name}: logits must have the shape (batch, frames, classes) and labels "
            f"(batch, labels), got {z.shape} and {y.shape}"
        )
    if frame_pad.shape != z.shape[:2]:
        raise ValueError(
            f"{name}: logit_paddings of shape {frame_pad.shape} do not fit logits of "
            f"shape {z.shape}"
        )
    arrays.same_shape(name, labels=y, label_paddings=label_pad)
    if not 0 <= blank_id < z.shape[-1]:
        raise ValueError(
            f"{name}: blank_id must be one of {z.shape[-1]} classes, got {blank_id}"
        )


def _repeats(y: jax.Array) -> jax.Array:
    """Whether the label after each one is the same, so that a blank must part them."""
    same = y[:, :-1] == y[:, 1:]
    return jnp.pad(same, ((0, 0), (0, 1)))[:, : y.shape[1]]


def _frames(
    z: jax.Array,
    frame_pad: jax.Array,
    y: jax.Array,
    blank_id: int,
    floor: jax.Array,
) -> _Frames:
    log_p = jax.nn.log_softmax(jnp.where(frame_pad[..., None], 0, z))
    log_p = jnp.maximum(log_p, floor)
    index = jnp.clip(y, 0, z.shape[-1] - 1)[:, None]
    label = jnp.take_along_axis(log_p, index, axis=2)
    blank = log_p[..., blank_id : blank_id + 1]
    return _Frames(
        jnp.swapaxes(label, 0, 1),
        jnp.swapaxes(blank, 0, 1),
        jnp.swapaxes(frame_pad[..., None], 0, 1),
    )


def _forward(
    frames: _Frames, repeats: jax.Array, floor: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Run the forward recursion; return the whole sums, and those after each frame."""
    _, batch, labels = frames.label.shape
    start = jnp.full((batch, labels + 1), floor).at[:, 0].set(0)
    emitted = jnp.full((batch, labels), floor)

    def step(sums: Any, frame: _Frames) -> Any:
        blank, label = sums
        # A label may follow another one directly, unless the two are the same.
        free = _add(blank, jnp.where(repeats, floor, label))
        next_label = jnp.logaddexp(free[:, :-1], label) + frame.label
        after_blank = jnp.where(repeats, label, floor)
        next_blank = _add(free, after_blank) + frame.blank
        sums = (
            jnp.where(frame.pad, blank, next_blank),
            jnp.where(frame.pad, label, next_label),
        )
        return sums, sums

    (blank, label), (blanks, emissions) = scan(step, (start, emitted), frames)
    whole = _add(blank, label)
    if len(blanks):
        blanks = blanks.at[-1].set(whole)
    return whole, blanks, emissions


def _add(blank: jax.Array, label: jax.Array) -> jax.Array:
    """Let the alignments that end in label n go on as those of n labels."""
    return jnp.concatenate([blank[:, :1], jnp.logaddexp(blank[:, 1:], label)], axis=1)
