"""PSGD Kron: a Kronecker-factored preconditioner, fitted to whiten the gradient."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import debias, ema, value_at
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    Exact,
    MaskOrFn,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Static,
    Updates,
)
from gradtx.core.slots import zeros
from gradtx.core.stacking import Column, Leaves, blockwise
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.linalg.blocks import Blocks
from gradtx.lowering.conditional import cond_inplace
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.optimizers.psgd_factors import (
    check_mode,
    fitted,
    plan,
    preconditioned,
    start,
)
from gradtx.optimizers.psgd_schedule import preconditioner_update_schedule
from gradtx.primitives.noise import random_key
from gradtx.wrappers.chain import descend

_FALLING = preconditioner_update_schedule()


class ScaleByPSGDKronState(NamedTuple):
    """What :func:`scale_by_psgd_kron` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    factors: Exact  # Q, for every axis
    update_counter: Count  # steps since the factors were fitted
    rng_key: jax.Array


@transformation
def scale_by_psgd_kron(
    b1: Scalar = 0.9,
    preconditioner_update_probability: ScalarOrSchedule = _FALLING,
    max_size_triangular: int = 8192,
    min_ndim_triangular: int = 2,
    memory_save_mode: str | None = None,
    momentum_into_precond_update: bool = True,
    preconditioner_lr: Scalar = 0.1,
    preconditioner_init_scale: Scalar = 1.0,
    mu_dtype: DTypeLike | None = None,
    *,
    key: jax.Array | int | None = None,
    balance_probability: Scalar = 0.01,
    weight_dimension_numbers: Static = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Whiten the mean gradient by a Kronecker-factored P = Qᵀ Q that is fitted to it.

        m ← b₁ m + (1 - b₁) g,  m̂ = m / (1 - b₁ᵗ)
        every 1/prob steps:
            x = m̂ + √ε mean|m̂| V                       V ~ N(0, 1)
            A = Q x,  B = Q⁻ᵀ V                          along every axis
            Q ← Q - r triu(A Aᵀ - B Bᵀ) Q / ν(A Aᵀ + B Bᵀ)          for every axis
        u = Qᵀ Q m̂,  u ← u / max(1, rms(u) / 1.1)

    Q is upper triangular, or diagonal. ν is a lower bound of the largest eigenvalue, ε
    the rounding error of float32. From time to time, at random, the factors of a block
    are brought to one size first. A block whose gradient is all zero leaves its Q as it
    is.

    **Which axes are diagonal**: those of length 1 or longer than
    ``max_size_triangular``, all of leaves with fewer axes than
    ``min_ndim_triangular``, so those of vectors, and all of leaves without dimension
    numbers where others have them. A number has a factor of one number.

    ``update`` takes two extra arguments: ``probes``, a tree like the gradients with V,
    and ``balance``, whether to balance now; what is not given is drawn. Factors are
    kept in float32 at least. To derivatives they are constants.

    Args:
      b1: b₁, how much of the mean is kept at each step.
      preconditioner_update_probability: prob, the share of the steps that fit Q, above
        0, or a schedule of the number of steps taken; by default it falls from 1 after
        500 steps to 0.03. The steps are counted, not drawn.
      max_size_triangular: how long an axis with a triangular factor may be.
      min_ndim_triangular: how many axes a leaf with triangular factors has at least.
      memory_save_mode: "one_diag" makes the longest axis diagonal, of several the last,
        "all_diag" makes all so; None neither.
      momentum_into_precond_update: whether Q is fitted to m̂, or to the gradient.
      preconditioner_lr: r, in (0, 1).
      preconditioner_init_scale: Q starts as this multiple of the identity, over all
        axes. Too small a one for tiny gradients takes long to grow.
      mu_dtype: the type to keep m in; the parameter's if None.
      key: the random key to draw with, or an integer to make one of; None means 0.
      balance_probability: how likely a fit begins with balancing.
      weight_dimension_numbers: which axes make up matrices, the others being batches of
        them, as :func:`scale_by_muon` takes it. Every leaf is one tensor if None.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range or the mode not known; for complex
        parameters.

    Reference: Li, 2015, https://arxiv.org/abs/1512.04202; Pooladzandi and Li, 2024,
      https://arxiv.org/abs/2402.04553

    Example:
      >>> tx, params = gradtx.scale_by_psgd_kron(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 1.6999999   0.83      ]
       [ 0.05       -0.96999997]]
    """
    checks.decay_rates(b1=b1)
    checks.unit_interval(balance_probability=balance_probability)
    checks.positive(
        preconditioner_lr=preconditioner_lr,
        preconditioner_init_scale=preconditioner_init_scale,
        preconditioner_update_probability=preconditioner_update_probability,
    )
    checks.positive_int(
        max_size_triangular=max_size_triangular, min_ndim_triangular=min_ndim_triangular
    )
    check_mode(memory_save_mode)

    def factors_of(p: jax.Array, blocks: Blocks) -> Any:
        limits = max_size_triangular, min_ndim_triangular, memory_save_mode
        return start(p, blocks, preconditioner_init_scale, *limits)

    def rule(
        leaves: Leaves,
        m: Column,
        factors: Column,
        *,
        t: Count,
        due: Any,
        rng_key: jax.Array,
        probes: Updates | None = None,
        balance: Any = None,
    ) -> Any:
        m = leaves.each(lambda m, g: ema(m, g, b1), m, leaves.g)
        mean = leaves.cut(leaves.each(lambda m: debias(m, b1, t), m))
        x = mean if momentum_into_precond_update else leaves.cut(leaves.g)

        def fit(old: Column) -> Column:
            key = jax.random.fold_in(rng_key, t)
            now, v = balance, None if probes is None else leaves.column(probes)
            if now is None:
                now = jax.random.bernoulli(key, balance_probability)
            if v is None:
                v = _drawn(key, leaves.g)
            fit = partial(fitted, preconditioner_lr, now)
            return leaves.stacked(fit, x, leaves.cut(v), old)

        factors = cond_inplace(due, fit, factors)
        u = leaves.join(leaves.stacked(preconditioned, mean, factors))
        return u, m, factors

    inner = blockwise(
        rule,
        ScaleByPSGDKronState,
        plan,
        weight_dimension_numbers,
        split=split,
        mu=lambda p, blocks: zeros(p, dtype=mu_dtype),  # noqa: ARG005
        factors=factors_of,
    )

    def init(params: Params) -> OptState:
        rng_key = replicated_like(params, random_key(0 if key is None else key))
        counter = zero_count(params)
        return inner.init(params)._replace(update_counter=counter, rng_key=rng_key)

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        share = value_at(preconditioner_update_probability, state.count)
        waited = state.update_counter + 1
        due = waited >= 1 / share
        given = {k: extra[k] for k in ("probes", "balance") if k in extra}
        updates, new = inner.update(
            updates, state, params, due=due, rng_key=state.rng_key, **given
        )
        return updates, new._replace(update_counter=jnp.where(due, 0, waited))

    return GradientTransformation(init, update)


def _drawn(key: jax.Array, like: Column) -> Column:
    """Draw standard normal numbers for every leaf, at once for all of one shape."""
    groups: dict[Any, list[int]] = {}
    for i, x in enumerate(like):
        groups.setdefault((x.shape, x.dtype), []).append(i)
    done = list(like)
    for j, ((shape, dtype), members) in enumerate(groups.items()):
        one = jax.random.fold_in(key, j + 1)
        drawn = jax.random.normal(one, (len(members), *shape), dtype)
        for k, i in enumerate(members):
            done[i] = drawn[k]
    return done


@transformation
def psgd_kron(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    preconditioner_update_probability: ScalarOrSchedule = _FALLING,
    max_size_triangular: int = 8192,
    min_ndim_triangular: int = 2,
    memory_save_mode: str | None = None,
    momentum_into_precond_update: bool = True,
    preconditioner_lr: Scalar = 0.1,
    preconditioner_init_scale: Scalar = 1.0,
    mu_dtype: DTypeLike | None = None,
    *,
    key: jax.Array | int | None = None,
    balance_probability: Scalar = 0.01,
    weight_dimension_numbers: Static = None,
    split: AxisName = None,
) -> GradientTransformation:
    """PSGD Kron: :func:`scale_by_psgd_kron` made an optimizer by :func:`descend`.

        p ← p - η (u + λ p)

    As u has a root mean square of about 1, a good η is a half or a third of Adam's.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: b₁, how much of the mean is kept at each step.
      weight_decay: λ, or a schedule; None leaves the decay out.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      preconditioner_update_probability: the share of the steps that fit the factors.
      max_size_triangular: how long an axis with a triangular factor may be.
      min_ndim_triangular: how many axes a leaf with triangular factors has at least.
      memory_save_mode: "one_diag", "all_diag", or None.
      momentum_into_precond_update: whether the factors are fitted to the mean.
      preconditioner_lr: the learning rate of the factors.
      preconditioner_init_scale: the size that they start with.
      mu_dtype: the type to keep the mean in; the parameter's if None.
      key: the random key to draw with, or an integer to make one of; None means 0.
      balance_probability: how likely a fit begins with balancing.
      weight_dimension_numbers: which axes make up matrices, as
        :func:`scale_by_psgd_kron` takes it.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range; for complex parameters.

    Reference: Li, 2015, https://arxiv.org/abs/1512.04202

    Example:
      >>> tx, params = gradtx.psgd_kron(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.17       -0.08      ]
       [-0.          0.09999999]]
    """
    direction = scale_by_psgd_kron(
        b1,
        preconditioner_update_probability,
        max_size_triangular,
        min_ndim_triangular,
        memory_save_mode,
        momentum_into_precond_update,
        preconditioner_lr,
        preconditioner_init_scale,
        mu_dtype,
        key=key,
        balance_probability=balance_probability,
        weight_dimension_numbers=weight_dimension_numbers,
        split=split,
    )
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
