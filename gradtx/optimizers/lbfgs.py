"""L-BFGS: curvature from the last few steps."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import dynamic_update_index_in_dim

from gradtx.common import checks
from gradtx.common.numerics import is_differentiable, safe_divide, safe_increment
from gradtx.common.types import (
    AxisName,
    Count,
    Exact,
    OptState,
    Params,
    PyTree,
    ScalarOrSchedule,
    Updates,
    Weights,
)
from gradtx.core.by_hand import settled
from gradtx.core.leafwise import flatten_updates, matching_params, matching_slots
from gradtx.core.reductions import shared_scalar
from gradtx.core.slots import make_slot, wide_zeros, zeros
from gradtx.core.transformation import GradientTransformation, identity, transformation
from gradtx.linesearch.zoom import scale_by_zoom_linesearch
from gradtx.lowering.sharding import zero_count
from gradtx.optimizers.two_loops import Arrays, inner_product, two_loops, wide
from gradtx.primitives.downhill import scale_by_learning_rate
from gradtx.primitives.history import history, put
from gradtx.primitives.scale import scale
from gradtx.tree.norms import norm
from gradtx.wrappers.chain import chain


class ScaleByLBFGSState(NamedTuple):
    """What :func:`scale_by_lbfgs` remembers."""

    count: Count
    params: Weights  # of the step before
    updates: Updates  # the gradients of the step before
    diff_params_memory: Exact  # s, the last steps, along a new first axis
    diff_updates_memory: PyTree  # y, how the gradients changed with them
    weights_memory: Exact  # ρ = 1 / ⟨y, s⟩


@transformation
def scale_by_lbfgs(
    memory_size: int = 10,
    scale_init_precond: bool = True,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Multiply by an estimate of the inverse Hessian, made from the last m steps.

        s = p - p',  y = g - g'                           from the step before to this
        ρ = 1 / Re⟨y, s⟩                                  0 where the product is 0
        H ← (I - ρ s yᴴ) H (I - ρ y sᴴ) + ρ s sᴴ          over the last m, oldest first
        u = H g                                           from H = γ I

    with γ = Re⟨y, s⟩ / ‖y‖² of the newest pair, and γ = min(1, 1 / ‖g‖) at the first
    step. H is never written down: two passes over the pairs give H g. Products and
    norms are taken over all leaves. H is positive where every Re⟨y, s⟩ is, which a line
    search with a curvature condition sees to.

    Args:
      memory_size: m, how many steps to remember; each takes twice the memory of the
        parameters.
      scale_init_precond: whether to begin with γ I; with I otherwise.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if ``memory_size`` is no whole number of at least 1; from ``update``,
        if it is given no parameters.

    Reference: Liu and Nocedal, 1989, https://doi.org/10.1007/BF01589116; Nocedal and
      Wright, Numerical Optimization, 1999, algorithms 7.4 and 7.5

    Example:
      >>> tx, params = gradtx.scale_by_lbfgs(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 0.89400005 -0.44700003]
    """
    checks.positive_int(memory_size=memory_size)
    pile = partial(history, memory_size)

    def init(params: Params) -> OptState:
        return ScaleByLBFGSState(
            count=zero_count(params),
            params=make_slot(wide_zeros, params),
            updates=make_slot(zeros, params),
            diff_params_memory=make_slot(pile, params),
            diff_updates_memory=make_slot(pile, params),
            weights_memory=shared_scalar(params, jnp.zeros(memory_size), axis_name),
        )

    def update(
        updates: Updates,
        state: ScaleByLBFGSState,
        params: Params | None = None,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        checks.require_params(params)
        leaves, treedef = flatten_updates(updates)
        targets = matching_params(params, leaves, treedef)
        slots = [
            matching_slots(getattr(state, name), leaves, treedef, name, made)
            for name, made in zip(_SLOTS, _shapes(memory_size), strict=True)
        ]
        live = [i for i, (_, g) in enumerate(leaves) if is_differentiable(g)]
        g, p = ([jnp.asarray(x[i]) for i in live] for x in (_arrays(leaves), targets))
        kept = [[slot[i] for i in live] for slot in slots]
        u, new, weights = _step(g, p, kept, state, scale_init_precond, axis_name)
        for slot, values in zip(slots, new, strict=True):
            for i, x in zip(live, values, strict=True):
                slot[i] = x
        moved = dict(zip(live, u, strict=True))
        out = [
            settled(moved.get(i), leaf[1], target)
            for i, (leaf, target) in enumerate(zip(leaves, targets, strict=True))
        ]
        trees = {k: treedef.unflatten(x) for k, x in zip(_SLOTS, slots, strict=True)}
        count = safe_increment(state.count)
        return treedef.unflatten(out), ScaleByLBFGSState(
            count=count, weights_memory=weights, **trees
        )

    return GradientTransformation(init, update)


_SLOTS = ("params", "updates", "diff_params_memory", "diff_updates_memory")


def _shapes(size: int) -> tuple[Any, ...]:
    """Return what tells the shape of each slot from a parameter's shape and type."""
    one = jax.ShapeDtypeStruct

    def pile(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        return one((size, *shape), dtype)

    return one, one, pile, pile


def _arrays(leaves: list[Any]) -> list[Any]:
    return [x for _, x in leaves]


def _step(
    g: Arrays,
    p: Arrays,
    kept: list[Arrays],
    state: ScaleByLBFGSState,
    scaled: bool,
    axis_name: AxisName,
) -> tuple[Arrays, list[Arrays], jax.Array]:
    """Return the direction, the new slots and the new weights."""
    old_p, old_g, steps, changes = kept
    weights = state.weights_memory
    begun, size = state.count > 0, len(weights)

    def since(new: Arrays, old: Arrays, memory: Arrays) -> Arrays:
        """Return the changes, in the types that they are remembered in."""
        triples = zip(new, old, memory, strict=True)
        return [
            jnp.where(begun, wide(x) - wide(o), 0).astype(m.dtype)
            for x, o, m in triples
        ]

    s, y = since(p, old_p, steps), since(g, old_g, changes)
    product = inner_product(y, s, axis_name)
    place = (state.count - 1) % size
    steps, changes = _put(steps, s, place), _put(changes, y, place)
    square = norm(y, squared=True, axis_name=axis_name)
    usable = jnp.isfinite(product) & jnp.isfinite(square)
    product = jnp.where(usable, product, 0)  # a pair too large to compute with
    weight = safe_divide(jnp.ones_like(product), product).astype(weights.dtype)
    weights = dynamic_update_index_in_dim(weights, weight, place, 0)
    factor: Any = 1.0
    if scaled:
        first = 1 / jnp.maximum(norm(g, axis_name=axis_name), 1)
        factor = jnp.where(square > 0, safe_divide(product, square), 1)
        factor = jnp.where(begun & usable, factor, first)
    order = (state.count + jnp.arange(size)) % size  # the oldest first
    memory = steps, changes, weights
    u = two_loops(list(map(wide, g)), memory, order, factor, axis_name)
    now = [[x.astype(o.dtype) for x, o in zip(p, old_p, strict=True)]]
    now += [[x.astype(o.dtype) for x, o in zip(g, old_g, strict=True)]]
    return u, [*now, steps, changes], weights


def _put(memory: Arrays, new: Arrays, place: jax.Array) -> Arrays:
    return [put(m, x, place) for m, x in zip(memory, new, strict=True)]


_zoom = partial(
    scale_by_zoom_linesearch, max_linesearch_steps=20, initial_guess_strategy="one"
)
_ZOOM = _zoom()


@transformation
def lbfgs(
    learning_rate: ScalarOrSchedule | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: GradientTransformation | None = _ZOOM,
    *,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """L-BFGS: :func:`scale_by_lbfgs`, and a line search that finds the step size.

        p ← p - η H g

    ``update`` wants the extra arguments of the line search: ``value``, ``grad`` and
    ``value_fn``; what else it is given goes to ``value_fn`` where that names it.

    Args:
      learning_rate: a factor of the direction that the search begins with, or a
        schedule of it; 1 if None. Without a line search it is η.
      memory_size: how many steps to remember.
      scale_init_precond: whether to scale the first estimate of the inverse Hessian.
      linesearch: what finds η; None for no search. One of your own is given its
        ``axis_name`` where it is made.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if the learning rate is negative or ``memory_size`` less than 1.

    Reference: Liu and Nocedal, 1989, https://doi.org/10.1007/BF01589116

    Example:
      >>> def f(x):
      ...     return jnp.sum(x**2)
      >>> params = jnp.ones(2)
      >>> tx = gradtx.lbfgs()
      >>> updates, _ = tx.update(
      ...     2 * params,
      ...     tx.init(params),
      ...     params,
      ...     value=f(params),
      ...     grad=2 * params,
      ...     value_fn=f,
      ... )
      >>> print(f(params + updates).round(3))
      0.172
    """
    checks.non_negative(learning_rate=learning_rate)
    if linesearch is _ZOOM:
        linesearch = _zoom(axis_name=axis_name)
    if learning_rate is None:
        downhill = scale(-1.0)
    else:
        downhill = scale_by_learning_rate(learning_rate)
    return chain(
        scale_by_lbfgs(memory_size, scale_init_precond, axis_name=axis_name),
        downhill,
        identity() if linesearch is None else linesearch,
    )
