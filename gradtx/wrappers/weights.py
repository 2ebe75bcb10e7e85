"""Half-precision weights whose small steps are not lost: what is rounded away is kept.

A bfloat16 parameter has 8 bits, so that a step below a 256th of it is lost when it is
added. Each wrapper here lets its transformation compute with float32, and carries the
parameter to the half-precision number that it means, whoever adds the updates.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.codecs.dither import noise
from gradtx.common import checks, numerics
from gradtx.common.leaves import map_differentiable, parted
from gradtx.common.types import Count, OptState, Params, Updates, Weights
from gradtx.core import order, state_fit
from gradtx.core.slots import Slot, make_slot, weights, zeros
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.primitives.noise import random_key
from gradtx.wrappers.averages import Find, put_back
from gradtx.wrappers.half_precision import (
    in_float32,
    is_narrow,
    meant,
    nearest_update,
    random_update,
    settled,
    step_in_float32,
)
from gradtx.wrappers.step import typed_like


class MasterWeightsState(NamedTuple):
    """What :func:`with_master_weights` remembers."""

    inner_state: OptState
    master: Weights  # x, in float32; None for float32 or wider ones

    def seen_by_inner(self, find: Find, params: Params) -> Params:
        """Return what ``find`` finds in the inner state for the master weights."""
        x = meant(_followed, params, self.master)
        return put_back(typed_like, params, x, find(self.inner_state, x))


class CompensationState(NamedTuple):
    """What :func:`with_compensation` remembers."""

    inner_state: OptState
    remainder: Weights  # c, what the parameter lacks; None for float32 or wider ones

    def seen_by_inner(self, find: Find, params: Params) -> Params:
        """Return what ``find`` finds in the inner state for the full parameters."""
        x = meant(_completed, params, self.remainder)
        return put_back(typed_like, params, x, find(self.inner_state, x))


class StochasticRoundingState(NamedTuple):
    """What :func:`with_stochastic_rounding` remembers."""

    inner_state: OptState
    roundings: Count  # so far
    rng_key: jax.Array  # the key that they are drawn by; it stays


@order.needs_final("update")
@transformation
def with_master_weights(tx: GradientTransformation) -> GradientTransformation:
    """Keep a float32 copy of half-precision parameters, and step there.

        x ← x + tx(g, x),    p ← x rounded to the nearest          x: float32

    Costs 4 bytes for each parameter of half precision; wider ones are left to ``tx``.
    What ``tx`` keeps, it keeps as for float32 parameters. A parameter that was changed
    from outside, by more than its last bit, is taken as it is then.

    The updates have the type of their parameters, and it does not matter who adds them:
    :func:`gradtx.apply_updates`, optax's or Equinox's. No such update can carry every
    parameter to the number next to x: where a step leads across 0, or to less than half
    of the parameter, p lands within half of the update's last bit, at most 2⁻⁹ of a
    bfloat16 step. If that is more than the last bit of p, the next step starts there.
    Let nothing that changes updates follow in a chain. Given to
    :func:`gradtx.lookahead` and others that carry the parameters to places of their
    own, it goes around them.

    Args:
      tx: any optimizer.

    Raises:
      ValueError: from ``update`` without parameters.

    Reference: Micikevicius et al., 2018, https://arxiv.org/abs/1710.03740 (section 3.1)

    Example:
      >>> tx, params = (
      ...     gradtx.with_master_weights(gradtx.sgd(1e-3)),
      ...     jnp.ones(2, jnp.bfloat16),
      ... )
      >>> state = tx.init(params)
      >>> for _ in range(100):
      ...     updates, state = tx.update(jnp.ones_like(params), state, params)
      ...     params = gradtx.apply_updates(params, updates)
      >>> print(params)  # without it, they stay 1
      [0.898438 0.898438]
    """
    return _beside(tx, MasterWeightsState, weights, _followed, _to_master, shown=_first)


@order.needs_final("update")
@transformation
def with_compensation(tx: GradientTransformation) -> GradientTransformation:
    """Keep what half-precision parameters lack in half precision, and add it again.

        x = p + c + tx(g, p + c),    p ← x rounded to the nearest,    c ← x - p

    Kahan's summation: parameter and remainder have 16 bits or more between them, in 4
    bytes for each parameter in all. Steps below 2⁻¹⁷ of a bfloat16 may still be lost.
    What ``tx`` keeps, it keeps as for half precision, but weights in float32; it
    computes in float32. Wider parameters are left to ``tx``.

    The updates are as those of :func:`with_master_weights`. Where they cannot carry a
    parameter to the number next to x, the rest is in c, and comes with the next step.

    Args:
      tx: any optimizer.

    Raises:
      ValueError: from ``update`` without parameters.

    Reference: Zamirai et al., 2020, https://arxiv.org/abs/2010.06192 (Algorithm 3)

    Example:
      >>> tx, params = (
      ...     gradtx.with_compensation(gradtx.sgd(1e-3)),
      ...     jnp.ones(2, jnp.bfloat16),
      ... )
      >>> state = tx.init(params)
      >>> for _ in range(100):
      ...     updates, state = tx.update(jnp.ones_like(params), state, params)
      ...     params = gradtx.apply_updates(params, updates)
      >>> print(params)  # without it, they stay 1
      [0.898438 0.898438]
    """
    return _beside(tx, CompensationState, zeros, _completed, _to_remainder)


@order.needs_final("update")
@transformation
def with_stochastic_rounding(
    tx: GradientTransformation, key: jax.Array | int | None = None
) -> GradientTransformation:
    """Round half-precision parameters stochastically, without bias.

        x = p + tx(g, p),    p ← one of the neighbours of x, with E[p] = x

    Needs no memory. What ``tx`` keeps, it keeps as for half precision, but weights in
    float32; it computes in float32. Wider parameters are left to ``tx``.

    The updates are as those of :func:`with_master_weights`: the neighbours are those
    that such updates can carry p to.

    Args:
      tx: any optimizer.
      key: the random key to draw by, or an integer to make one of; None means 0.

    Raises:
      ValueError: from ``update`` without parameters.

    Reference: Zamirai et al., 2020, https://arxiv.org/abs/2010.06192 (Algorithm 2)

    Example:
      >>> tx, params = (
      ...     gradtx.with_stochastic_rounding(gradtx.sgd(0.5)),
      ...     jnp.ones(2, jnp.bfloat16),
      ... )
      >>> updates, state = tx.update(jnp.ones_like(params), tx.init(params), params)
      >>> print(gradtx.apply_updates(params, updates))
      [0.5 0.5]
    """
    inner = with_extra_args_support(tx)

    def init(params: Params) -> StochasticRoundingState:
        rng_key = replicated_like(params, random_key(0 if key is None else key))
        return StochasticRoundingState(inner.init(params), zero_count(params), rng_key)

    def update(
        updates: Updates,
        state: StochasticRoundingState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, StochasticRoundingState]:
        checks.require_params(params)
        count = numerics.safe_increment(state.roundings)
        leaves, put = parted(params)
        salts = put(list(jax.random.bits(state.rng_key, (len(leaves),))), alone=True)
        before = map_differentiable(in_float32, params)
        inner_state = state.inner_state
        u, inner_state = step_in_float32(inner, updates, inner_state, before, extra)
        settle = partial(_at_random, count)
        moves, _ = settled(settle, u, params, before, salts)
        return moves, StochasticRoundingState(inner_state, count, state.rng_key)

    return GradientTransformation(init, update)


def _beside(
    tx: GradientTransformation,
    state_type: Any,
    slot: Slot,
    see: Callable[[Any, Any], Any],
    settle: Callable[[Any, Any, Any], Any],
    *,
    shown: Callable[[Any, Any], Any] | None = None,
) -> GradientTransformation:
    """Keep an array for every parameter of half precision, and step with the two.

    Args:
      tx: the transformation that steps.
      state_type: of its state and what is kept.
      slot: makes what is kept, from the parameter.
      see: from the parameter and what is kept to the float32 number that they mean.
      settle: from the parameter, the number that is meant after the step, and what is
        kept to the update, the parameter after it, and what is kept then.
      shown: what the state of ``tx`` is made of, from a parameter and what is kept; the
        parameter if None.
    """
    inner = with_extra_args_support(tx)

    def init(params: Params) -> Any:
        kept = make_slot(lambda p: slot(p) if is_narrow(p) else None, params)
        start = params if shown is None else meant(shown, params, kept)
        return state_type(inner.init(start), kept)

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        checks.require_params(params)
        state_fit.of_class(state, state_type, list(state_type._fields))
        inner_state, kept = state
        before = meant(see, params, kept)
        u, inner_state = step_in_float32(inner, updates, inner_state, before, extra)
        moves, kept = settled(settle, u, params, before, kept)
        return moves, state_type(inner_state, kept)

    return GradientTransformation(init, update)


# --- one parameter -----------------------------------------------------------


def _first(p: Any, master: Any) -> Any:
    del p
    return master


@jax.jit
def _followed(p: jax.Array, master: jax.Array) -> jax.Array:
    """Return the master weight, or the parameter where that was changed since."""
    now = in_float32(p)
    info: Any = jnp.finfo(p.dtype)
    last_bit = jnp.abs(now) * float(info.eps) + float(info.smallest_subnormal)
    return jnp.where(jnp.abs(master - now) <= last_bit, master, now)


@jax.jit
def _completed(p: jax.Array, remainder: jax.Array) -> jax.Array:
    return in_float32(p) + in_float32(remainder)


@jax.jit
def _to_master(p: jax.Array, x: jax.Array, old: jax.Array) -> Any:
    del old
    u, landed = nearest_update(p, x)
    # Where p lands elsewhere, the next step sees it: asked here, it costs a pass.
    return u, landed.astype(p.dtype), x


@jax.jit
def _to_remainder(p: jax.Array, x: jax.Array, old: jax.Array) -> Any:
    u, landed = nearest_update(p, x)
    return u, landed.astype(p.dtype), (x - landed).astype(old.dtype)


@jax.jit
def _at_random(count: Count, p: jax.Array, x: jax.Array, salt: jax.Array) -> Any:
    bits = noise(p.shape, count.astype(jnp.uint32), salt)
    u, landed = random_update(p, x, bits)
    return u, landed.astype(p.dtype), salt
