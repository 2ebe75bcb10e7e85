"""The search for a step size that obeys the strong Wolfe conditions."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common.types import Count, PyTree, Scalar
from gradtx.linesearch.objective import Line, Point
from gradtx.lowering.control_flow import while_loop


class ZoomLinesearchInfo(NamedTuple):
    """How the last search went; an error of 0 means that its condition holds."""

    num_linesearch_steps: Count
    decrease_error: jax.Array
    curvature_error: jax.Array


class Rules(NamedTuple):
    """The settings of a search."""

    max_steps: int
    longest: Scalar | None
    tol: Scalar
    increase: Scalar
    slope_rtol: Scalar
    curv_rtol: Scalar
    approx_rtol: Scalar | None
    precision: Scalar

    def decrease_error(self, new: Point, start: Point) -> jax.Array:
        """Return how far the objective is from having fallen enough."""
        c = self.slope_rtol
        error = new.value - start.value - c * new.step * start.slope
        if self.approx_rtol is not None:
            # Near a minimum the values differ by less than their rounding.
            bend = new.slope - (2 * c - 1) * start.slope
            rise = new.value - start.value - self.approx_rtol * jnp.abs(start.value)
            error = jnp.minimum(error, jnp.maximum(bend, rise))
        return _error(error)

    def curvature_error(self, new: Point, start: Point) -> jax.Array:
        """Return how far the slope is from having flattened enough."""
        return _error(jnp.abs(new.slope) - self.curv_rtol * jnp.abs(start.slope))


def _error(x: jax.Array) -> jax.Array:
    return jnp.where(jnp.isnan(x), jnp.inf, jnp.maximum(x, 0))


class Search(NamedTuple):
    """A search under way."""

    looks: jax.Array
    last: Point
    grad: PyTree  # at `last`
    low: Point  # the interval's end with the lower value
    high: Point
    ref: Point  # a third point, to interpolate with
    safe: Point  # the best that has fallen enough
    safe_grad: PyTree
    info: ZoomLinesearchInfo
    found: jax.Array  # whether there is an interval
    done: jax.Array
    failed: jax.Array


def searched(line: Line, rules: Rules, start: Any, guess: jax.Array) -> Search:
    """Search from the start, a point and its gradient, with a guess of the step."""
    origin, grad = start
    infinite = jnp.full_like(guess, jnp.inf)
    no = jnp.zeros((), bool)
    count = jnp.zeros((), jnp.int32)
    info = ZoomLinesearchInfo(count, infinite, infinite)
    # The gradient comes out of the loop in the type that the objective's has.
    shape = jax.eval_shape(lambda: line.look(guess)[1])
    grad = jax.tree.map(lambda like, g: g.astype(like.dtype), shape, grad)
    first = Search(
        looks=count,
        last=origin,
        grad=grad,
        low=origin,
        high=origin,
        ref=origin,
        safe=origin,
        safe_grad=grad,
        info=info,
        found=no,
        done=no,
        failed=no,
    )

    def step(s: Search) -> Search:
        return _one_look(s, line, rules, origin, guess)

    return while_loop(lambda s: ~(s.done | s.failed), step, first)


def _one_look(
    s: Search, line: Line, rules: Rules, start: Point, guess: jax.Array
) -> Search:
    """Evaluate at one more step, and draw the conclusions."""
    longer = jnp.where(s.looks == 0, guess, rules.increase * s.last.step)
    reached = jnp.zeros((), bool)
    if rules.longest is not None:
        reached = longer >= rules.longest
        longer = jnp.minimum(longer, rules.longest)
    step = jnp.where(s.found, _between(s), longer).astype(guess.dtype)
    new, grad = line.look(step)
    falls = rules.decrease_error(new, start).astype(guess.dtype)
    flattens = rules.curvature_error(new, start).astype(guess.dtype)
    met = jnp.maximum(falls, flattens) <= rules.tol
    safe = (falls <= rules.tol) & (~s.found | (new.value < s.safe.value))
    low, high, ref, found = _interval(s, new, falls)
    met_or_longest = met | (~s.found & reached & ~(found | met))
    count = s.looks + 1
    short = s.found & (jnp.abs(s.high.step - s.low.step) <= rules.precision)
    safest = _where(safe, new, s.safe)
    over = (count >= rules.max_steps) | (short & (safest.step > 0))
    return Search(
        looks=count,
        last=new,
        grad=grad,
        low=low,
        high=high,
        ref=ref,
        safe=safest,
        safe_grad=_where(safe, grad, s.safe_grad),
        info=ZoomLinesearchInfo(count, falls, flattens),
        found=s.found | found | met,
        done=met_or_longest,
        failed=over & ~met_or_longest,
    )


def _interval(
    s: Search, new: Point, falls: jax.Array
) -> tuple[Point, Point, Point, jax.Array]:
    """Return the interval's ends, the third point, and whether there is an interval."""
    # While the step grows: the interval lies between the last step and the new one.
    too_high = (falls > 0) | ((new.value >= s.last.value) & (s.looks > 0))
    rises = (new.slope >= 0) & ~too_high
    first_low, first_high = _where(rises, new, s.last), _where(rises, s.last, new)
    # Within the interval: the new step takes the place of one end, or of both.
    not_lower = (falls > 0) | (new.value >= s.low.value)
    back = (new.slope * (s.high.step - s.low.step) >= 0) & ~not_lower
    high = _where(not_lower, new, _where(back, s.low, s.high))
    low = _where(not_lower, s.low, new)
    ref = _where(not_lower | back, s.high, s.low)
    return (
        _where(s.found, low, first_low),
        _where(s.found, high, first_high),
        _where(s.found, ref, first_low),
        s.found | too_high | rises,
    )


def _between(s: Search) -> jax.Array:
    """Return a step inside the interval, where interpolation puts the minimum."""
    left = jnp.minimum(s.low.step, s.high.step)
    right = jnp.maximum(s.low.step, s.high.step)
    width = right - left

    def inside(x: jax.Array, margin: float) -> jax.Array:
        return (x > left + margin * width) & (x < right - margin * width)

    cubic, parabola = _cubic(s.low, s.high, s.ref), _parabola(s.low, s.high)
    step = jnp.where(inside(parabola, 0.1), parabola, (left + right) / 2)
    return jnp.where(inside(cubic, 0.2), cubic, step)


def _parabola(a: Point, b: Point) -> jax.Array:
    """Return where the parabola with a's value and slope and b's value is least."""
    h = b.step - a.step
    return a.step - a.slope * h * h / (2 * (b.value - a.value - a.slope * h))


def _cubic(a: Point, b: Point, c: Point) -> jax.Array:
    """Return where the cubic with a's value and slope, b's and c's values is least.

    NaN where there is none.
    """
    h, k = b.step - a.step, c.step - a.step
    # What a straight line leaves, divided by h²: linear in the step.
    above_b = (b.value - a.value - a.slope * h) / (h * h)
    above_c = (c.value - a.value - a.slope * k) / (k * k)
    third = (above_b - above_c) / (h - k)
    second = above_b - third * h
    root = jnp.sqrt(second * second - 3 * third * a.slope)
    return a.step + (root - second) / (3 * third)


def taken(s: Search) -> tuple[Point, PyTree]:
    """Return the point to take in the end, and the gradient there."""
    nowhere = jnp.isinf(s.info.decrease_error)
    safe = s.failed & ((s.safe.step > 0) | nowhere)
    return _where(safe, s.safe, s.last), _where(safe, s.safe_grad, s.grad)


def _where(condition: jax.Array, x: Any, y: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), x, y)
