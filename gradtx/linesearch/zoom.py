"""Find a step size at which the objective has fallen and its slope has flattened."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import AxisName, OptState, Params, Scalar, Updates
from gradtx.core.slots import make_slot, zeros
from gradtx.core.transformation import (
    GradientTransformation,
    init_empty_state,
    transformation,
)
from gradtx.linesearch.objective import (
    Line,
    kept_like,
    number,
    objective_of,
    stretched,
)
from gradtx.linesearch.wolfe import (
    Rules,
    Search,
    ZoomLinesearchInfo as ZoomLinesearchInfo,
    searched,
    taken,
)
from gradtx.lowering.closures import as_data
from gradtx.lowering.control_flow import either
from gradtx.lowering.sharding import zero_count
from gradtx.lowering.varying import varied_with
from gradtx.tree.packed import CALLS, unpacked_only

GUESSES = ("keep", "one")


class ScaleByZoomLinesearchState(NamedTuple):
    """What :func:`scale_by_zoom_linesearch` remembers."""

    learning_rate: jax.Array
    value: jax.Array  # f, at the point the search ended in
    grad: Updates  # its gradient there
    info: ZoomLinesearchInfo


@transformation
def scale_by_zoom_linesearch(
    max_linesearch_steps: int,
    max_learning_rate: Scalar | None = None,
    tol: Scalar = 0.0,
    increase_factor: Scalar = 2.0,
    slope_rtol: Scalar = 1e-4,
    curv_rtol: Scalar = 0.9,
    approx_dec_rtol: Scalar | None = 1e-6,
    stepsize_precision: Scalar = 1e-5,
    initial_guess_strategy: str = "keep",
    verbose: bool = False,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Multiply by a step size that obeys the strong Wolfe conditions.

        φ(η) = f(p + η u)
        φ(η) ≤ φ(0) + c₁ η φ'(0)           the objective has fallen
        |φ'(η)| ≤ c₂ |φ'(0)|               the slope has flattened

    The step grows until an interval holds such an η, which then is narrowed by cubic or
    quadratic interpolation, or halved. Near a minimum, where values differ by less than
    their rounding, the first condition may be replaced by

        φ'(η) ≤ (2 c₁ - 1) φ'(0)  and  φ(η) ≤ φ(0) + ε |φ(0)|

    If there is no time left, the best η of the first condition is taken; and η is 0
    where f was finite nowhere.

    ``update`` wants the extra arguments ``value``, f(p); ``grad``, its gradient as
    ``jax.grad`` gives it; and ``value_fn``, the function f. What else it is given goes
    to ``value_fn`` where that names it. u must lead downhill.

    Args:
      max_linesearch_steps: how often to evaluate f at most.
      max_learning_rate: the largest η; None for no bound.
      tol: by how much the conditions may be missed, at least 0.
      increase_factor: how the step grows until there is an interval.
      slope_rtol: c₁, at least 0: how much f must fall, relative to what its slope
        promises.
      curv_rtol: c₂; infinity leaves the second condition out.
      approx_dec_rtol: ε; None leaves the replacement out.
      stepsize_precision: the shortest interval to look into, if some η has been found.
      initial_guess_strategy: what to try first: "one", or "keep" for the last η.
      verbose: whether to print when the conditions were not met.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which the
        slope is summed of leaves in parts, as :func:`clip_by_global_norm` takes it; f
        must then be the objective of all devices. None: what this device holds.

    Raises:
      ValueError: if a number is outside its range or the strategy not known; from
        ``update``, if an argument is missing.

    Reference: Nocedal and Wright, Numerical Optimization, 1999, algorithms 3.5 and 3.6;
      Hager and Zhang, 2006, https://doi.org/10.1145/1132973.1132979

    Example:
      >>> def f(x):
      ...     return jnp.sum(x**2)
      >>> tx, x = (
      ...     gradtx.chain(gradtx.sgd(1.0), gradtx.scale_by_zoom_linesearch(20)),
      ...     jnp.ones(2),
      ... )
      >>> updates, _ = tx.update(
      ...     2 * x, tx.init(x), x, value=f(x), grad=2 * x, value_fn=f
      ... )
      >>> print(f(x + updates) < f(x))
      True
    """
    checks.non_negative(
        tol=tol, slope_rtol=slope_rtol, stepsize_precision=stepsize_precision
    )
    if initial_guess_strategy not in GUESSES:
        raise checks.InvalidArgument(
            f"initial_guess_strategy must be one of {', '.join(GUESSES)}, got "
            f"{initial_guess_strategy!r}"
        )
    rules = Rules(
        max_linesearch_steps,
        max_learning_rate,
        tol,
        increase_factor,
        slope_rtol,
        curv_rtol,
        approx_dec_rtol,
        stepsize_precision,
    )

    def init(params: Params) -> OptState:
        unpacked_only(params, CALLS)
        infinite = number(params, jnp.inf, axis_name)
        errors = infinite, number(params, jnp.inf, axis_name)
        looks = varied_with(params, zero_count(params), axis_name)
        return ScaleByZoomLinesearchState(
            learning_rate=number(params, 1.0, axis_name),
            value=number(params, jnp.inf, axis_name),
            grad=make_slot(zeros, params),
            info=ZoomLinesearchInfo(looks, *errors),
        )

    keep = initial_guess_strategy == "keep"
    search = _search(rules, keep=keep, verbose=verbose, axis_name=axis_name)

    def update(
        updates: Updates,
        state: ScaleByZoomLinesearchState,
        params: Params | None = None,
        *,
        value: Any = None,
        grad: Any = None,
        value_fn: Any = None,
        **extra: Any,
    ) -> tuple[Updates, OptState]:
        known = {"value": value, "grad": grad}
        objective = objective_of(params, updates, extra, value_fn=value_fn, **known)
        with as_data(objective._replace(value=None), params) as objective_fn:
            return search.update(
                updates, state, params, objective_fn=objective_fn, **known
            )

    return GradientTransformation(init, update)


@transformation
def _search(
    rules: Rules, *, keep: bool, verbose: bool, axis_name: AxisName
) -> GradientTransformation:
    """Search along the line of an objective whose operations are known."""

    def update(
        updates: Updates,
        state: ScaleByZoomLinesearchState,
        params: Params | None = None,
        *,
        value: Any,
        grad: Any,
        objective_fn: Any,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        last = jax.lax.stop_gradient(state.learning_rate)
        line = Line(objective_fn, params, updates, last.dtype, axis_name)
        guess = jnp.where(last > 0, last, 1) if keep else jnp.ones_like(last)
        start = line.start(value, grad)
        end = searched(line, rules, start, guess)
        if verbose:
            _say_if(end.failed, end, start[0].slope)
        point, slope = taken(end)
        kept = kept_like(slope, state.grad)
        new = ScaleByZoomLinesearchState(point.step, point.value, kept, end.info)
        return stretched(updates, point.step), new

    return GradientTransformation(init_empty_state, update)


def _say_if(failed: jax.Array, s: Search, slope: jax.Array) -> None:
    def say() -> None:
        jax.debug.print(
            "scale_by_zoom_linesearch: no step size met the conditions; at {step} the "
            "decrease misses by {falls}, the slope by {flattens}; at 0 the slope is "
            "{slope}, and must be negative",
            step=s.last.step,
            falls=s.info.decrease_error,
            flattens=s.info.curvature_error,
            slope=slope,
            ordered=True,
        )

    either(failed, say, lambda: None)
