"""Norms with a safe gradient at zero, and gradients scaled on their way back."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common.numerics import abs_sq, mean, sqrt
from gradtx.common.types import PyTree, Scalar


def safe_norm(
    x: jax.Array,
    min_norm: Scalar,
    ord: Any = None,  # noqa: A002
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
) -> jax.Array:
    """Return max(‖x‖, min_norm), with the derivative 0 where the bound holds.

    Args:
      x: a real or complex array.
      min_norm: the lower bound of the norm, at least 0.
      ord: which norm, as ``jnp.linalg.norm`` takes it; None for ‖x‖₂.
      axis: the axes to take norms over; all if None.
      keepdims: whether these axes stay, with length 1.

    Example:
      >>> print(jax.grad(gradtx.safe_norm)(jnp.zeros(2), 1e-3))
      [0. 0.]
    """
    x = jnp.asarray(x)
    whole = jnp.linalg.norm(x, ord=ord, axis=axis, keepdims=True)
    small = jax.lax.stop_gradient(whole) <= min_norm
    # Where the norm is 0 it has no derivative, so there another is taken.
    safe = jnp.where(small, jnp.ones_like(x), x)
    norm = jnp.linalg.norm(safe, ord=ord, axis=axis, keepdims=keepdims)
    return jnp.where(small.reshape(norm.shape), min_norm, norm).astype(norm.dtype)


def safe_root_mean_squares(x: jax.Array, min_rms: Scalar) -> jax.Array:
    """Return max(√mean(|x|²), min_rms), with the derivative 0 where the bound holds.

    Args:
      x: an array, real or complex.
      min_rms: the lower bound, at least 0.

    Example:
      >>> print(gradtx.safe_root_mean_squares(jnp.zeros(2), 0.5))
      0.5
    """
    x = jnp.asarray(x)
    rms = sqrt(mean(abs_sq(x)))
    return jnp.where(rms <= min_rms, min_rms, rms).astype(rms.dtype)


@jax.custom_vjp
def scale_gradient(inputs: PyTree, scale: Scalar) -> PyTree:
    """Return the tree as it is, and multiply the gradients that come back by ``scale``.

    Args:
      inputs: a tree of arrays.
      scale: a number; it has no gradient of its own.
    """
    del scale
    return inputs


def _scale_gradient_forward(inputs: PyTree, scale: Scalar) -> tuple[PyTree, Scalar]:
    return inputs, scale


def _scale_gradient_backward(scale: Scalar, g: PyTree) -> tuple[PyTree, None]:
    # A scale of 0 lets nothing through, not even NaN.
    return jax.tree.map(
        lambda x: jnp.where(scale == 0, 0, x * scale).astype(x.dtype), g
    ), None


scale_gradient.defvjp(_scale_gradient_forward, _scale_gradient_backward)
