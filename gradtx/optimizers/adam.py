"""Adam: divide the mean gradient by its root mean square."""

from functools import partial
from typing import NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import debias, ema, ema_of_squares, safe_divide, sqrt
from gradtx.common.types import (
    Count,
    DTypeLike,
    MaskOrFn,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.wrappers.chain import descend


class ScaleByAdamState(NamedTuple):
    """What :func:`scale_by_adam` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # v, the mean of their squares


@transformation
def scale_by_adam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Divide the mean gradient by the root of the mean squared gradient.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) |g|²
        u = m̂ / (√(v̂ + ε_root) + ε)      with m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)

    With ``nesterov`` the mean looks one step ahead (NAdam, as Dozat gives it):

        m̂ = β₁ m / (1 - β₁ᵗ⁺¹) + (1 - β₁) g / (1 - β₁ᵗ)

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root.
      eps_root: ε_root, inside the root.
      mu_dtype: the type to keep m in; the parameter's if None.
      nesterov: whether the mean looks ahead.
      nu_dtype: the type to keep v in; if None the parameter's, and float32 for
        half-precision parameters, in whose type v would never decay.

    Raises:
      ValueError: if a decay is outside [0, 1) or an epsilon is negative.

    Reference: Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980 (Algorithm 1);
      Dozat, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ

    Example:
      >>> tx, params = gradtx.scale_by_adam(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -1.]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps, eps_root=eps_root)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        m = ema(m, g, b1)
        v = ema_of_squares(v, g, b2)
        mean = nesterov_mean(g, m, b1, t) if nesterov else debias(m, b1, t)
        return safe_divide(mean, sqrt(debias(v, b2, t) + eps_root) + eps), m, v

    return leafwise(
        rule,
        ScaleByAdamState,
        mu=partial(zeros, dtype=mu_dtype),
        nu=partial(squares, dtype=nu_dtype),
    )


def nesterov_mean(g: jax.Array, m: jax.Array, b1: Scalar, t: Count) -> jax.Array:
    """Return Dozat's mean: the next unbiased mean if the gradient stayed as it is."""
    return ema(debias(m, b1, t + 1), debias(g, b1, t), b1)


@transformation
def adam(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Adam: :func:`scale_by_adam` made an optimizer by :func:`descend`.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside the root.
      eps_root: ε_root, at least 0, inside the root.
      mu_dtype: the type to keep m, the mean, in; the parameter's if None.
      nesterov: whether the mean looks one step ahead, as in :func:`scale_by_adam`.
      nu_dtype: the type to keep v, the mean square, in; if None the parameter's, and
        float32 for half-precision parameters.

    Example:
      >>> tx, params = gradtx.adam(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    direction = scale_by_adam(
        b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov, nu_dtype=nu_dtype
    )
    return descend(direction, learning_rate)


@transformation
def adamw(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: MaskOrFn | None = None,
    *,
    nesterov: bool = False,
    nu_dtype: DTypeLike | None = None,
    decay_kind: str = "decoupled",
    peak_learning_rate: Scalar | None = None,
) -> GradientTransformation:
    """AdamW: Adam with weight decay that its adaptive step does not rescale.

        p ← p - η (u + λ p)               u: the direction of :func:`scale_by_adam`

    The decay λ is multiplied by the learning rate, as in PyTorch; the paper multiplies
    it by the schedule alone, so that its λ is η λ here.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside the root.
      eps_root: ε_root, at least 0, inside the root.
      mu_dtype: the type to keep m, the mean, in; the parameter's if None.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      nesterov: whether the mean looks one step ahead, as in :func:`scale_by_adam`.
      nu_dtype: the type to keep v, the mean square, in; if None the parameter's, and
        float32 for half-precision parameters.
      decay_kind: "decoupled", "cautious", "corrected" or "independent", as
        :func:`gradtx.add_decayed_weights` tells them apart.
      peak_learning_rate: the largest value of the schedule η, above 0, for the last two
        kinds; η itself, if None and η is a number.

    Reference: Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101

    Example:
      >>> tx, params = gradtx.adamw(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    direction = scale_by_adam(
        b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov, nu_dtype=nu_dtype
    )
    return descend(
        direction,
        learning_rate,
        weight_decay=weight_decay,
        mask=mask,
        decay_kind=decay_kind,
        peak_learning_rate=peak_learning_rate,
    )


@transformation
def nadam(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """NAdam: :func:`adam` that looks ahead.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside the root.
      eps_root: ε_root, at least 0, inside the root.
      mu_dtype: the type to keep m, the mean, in; the parameter's if None.
      nesterov: whether the mean looks one step ahead; without it this is Adam.
      nu_dtype: the type to keep v, the mean square, in; if None the parameter's, and
        float32 for half-precision parameters.

    Reference: Dozat, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ

    Example:
      >>> tx, params = gradtx.nadam(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.147  0.147]
    """
    return adam(
        learning_rate,
        b1,
        b2,
        eps,
        eps_root,
        mu_dtype,
        nesterov=nesterov,
        nu_dtype=nu_dtype,
    )


@transformation
def nadamw(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: MaskOrFn | None = None,
    *,
    nesterov: bool = True,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """NAdamW: :func:`adamw` that looks ahead.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside the root.
      eps_root: ε_root, at least 0, inside the root.
      mu_dtype: the type to keep m, the mean, in; the parameter's if None.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      nesterov: whether the mean looks one step ahead; without it this is AdamW.
      nu_dtype: the type to keep v, the mean square, in; if None the parameter's, and
        float32 for half-precision parameters.

    Reference: Dozat, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ;
      Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101

    Example:
      >>> tx, params = gradtx.nadamw(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.147  0.147]
    """
    return adamw(
        learning_rate,
        b1,
        b2,
        eps,
        eps_root,
        mu_dtype,
        weight_decay,
        mask,
        nesterov=nesterov,
        nu_dtype=nu_dtype,
    )
