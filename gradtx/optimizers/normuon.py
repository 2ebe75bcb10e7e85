"""NorMuon: Muon, with the steps of all neurons brought to one length."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import ema, safe_divide, sqrt, square
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
from gradtx.core.slots import totals, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.linalg import axes, presets
from gradtx.optimizers.orthogonal import Iteration, momentum_of
from gradtx.optimizers.routing import descend_with_rest, of_two_axes
from gradtx.primitives.shape import factors_of, numbers_of_leaves, scale_by_shape
from gradtx.wrappers.chain import chain


class ScaleByNorMuonState(NamedTuple):
    """What :func:`scale_by_normuon` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # v, a mean square for every neuron


@transformation
def scale_by_normuon(
    ns_coeffs: Any = presets.KELLER,
    ns_steps: int = 5,
    beta: Scalar = 0.95,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-10,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    bias_correction: bool = False,
    momentum: str = "mean",
    consistent_rms: Scalar | None = None,
    ns_eps: Scalar = 1e-7,
    ns_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Orthogonalize the mean gradient, and divide by the mean square of each neuron.

        m ← β m + (1 - β) g
        o = NS(β m + (1 - β) g)               as :func:`scale_by_muon`
        v ← β₂ v + (1 - β₂) mean(o²)          over the inputs of each output
        ô = o / (√v + ε)
        u = ô ‖o‖ / ‖ô‖                       norms of each matrix
        u = r √(in out) ô / ‖ô‖               with ``consistent_rms`` r

    Orthogonal as o is, its columns may differ by much in length, and with them the
    steps of the neurons. ``nu`` has one number for each.

    Args:
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps to make, where ``ns_coeffs`` is one triple.
      beta: β, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, and the lower bound of ‖ô‖.
      mu_dtype: the type to keep m in; the parameter's if None.
      nesterov: whether the mean looks ahead; m itself is orthogonalized if not.
      bias_correction: whether means are divided by 1 - βᵗ.
      momentum: "mean", or "sum" for m ← β m + g.
      consistent_rms: r, the root mean square of all entries of u; the paper has 0.2,
        and no Nesterov. If None, u keeps the norm of o, as in the authors' program.
      ns_eps: ε of the iteration.
      ns_dtype: the type to iterate in; at least float32 if None.
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`scale_by_muon` takes them.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; from
        ``update``, if a leaf is no matrix.

    Reference: Li et al., 2025, https://arxiv.org/abs/2510.05491

    Example:
      >>> tx, params = gradtx.scale_by_normuon(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 0.81        0.16      ]
       [ 0.42999998 -0.9       ]]
    """
    checks.decay_rates(b2=b2)
    checks.non_negative(eps=eps, consistent_rms=consistent_rms)
    iteration = Iteration(ns_coeffs, ns_steps, ns_eps, dtype=ns_dtype)
    iteration.check()
    mean = momentum_of(beta, nesterov, bias_correction, momentum)

    def rule(g: jax.Array, m: jax.Array, *, t: Count) -> tuple[jax.Array, jax.Array]:
        return mean(g, m, t)

    def normalized(
        o: jax.Array, v: jax.Array, numbers: Any, path: Any
    ) -> tuple[jax.Array, jax.Array]:
        return by_neuron(o, v, numbers, path, b2=b2, eps=eps, rms=consistent_rms)

    return matrixwise(
        rule,
        lambda x, state: iteration(x),  # noqa: ARG005
        partial(numbers_of_leaves, weight_dimension_numbers),
        ScaleByNorMuonState,
        normalized,
        per_neuron,
        split=split,
        mu=partial(zeros, dtype=mu_dtype),
    )


def per_neuron(p: jax.Array, numbers: Any, path: Any) -> jax.Array:
    """Make a slot with a number for every output of a matrix."""
    return totals(p, axis=axes.reduction_axes(p.shape, numbers, path), keepdims=True)


def by_neuron(
    o: jax.Array,
    v: jax.Array,
    numbers: Any,
    path: Any,
    *,
    b2: Scalar,
    eps: Scalar,
    rms: Scalar | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Return u and v of :func:`scale_by_normuon`."""
    inputs = axes.reduction_axes(o.shape, numbers, path)
    squares = jnp.sum(square(o), axis=inputs, keepdims=True)
    v = ema(v, squares / math.prod(o.shape[i] for i in inputs), b2)
    below = sqrt(v) + eps
    total = partial(axes.matrix_sums, shape=o.shape, numbers=numbers, path=path)
    after = sqrt(total(safe_divide(safe_divide(squares, below), below)))
    if rms is None:
        length = sqrt(total(squares))
    else:
        area = factors_of(o.shape, numbers, path, lambda m, n: math.sqrt(m * n))
        length = rms * area
    return safe_divide(o, below) * safe_divide(length, jnp.maximum(after, eps)), v


@transformation
def normuon(
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
    bias_correction: bool = False,
    momentum: str = "mean",
    shape_factor: str = "keller",
    consistent_rms: Scalar | None = None,
    ns_eps: Scalar = 1e-7,
    ns_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    rest: GradientTransformation | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """NorMuon for matrices, and AdamW for all other parameters.

        p ← p - η (s u + λ p)       u: the direction of :func:`scale_by_normuon`
                                    s: the factor of :func:`scale_by_shape`

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps the iteration makes, with one triple of coefficients.
      beta: β, how much of the mean is kept at each step.
      b2: β₂, how much of each neuron's mean square is kept.
      eps: ε of the division.
      weight_decay: λ, or a schedule; also AdamW's.
      weight_decay_mask: which of the matrices decay; all if None.
      mu_dtype: the type to keep means in; the parameter's if None.
      nesterov: whether the mean looks ahead.
      bias_correction: whether means are divided by 1 - βᵗ.
      momentum: "mean" or "sum".
      shape_factor: the name of s.
      consistent_rms: r, with which s is 1, as in the paper.
      ns_eps: ε of the iteration.
      ns_dtype: the type to iterate in; at least float32 if None.
      weight_dimension_numbers: what :func:`gradtx.matrices` returns, or as
        :func:`muon` takes them; every leaf of two axes is a matrix if None.
      rest: the method for all other leaves; ``adamw(learning_rate)`` if None.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; if a leaf is
        given to NorMuon that is no matrix.

    Reference: Li et al., 2025, https://arxiv.org/abs/2510.05491

    Example:
      >>> tx, params = gradtx.normuon(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.08 -0.02]
       [-0.04  0.09]]
    """
    numbers = of_two_axes(weight_dimension_numbers)
    direction = scale_by_normuon(
        ns_coeffs,
        ns_steps,
        beta,
        b2,
        eps,
        mu_dtype,
        nesterov=nesterov,
        bias_correction=bias_correction,
        momentum=momentum,
        consistent_rms=consistent_rms,
        ns_eps=ns_eps,
        ns_dtype=ns_dtype,
        weight_dimension_numbers=numbers,
        split=split,
    )
    factor = shape_factor if consistent_rms is None else "none"
    return descend_with_rest(
        chain(direction, scale_by_shape(numbers, shape_factor=factor)),
        learning_rate,
        numbers,
        weight_decay=weight_decay,
        mask=weight_decay_mask,
        rest=rest,
    )
