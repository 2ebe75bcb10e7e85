"""Grafting: the norms of another direction for Shampoo's."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import gradients, map_differentiable
from gradtx.common.numerics import abs_sq, safe_divide, safe_increment, sqrt
from gradtx.common.types import (
    Count,
    DTypeLike,
    OptState,
    Params,
    Scalar,
    SecondMoment,
    Updates,
)
from gradtx.core.leafwise import (
    flatten_updates,
    leafwise,
    matching_params,
    to_compute_dtype,
)
from gradtx.core.slots import squares, zeros
from gradtx.core.stacking import Column, Leaves
from gradtx.core.transformation import (
    GradientTransformation,
    init_empty_state,
    transformation,
    with_extra_args_support,
)
from gradtx.linalg.kronecker import norms
from gradtx.lowering.sharding import zero_count
from gradtx.optimizers.shampoo_parts import Mean, averaging, sum_or_mean, unbiased

LEAST_NORM = 1e-16


class _Grafting(NamedTuple):
    nu: Params
    mean: Updates


class GraftByRMSState(NamedTuple):
    """What :func:`graft_by_rms` remembers."""

    count: Count
    nu: SecondMoment  # v, the mean of squares


@transformation
def graft_by_rms(
    b2: Scalar = 0.999, eps: Scalar = 1e-8, bias_correction: bool = True
) -> GradientTransformation:
    """Divide a mean gradient that is given by the root of the mean squared gradient.

        v ← β₂ v + (1 - β₂) g²
        u = m̄ / (√v̂ + ε)                    v̂ = v / (1 - β₂ᵗ), or v

    The direction whose norm :func:`scale_by_shampoo` takes: Adam's, RMSProp's with
    ``bias_correction=False``, and Adagrad's with β₂ = 1, for which v is a sum. m̄ is the
    extra argument ``mean`` of ``update``, and the gradient if that is not given.

    Args:
      b2: β₂, in [0, 1].
      eps: ε, outside the root.
      bias_correction: whether v is made unbiased.

    Raises:
      ValueError: if a number is outside its range.

    Reference: Anil et al., 2020, https://arxiv.org/abs/2002.09018

    Example:
      >>> tx, params = gradtx.graft_by_rms(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -1.]
    """
    checks.unit_interval(b2=b2)
    checks.non_negative(eps=eps)

    def rule(
        g: jax.Array, v: jax.Array, mean: jax.Array, *, step: Count
    ) -> tuple[jax.Array, ...]:
        v = sum_or_mean(v, abs_sq(g), b2)
        root = sqrt(unbiased(v, b2, step, correct=bias_correction))
        return safe_divide(mean, root + eps), v, mean

    divide = leafwise(rule, _Grafting, nu=squares, mean=zeros)

    def init(params: Params) -> OptState:
        return GraftByRMSState(zero_count(params), divide.init(params).nu)

    def update(
        updates: Updates,
        state: GraftByRMSState,
        params: Params | None = None,
        *,
        mean: Updates | None = None,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        t = safe_increment(state.count)
        given = _Grafting(state.nu, updates if mean is None else mean)
        u, new = divide.update(updates, given, params, step=t)
        return u, GraftByRMSState(t, new.nu)

    return GradientTransformation(init, update)


@transformation
def graft_by_mean() -> GradientTransformation:
    """Return the mean gradient that is given: SGD's direction, for grafting.

    It is the extra argument ``mean`` of ``update``, or the gradient without it.

    Example:
      >>> tx, params = gradtx.graft_by_mean(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2. -1.]
    """

    def update(
        updates: Updates,
        state: OptState,
        params: Params | None = None,
        *,
        mean: Updates | None = None,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        del params
        return (updates if mean is None else mean), state

    return GradientTransformation(init_empty_state, update)


def grafted(leaves: Leaves, u: Column, other: Column, *, starts: Any) -> Column:
    """Give every block of u the norm of the other direction's; that itself before.

    Args:
      leaves: the leaves.
      u: the blocks.
      other: the other direction's.
      starts: whether u is used by now.
    """

    def one(u: jax.Array, a: jax.Array) -> jax.Array:
        size = norms(u)
        factor = norms(a) / jnp.where(size == 0, jnp.inf, size + LEAST_NORM)
        return jnp.where(starts, u * factor, a)

    return leaves.stacked(one, u, other)


def with_mean_and_grafting(
    inner: GradientTransformation,
    b1: Scalar,
    b3: Scalar | None,
    mu_dtype: DTypeLike | None,
    graft: GradientTransformation | None,
    *,
    correct: bool,
) -> GradientTransformation:
    """Give a form of Shampoo the mean gradient and the direction to take norms from.

    Args:
      inner: what wants ``mean`` and ``other`` as extra arguments, and leaves the fields
        ``mu`` and ``graft_state`` of its state free.
      b1: β₁ of :func:`averaging`.
      b3: β₃ of it.
      mu_dtype: the type to keep the mean in.
      graft: the other direction, or None.
      correct: whether the mean is made unbiased.
    """
    average = averaging(b1, b3, mu_dtype, correct=correct)
    other = None if graft is None else with_extra_args_support(graft)

    def init(params: Params) -> OptState:
        mu = average.init(params).mu
        state = None if other is None else other.init(params)
        return inner.init(params)._replace(mu=mu, graft_state=state)

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        # Refused here, where the parameters are known; the mean below has none.
        matching_params(params, *flatten_updates(updates))
        wide = map_differentiable(lambda g: to_compute_dtype(jnp.asarray(g)), updates)
        step = safe_increment(state.count)
        mean, kept = average.update(gradients(wide), Mean(state.mu), step=step)
        given = {"mean": mean}
        if other is not None:
            given["other"], graft_state = other.update(
                updates, state.graft_state, params, **extra, mean=mean
            )
            state = state._replace(graft_state=graft_state)
        u, state = inner.update(updates, state._replace(mu=kept.mu), params, **given)
        return u, state

    return GradientTransformation(init, update)
