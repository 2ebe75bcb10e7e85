"""AdaMuon: Muon of signs, divided entry by entry by its root mean square."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.directions import sign
from gradtx.common.numerics import ema_of_squares, safe_divide, sqrt, square
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
from gradtx.linalg import axes, presets
from gradtx.optimizers.orthogonal import Iteration, momentum_of
from gradtx.optimizers.routing import descend_with_rest, of_two_axes
from gradtx.primitives.shape import factors_of, numbers_of_leaves


class ScaleByAdaMuonState(NamedTuple):
    """What :func:`scale_by_adamuon` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # v, the mean of the squares of what is orthogonalized


@transformation
def scale_by_adamuon(
    ns_coeffs: Any = presets.KELLER,
    ns_steps: int = 5,
    beta: Scalar = 0.95,
    b2: Scalar | None = None,
    eps: Scalar = 1e-8,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    consistent_rms: Scalar = 0.2,
    ns_eps: Scalar = 1e-7,
    ns_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Orthogonalize the signs of the mean gradient, and divide by its mean square.

        m ← β m + (1 - β) g
        o = NS(sign(β m + (1 - β) g))         NS as :func:`scale_by_muon`
        v ← β₂ v + (1 - β₂) o²
        ô = o / (√v + ε)
        u = r √(in out) ô / (‖ô‖ + ε)         the norm of each matrix

    Bias corrections of m and v would be lost in the sign and the norm. The sign of 0
    is 0.

    Args:
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps to make, where ``ns_coeffs`` is one triple.
      beta: β, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept; β if None.
      eps: ε.
      mu_dtype: the type to keep m in; the parameter's if None.
      nesterov: whether the mean looks ahead; the signs are those of m if not.
      consistent_rms: r, the root mean square of the entries of u.
      ns_eps: ε of the iteration.
      ns_dtype: the type to iterate in; at least float32 if None.
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`scale_by_muon` takes them.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; from
        ``update``, if a leaf is no matrix.

    Reference: Si et al., 2025, https://arxiv.org/abs/2507.11005

    Example:
      >>> tx, params = gradtx.scale_by_adamuon(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 0.19999999  0.19999999]
       [ 0.19999999 -0.19999999]]
    """
    checks.decay_rates(b2=b2)
    checks.non_negative(eps=eps, consistent_rms=consistent_rms)
    iteration = Iteration(ns_coeffs, ns_steps, ns_eps, dtype=ns_dtype)
    iteration.check()
    mean = momentum_of(beta, nesterov)
    decay = beta if b2 is None else b2

    def rule(g: jax.Array, m: jax.Array, *, t: Count) -> tuple[jax.Array, jax.Array]:
        x, m = mean(g, m, t)
        return sign(x), m

    def divided(
        o: jax.Array, v: jax.Array, numbers: Any, path: Any
    ) -> tuple[jax.Array, jax.Array]:
        v = ema_of_squares(v, o, decay)
        o = safe_divide(o, sqrt(v) + eps)
        inputs = axes.reduction_axes(o.shape, numbers, path)
        columns = jnp.sum(square(o), axis=inputs, keepdims=True)
        length = sqrt(axes.matrix_sums(columns, o.shape, numbers, path))
        area = factors_of(o.shape, numbers, path, lambda m, n: math.sqrt(m * n))
        return o * safe_divide(consistent_rms * area, length + eps), v

    return matrixwise(
        rule,
        lambda x, state: iteration(x),  # noqa: ARG005
        partial(numbers_of_leaves, weight_dimension_numbers),
        ScaleByAdaMuonState,
        divided,
        lambda p, numbers, path: squares(p),  # noqa: ARG005
        split=split,
        mu=partial(zeros, dtype=mu_dtype),
    )


@transformation
def adamuon(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Any = presets.KELLER,
    ns_steps: int = 5,
    beta: Scalar = 0.95,
    b2: Scalar | None = None,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.01,
    weight_decay_mask: MaskOrFn | None = None,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    consistent_rms: Scalar = 0.2,
    ns_eps: Scalar = 1e-7,
    ns_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    rest: GradientTransformation | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """AdaMuon for matrices, and AdamW for all other parameters.

        p ← p - η (u + λ p)         u: the direction of :func:`scale_by_adamuon`

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps the iteration makes, with one triple of coefficients.
      beta: β, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept; β if None.
      eps: ε.
      weight_decay: λ, or a schedule; also AdamW's.
      weight_decay_mask: which of the matrices decay; all if None.
      mu_dtype: the type to keep means in; the parameter's if None.
      nesterov: whether the mean looks ahead.
      consistent_rms: r, the root mean square of the entries of u; 0.2 is AdamW's.
      ns_eps: ε of the iteration.
      ns_dtype: the type to iterate in; at least float32 if None.
      weight_dimension_numbers: what :func:`gradtx.matrices` returns, or as
        :func:`muon` takes them; every leaf of two axes is a matrix if None.
      rest: the method for all other leaves; ``adamw(learning_rate)`` if None.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; if a leaf is
        given to AdaMuon that is no matrix.

    Reference: Si et al., 2025, https://arxiv.org/abs/2507.11005

    Example:
      >>> tx, params = gradtx.adamuon(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.02 -0.02]
       [-0.02  0.02]]
    """
    numbers = of_two_axes(weight_dimension_numbers)
    direction = scale_by_adamuon(
        ns_coeffs,
        ns_steps,
        beta,
        b2,
        eps,
        mu_dtype,
        nesterov=nesterov,
        consistent_rms=consistent_rms,
        ns_eps=ns_eps,
        ns_dtype=ns_dtype,
        weight_dimension_numbers=numbers,
        split=split,
    )
    return descend_with_rest(
        direction,
        learning_rate,
        numbers,
        weight_decay=weight_decay,
        mask=weight_decay_mask,
        rest=rest,
    )
