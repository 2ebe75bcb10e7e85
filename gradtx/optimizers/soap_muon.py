"""SOAP-Muon: momentum divided in SOAP's bases, and then orthogonalized."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import ema, ema_of_squares, safe_divide, sqrt
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    Exact,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Static,
    Updates,
)
from gradtx.core.slots import squares, zeros
from gradtx.core.stacking import Column, Leaves, blockwise
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.linalg.blocks import Blocks, Dims
from gradtx.linalg.heads import MatrixAxes
from gradtx.linalg.orthogonal import largest_entry, schatten_norm
from gradtx.optimizers.adam import adamw
from gradtx.optimizers.eigenbasis import (
    averaged_grams,
    factors_and_bases,
    refreshed,
    rotate,
    rotate_back,
    unless_first,
    up_to,
)
from gradtx.optimizers.orthogonal import Iteration
from gradtx.optimizers.routing import of_two_axes, with_rest
from gradtx.primitives.downhill import scale_by_learning_rate
from gradtx.primitives.radial import (
    floor_by_weights,
    keep_radial_step,
    scale_radial_part,
)
from gradtx.primitives.shape import scale_by_shape
from gradtx.wrappers.chain import chain


class ScaleBySOAPMuonState(NamedTuple):
    """What :func:`scale_by_soap_muon` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # v, in the bases
    factors: Exact  # L, for every axis
    bases: Exact  # Q, for every axis


@transformation
def scale_by_soap_muon(
    b1: Scalar = 0.95,
    b2: Scalar = 0.9,
    eps: Scalar = 1e-8,
    precondition_frequency: int = 1,
    max_precond_dim: int = 10_000,
    ns_coeffs: Any = "exact",
    ns_steps: int = 5,
    mu_dtype: DTypeLike | None = None,
    *,
    ns_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Divide the mean gradient in SOAP's bases, then orthogonalize it.

        m ← β₁ m + (1 - β₁) g,  x = β₁ m + (1 - β₁) g
        from step 2:  w = Qᵀ x P
                      v ← β₂ v + (1 - β₂) w²
                      y = Q (w / max(√v, ε)) Pᵀ,  x ← y S(x) / S(y)
        u = NS(x / S(x))
        L ← β₂ L + (1 - β₂) g gᵀ             so R, of gᵀ g, for P
        step 1: Q ← the eigenvectors of L
        later, every f steps: Q ← the orthogonal factor of L Q, its columns sorted;
                              v ← v sorted alike

    with S(x) = ‖x xᵀ‖^½, the Schatten-4 norm. The parts of it: the mean is that of
    :func:`scale_by_muon`, the bases those of :func:`scale_by_soap`.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of v and of the factors is kept.
      eps: ε.
      precondition_frequency: f, after how many steps the bases are turned.
      max_precond_dim: how long an axis with a factor may be.
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps to make, where ``ns_coeffs`` is one triple.
      mu_dtype: the type to keep m in; the parameter's if None.
      ns_dtype: the type to iterate in; at least float32 if None.
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`scale_by_muon` takes them.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range or a setting not known; if a leaf is
        no matrix, or complex.

    Reference: Vyas, 2026, https://nikhilvyas.github.io/SOAP_Muon.pdf; Jordan et al.,
      2026, https://github.com/KellerJordan/modded-nanogpt (track 3, records 44 to 46)

    Example:
      >>> tx, params = gradtx.scale_by_soap_muon(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 0.95  0.32]
       [ 0.32 -0.95]]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps, max_precond_dim=max_precond_dim)
    checks.positive_int(precondition_frequency=precondition_frequency)
    iteration = Iteration(ns_coeffs, ns_steps, 0.0, "schatten", ns_dtype, min_norm=1e-7)
    iteration.check()

    def divided(w: jax.Array, v: jax.Array) -> jax.Array:
        return safe_divide(w, sqrt(jnp.maximum(v, eps * eps)))

    def rule(
        leaves: Leaves,
        m: Column,
        v: Column,
        factors: Column,
        bases: Column,
        *,
        t: Count,
    ) -> Any:
        first = t == 1
        m = leaves.each(lambda m, g: ema(m, g, b1), m, leaves.g)
        x = leaves.cut(leaves.each(lambda m, g: ema(m, g, b1), m, leaves.g))
        w = leaves.join(rotate(leaves, x, bases))
        v = leaves.each(partial(unless_first, ema_of_squares, b2, first), v, w)
        y = rotate_back(leaves, leaves.cut(leaves.each(divided, w, v)), bases)
        u = leaves.stacked(partial(_orthogonal, iteration, first), x, y)
        factors = averaged_grams(leaves, leaves.cut(leaves.g), factors, b2)
        bases, _, v = refreshed(
            leaves, t, precondition_frequency, factors, bases, squares=v
        )
        return leaves.join(u), m, v, factors, bases

    return blockwise(
        rule,
        ScaleBySOAPMuonState,
        _plan,
        weight_dimension_numbers,
        split=split,
        mu=lambda p, blocks: zeros(p, dtype=mu_dtype),  # noqa: ARG005
        nu=lambda p, blocks: squares(p),  # noqa: ARG005
        **factors_and_bases(up_to(max_precond_dim)),
    )


