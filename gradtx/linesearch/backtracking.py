"""Shorten the step until the objective falls enough."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import Count, OptState, Params, Scalar, Updates
from gradtx.core.slots import make_slot, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.linesearch.objective import Line, line_of, number, stretched
from gradtx.lowering.eager import compiled
from gradtx.lowering.sharding import zero_count
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
      slope_rtol: c.
      decrease_factor: what η is multiplied with to shorten it.
      increase_factor: what the last η is multiplied with to begin; infinity to begin
        with the largest.
      max_learning_rate: the largest η.
      atol: ε.
      rtol: δ.
      store_grad: whether to compute the gradient in the end and store it, for
        :func:`value_and_grad_from_state`.
      verbose: whether to print when no step size was found.

    Raises:
      ValueError: if a number is outside its range; from ``update``, if an argument is
        missing.

    Reference: Armijo, 1966; Vaswani et al., 2019, https://arxiv.org/abs/1905.09997
    """
    checks.non_negative(slope_rtol=slope_rtol, atol=atol, rtol=rtol)
    checks.fractions(decrease_factor=decrease_factor)

    def init(params: Params) -> OptState:
        unpacked_only(params, CALLS)
        return ScaleByBacktrackingLinesearchState(
            learning_rate=number(params, 1.0),
            value=number(params, jnp.inf),
            grad=make_slot(zeros, params) if store_grad else None,
            info=BacktrackingLinesearchInfo(
                zero_count(params), number(params, jnp.inf)
            ),
        )

    def search(line: Line, value: Any, grad: Any, guess: jax.Array) -> _Search:
        start, _ = line.start(value, grad)

        def goes_on(s: _Search) -> jax.Array:
            return ~(s.error <= atol) & (s.looks <= max_backtracking_steps)

        def shorten(s: _Search) -> _Search:
            step = jnp.where(s.looks > 0, decrease_factor * s.step, s.step)
            new = line.value(step.astype(guess.dtype))
            allowed = (1 + rtol) * start.value + step * slope_rtol * start.slope
            error = jnp.where(jnp.isnan(new), jnp.inf, jnp.maximum(new - allowed, 0))
            kinds = jax.tree.map(lambda x: x.dtype, s)
            made = _Search(step, new, error, s.looks + 1)
            return jax.tree.map(lambda x, kind: x.astype(kind), made, kinds)

        infinite = jnp.full_like(guess, jnp.inf)
        first = _Search(guess, start.value, infinite, jnp.zeros((), jnp.int32))
        found = jax.lax.while_loop(goes_on, shorten, first)
        failed = jnp.isinf(found.error)
        return found._replace(
            step=jnp.where(failed, 0, found.step),
            value=jnp.where(failed, start.value, found.value),
        )

    @compiled
    def update(
        updates: Updates,
        state: ScaleByBacktrackingLinesearchState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, OptState]:
        last = jax.lax.stop_gradient(state.learning_rate)
        line, value, grad = line_of(updates, params, last.dtype, extra)
        longest = jnp.where(jnp.isinf(max_learning_rate), 1, max_learning_rate)
        guess = jnp.where(last > 0, increase_factor * last, longest)
        guess = jnp.minimum(guess, max_learning_rate).astype(last.dtype)
        found = search(line, value, grad, guess)
        if verbose:
            _say_if(found.error > atol, found)
        kept = None
        if store_grad:
            slope = jax.grad(line.value_fn)(line.at(found.step))
            kept = jax.tree.map(lambda x, o: x.astype(o.dtype), slope, state.grad)
        info = BacktrackingLinesearchInfo(found.looks, found.error)
        new = ScaleByBacktrackingLinesearchState(found.step, found.value, kept, info)
        return stretched(updates, found.step), new

    return GradientTransformation(init, update)


def _say_if(failed: jax.Array, found: _Search) -> None:
    def say() -> None:
        jax.debug.print(
            "scale_by_backtracking_linesearch: no step size at which the objective "
            "falls enough; at {step} it misses by {error}",
            step=found.step,
            error=found.error,
            ordered=True,
        )

    jax.lax.cond(failed, say, lambda: None)
