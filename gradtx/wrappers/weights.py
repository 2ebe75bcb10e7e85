"""Half-precision weights that do not stand still: what is rounded away is kept.

A bfloat16 parameter has 8 bits, so that a step below a 256th of it is lost when it is
added. Each wrapper here lets its transformation compute with float32, and carries the
parameter to the half-precision number that it means, exactly.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.codecs.dither import noise, rounded
from gradtx.common import checks, numerics
from gradtx.common.leaves import is_differentiable, map_differentiable, parted
from gradtx.common.types import Count, OptState, Params, PyTree, Updates
from gradtx.core.slots import make_slot, zeros
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import beside, zero_count
from gradtx.primitives.noise import random_key
from gradtx.wrappers.step import typed_like


class MasterWeightsState(NamedTuple):
    """What :func:`with_master_weights` remembers."""

    inner_state: OptState
    master: Params  # x, in float32; None for parameters that are wide themselves


class CompensationState(NamedTuple):
    """What :func:`with_compensation` remembers."""

    inner_state: OptState
    remainder: Params  # c, what the parameter lacks; None where it is wide itself


class StochasticRoundingState(NamedTuple):
    """What :func:`with_stochastic_rounding` remembers."""

    inner_state: OptState
    roundings: Count  # so far
    rng_key: jax.Array  # the key that they are drawn by; it stays


@transformation
def with_master_weights(tx: GradientTransformation) -> GradientTransformation:
    """Keep half-precision parameters in float32 beside, and step there.

        x ← x + tx(g, x),    p ← x rounded to the nearest          x: float32

    Costs 4 bytes for each parameter of half precision; wider ones are left to ``tx``.
    What ``tx`` keeps, it keeps as for float32 parameters. A parameter that was changed
    from outside, by more than its last bit, is taken as it is then.

    The updates of half-precision parameters are float32, as fewer bits cannot carry
    every move: :func:`gradtx.apply_updates`, and optax's, then land exactly on p. Let
    nothing that changes updates follow in a chain.

    Args:
      tx: any optimizer.

    Raises:
      ValueError: from ``update`` without parameters.

    Reference: Micikevicius et al., 2018, https://arxiv.org/abs/1710.03740 (section 3.1)
    """
    inner = with_extra_args_support(tx)

    def init(params: Params) -> MasterWeightsState:
        master = make_slot(_if_narrow(_widened), params)
        return MasterWeightsState(inner.init(_each(_second, params, master)), master)

    def update(
        updates: Updates,
        state: MasterWeightsState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, MasterWeightsState]:
        checks.params_given(params)
        wide = _each(_followed, params, state.master)
        u, inner_state = inner.update(
            _wide_like(updates), state.inner_state, wide, **extra
        )
        moves, master = _moved(_to_master, u, params, state.master, wide)
        return moves, MasterWeightsState(inner_state, master)

    return GradientTransformation(init, update)


@transformation
def with_compensation(tx: GradientTransformation) -> GradientTransformation:
    """Keep what half-precision parameters lack in half precision, and add it again.

        x = p + c + tx(g, p + c),    p ← x rounded to the nearest,    c ← x - p

    Kahan's summation: parameter and remainder have 16 bits or more between them, in 4
    bytes for each parameter in all. Steps below 2⁻¹⁷ of a bfloat16 may still be lost.
    What ``tx`` keeps, it keeps as for half precision; it computes in float32. Wider
    parameters are left to ``tx``.

    The updates of half-precision parameters are float32, as fewer bits cannot carry
    every move: :func:`gradtx.apply_updates`, and optax's, then land exactly on p. Let
    nothing that changes updates follow in a chain.

    Args:
      tx: any optimizer.

    Raises:
      ValueError: from ``update`` without parameters.

    Reference: Zamirai et al., 2020, https://arxiv.org/abs/2010.06192 (Algorithm 3)
    """
    inner = with_extra_args_support(tx)

    def init(params: Params) -> CompensationState:
        return CompensationState(
            inner.init(params), make_slot(_if_narrow(zeros), params)
        )

    def update(
        updates: Updates,
        state: CompensationState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, CompensationState]:
        checks.params_given(params)
        wide = _each(_completed, params, state.remainder)
        u, inner_state = _step(inner, updates, state.inner_state, wide, extra)
        moves, remainder = _moved(_to_remainder, u, params, state.remainder, wide)
        return moves, CompensationState(inner_state, remainder)

    return GradientTransformation(init, update)


@transformation
def with_stochastic_rounding(
    tx: GradientTransformation, key: jax.Array | int | None = None
) -> GradientTransformation:
    """Round half-precision parameters up or down at random, right on average.

        x = p + tx(g, p),    p ← one of the neighbours of x, with E[p] = x

    Needs no memory. What ``tx`` keeps, it keeps as for half precision; it computes in
    float32. Wider parameters are left to ``tx``.

    The updates of half-precision parameters are float32, as fewer bits cannot carry
    every move: :func:`gradtx.apply_updates`, and optax's, then land exactly on p. Let
    nothing that changes updates follow in a chain.

    Args:
      tx: any optimizer.
      key: the random key to draw by, or an integer to make one of; None means 0.

    Raises:
      ValueError: from ``update`` without parameters.

    Reference: Zamirai et al., 2020, https://arxiv.org/abs/2010.06192 (Algorithm 2)
    """
    inner = with_extra_args_support(tx)

    def init(params: Params) -> StochasticRoundingState:
        rng_key = beside(params, random_key(0 if key is None else key))
        return StochasticRoundingState(inner.init(params), zero_count(params), rng_key)

    def update(
        updates: Updates,
        state: StochasticRoundingState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, StochasticRoundingState]:
        checks.params_given(params)
        wide = map_differentiable(_widened, params)
        u, inner_state = _step(inner, updates, state.inner_state, wide, extra)
        count = numerics.safe_increment(state.roundings)
        leaves, put = parted(params)
        salts = put(list(jax.random.bits(state.rng_key, (len(leaves),))), alone=True)
        moves, _ = _moved(partial(_at_random, count), u, params, salts)
        return moves, StochasticRoundingState(inner_state, count, state.rng_key)

    return GradientTransformation(init, update)


# --- one parameter -----------------------------------------------------------


def _is_narrow(p: Any) -> bool:
    if not is_differentiable(p):
        return False
    dtype = jax.dtypes.result_type(p)
    return numerics.wide(dtype) != dtype


def _if_narrow(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda p: make(p) if _is_narrow(p) else None


def _widened(p: Any) -> jax.Array:
    p = jnp.asarray(p)
    return p.astype(numerics.wide(p.dtype))


def _second(_: Any, master: Any) -> Any:
    return master


@jax.jit
def _followed(p: jax.Array, master: jax.Array) -> jax.Array:
    """Return the master weight, or the parameter where that was changed since."""
    info: Any = jnp.finfo(p.dtype)
    wide = _widened(p)
    last_bit = jnp.abs(wide) * float(info.eps) + float(info.smallest_subnormal)
    return jnp.where(jnp.abs(master - wide) <= last_bit, master, wide)


@jax.jit
def _completed(p: jax.Array, remainder: jax.Array) -> jax.Array:
    return _widened(p) + _widened(remainder)


@jax.jit
def _to_master(p: jax.Array, u: jax.Array, old: Any, x: jax.Array) -> Any:
    del old
    x = x + u
    return rounded(x, p.dtype) - _widened(p), x


@jax.jit
def _to_remainder(p: jax.Array, u: jax.Array, old: Any, x: jax.Array) -> Any:
    x = x + u
    target = rounded(x, p.dtype)
    return target - _widened(p), (x - target).astype(old.dtype)


@jax.jit
def _at_random(count: Count, p: jax.Array, u: jax.Array, salt: jax.Array) -> Any:
    bits = noise(p.shape, count.astype(jnp.uint32), salt)
    wide = _widened(p)
    return rounded(wide + u, p.dtype, bits) - wide, salt


# --- trees of them -----------------------------------------------------------


def _each(f: Callable[[Any, Any], Any], params: Params, other: PyTree) -> PyTree:
    """Map over parameters and what belongs to each; where that is None they stay."""
    leaves, treedef = jax.tree.flatten(params)
    pairs = zip(leaves, treedef.flatten_up_to(other), strict=True)
    return treedef.unflatten([p if x is None else f(p, x) for p, x in pairs])


def _wide_like(updates: Updates) -> Updates:
    return map_differentiable(_widened, updates)


def _step(
    inner: GradientTransformation,
    updates: Updates,
    state: OptState,
    wide: Params,
    extra: dict[str, Any],
) -> tuple[Updates, OptState]:
    """Let ``inner`` compute in float32, and keep its state in the types it has."""
    u, new = inner.update(_wide_like(updates), state, wide, **extra)
    return u, typed_like(state, new)


def _moved(
    settle: Callable[..., Any], updates: Updates, params: Params, *kept: PyTree
) -> tuple[Updates, PyTree]:
    """Settle every half-precision parameter that moves; leave the others as they are.

    Returns the moves and the new ones of the first tree that is kept.
    """
    leaves, treedef = jax.tree.flatten(updates, is_leaf=checks.is_none)
    columns = [treedef.flatten_up_to(tree) for tree in (params, *kept)]
    results = [
        settle(p, u, *old) if is_differentiable(u) and _is_narrow(p) else (u, old[0])
        for u, p, *old in zip(leaves, *columns, strict=True)
    ]
    moves, new = ([result[i] for result in results] for i in range(2))
    return treedef.unflatten(moves), treedef.unflatten(new)
