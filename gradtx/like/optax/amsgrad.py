"""AMSGrad as in optax."""

from gradtx.common.types import DTypeLike, Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.amsgrad import scale_by_amsgrad as scale_by_amsgrad_of_raw
from gradtx.wrappers.chain import descend


@transformation
def scale_by_amsgrad(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """Divide by the largest corrected mean square, as ``optax.scale_by_amsgrad``.

        w ← max(w, v / (1 - β₂ᵗ))
        u = m̂ / (√(w + ε_root) + ε)

    Args:
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside of the root.
      eps_root: ε_root, at least 0, inside of the root.
      mu_dtype: the type to keep m in; the parameter's if None.
      bias_correction_mu: whether to divide m by 1 - β₁ᵗ.
      bias_correction_nu: whether to divide v by 1 - β₂ᵗ.

    Raises:
      ValueError: if a number is outside of its range.

    Reference: Reddi et al., 2018, https://openreview.net/forum?id=ryQu7f-RZ

    Example:
      >>> tx, params = gradtx.like.optax.scale_by_amsgrad(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -1.]
    """
    return scale_by_amsgrad_of_raw(
        b1,
        b2,
        eps,
        eps_root,
        mu_dtype,
        bias_correction_mu,
        bias_correction_nu,
        max_of_corrected=True,
    )


@transformation
def amsgrad(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """AMSGrad, as ``optax.amsgrad``: down the direction of :func:`scale_by_amsgrad`.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside of the root.
      eps_root: ε_root, at least 0, inside of the root.
      mu_dtype: the type to keep m in; the parameter's if None.
      bias_correction_mu: whether to divide m by 1 - β₁ᵗ.
      bias_correction_nu: whether to divide v by 1 - β₂ᵗ.

    Raises:
      ValueError: if a number is outside of its range.

    Reference: Reddi et al., 2018, https://openreview.net/forum?id=ryQu7f-RZ

    Example:
      >>> tx, params = gradtx.like.optax.amsgrad(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    moments = (b1, b2, eps, eps_root, mu_dtype)
    direction = scale_by_amsgrad(*moments, bias_correction_mu, bias_correction_nu)
    return descend(direction, learning_rate)
