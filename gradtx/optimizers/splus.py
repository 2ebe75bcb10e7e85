"""SPlus: the sign of the mean gradient in Shampoo's eigenbases."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import ema, one_minus_power, safe_increment
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    Exact,
    MaskOrFn,
    OptState,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
    Static,
    Updates,
    Weights,
)
from gradtx.core.leafwise import flatten_updates, leafwise
from gradtx.core.slots import wide_zeros, zeros
from gradtx.core.stacking import Column, Leaves, blockwise
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.linalg import axes
from gradtx.linalg.blocks import Blocks, Dims
from gradtx.linalg.kronecker import multiply_axes
from gradtx.lowering.conditional import cond_inplace
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.optimizers.eigenbasis import (
    all_eigenvectors,
    averaged_grams,
    factors_and_bases,
    rotate,
    up_to,
)
from gradtx.primitives.decay_after import decay_after_step
from gradtx.primitives.downhill import scale_by_learning_rate
from gradtx.primitives.shape import MuonDimensionNumbers, factors_of
from gradtx.wrappers.chain import chain

AXES = 2


class ScaleBySPlusState(NamedTuple):
    """What :func:`scale_by_splus` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    factors: Exact  # L, for every axis
    bases: Exact  # Q, for every axis


@transformation
def scale_by_splus(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    inverse_every: int = 100,
    max_dim: int = 10_000,
    nonstandard_constant: Scalar = 0.001,
    *,
    weight_dimension_numbers: Static = None,
    mu_dtype: DTypeLike | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Take the sign of the mean gradient in the eigenbases of its second moments.

        m ← b₁ m + (1 - b₁) G
        u = s Q_L sign(Q_Lᵀ m Q_R) Q_Rᵀ          s = 2 / (rows + columns)
        L ← b₂ L + (1 - b₂) G Gᵀ                 so R, of Gᵀ G
        Q_L ← the eigenvectors of L              in the first step and every f steps
        u = s sign(m)                            s = 0.001, for all that is no matrix

    The bases start as identities, and u is made with those of the step before. Factors
    and bases are kept in float32 at least. To derivatives the bases are constants.

    **What is treated how**: an axis of a matrix that has ``max_dim`` entries has no
    factor; a matrix with a longer one, such as an embedding, has the s of what is no
    matrix, and no factor for that axis. Leaves of one axis or of more than two are no
    matrices, nor are leaves without dimension numbers where others have them.

    Args:
      b1: b₁, how much of the mean is kept at each step.
      b2: b₂, how much of the factors is kept.
      inverse_every: f, after how many steps the bases are found anew.
      max_dim: how long an axis with a factor may be, and one more.
      nonstandard_constant: s of what is no matrix.
      weight_dimension_numbers: which axes make up matrices, the others being batches of
        them, as :func:`scale_by_muon` takes it. Leaves of two axes are matrices if
        None.
      mu_dtype: the type to keep m in; the parameter's if None.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range; for complex parameters.

    Reference: Frans et al., 2025, https://arxiv.org/abs/2506.07254

    Example:
      >>> print(gradtx.scale_by_splus(inverse_every=50))
      scale_by_splus(inverse_every=50)
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(nonstandard_constant=nonstandard_constant)
    checks.positive_int(inverse_every=inverse_every, max_dim=max_dim)
    factor = partial(_factor, max_dim, nonstandard_constant)

    def rule(
        leaves: Leaves, m: Column, factors: Column, bases: Column, *, t: Count
    ) -> Any:
        m = leaves.each(lambda m, g: ema(m, g, b1), m, leaves.g)
        turned = rotate(leaves, leaves.cut(m), bases)
        back = leaves.join(leaves.stacked(_sign_back, turned, bases))
        u = leaves.each(
            lambda u, b: jnp.asarray(factor(b), u.dtype) * u, back, leaves.blocks
        )
        factors = averaged_grams(leaves, leaves.cut(leaves.g), factors, b2)
        due = (t == 1) | (t % inverse_every == 0)
        find = partial(all_eigenvectors, leaves, factors, descending=False)
        bases = cond_inplace(due, lambda _: find(), bases)
        return u, m, factors, bases

    return blockwise(
        rule,
        ScaleBySPlusState,
        _plan,
        weight_dimension_numbers,
        split=split,
        mu=lambda p, blocks: zeros(p, dtype=mu_dtype),  # noqa: ARG005
        **factors_and_bases(up_to(max_dim - 1)),
    )


def _plan(shape: Dims, numbers: Any, path: Any, *, left: bool) -> Blocks:
    plain = left or (numbers is None and len(shape) != AXES)
    return Blocks(shape, numbers, path, elementwise=plain)


def _factor(max_dim: int, otherwise: Scalar, blocks: Blocks) -> Any:
    """Return s of a leaf, or one for every column that fits its shape."""
    if blocks.elementwise:
        return otherwise

    def of_matrix(rows: int, columns: int) -> Any:
        return otherwise if max(rows, columns) > max_dim else 2 / (rows + columns)

    numbers = blocks.numbers or MuonDimensionNumbers()
    return factors_of(blocks.shape, numbers, blocks.path, of_matrix)


def _sign_back(turned: jax.Array, bases: Any) -> jax.Array:
    return multiply_axes(jnp.sign(turned), bases, transpose=True)


# --- the parameters to evaluate with -----------------------------------------


class SPlusAverageState(NamedTuple):
    """What :func:`splus` remembers of the parameters."""

    count: Count
    average: Weights  # e, the mean of the parameters
    ema_rate: jax.Array  # ρ

    def averaged_params(self, params: Params) -> Params:
        """Return e / (1 - ρᵗ), and ``params`` before the first step."""
        share = one_minus_power(self.ema_rate, self.count, self.ema_rate.dtype)

        def one(e: jax.Array, p: jax.Array) -> jax.Array:
            none = self.count == 0
            mean = e / jnp.where(none, 1, share).astype(e.dtype)
            return jnp.where(none, p, mean).astype(p.dtype)

        return jax.tree.map(one, self.average, params)


class _Average(NamedTuple):
    average: Params


def _averaging(ema_rate: Scalar) -> GradientTransformation:
    """Average what the step leads to, and pass the updates on."""

    def rule(u: jax.Array, e: jax.Array, *, p: jax.Array) -> tuple[jax.Array, ...]:
        return u, ema(e, p + u, ema_rate)

    follow = leafwise(rule, _Average, average=wide_zeros)

    def init(params: Params) -> OptState:
        rate = replicated_like(params, ema_rate, jnp.result_type(float))
        return SPlusAverageState(zero_count(params), follow.init(params).average, rate)

    def update(
        updates: Updates,
        state: SPlusAverageState,
        params: Params | None = None,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        updates, new = follow.update(updates, _Average(state.average), params)
        count = safe_increment(state.count)
        return updates, SPlusAverageState(count, new.average, state.ema_rate)

    return GradientTransformation(init, update)


@transformation
def splus(
    learning_rate: ScalarOrSchedule = 0.1,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    ema_rate: Scalar = 0.999,
    inverse_every: int = 100,
    weight_decay: ScalarOrSchedule = 1e-2,
    mask: MaskOrFn | None = None,
    max_dim: int = 10_000,
    nonstandard_constant: Scalar = 0.001,
    *,
    weight_dimension_numbers: Static = None,
    mu_dtype: DTypeLike | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """SPlus: :func:`scale_by_splus`, with a mean of the parameters to evaluate with.

        p ← p - η u
        e ← ρ e + (1 - ρ) p                 evaluate at e / (1 - ρᵗ)
        p ← (1 - η s λ) p                   s: the factor in u, by the leaf's shape

    :func:`gradtx.eval_params` finds the mean, wherever this stands.

    Args:
      learning_rate: η, or a schedule of the number of steps taken. One serves all sizes
        of a model.
      b1: b₁, how much of the mean is kept at each step.
      b2: b₂, how much of the factors is kept.
      ema_rate: ρ, how much of the mean of the parameters is kept.
      inverse_every: f, after how many steps the bases are found anew.
      weight_decay: λ, or a schedule.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      max_dim: how long an axis with a factor may be, and one more.
      nonstandard_constant: s of what is no matrix.
      weight_dimension_numbers: which axes make up matrices, as
        :func:`scale_by_splus` takes it.
      mu_dtype: the type to keep the mean gradient in; the parameter's if None.
      split: the axis, or axes, of the mesh over which the blocks of one shape are
        shared out, as :func:`scale_by_muon` takes it; factors are then kept in parts
        over it. None: as the compiler likes.

    Raises:
      ValueError: if a number is outside its range; for complex parameters; from
        ``update`` if it is given no parameters.

    Reference: Frans et al., 2025, https://arxiv.org/abs/2506.07254

    Example:
      >>> print(gradtx.splus(0.2, inverse_every=50))
      splus(learning_rate=0.2, inverse_every=50)
    """
    checks.decay_rates(ema_rate=ema_rate)

    def factors(updates: Updates) -> PyTree:
        leaves, treedef = flatten_updates(updates)
        found = axes.resolve_dimension_numbers(
            weight_dimension_numbers, updates, lambda _: None
        )
        listed = axes.listed_dimension_numbers(found)
        left = weight_dimension_numbers is not None
        plans = [
            None if g is None else _plan(g.shape, n, path, left=left and n is None)
            for (path, g), n in zip(leaves, listed, strict=True)
        ]

        def factor(blocks: Blocks) -> Any:
            s = _factor(max_dim, nonstandard_constant, blocks)
            return jnp.broadcast_to(s, blocks.shape) if jnp.ndim(s) else s

        return treedef.unflatten([None if b is None else factor(b) for b in plans])

    return chain(
        scale_by_splus(
            b1,
            b2,
            inverse_every,
            max_dim,
            nonstandard_constant,
            weight_dimension_numbers=weight_dimension_numbers,
            split=split,
            mu_dtype=mu_dtype,
        ),
        scale_by_learning_rate(learning_rate),
        _averaging(ema_rate),
        decay_after_step(learning_rate, weight_decay, mask, rate_factors=factors),
    )