def _plan(shape: Dims, numbers: Any, path: Any, *, left: bool) -> Blocks:
    del left
    return Blocks(shape, MatrixAxes() if numbers is None else numbers, path)


def _orthogonal(
    iteration: Iteration, first: jax.Array, x: jax.Array, y: jax.Array
) -> jax.Array:
    y = jnp.where(first, x, y * safe_divide(_schatten(x), _schatten(y)))
    return iteration(y)


def _schatten(x: jax.Array) -> jax.Array:
    top = largest_entry(x)
    return top * schatten_norm(x / top)


@transformation
def soap_muon(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.95,
    b2: Scalar = 0.9,
    floor: Scalar = 0.3825,
    weight_decay: ScalarOrSchedule = 0.025,
    *,
    outward_scale: Scalar = 0.5,
    precondition_frequency: int = 1,
    max_precond_dim: int = 10_000,
    ns_coeffs: Any = "exact",
    ns_steps: int = 5,
    mu_dtype: DTypeLike | None = None,
    ns_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    rest: GradientTransformation | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """SOAP-Muon for matrices, and AdamW for all other parameters.

    A chain of parts, each of which may stand elsewhere too:

        scale_by_soap_muon(b1, b2, ...)         the direction
        scale_by_shape()                        as Muon's
        scale_radial_part(outward_scale)        weights grow half as fast
        floor_by_weights(floor)                 no neuron moves too little
        scale_by_learning_rate(learning_rate)
        keep_radial_step(learning_rate, weight_decay)

    Weights must not begin at 0: their length grows with the radial part of steps only.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: how much of the mean is kept at each step.
      b2: how much of the mean square and of the factors is kept.
      floor: of :func:`floor_by_weights`.
      weight_decay: λ of :func:`keep_radial_step`, or a schedule.
      outward_scale: of :func:`scale_radial_part`.
      precondition_frequency: after how many steps the bases are turned.
      max_precond_dim: how long an axis with a factor may be.
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps the iteration makes, with one triple of coefficients.
      mu_dtype: the type to keep the mean in; the parameter's if None.
      ns_dtype: the type to iterate in; at least float32 if None.
      weight_dimension_numbers: what :func:`gradtx.matrices` returns, or as
        :func:`muon` takes them; every leaf of two axes is a matrix if None.
      rest: the method for all other leaves; ``adamw(learning_rate)`` if None.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range or a setting not known; if a leaf is
        given to SOAP-Muon that is no matrix; from ``update`` without parameters.

    Reference: Jordan et al., 2026, https://github.com/KellerJordan/modded-nanogpt
      (track 3, records 44 to 46)

    Example:
      >>> tx, params = gradtx.soap_muon(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.09999999 -0.03      ]
       [-0.03        0.09      ]]
    """
    numbers = of_two_axes(weight_dimension_numbers)
    direction = scale_by_soap_muon(
        b1,
        b2,
        precondition_frequency=precondition_frequency,
        max_precond_dim=max_precond_dim,
        ns_coeffs=ns_coeffs,
        ns_steps=ns_steps,
        mu_dtype=mu_dtype,
        ns_dtype=ns_dtype,
        weight_dimension_numbers=numbers,
        split=split,
    )
    matrices = chain(
        direction,
        scale_by_shape(numbers),
        scale_radial_part(outward_scale, weight_dimension_numbers=numbers),
        floor_by_weights(floor, weight_dimension_numbers=numbers),
        scale_by_learning_rate(learning_rate),
        keep_radial_step(learning_rate, weight_decay, weight_dimension_numbers=numbers),
    )
    rest = adamw(learning_rate) if rest is None else rest
    return with_rest(matrices, rest, numbers, ("matrices", "rest"))
