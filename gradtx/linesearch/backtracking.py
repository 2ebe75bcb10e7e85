"""Shorten the step until the objective falls enough."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import AxisName, Count, OptState, Params, Scalar, Updates
from gradtx.core.slots import make_slot, zeros
from gradtx.core.transformation import (
    GradientTransformation,
    init_empty_state,
    transformation,
)
from gradtx.linesearch.objective import (
    Line,
    Point,
    kept_like,
    number,
    objective_of,
    stretched,
)
from gradtx.lowering.closures import as_data
from gradtx.lowering.control_flow import either, while_loop
from gradtx.lowering.sharding import zero_count
from gradtx.lowering.varying import varied_with
from gradtx.tree.packed import CALLS, unpacked_only


class BacktrackingLinesearchInfo(NamedTuple):
    """How the last search went."""

    num_linesearch_steps: Count
    decrease_error: jax.Array  # how far the condition was missed; 0 where it holds


class ScaleByBacktrackingLinesearchState(NamedTuple):
    """What :func:`scale_by_backtracking_linesearch` remembers."""

    learning_rate: jax.Array
    value: jax.Array  # f, at the point the search ended in
    grad: Updates | None  # its gradient there, if it is stored
    info: BacktrackingLinesearchInfo


class _Search(NamedTuple):
    step: jax.Array
    value: jax.Array
    error: jax.Array
    looks: jax.Array


@transformation
def scale_by_backtracking_linesearch(
    max_backtracking_steps: int,
    slope_rtol: Scalar = 1e-4,
    decrease_factor: Scalar = 0.8,
    increase_factor: Scalar = 1.5,
    max_learning_rate: Scalar = 1.0,
    atol: Scalar = 0.0,
    rtol: Scalar = 0.0,
    store_grad: bool = False,
    verbose: bool = False,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Multiply by a step size at which the objective falls enough (Armijo).

        f(p + η u) ≤ (1 + δ) f(p) + η c ⟨u, ∇f(p)⟩ + ε

    η is tried first at a multiple of the last one, and made shorter until this holds.
    Where f is not finite at any η that was tried, η is 0, and the next search begins
    with the largest step size.

    ``update`` wants the extra arguments ``value``, f(p); ``grad``, its gradient as
    ``jax.grad`` gives it; and ``value_fn``, the function f. What else it is given goes
    to ``value_fn`` where that names it. u must lead downhill, as that of ``sgd(1.0)``.

    Args:
      max_backtracking_steps: how often to shorten at most.
      slope_rtol: c, at least 0: how much f must fall, relative to what its slope
        promises.
      decrease_factor: what η is multiplied with to shorten it, in [0, 1].
      increase_factor: what the last η is multiplied with to begin; infinity to begin
        with the largest.
      max_learning_rate: the largest η, above 0; infinity for no bound.
      atol: ε, at least 0: by how much f may miss that.
      rtol: δ, at least 0: the same, relative to f(p).
      store_grad: whether to compute the gradient in the end and store it, for
        :func:`value_and_grad_from_state`.
      verbose: whether to print when no step size was found.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        slope is summed of leaves in parts, as :func:`clip_by_global_norm` takes it; f
        must then be the objective of all devices. None: what this device holds.

    Raises:
      ValueError: if a number is outside its range; from ``update``, if an argument is
        missing.

    Reference: Armijo, 1966; Vaswani et al., 2019, https://arxiv.org/abs/1905.09997

    Example:
      >>> def f(x):
      ...     return jnp.sum(x**2)
      >>> tx, x = (
      ...     gradtx.chain(
      ...         gradtx.sgd(1.0), gradtx.scale_by_backtracking_linesearch(20)
      ...     ),
      ...     jnp.ones(2),
      ... )
      >>> updates, _ = tx.update(
      ...     2 * x, tx.init(x), x, value=f(x), grad=2 * x, value_fn=f
      ... )
      >>> print(f(x + updates) < f(x))
      True
    """
    checks.non_negative(slope_rtol=slope_rtol, atol=atol, rtol=rtol)
    checks.unit_interval(decrease_factor=decrease_factor)

    def init(params: Params) -> OptState:
        unpacked_only(params, CALLS)
        looks = varied_with(params, zero_count(params), axis_name)
        return ScaleByBacktrackingLinesearchState(
            learning_rate=number(params, 1.0, axis_name),
            value=number(params, jnp.inf, axis_name),
            grad=make_slot(zeros, params) if store_grad else None,
            info=BacktrackingLinesearchInfo(looks, number(params, jnp.inf, axis_name)),
        )

    rules = _Rules(
        max_backtracking_steps,
        slope_rtol,
        decrease_factor,
        increase_factor,
        max_learning_rate,
        atol,
        rtol,
    )
    search = _search(rules, store_grad=store_grad, verbose=verbose, axis_name=axis_name)

    def update(
        updates: Updates,
        state: ScaleByBacktrackingLinesearchState,
        params: Params | None = None,
        *,
        value: Any = None,
        grad: Any = None,
        value_fn: Any = None,
        **extra: Any,
    ) -> tuple[Updates, OptState]:
        known = {"value": value, "grad": grad}
        objective = objective_of(params, updates, extra, value_fn=value_fn, **known)
        if not (store_grad or any(map(jnp.iscomplexobj, jax.tree.leaves(params)))):
            objective = objective._replace(value_and_grad=None)
        with as_data(objective, params) as objective_fn:
            return search.update(
                updates, state, params, objective_fn=objective_fn, **known
            )

    return GradientTransformation(init, update)


