"""Shampoo with corrected eigenvalues: the scales are averaged in the eigenbases."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common.numerics import abs_sq
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    Exact,
    MaskOrFn,
    OptState,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Static,
    Updates,
)
from gradtx.core.slots import squares
from gradtx.core.stacking import Column, Leaves, blockwise
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.linalg.blocks import Dims
from gradtx.lowering.conditional import cond_inplace
from gradtx.optimizers.eigenbasis import (
    all_eigenvectors,
    averaged_grams,
    factors_and_bases,
    rotate,
    rotate_back,
)
from gradtx.optimizers.shampoo_grafting import grafted, with_mean_and_grafting
from gradtx.optimizers.shampoo_parts import (
    check_settings,
    is_due,
    of_order,
    planning,
    sum_or_mean,
    unbiased,
)
from gradtx.wrappers.chain import descend


class ScaleByCorrectedShampooState(NamedTuple):
    """What :func:`scale_by_corrected_shampoo` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # v, the mean of squares in the bases
    factors: Exact  # L, for every axis of every block
    bases: Exact  # Q, for every axis of every block
    graft_state: OptState


@transformation
def scale_by_corrected_shampoo(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    b3: Scalar | None = None,
    eps: Scalar = 1e-8,
    precondition_frequency: int = 1,
    start_preconditioning_step: int | None = None,
    max_preconditioner_dim: int = 1024,
    target_dims: int | None = 1,
    exponents: Static = None,
    ignored_dims: Static = None,
    bias_correction: bool = True,
    graft: GradientTransformation | None = None,
    *,
    weight_dimension_numbers: Static = None,
    mu_dtype: DTypeLike | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Scale by Adam in the eigenbases of Shampoo's factors, with the new gradient.

        L ← β₂ L + (1 - β₂) G Gᵀ,  Q_L ← its eigenvectors       every f steps
        v ← β₂ v + (1 - β₂) (Q_Lᵀ G Q_R)²
        u = Q_L ((Q_Lᵀ m̄ Q_R) / (v̂ᵖ + ε)) Q_Rᵀ    v̂ = v / (1 - β₂ᵗ)

    with the mean m̄, the merging, the blocks and the grafting of
    :func:`scale_by_shampoo`. Against :func:`scale_by_soap` the bases are found anew,
    and with this step's gradient; v is not sorted when they change. ``nu`` has the
    shapes of the parameters, but holds squares of coordinates. To derivatives the bases
    are constants.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, in [0, 1], how much of the factors and of v is kept; with 1 they are sums.
      b3: β₃, another decay for the mean of this step only; β₁ if None.
      eps: ε, added to v̂ᵖ.
      precondition_frequency: f, after how many steps the bases are found anew.
      start_preconditioning_step: t₀, the first step with bases; f if None. Before it
        they are identities.
      max_preconditioner_dim: how long an axis of a block may be.
      target_dims: down to how many axes neighbours are merged; None merges none.
      exponents: powers p other than 1/2: a mapping from the number of axes to p.
      ignored_dims: axes that are left alone: a mapping from the number of axes to a
        sequence of some of them.
      bias_correction: whether the biases of means are corrected.
      graft: a transformation whose updates give every block its norm.
      weight_dimension_numbers: which axes make up matrices, as
        :func:`scale_by_shampoo` takes it.
      mu_dtype: the type to keep m in; the parameter's if None.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range; for complex parameters.

    Reference: Eschenhagen et al., 2025, https://arxiv.org/abs/2506.03595;
      George et al., 2018, https://arxiv.org/abs/1806.03884

    Example:
      >>> tx, params = gradtx.scale_by_corrected_shampoo(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.25  2.01]
       [ 0.   -0.93]]
    """
    check_settings(
        b1,
        b2,
        b3,
        eps,
        precondition_frequency,
        start_preconditioning_step,
        max_preconditioner_dim,
        target_dims,
    )

    def has(dims: Dims, i: int) -> bool:
        return i not in of_order(ignored_dims, len(dims), i, ())

    def scaled(t: Count, m: jax.Array, v: jax.Array) -> jax.Array:
        power = of_order(exponents, m.ndim - 1, 0, 0.5)
        v = unbiased(v, b2, t, correct=bias_correction)
        zero = v == 0
        below = jnp.where(zero, 0, jnp.where(zero, 1, v) ** power) + eps
        return m / jnp.where(below == 0, jnp.inf, below)

    def rule(
        leaves: Leaves,
        v: Column,
        factors: Column,
        bases: Column,
        *,
        t: Count,
        mean: Updates,
        other: Updates | None = None,
    ) -> Any:
        blocks = leaves.cut(leaves.g)
        factors = averaged_grams(leaves, blocks, factors, b2, sum_or_mean)
        due = is_due(t, precondition_frequency, start_preconditioning_step)
        find = partial(all_eigenvectors, leaves, factors, descending=False)
        bases = cond_inplace(due, lambda _: find(), bases)
        g = leaves.join(rotate(leaves, blocks, bases))
        v = leaves.each(lambda v, g: sum_or_mean(v, abs_sq(g), b2), v, g)
        m = rotate(leaves, leaves.cut(leaves.column(mean)), bases)
        w = leaves.stacked(partial(scaled, t), m, leaves.cut(v))
        u = rotate_back(leaves, w, bases)
        if other is not None:
            a = leaves.cut(leaves.column(other))
            starts = t >= (start_preconditioning_step or precondition_frequency)
            u = grafted(leaves, u, a, starts=starts)
        return leaves.join(u), v, factors, bases

    inner = blockwise(
        rule,
        ScaleByCorrectedShampooState,
        planning(max_preconditioner_dim, target_dims),
        weight_dimension_numbers,
        split=split,
        nu=lambda p, blocks: squares(p),  # noqa: ARG005
        **factors_and_bases(has),
    )
    return with_mean_and_grafting(
        inner, b1, b3, mu_dtype, graft, correct=bias_correction
    )


@transformation
def corrected_shampoo(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    b3: Scalar | None = None,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    precondition_frequency: int = 1,
    start_preconditioning_step: int | None = None,
    max_preconditioner_dim: int = 1024,
    target_dims: int | None = 1,
    exponents: Static = None,
    ignored_dims: Static = None,
    bias_correction: bool = True,
    graft: GradientTransformation | None = None,
    *,
    weight_dimension_numbers: Static = None,
    mu_dtype: DTypeLike | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Shampoo with corrected eigenvalues, made an optimizer by :func:`descend`.

        p ← p - η (u + λ p)      u: the direction of :func:`scale_by_corrected_shampoo`

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, in [0, 1], how much of the factors and of v is kept; with 1 they are sums.
      b3: β₃, another decay for the mean of this step only; β₁ if None.
      eps: ε, added to the root of v.
      weight_decay: λ, or a schedule; None leaves the decay out.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      precondition_frequency: f, after how many steps the bases are found anew.
      start_preconditioning_step: t₀, the first step with bases; f if None.
      max_preconditioner_dim: how long an axis of a block may be.
      target_dims: down to how many axes neighbours are merged; None merges none.
      exponents: powers other than 1/2, by the number of axes.
      ignored_dims: axes that are left alone, by the number of axes.
      bias_correction: whether the biases of means are corrected.
      graft: a transformation whose updates give every block its norm.
      weight_dimension_numbers: which axes make up matrices, as
        :func:`scale_by_shampoo` takes it.
      mu_dtype: the type to keep the mean in; the parameter's if None.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range; for complex parameters.

    Reference: Eschenhagen et al., 2025, https://arxiv.org/abs/2506.03595

    Example:
      >>> tx, params = gradtx.corrected_shampoo(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 0.02       -0.19999999]
       [-0.          0.09      ]]
    """
    direction = scale_by_corrected_shampoo(
        b1,
        b2,
        b3,
        eps,
        precondition_frequency,
        start_preconditioning_step,
        max_preconditioner_dim,
        target_dims,
        exponents,
        ignored_dims,
        bias_correction,
        graft,
        weight_dimension_numbers=weight_dimension_numbers,
        split=split,
        mu_dtype=mu_dtype,
    )
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
