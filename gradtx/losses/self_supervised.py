"""Losses of embeddings that should be near each other, or far apart."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx.common import checks
from gradtx.common.types import Scalar
from gradtx.losses import arrays
from gradtx.losses.regression import cosine_similarity


def ntxent(
    embeddings: ArrayLike, labels: ArrayLike, temperature: Scalar = 0.07
) -> jax.Array:
    """Return the normalized temperature-scaled cross entropy (NT-Xent).

        mean over the pairs i ≠ j of one label, of

            -log ( exp sᵢⱼ / (exp sᵢⱼ + Σ_k exp sᵢₖ) )

    with sᵢⱼ = cos(xᵢ, xⱼ) / τ, and k over the embeddings of other labels.

    Args:
      embeddings: x, of shape (batch, features).
      labels: of shape (batch,); embeddings of equal label belong together.
      temperature: τ, above 0: what similarities are divided by.

    Returns:
      One number; 0 if no two embeddings belong together.

    Raises:
      ValueError: if the shapes do not belong together, or the temperature is not
        positive.
      TypeError: if the embeddings are not real floating-point numbers.

    Reference: Chen et al., A Simple Framework for Contrastive Learning, 2020.
      https://arxiv.org/abs/2002.05709

    Example:
      >>> pairs = jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
      >>> print(gradtx.ntxent(pairs, jnp.array([0, 0, 1, 1])) < 0.1)  # pairs are near
      True
    """
    checks.positive(temperature=temperature)
    name = "ntxent"
    dtype, (x,) = arrays.widen(arrays.floating(name, "embeddings", embeddings))
    labels = jnp.asarray(labels)
    if x.ndim != 2 or labels.shape != x.shape[:1]:  # noqa: PLR2004
        raise ValueError(
            f"{name}: embeddings must have the shape (batch, features) and labels "
            f"(batch,), got {x.shape} and {labels.shape}"
        )
    least = jnp.finfo(x.dtype).eps
    cosines = cosine_similarity(x[None], x[:, None], epsilon=float(least))
    together = labels[:, None] == labels[None]
    pairs = together & ~jnp.eye(len(labels), dtype=jnp.bool_)
    losses = _pair_losses(cosines / temperature, ~together)
    number = jnp.maximum(jnp.sum(pairs), 1).astype(x.dtype)
    return (jnp.sum(losses, where=pairs) / number).astype(dtype)


def triplet_margin_loss(
    anchors: ArrayLike,
    positives: ArrayLike,
    negatives: ArrayLike,
    axis: int = -1,
    norm_degree: Scalar = 2,
    margin: Scalar = 1.0,
    eps: Scalar = 1e-6,
) -> jax.Array:
    """Return how far a negative fails to be farther away than a positive by a margin.

        max(0, d(a, p) - d(a, n) + margin)     with d(a, b) = (Σᵢ |aᵢ - bᵢ|^q + ε)^(1/q)

    Args:
      anchors: a, vectors along ``axis``.
      positives: p, vectors that should be near the anchors.
      negatives: n, vectors that should be far from them.
      axis: the axis of the vectors; the others may broadcast.
      norm_degree: q ≥ 1.
      margin: by how much the negative should be farther away.
      eps: ε ≥ 0, which keeps the slope of the root finite.

    Raises:
      ValueError: if the shapes do not belong together, or a setting is out of range.
      TypeError: if an array is not of real floating-point numbers.

    Reference: Balntas et al., Learning Shallow Convolutional Feature Descriptors with
      Triplet Losses, 2016.

    Example:
      >>> near, far = jnp.array([[0.0, 0.0]]), jnp.array([[9.0, 9.0]])
      >>> print(gradtx.losses.triplet_margin_loss(near, near, far))
      [0.]
    """
    checks.positive(norm_degree=norm_degree)
    checks.non_negative(eps=eps)
    name = "triplet_margin_loss"
    dtype, (a, p, n) = arrays.widen(
        arrays.floating(name, "anchors", anchors),
        arrays.floating(name, "positives", positives),
        arrays.floating(name, "negatives", negatives),
    )
    arrays.align(name, axis, positives=p, negatives=n)
    near = _distance(
        *arrays.align(name, axis, anchors=a, positives=p), axis, norm_degree, eps
    )
    far = _distance(
        *arrays.align(name, axis, anchors=a, negatives=n), axis, norm_degree, eps
    )
    return jnp.maximum(near - far + margin, 0).astype(dtype)


def _pair_losses(s: jax.Array, others: jax.Array) -> jax.Array:
    """Return log(1 + Σ_k exp(sᵢₖ - sᵢⱼ)) for all i and j, with k over the others."""
    none = ~jnp.any(others, 1, keepdims=True)
    rest = jax.nn.logsumexp(s, 1, where=others | none, keepdims=True)
    return jnp.where(none, 0, jax.nn.softplus(rest - s))


def _distance(
    a: jax.Array, b: jax.Array, axis: int, degree: Scalar, eps: Scalar
) -> jax.Array:
    total = jnp.sum(jnp.abs(a - b) ** degree, axis) + eps
    zero = total == 0
    return jnp.where(zero, 0, jnp.where(zero, 1, total) ** (1 / degree))
