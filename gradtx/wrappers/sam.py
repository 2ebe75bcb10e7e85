"""SAM: go down from the worst point nearby."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import map_differentiable
from gradtx.common.types import Count, OptState, Params, Updates, Weights
from gradtx.core import order
from gradtx.core.apply_updates import apply_updates
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import make_slot, weights
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.control_flow import either
from gradtx.lowering.sharding import zero_count
from gradtx.primitives.normalize import normalize_by_update_norm
from gradtx.tree.packed import CALLS, unpacked_only
from gradtx.wrappers.averages import Find, merge
from gradtx.wrappers.step import as_updates, typed_like

NormalizeState = EmptyState


@transformation
def normalize() -> GradientTransformation:
    """Divide all updates by the norm that they have together.

    u = g / ‖g‖₂                ‖·‖₂ over all leaves as one vector; 0 where g is 0

    Example:
      >>> tx, params = gradtx.normalize(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.89400005 -0.44700003]
    """
    return normalize_by_update_norm(1.0, 0.0)


class SAMState(NamedTuple):
    """What :func:`sam` remembers."""

    steps_since_sync: Count
    opt_state: OptState
    adv_state: OptState
    cache: Weights | None  # w, the parameters before the way up; None in opaque mode

    def seen_by_inner(self, find: Find, params: Params) -> Params:
        """Return w, also in the middle of a way up, or what is averaged along it."""
        if self.cache is not None:
            away = self.steps_since_sync > 0
            params = map_differentiable(
                lambda p, w: jnp.where(away, w.astype(p.dtype), p), params, self.cache
            )
        return find(self.opt_state, params)


@order.needs_final("update", when=lambda given: not given["opaque_mode"])
@transformation
def sam(
    optimizer: GradientTransformation,
    adv_optimizer: GradientTransformation,
    sync_period: int = 2,
    reset_state: bool = True,
    opaque_mode: bool = False,
    batch_axis_name: str | None = None,
) -> GradientTransformation:
    """Sharpness-aware minimization: take the gradient at the worst point nearby.

        w' = w - a(∇f(w))        k - 1 times: up, a being the adversary's way down
        w ← w + u(∇f(w'))        u: the update of the optimizer

    With ``adv_optimizer=chain(normalize(), sgd(rho))`` and k = 2 this is the paper's
    method. Otherwise than in opaque mode each call takes one of the k steps, so that
    the parameters are at w' in between; :func:`gradtx.eval_params` finds w. What
    follows in a chain must then not change the updates.

    In opaque mode one call takes all k steps: ``update`` is given the extra argument
    ``grad_fn``, a function of the parameters and the number of the way up, which
    returns gradients.

    Args:
      optimizer: updates the parameters.
      adv_optimizer: what goes up: its updates are subtracted.
      sync_period: k, a whole number of at least 1: how many gradients make a step of
        the optimizer.
      reset_state: whether the adversary starts anew for every step of the optimizer.
      opaque_mode: whether one call takes all k steps.
      batch_axis_name: in opaque mode, the axis over which gradients of ``grad_fn`` are
        averaged.

    Raises:
      ValueError: if k is below 1; from ``update`` if it is given no parameters, or no
        ``grad_fn`` in opaque mode.

    Reference: Foret et al., 2021, https://arxiv.org/abs/2010.01412 (Algorithm 1)

    Example:
      >>> tx, params = (
      ...     gradtx.sam(
      ...         gradtx.sgd(0.1), gradtx.chain(gradtx.normalize(), gradtx.sgd(0.05))
      ...     ),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.045 -0.022]
    """
    checks.positive_int(sync_period=sync_period)
    down = with_extra_args_support(optimizer)
    up = _reversed(with_extra_args_support(adv_optimizer))
    if opaque_mode:
        return _opaque(down, up, sync_period, reset_state, batch_axis_name)
    return _stepwise(down, up, sync_period, reset_state)


class _Start(NamedTuple):
    w: Weights


@transformation
def _back() -> GradientTransformation:
    """Return to w, the state, and take the update from there."""
    return leafwise(lambda u, w, *, p: ((w - p) + u, w), _Start, w=weights)


def _reversed(tx: GradientTransformation) -> GradientTransformation:
    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        new, new_state = tx.update(updates, state, params, **extra)
        new = as_updates(map_differentiable(jnp.negative, new), params)
        return new, typed_like(state, new_state)

    return GradientTransformation(tx.init, update)


def _stepwise(
    down: GradientTransformation,
    up: GradientTransformation,
    period: int,
    reset_state: bool,
) -> GradientTransformation:
    back = _back()

    def init(params: Params) -> SAMState:
        return SAMState(
            steps_since_sync=zero_count(params),
            opt_state=down.init(params),
            adv_state=up.init(params),
            cache=make_slot(weights, params),
        )

    def update(
        updates: Updates, state: SAMState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, SAMState]:
        checks.require_params(params)
        first = state.steps_since_sync == 0
        cache = map_differentiable(
            lambda p, w: jnp.where(first, p, w),
            params,
            state.cache,
            otherwise=lambda *_: None,
        )
        start = merge(cache, params)

        def step_down() -> tuple[Updates, OptState, OptState]:
            u, opt_state = down.update(updates, state.opt_state, start, **extra)
            adv_state = up.init(params) if reset_state else state.adv_state
            return (
                back.update(u, _Start(cache), params)[0],
                typed_like(state.opt_state, opt_state),
                typed_like(state.adv_state, adv_state),
            )

        def step_up() -> tuple[Updates, OptState, OptState]:
            u, adv_state = up.update(updates, state.adv_state, params, **extra)
            return u, state.opt_state, adv_state

        steps = state.steps_since_sync + 1
        new, opt_state, adv_state = either(steps >= period, step_down, step_up)
        steps = jnp.where(steps >= period, 0, steps)
        return new, SAMState(steps, opt_state, adv_state, cache)

    return GradientTransformation(init, update)


def _opaque(
    down: GradientTransformation,
    up: GradientTransformation,
    period: int,
    reset_state: bool,
    batch_axis_name: str | None,
) -> GradientTransformation:
    def init(params: Params) -> SAMState:
        unpacked_only(params, CALLS)
        return SAMState(zero_count(params), down.init(params), up.init(params), None)

    def update(
        updates: Updates,
        state: SAMState,
        params: Params | None = None,
        *,
        grad_fn: Any = None,
        **extra: Any,
    ) -> tuple[Updates, SAMState]:
        checks.require_params(params)
        if grad_fn is None:
            raise checks.InvalidArgument(
                "opaque_mode needs the extra argument 'grad_fn': call "
                "update(updates, state, params, grad_fn=lambda params, i: gradients)"
            )
        worst, adv_state = params, state.adv_state
        for i in range(period - 1):
            u, adv_state = up.update(updates, adv_state, worst, **extra)
            worst = apply_updates(worst, u)
            updates = grad_fn(worst, i)
            if batch_axis_name is not None:
                updates = jax.lax.pmean(updates, batch_axis_name)
        new, opt_state = down.update(updates, state.opt_state, params, **extra)
        if reset_state:
            adv_state = up.init(params)
        steps = jnp.zeros_like(state.steps_since_sync)
        return new, SAMState(steps, opt_state, adv_state, None)

    return GradientTransformation(init, update)