class _Rules(NamedTuple):
    """The settings of a search."""

    max_steps: int
    slope_rtol: Scalar
    decrease: Scalar
    increase: Scalar
    longest: Scalar
    atol: Scalar
    rtol: Scalar


@transformation
def _search(
    rules: _Rules, *, store_grad: bool, verbose: bool, axis_name: AxisName
) -> GradientTransformation:
    """Search along the line of an objective whose operations are known."""

    def update(
        updates: Updates,
        state: ScaleByBacktrackingLinesearchState,
        params: Params | None = None,
        *,
        value: Any,
        grad: Any,
        objective_fn: Any,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        last = jax.lax.stop_gradient(state.learning_rate)
        line = Line(objective_fn, params, updates, last.dtype, axis_name)
        longest = jnp.where(jnp.isinf(rules.longest), 1, rules.longest)
        guess = jnp.where(last > 0, rules.increase * last, longest)
        guess = jnp.minimum(guess, rules.longest).astype(last.dtype)
        found = _searched(line, rules, line.start(value, grad)[0], guess)
        if verbose:
            _say_if(found.error > rules.atol, found)
        kept = None
        if store_grad:
            slope = line.objective.value_and_grad(line.at(found.step))[1]
            kept = kept_like(slope, state.grad)
        info = BacktrackingLinesearchInfo(found.looks, found.error)
        new = ScaleByBacktrackingLinesearchState(found.step, found.value, kept, info)
        return stretched(updates, found.step), new

    return GradientTransformation(init_empty_state, update)


def _searched(line: Line, rules: _Rules, start: Point, guess: jax.Array) -> _Search:
    def goes_on(s: _Search) -> jax.Array:
        return ~(s.error <= rules.atol) & (s.looks <= rules.max_steps)

    def shorten(s: _Search) -> _Search:
        step = jnp.where(s.looks > 0, rules.decrease * s.step, s.step)
        new = line.value(step.astype(guess.dtype))
        allowed = (1 + rules.rtol) * start.value
        allowed = allowed + step * rules.slope_rtol * start.slope
        error = jnp.where(jnp.isnan(new), jnp.inf, jnp.maximum(new - allowed, 0))
        kinds = jax.tree.map(lambda x: x.dtype, s)
        made = _Search(step, new, error, s.looks + 1)
        return jax.tree.map(lambda x, kind: x.astype(kind), made, kinds)

    infinite = jnp.full_like(guess, jnp.inf)
    first = _Search(guess, start.value, infinite, jnp.zeros((), jnp.int32))
    found = while_loop(goes_on, shorten, first)
    failed = jnp.isinf(found.error)
    return found._replace(
        step=jnp.where(failed, 0, found.step),
        value=jnp.where(failed, start.value, found.value),
    )


def _say_if(failed: jax.Array, found: _Search) -> None:
    def say() -> None:
        jax.debug.print(
            "scale_by_backtracking_linesearch: no step size at which the objective "
            "falls enough; at {step} it misses by {error}",
            step=found.step,
            error=found.error,
            ordered=True,
        )

    either(failed, say, lambda: None)
