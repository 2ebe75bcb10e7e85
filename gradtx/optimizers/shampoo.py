"""Shampoo: inverse roots of the second moments along every axis of a block."""

from functools import partial
from typing import Any, NamedTuple

import jax

from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    Exact,
    MaskOrFn,
    OptState,
    Scalar,
    ScalarOrSchedule,
    Static,
    Updates,
)
from gradtx.core.stacking import Column, Leaves, blockwise
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.linalg.bases import inverse_power
from gradtx.linalg.blocks import Dims
from gradtx.linalg.kronecker import gram, multiply_axes
from gradtx.lowering.conditional import cond_inplace
from gradtx.optimizers.eigenbasis import identities, per_axis, zero_matrices
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


class ScaleByShampooState(NamedTuple):
    """What :func:`scale_by_shampoo` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    factors: Exact  # L, for every axis of every block
    roots: Exact  # P, the inverse roots of the factors
    graft_state: OptState


@transformation
def scale_by_shampoo(
    b1: Scalar = 0.9,
    b2: Scalar = 1.0,
    b3: Scalar | None = None,
    eps: Scalar = 1e-12,
    precondition_frequency: int = 1,
    start_preconditioning_step: int | None = None,
    max_preconditioner_dim: int = 1024,
    target_dims: int | None = 1,
    exponents: Static = None,
    bias_correction: bool = True,
    graft: GradientTransformation | None = None,
    *,
    whiten_others: bool = False,
    pseudo_inverse: bool = False,
    weight_dimension_numbers: Static = None,
    mu_dtype: DTypeLike | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Multiply the mean gradient by inverse roots of its second moments, axis by axis.

        L ← β₂ L + (1 - β₂) G Gᵀ                  a sum, L + G Gᵀ, where β₂ = 1
        P_L ← (L / (1 - β₂ᵗ) + ε I)⁻ᵖ             every f steps, from step t₀ on
        m̄ = β₃ m + (1 - β₃) G,  m ← β₁ m + (1 - β₁) G,  m̄ ← m̄ / (1 - β₃ β₁ᵗ⁻¹)
        u = P_L m̄ P_R                             R from Gᵀ G alike
        u ← u ‖a‖ / ‖u‖                           a: the direction of ``graft``
        u = a                                     before step t₀

    p is 1 / (2 k) for a tensor of k axes: 1/2 for vectors, 1/4 for matrices.

    **What is a tensor**: axes of length 1 vanish, and from the last axis backwards
    neighbours are merged while their product is at most ``max_preconditioner_dim`` and
    more than ``target_dims`` axes remain. So by default a small matrix is one vector
    with a large factor: ``target_dims=None`` merges nothing. Then every axis is cut
    into pieces of ``max_preconditioner_dim``, the last may be shorter, and every block
    has its own factors, roots and norm. So state and time are bounded for any shape.
    Vectors and scalars are tensors as well: for one block that is Adagrad with a full
    matrix.

    In the state a leaf has, for every region of blocks of one shape, a factor and a
    root for each axis, of shape (blocks, d, d), in float32 at least. To derivatives the
    roots are constants.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, in [0, 1], how much of the factors is kept; with 1 they are sums.
      b3: β₃, another decay for the mean of this step only; β₁ if None.
      eps: ε, added to the factors. In float32 it has to be seen beside them.
      precondition_frequency: f, after how many steps the roots are found anew.
      start_preconditioning_step: t₀, the first step with roots; f if None. Before it
        the roots are identities.
      max_preconditioner_dim: how long an axis of a block may be.
      target_dims: down to how many axes neighbours are merged; None merges none.
      exponents: powers p other than 1 / (2 k): a mapping from k to p, or to a mapping
        from axes to p, such as ``{2: {0: 0.5, 1: 0.0}}``. An axis with power 0 is left
        alone and has no factor.
      bias_correction: whether the biases of means are corrected.
      graft: a transformation whose updates give every block its norm, such as
        :func:`graft_by_rms` or ``scale_by_adam()``. It is given the gradients, the
        extra arguments, and m̄ as ``mean``. None keeps the norms.
      whiten_others: whether the products for a factor are of G multiplied by the roots
        of all other axes: the form of KL-Shampoo, with β₂ < 1 and powers of 1/2.
      pseudo_inverse: whether directions without any gradient become 0, for ε = 0.
      weight_dimension_numbers: which axes make up matrices, the others being batches of
        them, as :func:`scale_by_muon` takes it; of those nothing is merged. A leaf
        without is one tensor.
      mu_dtype: the type to keep m in; the parameter's if None.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range; for complex parameters.

    Reference: Gupta et al., 2018, https://arxiv.org/abs/1802.09568 (Algorithm 2);
      Anil et al., 2020, https://arxiv.org/abs/2002.09018 (blocks, grafting);
      Shi et al., 2023, https://arxiv.org/abs/2309.06497

    Example:
      >>> print(gradtx.scale_by_shampoo(b2=0.9))
      scale_by_shampoo(b2=0.9)
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

    def power(k: int, i: int) -> float:
        return of_order(exponents, k, i, 1 / (2 * max(k, 1)))

    def has(dims: Dims, i: int) -> bool:
        return power(len(dims), i) != 0

    def products(g: jax.Array, roots: Any) -> Any:
        def one(i: int) -> jax.Array:
            others = [None if j == i else p for j, p in enumerate(roots)]
            return gram(multiply_axes(g, others) if whiten_others else g, i)

        return tuple(None if p is None else one(i) for i, p in enumerate(roots))

    def found(t: Count, factors: Any, old: Any) -> Any:
        return tuple(
            None
            if a is None
            else inverse_power(
                unbiased(a, b2, t, correct=bias_correction),
                power(len(old), i),
                eps,
                old[i],
                pseudo=pseudo_inverse,
            )
            for i, a in enumerate(factors)
        )

    def rule(
        leaves: Leaves,
        factors: Column,
        roots: Column,
        *,
        t: Count,
        mean: Updates,
        other: Updates | None = None,
    ) -> Any:
        new = leaves.stacked(products, leaves.cut(leaves.g), roots)
        new = leaves.together(new)
        factors = jax.tree.map(partial(sum_or_mean, decay=b2), factors, new)
        due = is_due(t, precondition_frequency, start_preconditioning_step)
        roots = cond_inplace(
            due,
            lambda old: leaves.stacked(partial(found, t), factors, old),
            roots,
        )
        u = leaves.stacked(multiply_axes, leaves.cut(leaves.column(mean)), roots)
        if other is not None:
            a = leaves.cut(leaves.column(other))
            starts = t >= (start_preconditioning_step or precondition_frequency)
            u = grafted(leaves, u, a, starts=starts)
        return leaves.join(u), factors, roots

    inner = blockwise(
        rule,
        ScaleByShampooState,
        planning(max_preconditioner_dim, target_dims),
        weight_dimension_numbers,
        split=split,
        factors=partial(per_axis, has=has, make=zero_matrices),
        roots=partial(per_axis, has=has, make=identities),
    )
    return with_mean_and_grafting(
        inner, b1, b3, mu_dtype, graft, correct=bias_correction
    )


@transformation
def shampoo(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 1.0,
    b3: Scalar | None = None,
    eps: Scalar = 1e-12,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    precondition_frequency: int = 1,
    start_preconditioning_step: int | None = None,
    max_preconditioner_dim: int = 1024,
    target_dims: int | None = 1,
    exponents: Static = None,
    bias_correction: bool = True,
    graft: GradientTransformation | None = None,
    *,
    whiten_others: bool = False,
    pseudo_inverse: bool = False,
    weight_dimension_numbers: Static = None,
    mu_dtype: DTypeLike | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Shampoo: :func:`scale_by_shampoo` made an optimizer by :func:`descend`.

        p ← p - η (u + λ p)

    In place of Adam, with its learning rate::

        shampoo(
            1e-3,
            b2=0.999,
            precondition_frequency=100,
            max_preconditioner_dim=8192,
            graft=graft_by_rms(0.999),
        )

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, in [0, 1], how much of the factors is kept; with 1 they are sums.
      b3: β₃, another decay for the mean of this step only; β₁ if None.
      eps: ε, added to the factors.
      weight_decay: λ, or a schedule; None leaves the decay out. For an L2 penalty put
        :func:`add_decayed_weights` before.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      precondition_frequency: f, after how many steps the roots are found anew.
      start_preconditioning_step: t₀, the first step with roots; f if None.
      max_preconditioner_dim: how long an axis of a block may be.
      target_dims: down to how many axes neighbours are merged; None merges none.
      exponents: powers other than 1 / (2 k), by the number k of axes.
      bias_correction: whether the biases of means are corrected.
      graft: a transformation whose updates give every block its norm.
      whiten_others: whether each factor is of what the other axes' roots have whitened.
      pseudo_inverse: whether directions without any gradient become 0, for ε = 0.
      weight_dimension_numbers: which axes make up matrices, as
        :func:`scale_by_shampoo` takes it.
      mu_dtype: the type to keep the mean in; the parameter's if None.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range; for complex parameters.

    Reference: Gupta et al., 2018, https://arxiv.org/abs/1802.09568;
      Shi et al., 2023, https://arxiv.org/abs/2309.06497

    Example:
      >>> print(gradtx.shampoo(0.1, b2=0.9))
      shampoo(learning_rate=0.1, b2=0.9)
    """
    direction = scale_by_shampoo(
        b1,
        b2,
        b3,
        eps,
        precondition_frequency,
        start_preconditioning_step,
        max_preconditioner_dim,
        target_dims,
        exponents,
        bias_correction,
        graft,
        whiten_others=whiten_others,
        pseudo_inverse=pseudo_inverse,
        weight_dimension_numbers=weight_dimension_numbers,
        split=split,
        mu_dtype=mu_dtype,
    )
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
