"""The iterations of PyTorch's L-BFGS."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common.types import Count, Scalar
from gradtx.core.reductions import inner, sum_over_leaves
from gradtx.like.torch.strong_wolfe import Point, strong_wolfe
from gradtx.lowering.control_flow import either, while_loop
from gradtx.optimizers.two_loops import two_loops
from gradtx.primitives.history import put

Arrays = list[jax.Array]
LEAST_CURVATURE = 1e-10


class Carry(NamedTuple):
    """What one iteration hands to the next."""

    x: Arrays
    g: Arrays
    loss: jax.Array
    n: jax.Array
    evals: jax.Array
    goes_on: jax.Array
    d: Arrays
    t: jax.Array
    before: Arrays
    memory: tuple[Arrays, Arrays, jax.Array, jax.Array, jax.Array]


Evaluate = Callable[[Arrays], tuple[jax.Array, Arrays]]


class Rules(NamedTuple):
    """The settings, of which the learning rate is this step's."""

    lr: Any
    max_iter: int
    max_eval: int
    tolerance_grad: Scalar
    tolerance_change: Scalar
    searches: bool


def iterated(
    rules: Rules, evaluate: Evaluate, first: Any, state: Any, columns: list[Arrays]
) -> Carry:
    """Make the iterations of one call.

    Args:
      rules: the settings.
      evaluate: from the parameters to the loss and its gradient.
      first: the parameters, the gradient and the loss.
      state: that of the optimizer, for its numbers.
      columns: the direction, the gradient before, and the memories of y and s.
    """
    x, g, loss = first
    one = jnp.ones((), jnp.int32)
    direction, before, dirs, steps = columns
    memory = dirs, steps, state.ro, state.kept, state.H_diag
    carry = Carry(
        x=x,
        g=g,
        loss=loss,
        n=0 * one,
        evals=one,
        goes_on=_largest(g) > rules.tolerance_grad,
        d=direction,
        t=state.t,
        before=before,
        memory=memory,
    )
    step = partial(_iteration, rules, evaluate, state.n_iter)
    return while_loop(lambda c: c.goes_on, step, carry)


def _iteration(rules: Rules, evaluate: Evaluate, done: Count, c: Carry) -> Carry:
    n, first = c.n + 1, done + c.n == 0
    memory = _remembered(c, first)
    y, s, ro, kept, diagonal = memory
    order = (kept + jnp.arange(len(ro))) % len(ro)  # the oldest first
    d = [-x for x in two_loops(c.g, (s, y, ro), order, diagonal)]
    total = sum_over_leaves(jnp.sum(jnp.abs(x)) for x in c.g)
    short = jnp.minimum(1, 1 / total)
    t = (jnp.where(first, short, 1) * rules.lr).astype(c.t.dtype)
    slope = _dot(c.g, d)
    c = c._replace(n=n, d=d, t=t, before=c.g, memory=memory)

    def stays() -> Carry:
        return c._replace(goes_on=jnp.zeros_like(c.goes_on))

    ends = slope > -rules.tolerance_change
    return either(ends, stays, lambda: _moved(rules, evaluate, c, slope))


def _remembered(c: Carry, first: jax.Array) -> Any:
    """Return the pairs with what the last iteration taught, if it did."""
    dirs, steps, ro, kept, diagonal = c.memory
    y = [a - b for a, b in zip(c.g, c.before, strict=True)]
    s = [x * c.t for x in c.d]
    product = _dot(y, s)
    use = ~first & (product > LEAST_CURVATURE)
    place = kept % len(ro)

    def kept_in(memory: jax.Array, x: jax.Array) -> jax.Array:
        return put(memory, jnp.where(use, x, memory[place]), place)

    def all_in(memory: Arrays, new: Arrays) -> Arrays:
        return [kept_in(m, x) for m, x in zip(memory, new, strict=True)]

    safe = jnp.where(use, product, 1)
    diagonal = jnp.where(use, safe / jnp.where(use, _dot(y, y), 1), diagonal)
    ro = kept_in(ro, 1 / safe)
    return all_in(dirs, y), all_in(steps, s), ro, kept + use, diagonal.astype(ro.dtype)


def _moved(rules: Rules, evaluate: Evaluate, c: Carry, slope: jax.Array) -> Carry:
    """Go along the direction, and ask whether to go on."""

    def at(t: jax.Array) -> Arrays:
        return [x + (t * d).astype(x.dtype) for x, d in zip(c.x, c.d, strict=True)]

    def look(t: jax.Array) -> Point:
        loss, g = evaluate(at(t))
        return Point(t, loss, _dot(g, c.d).astype(t.dtype), g)

    last = c.n == rules.max_iter
    if rules.searches:
        start = Point(jnp.zeros_like(c.t), c.loss, slope.astype(c.t.dtype), c.g)
        limits = {"tolerance": rules.tolerance_change, "most": rules.max_eval - c.evals}
        end, more = strong_wolfe(look, start, c.t, _largest(c.d), **limits)
        t, loss, g = end.t, end.loss, end.grad
    else:
        t = c.t
        # The last gradient of a call is that of the next call's parameters.
        loss, g = either(last, lambda: (c.loss, c.g), lambda: evaluate(at(t)))
        more = jnp.where(last, 0, 1).astype(c.evals.dtype)
    evals = c.evals + more
    over = last | (evals >= rules.max_eval) | (_largest(g) <= rules.tolerance_grad)
    over |= _largest(c.d) * jnp.abs(t) <= rules.tolerance_change
    over |= jnp.abs(loss - c.loss) < rules.tolerance_change
    return c._replace(x=at(t), g=g, loss=loss, evals=evals, t=t, goes_on=~over)


def _dot(x: Arrays, y: Arrays) -> jax.Array:
    return sum_over_leaves(inner(a, b) for a, b in zip(x, y, strict=True))


def _largest(x: Arrays) -> jax.Array:
    """Return the largest size of an entry."""
    tops = [jnp.max(jnp.abs(a), initial=0) for a in x]
    return jnp.max(jnp.stack(tops)) if tops else jnp.zeros(())
