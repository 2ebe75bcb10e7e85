"""Muon²: the mean gradient divided as Adam's is, before it is orthogonalized."""

from functools import partial
from typing import Any, NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import ema_of_squares, safe_divide, sqrt
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    MaskOrFn,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Static,
    Updates,
)
from gradtx.core.matrixwise import matrixwise
from gradtx.core.slots import squares, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.linalg import presets
from gradtx.optimizers.orthogonal import Iteration, momentum_of
from gradtx.optimizers.routing import descend_with_rest, of_two_axes
from gradtx.primitives.shape import numbers_of_leaves, scale_by_shape
from gradtx.wrappers.chain import chain


class ScaleByMuonSquaredState(NamedTuple):
    """What :func:`scale_by_muon_squared` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # v, the mean of their squares


@transformation
def scale_by_muon_squared(
    ns_coeffs: Any = presets.KELLER,
    ns_steps: int = 5,
    beta: Scalar = 0.95,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-10,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    ns_eps: Scalar = 1e-7,
    ns_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Orthogonalize the mean gradient, divided by the root of its mean square.

        m ← β m + (1 - β) g
        v ← β₂ v + (1 - β₂) |g|²
        u = NS((β m + (1 - β) g) / (√v + ε))        NS as :func:`scale_by_muon`

    Divided so, the matrix has singular values that lie nearer to each other, and fewer
    steps of the iteration suffice.

    Args:
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps to make, where ``ns_coeffs`` is one triple.
      beta: β, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε.
      mu_dtype: the type to keep m in; the parameter's if None.
      nesterov: whether the mean looks ahead; m itself is divided if not.
      ns_eps: ε of the iteration.
      ns_dtype: the type to iterate in; at least float32 if None.
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`scale_by_muon` takes them.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; from
        ``update``, if a leaf is no matrix.

    Reference: https://arxiv.org/abs/2604.09967 (2026)

    Example:
      >>> tx, params = gradtx.scale_by_muon_squared(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 0.81  0.24]
       [ 0.56 -0.81]]
    """
    checks.decay_rates(b2=b2)
    checks.non_negative(eps=eps)
    iteration = Iteration(ns_coeffs, ns_steps, ns_eps, dtype=ns_dtype)
    iteration.check()
    mean = momentum_of(beta, nesterov)

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        x, m = mean(g, m, t)
        v = ema_of_squares(v, g, b2)
        return safe_divide(x, sqrt(v) + eps), m, v

    return matrixwise(
        rule,
        lambda x, state: iteration(x),  # noqa: ARG005
        partial(numbers_of_leaves, weight_dimension_numbers),
        ScaleByMuonSquaredState,
        split=split,
        mu=partial(zeros, dtype=mu_dtype),
        nu=squares,
    )


@transformation
def muon_squared(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Any = presets.KELLER,
    ns_steps: int = 5,
    beta: Scalar = 0.95,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-10,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: MaskOrFn | None = None,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    shape_factor: str = "keller",
    ns_eps: Scalar = 1e-7,
    ns_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    rest: GradientTransformation | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Muon² for matrices, and AdamW for all other parameters.

        p ← p - η (s u + λ p)       u: the direction of :func:`scale_by_muon_squared`
                                    s: the factor of :func:`scale_by_shape`

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps the iteration makes, with one triple of coefficients.
      beta: β, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε.
      weight_decay: λ, or a schedule; also AdamW's.
      weight_decay_mask: which of the matrices decay; all if None.
      mu_dtype: the type to keep means in; the parameter's if None.
      nesterov: whether the mean looks ahead.
      shape_factor: the name of s.
      ns_eps: ε of the iteration.
      ns_dtype: the type to iterate in; at least float32 if None.
      weight_dimension_numbers: what :func:`gradtx.matrices` returns, or as
        :func:`muon` takes them; every leaf of two axes is a matrix if None.
      rest: the method for all other leaves; ``adamw(learning_rate)`` if None.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; if a leaf is
        given to Muon² that is no matrix.

    Reference: https://arxiv.org/abs/2604.09967 (2026)

    Example:
      >>> tx, params = gradtx.muon_squared(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.08 -0.02]
       [-0.06  0.08]]
    """
    numbers = of_two_axes(weight_dimension_numbers)
    direction = scale_by_muon_squared(
        ns_coeffs,
        ns_steps,
        beta,
        b2,
        eps,
        mu_dtype,
        nesterov=nesterov,
        ns_eps=ns_eps,
        ns_dtype=ns_dtype,
        weight_dimension_numbers=numbers,
        split=split,
    )
    return descend_with_rest(
        chain(direction, scale_by_shape(numbers, shape_factor=shape_factor)),
        learning_rate,
        numbers,
        weight_decay=weight_decay,
        mask=weight_decay_mask,
        rest=rest,
    )
