"""PyTorch's search for a step that obeys the strong Wolfe conditions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common.types import Scalar
from gradtx.lowering.control_flow import either, while_loop

FALL, FLATTEN = 1e-4, 0.9  # c₁ and c₂
MARGIN = 0.1  # of the bracket, within which a step counts as at its end
SHORTEST, LONGEST = 0.01, 10.0  # how much further to look, at least and at most


class Point(NamedTuple):
    """Where the search has looked."""

    t: jax.Array
    loss: jax.Array
    slope: jax.Array  # of the loss along the direction
    grad: list[jax.Array]


class _Bracket(NamedTuple):
    low: Point
    high: Point
    low_first: jax.Array  # whether the lower end came before the other
    no_progress: jax.Array
    looks: jax.Array
    done: jax.Array


def strong_wolfe(
    look: Callable[[jax.Array], Point],
    start: Point,
    t: jax.Array,
    size: jax.Array,
    *,
    tolerance: Scalar,
    most: jax.Array,
) -> tuple[Point, jax.Array]:
    """Return the point to go to, and how often the loss was evaluated.

    Args:
      look: evaluates the loss at a step.
      start: the point at t = 0.
      t: the first step to look at.
      size: the largest entry of the direction.
      tolerance: a bracket shorter than this, times ``size``, is not divided.
      most: after how many looks beyond the first to end.
    """
    bracket = _bracketed(look, start, t, most)

    def goes_on(b: _Bracket) -> jax.Array:
        short = jnp.abs(b.high.t - b.low.t) * size < tolerance
        return ~b.done & (b.looks < most) & ~short

    end = while_loop(goes_on, lambda b: _divided(b, look, start), bracket)
    return end.low, end.looks + 1


def _too_high(new: Point, start: Point) -> jax.Array:
    return new.loss > start.loss + FALL * new.t * start.slope


def _flat(new: Point, start: Point) -> jax.Array:
    return jnp.abs(new.slope) <= -FLATTEN * start.slope


def _bracketed(look: Any, start: Point, t: jax.Array, most: jax.Array) -> _Bracket:
    """Go further until there is a minimum between the last two points."""

    def judged(before: Point, new: Point, looks: jax.Array) -> tuple[Any, Any]:
        high = _too_high(new, start) | ((looks > 1) & (new.loss >= before.loss))
        done = ~high & _flat(new, start)
        return high | (~done & (new.slope >= 0)), done

    def step(carry: Any) -> Any:
        before, new, looks, _, _ = carry
        found, done = judged(before, new, looks)

        def further() -> Any:
            least = new.t + SHORTEST * (new.t - before.t)
            t = _cubic(before, new, least, LONGEST * new.t)
            return new, look(t), looks + 1

        before, new, looks = either(found | done, lambda: (before, new, looks), further)
        return before, new, looks, found, done

    def goes_on(carry: Any) -> jax.Array:
        *_, looks, found, done = carry
        return (looks < most) & ~found & ~done

    no = jnp.zeros((), bool)
    first = start, look(t), jnp.zeros_like(most), no, no
    before, new, looks, found, done = while_loop(goes_on, step, first)
    # Where the looks are used up, the bracket begins at 0.
    other = _where(found | done, before, start)
    other_low = (other.loss <= new.loss) & ~done
    low, high = _where(other_low, other, new), _where(other_low, new, other)
    return _Bracket(low, high, other_low, no, looks, done)


def _divided(b: _Bracket, look: Any, start: Point) -> _Bracket:
    """Look at one point within a bracket, which becomes one of its ends."""
    t, no_progress = _within(b)
    new = look(t)
    worse = _too_high(new, start) | (new.loss >= b.low.loss)
    # Of equal ones the first counts as lower.
    equal = (new.loss == b.low.loss) & ~b.low_first
    swap = worse & ((new.loss < b.low.loss) | equal)
    done = ~worse & _flat(new, start)
    turns = ~worse & ~done & (new.slope * (b.high.t - b.low.t) >= 0)
    stays = worse & ~swap
    return _Bracket(
        low=_where(stays, b.low, new),
        high=_where(stays, new, _where(swap | turns, b.low, b.high)),
        low_first=b.low_first ^ swap,
        no_progress=no_progress,
        looks=b.looks + 1,
        done=done,
    )


def _within(b: _Bracket) -> tuple[jax.Array, jax.Array]:
    """Return where to look, and whether that is too near to an end, once."""
    left, right = jnp.minimum(b.low.t, b.high.t), jnp.maximum(b.low.t, b.high.t)
    t = _cubic(b.low, b.high, left, right)
    eps = MARGIN * (right - left)
    near = jnp.minimum(right - t, t - left) < eps
    move = near & (b.no_progress | (t >= right) | (t <= left))
    end = jnp.where(jnp.abs(t - right) < jnp.abs(t - left), right - eps, left + eps)
    return jnp.where(move, end, t), near & ~move


def _cubic(a: Point, b: Point, least: jax.Array, most: jax.Array) -> jax.Array:
    """Return where the cubic through two points is least, within bounds."""
    first, last = _where(a.t <= b.t, a, b), _where(a.t <= b.t, b, a)
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    d2 = jnp.sqrt(jnp.maximum(square, 0))
    share = (last.slope + d2 - d1) / (last.slope - first.slope + 2 * d2)
    t = last.t - (last.t - first.t) * share
    inside = jnp.minimum(jnp.maximum(t, least), most)
    return jnp.where(square >= 0, inside, (least + most) / 2)


def _where(condition: jax.Array, x: Any, y: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), x, y)
