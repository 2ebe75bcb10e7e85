"""SOAP: Adam in the slowly turning eigenbases of Shampoo's factors."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    debias,
    ema,
    ema_of_squares,
    one_minus_power,
    safe_divide,
    sqrt,
)
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
from gradtx.linalg.blocks import Blocks, Dims, merged_forwards
from gradtx.optimizers.eigenbasis import (
    averaged_grams,
    factors_and_bases,
    or_elementwise,
    refreshed,
    rotate,
    rotate_back,
    unless_first,
    up_to,
)
from gradtx.wrappers.chain import descend


class ScaleBySOAPState(NamedTuple):
    """What :func:`scale_by_soap` remembers."""

    count: Count
    mu: Updates  # m, in the basis
    nu: SecondMoment  # v, in the basis
    factors: Exact  # L, for every axis
    bases: Exact  # Q, for every axis


@transformation
def scale_by_soap(
    b1: Scalar = 0.95,
    b2: Scalar = 0.95,
    shampoo_beta: Scalar | None = None,
    eps: Scalar = 1e-8,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10_000,
    merge_dims: bool = False,
    precondition_1d: bool = False,
    normalize_grads: bool = False,
    correct_bias: bool = True,
    *,
    weight_dimension_numbers: Static = None,
    mu_dtype: DTypeLike | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Scale by Adam in the eigenbases of the gradient's second moments.

        step 1:  L ← (1 - β) G Gᵀ,  Q ← the eigenvectors of L,  u = 0
        later, n = 1, 2, ...:
            G' = Q_Lᵀ G Q_R
            m ← β₁ m + (1 - β₁) G',  v ← β₂ v + (1 - β₂) G'²
            u = c Q_L (m / (√v + ε)) Q_Rᵀ        c = √(1 - β₂ⁿ) / (1 - β₁ⁿ)
            L ← β L + (1 - β) G Gᵀ               β of the factors; so R, of Gᵀ G
            every f steps:  Q ← the orthogonal factor of L Q, its columns sorted;
                            v ← v sorted alike,  m ← m turned into the new basis

    A tensor of more axes has a factor for each. The first step only looks at the
    gradient. ``mu`` and ``nu`` have the shapes of the parameters, but are coordinates
    in the basis. The factors and bases are kept in float32 at least, as are the sums
    that make them. To derivatives the bases are constants.

    **What is treated how**: an axis longer than ``max_precond_dim``, such as that of a
    vocabulary, has no factor; vectors, scalars and leaves without dimension numbers,
    where others have them, get Adam, with ε within the correction, from step 2.

    For a TPU, XLA takes minutes to compile a step with long axes, and a fifth of that
    if ``jax.jit`` is given ``compiler_options={"optimization_level": 19}``.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean of squares is kept.
      shampoo_beta: β, how much of the factors is kept; β₂ if None.
      eps: ε, added to √v before the correction c.
      precondition_frequency: f, after how many steps the bases are turned.
      max_precond_dim: how long an axis with a factor may be.
      merge_dims: whether neighbouring axes are taken for one while their product is at
        most ``max_precond_dim``. Not where there are dimension numbers.
      precondition_1d: whether a vector has a factor too.
      normalize_grads: whether u is divided by the root mean square of its block, before
        it is multiplied by c.
      correct_bias: whether to multiply by c.
      weight_dimension_numbers: which axes make up matrices, the others being batches of
        them, as :func:`scale_by_muon` takes it. Every leaf is one tensor if None.
      mu_dtype: the type to keep m in; the parameter's if None.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range; for complex parameters.

    Reference: Vyas et al., 2024, https://arxiv.org/abs/2409.11321 (Algorithm 3)

    Example:
      >>> tx, params = gradtx.scale_by_soap(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[0. 0.]
       [0. 0.]]
    """
    checks.decay_rates(b1=b1, b2=b2, shampoo_beta=shampoo_beta)
    checks.non_negative(eps=eps, max_precond_dim=max_precond_dim)
    checks.positive_int(precondition_frequency=precondition_frequency)
    has = up_to(max_precond_dim)
    beta = b2 if shampoo_beta is None else shampoo_beta

    def plan(shape: Dims, numbers: Any, path: Any, *, left: bool) -> Blocks:
        flat = numbers is None and len(shape) <= (0 if precondition_1d else 1)
        merge = partial(merged_forwards, limit=max_precond_dim)
        blocks = Blocks(
            shape,
            numbers,
            path,
            merge=merge if merge_dims and numbers is None else None,
            elementwise=flat or left,
        )
        return or_elementwise(blocks, has)

    def direction(m: jax.Array, v: jax.Array) -> jax.Array:
        return safe_divide(m, sqrt(v) + eps)

    def correction(t: Count, dtype: Any) -> jax.Array:
        c, n = jnp.ones((), dtype), jnp.maximum(t - 1, 1)
        if correct_bias:
            c = debias(sqrt(one_minus_power(b2, n, dtype)), b1, n)
        return jnp.where(t == 1, 0, c)

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
        blocks = leaves.cut(leaves.g)
        g = leaves.join(rotate(leaves, blocks, bases))
        m = leaves.each(partial(unless_first, ema, b1, first), m, g)
        v = leaves.each(partial(unless_first, ema_of_squares, b2, first), v, g)
        w = leaves.cut(leaves.each(direction, m, v))
        back = rotate_back(leaves, w, bases, normalize=normalize_grads)
        u = leaves.join(back)
        c = {dtype: correction(t, dtype) for dtype in dict.fromkeys(x.dtype for x in u)}
        u = leaves.each(lambda x: x * c[x.dtype], u)
        factors = averaged_grams(leaves, blocks, factors, beta)
        bases, m, v = refreshed(leaves, t, precondition_frequency, factors, bases, m, v)
        return u, m, v, factors, bases

    return blockwise(
        rule,
        ScaleBySOAPState,
        plan,
        weight_dimension_numbers,
        split=split,
        mu=lambda p, blocks: zeros(p, dtype=mu_dtype),  # noqa: ARG005
        nu=lambda p, blocks: squares(p),  # noqa: ARG005
        **factors_and_bases(has),
    )


