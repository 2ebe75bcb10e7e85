"""Losses of regions: how far a predicted one and the true one fail to overlap."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import ArrayLike

from gradtx.common import checks
from gradtx.common.types import Scalar
from gradtx.losses import arrays


def dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    class_weights: ArrayLike | None = None,
    smooth: Scalar = 1.0,
    alpha: Scalar = 0.5,
    beta: Scalar = 0.5,
    apply_softmax: bool = True,
    reduction: str = "mean",
    ignore_background: bool = False,
    axis: int | Sequence[int] | None = None,
) -> jax.Array:
    """Return the soft Dice loss of each class, or its generalization by Tversky.

        1 - (I + s) / (I + α (P - I) + β (T - I) + s)
            with I = Σᵢ pᵢ tᵢ, P = Σᵢ pᵢ, T = Σᵢ tᵢ over the pixels i

    α weighs the false positives and β the false negatives. Where both regions are
    empty and s is 0, they agree: the loss is 0.

    Args:
      predictions: logits of shape (batch, ..., classes); (batch, ..., 1) or, if the
        targets have that shape, (batch, ...) for one class against its background.
      targets: t, one-hot vectors of the same shape, or 0 and 1 for one class.
      class_weights: a factor for the loss of each class, of shape (classes,).
      smooth: s ≥ 0.
      alpha: α ≥ 0.
      beta: β ≥ 0.
      apply_softmax: turn logits into probabilities, by a softmax over the classes or,
        for one class, a sigmoid; False if they are probabilities already.
      reduction: "mean" or "sum" over the classes, or "none".
      ignore_background: leave out class 0, if it is not the only one.
      axis: the axes of the pixels; all but the first and the last if not given.

    Returns:
      An array of shape (batch,), with "none" (batch, classes).

    Raises:
      ValueError: if the shapes do not belong together, a setting is out of range, or
        concrete predictions are not probabilities although they should be.

    References: Milletari et al., V-Net, 2016. https://arxiv.org/abs/1606.04797;
      Salehi et al., Tversky Loss, 2017. https://arxiv.org/abs/1706.05721

    Example:
      >>> logits = 50.0 * jax.nn.one_hot(jnp.array([[0, 1, 1]]), 2)
      >>> labels = jax.nn.one_hot(jnp.array([[0, 1, 1]]), 2)
      >>> print(gradtx.losses.dice_loss(logits, labels).round(3))
      [0.]
    """
    name = "dice_loss"
    arrays.settings(checks.non_negative, smooth=smooth, alpha=alpha, beta=beta)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(
            f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}"
        )
    p = arrays.real(name, "predictions", predictions)
    t = arrays.real(name, "targets", targets)
    dtype, (p, t) = arrays.widen(*_with_classes(name, p, t))
    p = _probabilities(p) if apply_softmax else _checked(name, p)
    loss = _overlap_loss(p, t, _pixels(name, axis, p.ndim), smooth, alpha, beta)
    if class_weights is not None:
        loss = loss * _weights(name, class_weights, loss)
    if ignore_background and loss.shape[-1] > 1:
        loss = loss[..., 1:]
    reduce = {"mean": jnp.mean, "sum": jnp.sum}.get(reduction)
    return (loss if reduce is None else reduce(loss, axis=-1)).astype(dtype)


def multiclass_generalized_dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    smooth: Scalar = 1.0,
    apply_softmax: bool = True,
    ignore_background: bool = False,
) -> jax.Array:
    """Return the mean Dice loss with every class weighted by its rarity.

        mean over batch and classes of w_c · dice_c,    w_c ∝ 1 / (n_c² + 10⁻⁷)

    with n_c the pixels of class c in the whole batch, and the weights scaled to a mean
    of 1. (The paper puts the same weights inside numerator and denominator of one
    quotient.)

    Args:
      predictions: logits of shape (batch, ..., classes).
      targets: one-hot vectors of the same shape.
      smooth: as in :func:`dice_loss`.
      apply_softmax: as in :func:`dice_loss`.
      ignore_background: as in :func:`dice_loss`; the weights still count class 0.

    Returns:
      One number.

    Raises:
      ValueError: as :func:`dice_loss`.

    Reference: Sudre et al., Generalised Dice Overlap, 2017.
      https://arxiv.org/abs/1707.03237

    Example:
      >>> labels = jax.nn.one_hot(jnp.array([[0, 1, 1]]), 2)
      >>> print(
      ...     gradtx.losses.multiclass_generalized_dice_loss(
      ...         50.0 * labels, labels
      ...     ).round(3)
      ... )
      0.0
    """
    name = "multiclass_generalized_dice_loss"
    p = arrays.real(name, "predictions", predictions)
    t = arrays.real(name, "targets", targets)
    arrays.same_shape(name, predictions=p, targets=t)
    dtype, (p, t) = arrays.widen(p, t)
    pixels = jnp.sum(t, axis=tuple(range(t.ndim - 1)))
    weights = 1 / (jnp.square(pixels) + 1e-7)
    losses = dice_loss(
        p,
        t,
        class_weights=weights / jnp.mean(weights),
        smooth=smooth,
        apply_softmax=apply_softmax,
        reduction="none",
        ignore_background=ignore_background,
    )
    return jnp.mean(losses).astype(dtype)


def binary_dice_loss(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    smooth: Scalar = 1.0,
    apply_sigmoid: bool = True,
) -> jax.Array:
    """Return the Dice loss of one class against its background.

    Args:
      predictions: logits of shape (batch, ...) or (batch, ..., 1).
      targets: 0 and 1, of one of these shapes.
      smooth: as in :func:`dice_loss`.
      apply_sigmoid: turn logits into probabilities; False if they are probabilities.

    Returns:
      An array of shape (batch,).

    Raises:
      ValueError: as :func:`dice_loss`.

    Example:
      >>> print(
      ...     gradtx.losses.binary_dice_loss(
      ...         jnp.full((1, 4, 1), 50.0), jnp.ones((1, 4, 1))
      ...     ).round(3)
      ... )
      [0.]
    """
    p = arrays.real("binary_dice_loss", "predictions", predictions)
    t = arrays.real("binary_dice_loss", "targets", targets)
    if p.ndim == t.ndim and p.shape[-1:] != (1,):
        p, t = p[..., None], t[..., None]
    return dice_loss(p, t, smooth=smooth, apply_softmax=apply_sigmoid)


def _with_classes(name: str, p: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return both arrays with an axis of classes, which one of them may lack."""
    if (*p.shape, 1) == t.shape:
        return p[..., None], t
    if p.shape == (*t.shape, 1):
        return p, t[..., None]
    arrays.same_shape(name, predictions=p, targets=t)
    return p, t


