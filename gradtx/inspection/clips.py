"""Whether the links of a chain that clip have clipped anything."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import numerics, spec
from gradtx.common.leaves import differentiable
from gradtx.common.types import AxisName, OptState, Params, Updates
from gradtx.primitives.adagc import adagc
from gradtx.primitives.adaptive_clip import adaptive_grad_clip
from gradtx.primitives.clip import clip, clip_by_block_rms, clip_by_global_norm, length
from gradtx.primitives.zclip import zclip
from gradtx.wrappers.chain import chain, named_chain

_MAKERS: Any = (
    *(adagc, adaptive_grad_clip, clip, clip_by_block_rms, clip_by_global_norm, zclip),
)
_CLIPS = {make.factory for make in _MAKERS}
_CHAINS = {chain.factory, named_chain.factory}  # type: ignore[attr-defined]

Stepped = tuple[Updates, OptState, Any]


def update_and_clipped(
    tx: Any, updates: Updates, state: OptState, params: Params, **extra: Any
) -> Stepped:
    """Return what ``update`` does, and whether a link of a chain clipped something.

    Args:
      tx: a transformation.
      updates: the gradients.
      state: its state.
      params: the parameters.
      **extra: what else its update takes.
    """
    made = _opened(tx)
    if made is None:
        new, state = tx.update(updates, state, params, **extra)
        return new, state, _has_clipped(tx, updates, new)
    links, names = _links(made)
    clipped: Any = False
    states = []
    for link, name in zip(links, names, strict=True):
        updates, after, one = update_and_clipped(
            link, updates, state[name], params, **extra
        )
        states.append(after)
        clipped = clipped | jnp.asarray(one)
    named = made.recipe.factory is named_chain.factory  # type: ignore[attr-defined]
    kept = dict(zip(names, states, strict=True)) if named else tuple(states)
    return updates, kept, clipped


def _opened(tx: Any) -> Any:
    """Return the chain that a transformation is, if there is a link in it that clips.

    All others are left whole.
    """
    made = tx
    while spec.is_value(made) and made.recipe.factory not in _CHAINS | _CLIPS:
        made = made.recipe.product
    if not spec.is_value(made) or made.recipe.factory in _CLIPS:
        return None
    clips = [_opened(x) is not None or _is_clip(x) for x in _links(made)[0]]
    return made if any(clips) else None


def _links(line: Any) -> tuple[list[Any], list[Any]]:
    """Return the links of a chain, and how the state of each is found."""
    args = line.recipe.arguments["args"]
    if line.recipe.factory is named_chain.factory:  # type: ignore[attr-defined]
        return [tx for _, tx in args], [name for name, _ in args]
    return list(args), list(range(len(args)))


def _is_clip(tx: Any) -> bool:
    return spec.is_value(tx) and tx.recipe.factory in _CLIPS


def _has_clipped(tx: Any, before: Updates, after: Updates) -> Any:
    if not _is_clip(tx):
        return False
    if tx.recipe.factory is clip_by_global_norm.factory:  # type: ignore[attr-defined]
        given = tx.recipe.arguments
        return gradient_norm(before, given["axis_name"]) > given["max_norm"]
    pairs = zip(differentiable(before), differentiable(after), strict=True)
    return jax.tree.reduce(jnp.logical_or, [_differ(*pair) for pair in pairs], False)  # noqa: FBT003


def gradient_norm(updates: Updates, axis_name: AxisName = None) -> jax.Array:
    """Return the norm as a clipping link takes it, which the compiler takes once.

    One that such a link takes for infinite is infinite.
    """
    unit, rest = length(updates, axis_name)
    norm = unit * rest
    return jnp.where(norm < numerics.largest_square(norm.dtype), norm, _beyond(norm))


def _beyond(norm: jax.Array) -> jax.Array:
    return jnp.where(jnp.isnan(norm), norm, jnp.inf)


def _differ(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.any((x != y) & ~(jnp.isnan(x) & jnp.isnan(y)))