@transformation
def soap(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.95,
    b2: Scalar = 0.95,
    shampoo_beta: Scalar | None = None,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule | None = 0.01,
    mask: MaskOrFn | None = None,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10_000,
    merge_dims: bool = False,
    precondition_1d: bool = False,
    normalize_grads: bool = False,
    correct_bias: bool = True,
    *,
    weight_dimension_numbers: Static = None,
    mu_dtype: DTypeLike | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """SOAP: :func:`scale_by_soap` made an optimizer by :func:`descend`.

        p ← p - η (u + λ p)

    The authors' program decays after the step, and not in the first, which only looks
    at the gradient: :func:`decay_after_step` does so.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean of squares is kept.
      shampoo_beta: β, how much of the factors is kept; β₂ if None.
      eps: ε, added to √v before the correction of its bias.
      weight_decay: λ, or a schedule; None leaves the decay out.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      precondition_frequency: f, after how many steps the bases are turned.
      max_precond_dim: how long an axis with a factor may be.
      merge_dims: whether neighbouring axes are taken for one.
      precondition_1d: whether a vector has a factor.
      normalize_grads: whether every u has the same root mean square.
      correct_bias: whether the biases of the means are corrected.
      weight_dimension_numbers: which axes make up matrices, as
        :func:`scale_by_soap` takes it.
      mu_dtype: the type to keep the mean in; the parameter's if None.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range; for complex parameters.

    Reference: Vyas et al., 2024, https://arxiv.org/abs/2409.11321

    Example:
      >>> tx, params = gradtx.soap(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(7))
      [[-0.001 -0.   ]
       [-0.    -0.001]]
    """
    direction = scale_by_soap(
        b1,
        b2,
        shampoo_beta,
        eps,
        precondition_frequency,
        max_precond_dim,
        merge_dims,
        precondition_1d,
        normalize_grads,
        correct_bias,
        weight_dimension_numbers=weight_dimension_numbers,
        split=split,
        mu_dtype=mu_dtype,
    )
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
