"""AdEMAMix: Adam with a second, much slower mean of the gradients."""

from functools import partial
from typing import NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    debias,
    ema,
    safe_divide,
    safe_increment,
    sqrt,
    value_at,
)
from gradtx.common.types import (
    Count,
    DTypeLike,
    MaskOrFn,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import squares, wide_zeros, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.lowering.sharding import zero_count
from gradtx.wrappers.chain import descend


class ScaleByAdemamixState(NamedTuple):
    """What :func:`scale_by_ademamix` remembers."""

    count: Count
    count_m2: Count  # what the schedules of β₃ and α are asked for
    m1: Updates  # the fast mean of the gradients
    m2: Updates  # the slow one
    nu: SecondMoment  # v, the mean of their squares


@transformation
def scale_by_ademamix(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 6.0,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Divide a fast and a slow mean of the gradients by their root mean square.

        m₁ ← β₁ m₁ + (1 - β₁) g
        m₂ ← β₃ m₂ + (1 - β₃) g
        v  ← β₂ v  + (1 - β₂) |g|²
        u = (m̂₁ + α m₂) / (√(v̂ + ε_root) + ε)   m̂₁ = m₁ / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)

    The slow mean is not made unbiased, so that it comes in by and by. The paper warms α
    up from 0, and β₃ from β₁; give schedules for that.

    Args:
      b1: β₁, how much of the fast mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      b3: β₃, how much of the slow mean is kept, or a schedule of the number of steps
        taken.
      alpha: α, the weight of the slow mean, or a schedule of it.
      eps: ε, outside the root.
      eps_root: ε_root, inside the root.
      mu_dtype: the type to keep m₁ and m₂ in; if None the parameter's for m₁, and for
        m₂ at least float32, as with few bits so slow a mean would stand still.
      nu_dtype: the type to keep v in; if None the parameter's, and float32 for
        half-precision parameters.

    Raises:
      ValueError: if a decay is outside [0, 1), or another number is negative.

    Reference: Pagliardini et al., 2024, https://arxiv.org/abs/2409.03137 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.scale_by_ademamix(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1.001 -1.001]
    """
    checks.decay_rates(b1=b1, b2=b2, b3=b3)
    checks.non_negative(alpha=alpha, eps=eps, eps_root=eps_root)

    def rule(
        g: jax.Array,
        m1: jax.Array,
        m2: jax.Array,
        v: jax.Array,
        *,
        t: Count,
        taken: Count,
    ) -> tuple[jax.Array, ...]:
        m1 = ema(m1, g, b1)
        m2 = ema(m2, g, value_at(b3, taken))
        v = ema(v, abs_sq(g), b2)
        mean = debias(m1, b1, t) + value_at(alpha, taken) * m2
        return safe_divide(mean, sqrt(debias(v, b2, t) + eps_root) + eps), m1, m2, v

    slow = wide_zeros if mu_dtype is None else partial(zeros, dtype=mu_dtype)
    step = leafwise(
        rule,
        ScaleByAdemamixState,
        m1=partial(zeros, dtype=mu_dtype),
        m2=slow,
        nu=partial(squares, dtype=nu_dtype),
    )

    def init(params: Params) -> OptState:
        return step.init(params)._replace(count_m2=zero_count(params))

    def update(
        updates: Updates,
        state: ScaleByAdemamixState,
        params: Params | None = None,
        **_: object,
    ) -> tuple[Updates, OptState]:
        u, new = step.update(updates, state, params, taken=state.count_m2)
        return u, new._replace(count_m2=safe_increment(state.count_m2))

    return GradientTransformation(init, update)


@transformation
def ademamix(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 5.0,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    *,
    nu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """AdEMAMix: :func:`scale_by_ademamix` made an optimizer by :func:`descend`.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the fast mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      b3: β₃ in [0, 1), how much of the slow mean is kept, or a schedule of the number
        of steps taken.
      alpha: α, at least 0, the weight of the slow mean, or a schedule of it.
      eps: ε, at least 0, outside the root.
      eps_root: ε_root, at least 0, inside the root.
      mu_dtype: the type to keep m₁ and m₂ in; if None the parameter's for m₁, and for
        m₂ at least float32.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      nu_dtype: the type to keep v, the mean square, in; if None the parameter's, and
        float32 for half-precision parameters.

    Example:
      >>> tx, params = gradtx.ademamix(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    direction = scale_by_ademamix(
        b1, b2, b3, alpha, eps, eps_root, mu_dtype, nu_dtype=nu_dtype
    )
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
