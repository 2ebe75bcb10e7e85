"""KL-SOAP: Adam in the eigenbases of the most likely Kronecker factors."""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import ema, ema_of_squares, safe_divide, sqrt
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    Exact,
    MaskOrFn,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Static,
    Updates,
)
from gradtx.core.slots import squares, zeros
from gradtx.core.stacking import Column, Leaves, blockwise
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers import kl_factors
from gradtx.optimizers.eigenbasis import (
    refreshed,
    rotate,
    rotate_back,
    unless_first,
    up_to,
)


class ScaleByKLSOAPState(NamedTuple):
    """What :func:`scale_by_kl_soap` remembers."""

    count: Count
    mu: Updates  # m, in the basis
    nu: SecondMoment  # v, in the basis
    factors: Exact  # S, for every axis
    bases: Exact  # Q, for every axis
    inverse_roots: Exact  # e = λ^(-1/2), for every axis


@transformation
def scale_by_kl_soap(
    b1: Scalar = 0.9,
    b2: Scalar = 0.98,
    shampoo_beta: Scalar | None = None,
    eps: Scalar = 1e-8,
    precondition_frequency: int = 10,
    normalize_grads: bool = False,
    init_factor: Scalar = 0.1,
    damping: Scalar = 0.0,
    clamp: Scalar | None = 4000.0,
    *,
    max_precond_dim: int = 10_000,
    weight_dimension_numbers: Static = None,
    mu_dtype: DTypeLike | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Scale by Adam in the eigenbases of the Kronecker factors of largest likelihood.

        m ← β₁ m + (1 - β₁) G',  v ← β₂ v + (1 - β₂) G'²     G' = Q_Lᵀ G Q_R
        u = Q_L (m / (√v + ε)) Q_Rᵀ

    with the bases Q of :func:`scale_by_kl_shampoo`, each the eigenvectors of a factor
    that is averaged after the others have been whitened away; :func:`scale_by_soap` has
    Shampoo's. No bias is corrected. As there, the first step only looks at the
    gradient, ``mu`` and ``nu`` are coordinates in the bases, what is kept for an axis
    is so in float32 at least, and to derivatives the bases are constants.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean of squares is kept.
      shampoo_beta: β, how much of the factors and eigenvalues is kept; β₂ if None.
      eps: ε, added to √v.
      precondition_frequency: f, after how many steps the bases are turned.
      normalize_grads: whether u is divided by the root mean square of its matrix.
      init_factor: the eigenvalues to start from, above 0.
      damping: δ; δ times the mean of 1 / λ of the other axes is added to what the
        eigenvalues are averaged with.
      clamp: λ^(-1/2) is at most this, or the length of the axis if that is less, but
        at least 10; None sets no bound.
      max_precond_dim: how long an axis with a factor may be.
      weight_dimension_numbers: which axes make up matrices, the others being batches of
        them, as :func:`scale_by_muon` takes it. If None every leaf is one tensor, axes
        of length 1 left out.
      mu_dtype: the type to keep m in; the parameter's if None.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range; for complex parameters; if a leaf
        has, without axes of length 1, neither two nor three axes.

    Reference: Lin et al., 2025, https://arxiv.org/abs/2509.03378

    Example:
      >>> tx, params = gradtx.scale_by_kl_soap(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[0. 0.]
       [0. 0.]]
    """
    checks.decay_rates(b1=b1, b2=b2, shampoo_beta=shampoo_beta)
    checks.non_negative(eps=eps, damping=damping, max_precond_dim=max_precond_dim)
    checks.positive(init_factor=init_factor, clamp=clamp)
    checks.positive_int(precondition_frequency=precondition_frequency)
    has = up_to(max_precond_dim)
    beta = b2 if shampoo_beta is None else shampoo_beta

    def rule(
        leaves: Leaves,
        m: Column,
        v: Column,
        factors: Column,
        bases: Column,
        roots: Column,
        *,
        t: Count,
    ) -> Any:
        first = t == 1
        blocks = leaves.cut(leaves.g)
        rotated = rotate(leaves, blocks, bases)
        g = leaves.join(rotated)
        m = leaves.each(partial(unless_first, ema, b1, first), m, g)
        v = leaves.each(partial(unless_first, ema_of_squares, b2, first), v, g)
        w = leaves.each(lambda m, v: safe_divide(m, sqrt(v) + eps), m, v)
        back = rotate_back(leaves, leaves.cut(w), bases, normalize=normalize_grads)
        u = leaves.each(lambda x: jnp.where(first, 0, x), leaves.join(back))
        factors, roots = kl_factors.refined(
            leaves,
            first,
            blocks,
            rotated,
            factors,
            bases,
            roots,
            decay=beta,
            damping=damping,
            clamp=clamp,
        )
        bases, m, _ = refreshed(leaves, t, precondition_frequency, factors, bases, m)
        return u, m, v, factors, bases, roots

    return blockwise(
        rule,
        ScaleByKLSOAPState,
        kl_factors.plan,
        weight_dimension_numbers,
        split=split,
        mu=lambda p, blocks: zeros(p, dtype=mu_dtype),  # noqa: ARG005
        nu=lambda p, blocks: squares(p),  # noqa: ARG005
        **kl_factors.slots(has, init_factor),
    )


@transformation
def kl_soap(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.98,
    shampoo_beta: Scalar | None = None,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule | None = 0.01,
    mask: MaskOrFn | None = None,
    precondition_frequency: int = 10,
    normalize_grads: bool = False,
    init_factor: Scalar = 0.1,
    damping: Scalar = 0.0,
    clamp: Scalar | None = 4000.0,
    *,
    max_precond_dim: int = 10_000,
    weight_dimension_numbers: Static = None,
    mu_dtype: DTypeLike | None = None,
    adam_b1: Scalar = 0.9,
    adam_b2: Scalar = 0.999,
    adam_eps: Scalar = 1e-8,
    adam_learning_rate: ScalarOrSchedule | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """KL-SOAP for matrices, and AdamW for all other parameters.

        p ← p - η (u + λ p)          u: the direction of :func:`scale_by_kl_soap`

    **Which leaves go where**: those of two or three axes, of which one at least is not
    longer than ``max_precond_dim``, go to KL-SOAP; vectors, scalars and all others
    to AdamW. Axes of length 1 do not count. ``weight_dimension_numbers`` says it
    otherwise.

    The authors' program decays after the step, and not in the first, which only looks
    at the gradient: :func:`decay_after_step` does so.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean of squares is kept.
      shampoo_beta: β, how much of the factors and eigenvalues is kept; β₂ if None.
      eps: ε, added to √v.
      weight_decay: λ, for all leaves, or a schedule; None leaves the decay out.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      precondition_frequency: f, after how many steps the bases are turned.
      normalize_grads: whether every u has the same root mean square.
      init_factor: the eigenvalues to start from.
      damping: what is added to the eigenvalues, relative to those of the other axes.
      clamp: a bound of λ^(-1/2); None sets none.
      max_precond_dim: how long an axis with a factor may be.
      weight_dimension_numbers: a tree of :class:`MuonDimensionNumbers` with the
        structure of the parameters or a prefix of it, None standing where a leaf goes
        to AdamW; or a function that makes one from the parameters.
      mu_dtype: the type to keep means in; the parameter's if None.
      adam_b1: AdamW's β₁.
      adam_b2: AdamW's β₂.
      adam_eps: AdamW's ε.
      adam_learning_rate: the learning rate of AdamW's leaves; η if None.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range; for complex parameters.

    Reference: Lin et al., 2025, https://arxiv.org/abs/2509.03378

    Example:
      >>> tx, params = gradtx.kl_soap(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(7))
      [[-0.001 -0.   ]
       [-0.    -0.001]]
    """
    checks.decay_rates(adam_b1=adam_b1, adam_b2=adam_b2)
    checks.non_negative(adam_eps=adam_eps, adam_learning_rate=adam_learning_rate)
    direction = scale_by_kl_soap(
        b1,
        b2,
        shampoo_beta,
        eps,
        precondition_frequency,
        normalize_grads,
        init_factor,
        damping,
        clamp,
        max_precond_dim=max_precond_dim,
        weight_dimension_numbers=weight_dimension_numbers,
        split=split,
        mu_dtype=mu_dtype,
    )
    return kl_factors.with_adamw(
        direction,
        learning_rate,
        weight_decay,
        mask,
        numbers=weight_dimension_numbers,
        limit=max_precond_dim,
        adam=(adam_learning_rate, adam_b1, adam_b2, adam_eps, mu_dtype),
    )
