"""Sophia: Newton's step by a light estimate of the curvature, and clipped."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.directions import clip_magnitude
from gradtx.common.numerics import compute_dtype, debias, ema, real_dtype, safe_divide
from gradtx.common.types import (
    Count,
    DTypeLike,
    MaskOrFn,
    OptState,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.leafwise import leafwise
from gradtx.core.reductions import compute_leaves, sum_over_leaves
from gradtx.core.slots import zeros
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.conditional import cond_inplace
from gradtx.lowering.control_flow import either
from gradtx.optimizers.hutchinson import hutchinson_estimator_diag_hessian
from gradtx.wrappers.chain import descend

_HUTCHINSON = hutchinson_estimator_diag_hessian()


class SophiaState(NamedTuple):
    """What :func:`scale_by_sophia` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: Params  # h, the mean of the curvatures, which may be negative
    hessian_fn_state: OptState


@transformation
def scale_by_sophia(
    b1: Scalar = 0.965,
    b2: Scalar = 0.99,
    eps: Scalar = 1e-8,
    gamma: Scalar = 0.01,
    clip_threshold: Scalar | None = 1.0,
    update_interval: int = 10,
    hessian_diagonal_fn: GradientTransformation = _HUTCHINSON,
    mu_dtype: DTypeLike | None = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: int = 0,
    *,
    bias_correction: bool = True,
    curvature_first: bool = False,
) -> GradientTransformation:
    """Divide the mean gradient by the mean curvature, and clip.

        m ← β₁ m + (1 - β₁) g
        u = clip(m̂ / max(γ h, ε), -κ, κ)              m̂ = m / (1 - β₁ᵗ)
        h ← β₂ h + (1 - β₂) ĥ                          every k-th step, from the first

    The paper's algorithm has m in place of m̂, ``bias_correction=False``, and updates h
    before it is divided by, ``curvature_first=True``. The defaults are those of its
    authors' implementation in JAX, and of optax. Complex entries are clipped along
    their direction.

    Args:
      b1: β₁, how much of the mean gradient is kept at each step.
      b2: β₂, how much of the mean curvature is kept at each k-th step.
      eps: ε, the least that is divided by.
      gamma: γ, such that 10% to 50% of the entries are not clipped.
      clip_threshold: κ; None does not clip.
      update_interval: k.
      hessian_diagonal_fn: a transformation whose updates are ĥ, an estimate of the
        diagonal of the Hessian; that of Hutchinson by default. It is given all extra
        arguments of ``update``.
      mu_dtype: the type to keep m in; the parameter's if None.
      verbose: whether to print the share of the entries that were not clipped.
      print_win_rate_every_n_steps: how often; 0 is never.
      bias_correction: whether m is made unbiased.
      curvature_first: whether h is updated before it is divided by.

    Raises:
      ValueError: if a decay is outside [0, 1), another number is negative, or k is not
        a whole number of at least 1; from ``update`` if it is given no parameters.

    Reference: Liu et al., 2023, https://arxiv.org/abs/2305.14342 (Algorithm 3)

    Example:
      >>> def f(x):
      ...     return jnp.sum(x**2)
      >>> params = jnp.ones(2)
      >>> tx = gradtx.contrib.scale_by_sophia()
      >>> updates, state = tx.update(2 * params, tx.init(params), params, obj_fn=f)
      >>> print(updates.round(3))
      [1. 1.]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps, gamma=gamma, clip_threshold=clip_threshold)
    checks.positive_int(update_interval=update_interval)
    estimator = with_extra_args_support(hessian_diagonal_fn)
    step = _step(b1, eps, gamma, clip_threshold, mu_dtype, unbias=bias_correction)
    follow = _following(b2)

    def init(params: Params) -> OptState:
        inner = estimator.init(params)
        return step.init(params)._replace(hessian_fn_state=inner)

    def update(
        updates: Updates,
        state: SophiaState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, OptState]:
        checks.require_params(params)

        def refreshed(kept: tuple[PyTree, OptState]) -> tuple[PyTree, OptState]:
            h, inner = kept
            new, inner = estimator.update(updates, inner, params, **extra)
            _g, curvature = follow.update(updates, _Curvature(h, new), params)
            return curvature.nu, inner

        due = state.count % update_interval == 0
        h, inner = cond_inplace(due, refreshed, (state.nu, state.hessian_fn_state))
        used = state._replace(nu=h) if curvature_first else state
        u, new = step.update(updates, used, params)
        if verbose and print_win_rate_every_n_steps and clip_threshold is not None:
            now = new.count % print_win_rate_every_n_steps == 0
            either(now, partial(_report, u, clip_threshold), lambda: None)
        return u, new._replace(nu=h, hessian_fn_state=inner)

    return GradientTransformation(init, update)


class _Curvature(NamedTuple):
    nu: Params
    new: Params


@transformation
def _following(b2: Scalar) -> GradientTransformation:
    """Take a new estimate of the curvature into its mean."""

    def rule(g: jax.Array, h: jax.Array, new: jax.Array) -> tuple[jax.Array, ...]:
        return g, ema(h, new.real, b2), new

    return leafwise(rule, _Curvature, nu=_curvatures, new=_curvatures)


@transformation
def _step(
    b1: Scalar,
    eps: Scalar,
    gamma: Scalar,
    threshold: Scalar | None,
    mu_dtype: DTypeLike | None,
    *,
    unbias: bool,
) -> GradientTransformation:
    """Make the step for a known curvature."""

    def rule(
        g: jax.Array, m: jax.Array, h: jax.Array, *, t: Count
    ) -> tuple[jax.Array, ...]:
        m = ema(m, g, b1)
        mean = debias(m, b1, t) if unbias else m
        u = safe_divide(mean, jnp.maximum(gamma * h, eps))
        return u if threshold is None else clip_magnitude(u, threshold), m, h

    return leafwise(
        rule, SophiaState, mu=partial(zeros, dtype=mu_dtype), nu=_curvatures
    )


def _curvatures(p: jax.Array) -> jax.Array:
    return zeros(p, dtype=compute_dtype(real_dtype(p.dtype)))


def _report(u: Updates, threshold: Scalar) -> None:
    """Print the share of the entries that were not clipped."""
    leaves = [g for g, _ in compute_leaves(u)]
    free = sum_over_leaves(jnp.sum(jnp.abs(g) < threshold) for g in leaves)
    total = max(sum(g.size for g in leaves), 1)
    jax.debug.print("Sophia: {} of the entries not clipped", free / total)


@transformation
def sophia(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.965,
    b2: Scalar = 0.99,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    weight_decay_mask: MaskOrFn | None = None,
    gamma: Scalar = 0.01,
    clip_threshold: Scalar | None = 1.0,
    update_interval: int = 10,
    hessian_diagonal_fn: GradientTransformation = _HUTCHINSON,
    mu_dtype: DTypeLike | None = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: int = 0,
    *,
    bias_correction: bool = True,
    curvature_first: bool = False,
) -> GradientTransformation:
    """Sophia: :func:`scale_by_sophia` made an optimizer by :func:`descend`.

    ``update`` wants ``obj_fn``, the objective as a function of the parameters alone,
    as the estimator of the curvature does::

        updates, state = tx.update(
            grads, state, params, obj_fn=lambda p: loss(p, batch)
        )

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean gradient is kept at each step.
      b2: β₂ in [0, 1), how much of the mean curvature is kept at each k-th step.
      eps: ε, at least 0, the least that is divided by.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      weight_decay_mask: which leaves decay: a tree of booleans, or a function from the
        parameters to one. All do, if None.
      gamma: γ, at least 0, such that 10% to 50% of the entries are not clipped.
      clip_threshold: κ, at least 0, what entries are clipped at; None does not clip.
      update_interval: k, after how many steps the curvature is estimated anew; a whole
        number of at least 1.
      hessian_diagonal_fn: a transformation whose updates estimate the diagonal of the
        Hessian, given all extra arguments of ``update``; Hutchinson's unless given.
      mu_dtype: the type to keep m, the mean, in; the parameter's if None.
      verbose: whether to print the share of the entries that were not clipped.
      print_win_rate_every_n_steps: every how many steps to print it; 0 is never.
      bias_correction: whether the mean is made unbiased; that of the paper is not.
      curvature_first: whether the curvature is updated before it is divided by, as in
        the paper.

    Reference: Liu et al., 2023, https://arxiv.org/abs/2305.14342 (Algorithm 3)

    Example:
      >>> def f(x):
      ...     return jnp.sum(x**2)
      >>> params = jnp.ones(2)
      >>> tx = gradtx.contrib.sophia(0.1)
      >>> updates, state = tx.update(2 * params, tx.init(params), params, obj_fn=f)
      >>> print(updates.round(3))
      [-0.1 -0.1]
    """
    direction = scale_by_sophia(
        b1,
        b2,
        eps,
        gamma,
        clip_threshold,
        update_interval,
        hessian_diagonal_fn,
        mu_dtype,
        verbose,
        print_win_rate_every_n_steps,
        bias_correction=bias_correction,
        curvature_first=curvature_first,
    )
    return descend(
        direction, learning_rate, weight_decay=weight_decay, mask=weight_decay_mask
    )
