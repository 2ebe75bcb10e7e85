"""Running means of the weights, kept in the state of the optimizer."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    one_minus,
    one_minus_power,
    real_dtype,
    safe_increment,
)
from gradtx.common.types import (
    Count,
    DTypeLike,
    OptState,
    Params,
    PyTree,
    Scalar,
    Updates,
    Weights,
)
from gradtx.core import order
from gradtx.core.slots import make_slot, weights
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.wrappers.averages import is_absent, made_with
from gradtx.wrappers.half_precision import as_stored
from gradtx.wrappers.step import step_and, widest


class AverageState(NamedTuple):
    """What :func:`average` remembers."""

    inner_state: OptState
    steps_since: Count  # steps since the mean was last updated
    count: Count  # n, how many weights the mean is of
    mean: Weights  # m

    def averaged_params(self, params: Params) -> Params:
        """Return the mean, and the current weights before there is one."""
        there = self.count > 0
        return made_with(self.mean, params, lambda m, p: jnp.where(there, m, p))


@order.needs_final("update")
@order.keeps("parts")
@transformation
def average(
    inner: GradientTransformation,
    decay: Scalar | None = 0.999,
    debias: bool = True,
    every: int = 1,
    *,
    single_pass: bool = False,
) -> GradientTransformation:
    """Keep a running mean of the weights, to evaluate with.

        u = inner(g),  θ = p + u                   the updates are those of inner
        m ← m + s (θ - m)                          every k steps, n ← n + 1 before
        s = (1 - β) / (1 - βⁿ)                     or 1 - β without debias
        s = 1 / n                                  with decay None

    :func:`gradtx.eval_params` finds m, wherever this stands. With ``debias`` m is a
    weighted mean of the weights after steps alone; without it m starts as the first
    parameters, as in most programs, and stays near them for long. Before the mean has
    been updated once, one evaluates with the parameters.

    It goes around a method, or last into a chain, around nothing::

        chain(adamw(1e-3), average(identity(), 0.999))

    The mean is kept in at least float32, and only read in steps that update it: other
    jitted steps read and write as many bytes as without a mean. To update it takes 12
    more for each parameter; with k = 1 or in a single pass, where one kernel does both,
    8.

    Args:
      inner: any transformation whose updates are added to the parameters.
      decay: β, from 0 and below 1: how much of the mean is kept each time; the mean is
        of about 1 / (1 - β) weights. None: of all weights alike (Polyak and Ruppert).
      debias: whether the mean is made unbiased, so that the first parameters have no
        part in it. Without a decay it always is.
      every: k, at least 1: after how many steps the mean is updated.
      single_pass: whether a step that updates the mean is one pass over memory, too.
        Right where the gradients that this is given are in memory anyway, as when they
        come out of a collective of data-parallel training. Wrong where the compiler
        would fuse the step with what makes them, such as a clipping in front of this,
        which may be in ``inner``, or :func:`gradtx.accumulate` around it: then that is
        fused in no step, 8 bytes more for each parameter. ``inner`` is compiled twice.
        With k = 1 nothing changes.

    Raises:
      ValueError: if β is outside [0, 1) or k is no whole number of at least 1; from
        ``update`` if it is given no parameters; from ``chain``, if something that
        changes the updates follows.

    Reference: Polyak and Juditsky, 1992, https://doi.org/10.1137/0330046 (the mean of
      all); Busbridge et al., 2023, https://arxiv.org/abs/2307.13813 (the running mean)

    Example:
      >>> tx, params = gradtx.average(gradtx.sgd(0.1)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    checks.decay_rates(decay=decay)
    checks.positive_int(every=every)
    inner, always = with_extra_args_support(inner), checks.known_number(every) == 1
    take = partial(step_and, inner, single_pass=single_pass and not always)

    def init(params: Params) -> AverageState:
        none = zero_count(params)
        mean = make_slot(weights, params)
        return AverageState(inner.init(params), none, zero_count(params), mean)

    def update(
        updates: Updates,
        state: AverageState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, AverageState]:
        checks.require_params(params)
        steps = state.steps_since + 1
        due = True if always else steps >= every
        count = jnp.where(due, safe_increment(state.count), state.count)
        n = jnp.maximum(count, 1)

        def move(mean: PyTree, there: Params) -> PyTree:
            return _nearer(mean, there, partial(_share, decay, n, debias=debias))

        now = (updates, state.inner_state, params)
        u, inner_state, mean = take(now, extra, due, move, state.mean)
        return u, AverageState(inner_state, jnp.where(due, 0, steps), count, mean)

    return GradientTransformation(init, update)


class TailAverageState(NamedTuple):
    """What :func:`tail_average` remembers."""

    inner_state: OptState
    count: Count  # t
    start: Count  # T
    weight: Any  # λ
    mean: Weights  # e, from step T on

    def averaged_params(self, params: Params) -> Params:
        """Return the weights mixed with their mean, and the weights before step T."""
        weight = jnp.where(self.count > self.start, self.weight, 0)

        def mixed(e: jax.Array, p: jax.Array) -> jax.Array:
            return p + weight.astype(real_dtype(p.dtype)) * (e - p)

        return made_with(self.mean, params, mixed)


@order.needs_final("update")
@order.keeps("parts")
@transformation
def tail_average(
    inner: GradientTransformation,
    start: int,
    decay: Scalar | None = 1 - 1 / 150,
    weight: Scalar = 0.6,
    *,
    single_pass: bool = False,
) -> GradientTransformation:
    """Average the weights of the last part of a run, and evaluate part of the way.

        u = inner(g),  θ = p + u                   the updates are those of inner
        e ← β e + (1 - β) θ                        from step T on, where e is θ
        evaluate at (1 - λ) θ + λ e

    For a run whose learning rate comes down: T is where that begins. The mean smooths
    what is left of the noise; a mean of the whole run would lag behind. Before T
    nothing is averaged, and the mean is not read. With T = 0 it starts as the
    parameters that ``init`` was given. :func:`gradtx.eval_params` finds the weights to
    evaluate with, wherever this stands; ``masked`` around it, last in a chain and with
    ``inner`` the identity, leaves leaves out, such as embeddings.

    Args:
      inner: any transformation whose updates are added to the parameters.
      start: T, at least 0, in steps: after so many the mean begins.
      decay: β, from 0 and below 1: how much of the mean is kept at a step. None: the
        mean is of all weights after step T alike.
      weight: λ, from 0 to 1: how far to go towards the mean; 0 evaluates the weights as
        they are.
      single_pass: whether a step that updates the mean is one pass over memory; see
        :func:`gradtx.average`.

    Raises:
      ValueError: if a number is outside its range; from ``update`` if it is given no
        parameters; from ``chain``, if something that changes the updates follows.

    Reference: modded-nanogpt, track 3, records 45 and 46 (tail EMA),
      https://github.com/KellerJordan/modded-nanogpt; Jain et al., 2018,
      https://arxiv.org/abs/1610.03774 (the mean of the tail)

    Example:
      >>> tx, params = gradtx.tail_average(gradtx.sgd(0.1), start=10), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    checks.non_negative(start=start)
    checks.decay_rates(decay=decay)
    checks.unit_interval(weight=weight)
    inner = with_extra_args_support(inner)
    take = partial(step_and, inner, single_pass=single_pass)

    def init(params: Params) -> TailAverageState:
        return TailAverageState(
            inner_state=inner.init(params),
            count=zero_count(params),
            start=replicated_like(params, start, jnp.int32),
            weight=replicated_like(params, weight, widest(params)),
            mean=make_slot(weights, params),
        )

    def update(
        updates: Updates,
        state: TailAverageState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, TailAverageState]:
        checks.require_params(params)
        count = safe_increment(state.count)
        share = partial(_share, decay, jnp.maximum(count - start, 1))

        def move(mean: PyTree, there: Params) -> PyTree:
            return _nearer(mean, there, share, anew=count == start)

        now = (updates, state.inner_state, params)
        u, inner_state, mean = take(now, extra, count >= start, move, state.mean)
        return u, TailAverageState(
            inner_state=inner_state,
            count=count,
            start=jnp.asarray(start, state.start.dtype),
            weight=jnp.asarray(weight, state.weight.dtype),
            mean=mean,
        )

    return GradientTransformation(init, update)


def _share(
    decay: Scalar | None, n: jax.Array, dtype: DTypeLike, *, debias: bool = False
) -> jax.Array:
    """Return how far a mean moves towards the n-th number that it is of."""
    if decay is None:
        return 1 / n.astype(dtype)
    share = jnp.asarray(one_minus(decay), dtype)
    return share / one_minus_power(decay, n, dtype) if debias else share


def _nearer(mean: PyTree, there: Params, share: Any, *, anew: Any = False) -> PyTree:
    """Move a mean towards the weights, by ``share`` of its real type, or start it."""

    def one(m: Any, x: Any) -> Any:
        if is_absent(m):
            return m
        x = as_stored(x).astype(m.dtype)
        return jnp.where(anew, x, m + share(real_dtype(m.dtype)) * (x - m))

    return jax.tree.map(one, mean, there, is_leaf=is_absent)
