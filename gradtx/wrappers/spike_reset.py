"""SPAM: reset the moments at intervals, and clip spikes of the gradient."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks, directions, numerics
from gradtx.common.types import Count, OptState, Params, PyTree, Scalar, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.sharding import zero_count
from gradtx.tree import masks
from gradtx.tree.state import get_all_with_path
from gradtx.wrappers.chain import check_inner
from gradtx.wrappers.inside import around_base


class SpikeAwareResetState(NamedTuple):
    """What :func:`spike_aware_reset` remembers."""

    count: Count  # t
    inner_state: OptState


class _Work(NamedTuple):
    nu: PyTree


@transformation
def spike_aware_reset(
    inner: GradientTransformation,
    every: int | None = 500,
    warmup_steps: int = 150,
    threshold: Scalar | None = 5000.0,
    wait: int = 20,
    fields: Sequence[str] = ("mu", "nu", "nu_max", "trace"),
) -> GradientTransformation:
    """Reset the moments at intervals, and clip the entries that are spikes.

        m, v ← 0                                   at every T-th step
        g ← sign(g) min(|g|, √(θ v))               v before this step
        u = w · inner(g),    w = 1 - 0.99 (1 + cos(π k / (W + 1))) / 2

    where k counts the steps since the last reset, and w = 1 from k = W on and before
    the first. Nothing is cut in the first A - 1 steps, nor in the first A after a
    reset, as v is not yet known then. An entry without any gradient since has v = 0, so
    that its first one is cut to 0, and it waits for the next reset.

    SPAM is ``spike_aware_reset(adam(learning_rate))``. Steps go on being counted, for
    the correction of biases too. Around Schedule-Free it acts on the base optimizer,
    which makes the steps.

    Args:
      inner: any optimizer.
      every: T, at least 1: how many steps from reset to reset; None for no reset.
      warmup_steps: W, at least 0: in how many steps the updates recover their size.
      threshold: θ, above 0; ``inner`` must then keep v, in a field ``nu`` of its state.
        None to cut nothing.
      wait: A, at least 0.
      fields: the names of the fields of the state that are made anew by a reset.

    Raises:
      ValueError: if a number is outside its range, if ``inner`` must see the final
        update, or if its state has no field of these names, or no ``nu`` to cut by.

    Reference: Huang et al., 2025, https://arxiv.org/abs/2501.06842 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.spike_aware_reset(gradtx.adam(0.1)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    checks.non_negative(warmup_steps=warmup_steps, wait=wait)
    checks.positive(threshold=threshold)
    if every is not None:
        checks.positive_int(every=every)

    def wrap(tx: GradientTransformation) -> GradientTransformation:
        return spike_aware_reset(tx, every, warmup_steps, threshold, wait, fields)

    within = around_base(inner, wrap)
    if within is not None:
        return within
    check_inner(inner, "spike_aware_reset")
    inner = with_extra_args_support(inner)
    names = frozenset(fields)
    cut = _cutting(1.0 if threshold is None else threshold)
    damp = leafwise(lambda u, *, factor: factor * u, EmptyState)

    def init(params: Params) -> OptState:
        state = inner.init(params)
        _has_what_is_needed(state, names, threshold)
        return SpikeAwareResetState(zero_count(params), state)

    def update(
        updates: Updates,
        state: SpikeAwareResetState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, OptState]:
        t = numerics.safe_increment(state.count)
        since, kept, given = t, state.inner_state, updates
        if every is not None:
            since = t % every
            fresh = inner.init(updates if params is None else params)
            kept = _reset(since == 0, kept, fresh, names)
        if threshold is not None:
            known = (t >= wait) & (since >= wait)
            v = _Work(_second_moments(kept, updates))
            given = cut.update(updates, v, params, known=known)[0]
        u, kept = inner.update(given, kept, params, **extra)
        if every is not None:
            factor = jnp.where(t >= every, _recovered(since, warmup_steps), 1)
            u = damp.update(u, EmptyState(), params, factor=factor)[0]
        return u, SpikeAwareResetState(t, kept)

    return GradientTransformation(init, update)


def _recovered(k: Count, steps: int) -> jax.Array:
    """Return w of the k-th step after a reset."""
    share = 1 - 0.99 * (1 + jnp.cos(jnp.pi * k / (steps + 1))) / 2
    return jnp.where(k < steps, share, 1)


def _reset(
    flag: jax.Array, state: OptState, fresh: OptState, names: frozenset[str]
) -> OptState:
    """Return the state with the fields of some names made anew where the flag holds."""

    def one(path: Any, old: Any, new: Any) -> Any:
        if names.isdisjoint(str(getattr(key, "name", "")) for key in path):
            return old
        return jnp.where(flag, new, old).astype(old.dtype)

    return jax.tree_util.tree_map_with_path(one, state, fresh)


def _cutting(threshold: Scalar) -> GradientTransformation:
    """Return what cuts off the part of each entry that v does not allow."""

    def rule(g: jax.Array, v: Any, *, known: jax.Array) -> tuple[jax.Array, Any]:
        if masks.is_masked(v):  # there is none of this leaf
            return g, v
        bound = numerics.sqrt(threshold * v)
        return jnp.where(known, directions.clip_magnitude(g, bound), g), v

    return leafwise(rule, _Work, nu=jnp.zeros_like)


def _second_moments(state: OptState, updates: Updates) -> PyTree:
    """Return v for every leaf that has one, from wherever it stands in the state."""
    leaves, treedef = jax.tree.flatten(updates, is_leaf=checks.is_none)
    columns = [
        checks.leaves_like(tree, treedef, "the state 'nu'", "updates")
        for _, tree in get_all_with_path(state, "nu")
    ]

    def moment_of(i: int, g: Any) -> Any:
        if g is None:
            return None
        fits = (v[i] for v in columns if getattr(v[i], "shape", None) == jnp.shape(g))
        return next(fits, masks.MaskedNode())

    return treedef.unflatten([moment_of(i, g) for i, g in enumerate(leaves)])


def _has_what_is_needed(
    state: OptState, names: frozenset[str], threshold: Scalar | None
) -> None:
    if not any(get_all_with_path(state, name) for name in names):
        raise checks.InvalidArgument(
            f"the state of inner has none of the fields {', '.join(sorted(names))}, so "
            "that there is nothing to reset: name its fields by `fields`"
        )
    if threshold is not None and not get_all_with_path(state, "nu"):
        raise checks.InvalidArgument(
            "the state of inner has no field 'nu', the mean of the squared gradients, "
            "to cut by: give threshold=None"
        )