def _probabilities(z: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(z) if z.shape[-1] == 1 else jax.nn.softmax(z, axis=-1)


def _checked(name: str, p: jax.Array) -> jax.Array:
    """Return p, refusing what can be seen not to be probabilities."""
    if isinstance(p, Tracer):
        return p
    total = jnp.sum(p, axis=-1)
    sure = jnp.isclose(total, 1, rtol=1e-5, atol=1e-5)
    good = (total >= 0) & (total <= 1) if p.shape[-1] == 1 else sure
    if not jnp.all(good):
        raise ValueError(
            f"{name}: with apply_softmax=False the predictions must be valid "
            "probability distributions over the last axis, got sums from "
            f"{jnp.min(total):.6g} to {jnp.max(total):.6g}"
        )
    return p


def _pixels(name: str, axis: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(1, rank - 1))
    over = arrays.axes(axis, rank)
    if rank - 1 in over:
        raise ValueError(
            f"{name}: axis {axis} holds the last axis, which is that of the classes"
        )
    return over


def _weights(name: str, class_weights: ArrayLike, loss: jax.Array) -> jax.Array:
    w = arrays.real(name, "class_weights", class_weights).astype(loss.dtype)
    if w.shape != loss.shape[-1:]:
        raise ValueError(
            f"{name}: class_weights of shape {w.shape} do not fit {loss.shape[-1]} "
            "classes"
        )
    return jnp.broadcast_to(w, loss.shape)


def _overlap_loss(
    p: jax.Array,
    t: jax.Array,
    over: tuple[int, ...],
    smooth: Scalar,
    alpha: Scalar,
    beta: Scalar,
) -> jax.Array:
    common = jnp.sum(p * t, axis=over)
    false_positive = jnp.sum(p, axis=over) - common
    false_negative = jnp.sum(t, axis=over) - common
    missed = alpha * false_positive + beta * false_negative
    whole = common + missed + smooth
    # Equal to 1 - (I + s) / whole, without the cancellation.
    return missed / jnp.where(whole == 0, 1, whole)
