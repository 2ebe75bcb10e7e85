"""Updates in half precision: which one carries a parameter to where it is meant to be.

Whoever adds an update u to a parameter p of the same half-precision type gets the sum
rounded to the nearest number of that type, ⌊p + u⌉. To carry p to a number x, u = x - p
has to be rounded too. Where that is within a factor of 2 of p, on the same side of 0,
the difference of the two nearest numbers is exact, and p lands on the number nearest to
x. Where a step is larger than that, a half-precision update may not reach it, and p
lands within half of the last bit of u. Each function here tells where p lands.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.codecs.dither import rounded, rounded_down, share_of
from gradtx.common import checks, numerics
from gradtx.common.leaves import map_differentiable
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.apply_updates import apply_updates, remember_sum
from gradtx.core.leafwise import to_compute_dtype
from gradtx.core.transformation import GradientTransformation
from gradtx.tree import masks
from gradtx.wrappers.step import typed_like


def nearest_update(p: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the update that carries a parameter nearest to x, and where it lands.

    Args:
      p: a parameter of half precision.
      x: where it is meant to be, in float32.

    Returns:
      The update, in the type of p, and ⌊p + u⌉ in float32.
    """

    def near(y: jax.Array) -> jax.Array:
        return rounded(y, p.dtype)

    u, landed = _by(near, p, x)
    return numerics.cast(u, p.dtype), landed


def random_update(
    p: jax.Array, x: jax.Array, bits: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return an update that carries a parameter to x on average, and where it lands.

        E⌊p + u⌉ = x                  over uniform bits, for each p and x

    Args:
      p: a parameter of half precision.
      x: where it is meant to be, in float32.
      bits: uniform uint32 numbers, as of :func:`gradtx.codecs.dither.noise`.

    Returns:
      The update, in the type of p, and ⌊p + u⌉ in float32.
    """

    def down(y: jax.Array) -> jax.Array:
        return rounded_down(y, p.dtype)

    def up(y: jax.Array) -> jax.Array:
        return -rounded_down(-y, p.dtype)

    # As ⌊p + u⌉ grows with u, these land on both sides of x, or on it.
    (u, low), (larger, high) = _by(down, p, x), _by(up, p, x)
    rises = x - low > share_of(bits) * (high - low)
    u, landed = jnp.where(rises, larger, u), jnp.where(rises, high, low)
    return numerics.cast(u, p.dtype), landed


def _by(
    rounding: Callable[[jax.Array], jax.Array], p: jax.Array, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the update to x, rounded twice by ``rounding``, and where p lands."""
    now, most = to_compute_dtype(p), float(jnp.finfo(p.dtype).max)
    u = rounding(x) - now
    u = rounding(jnp.where(jnp.isfinite(u), jnp.clip(u, -most, most), u))
    return u, rounded(now + u, p.dtype)


# --- trees -------------------------------------------------------------------


def is_narrow(p: Any) -> bool:
    """Whether a parameter is of half precision."""
    if not is_differentiable(p):
        return False
    dtype = jax.dtypes.result_type(p)
    return numerics.compute_dtype(dtype) != dtype


def as_stored(p: Any) -> Any:
    """Return a parameter as it will be in memory, to use it before it is there.

    Where one kernel computes and uses it, a compiler may keep the bits of float32.
    """
    return _as_stored(p) if is_narrow(p) else p


@jax.custom_jvp
def _as_stored(p: jax.Array) -> jax.Array:
    return numerics.cast(rounded(to_compute_dtype(p), p.dtype), p.dtype)


@_as_stored.defjvp
def _as_stored_jvp(primals: Any, tangents: Any) -> Any:
    return _as_stored(*primals), *tangents


def in_float32(p: Any) -> jax.Array:
    """Return a parameter in at least float32."""
    return to_compute_dtype(jnp.asarray(p))


def meant(see: Callable[[Any, Any], jax.Array], params: Params, kept: PyTree) -> Params:
    """Return what half-precision parameters mean with what is kept for them.

    Args:
      see: from a parameter and what is kept to the float32 number that they mean.
      params: the parameters.
      kept: a tree of what is kept, None or masked where nothing is.
    """
    return jax.tree.map(
        lambda k, p: p if k is None or masks.is_masked(k) else see(p, k),
        kept,
        params,
        is_leaf=lambda x: x is None or masks.is_masked(x),
    )


def step_in_float32(
    inner: GradientTransformation,
    updates: Updates,
    state: OptState,
    params: Params,
    extra: dict[str, Any],
) -> tuple[Updates, OptState]:
    """Let ``inner`` compute in float32, and keep its state in the types it has."""
    grads = map_differentiable(in_float32, updates)
    u, new = inner.update(grads, state, params, **extra)
    return u, typed_like(state, new)


def settled(
    settle: Callable[..., Any],
    updates: Updates,
    params: Params,
    before: Params,
    kept: PyTree,
) -> tuple[Updates, PyTree]:
    """Settle every half-precision parameter with an update; leave the others.

    Args:
      settle: from the parameter, the number that is meant after the step, and what is
        kept for it to the update, the parameter after it, and what is kept then.
      updates: what is added to the numbers meant before.
      params: the parameters.
      before: the numbers meant before.
      kept: what is kept for the parameters.

    Returns:
      The updates of the parameters, and what is kept for them.
    """
    moves, treedef = jax.tree.flatten(updates, is_leaf=checks.is_none)
    p, x, new = (treedef.flatten_up_to(tree) for tree in (params, before, kept))
    live = [i for i, u in enumerate(moves) if is_differentiable(u) and is_narrow(p[i])]
    # Not added here by hand: a kernel may have made the sums already.
    sums = apply_updates([x[i] for i in live], [moves[i] for i in live])
    for i, target in zip(live, sums, strict=True):
        moves[i], landed, new[i] = settle(p[i], target, new[i])
        remember_sum(p[i], moves[i], landed)
    return treedef.unflatten(moves), treedef.unflatten(new)
