"""What a step does to the length of weights: held back, bounded below, kept to."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.directions import lengthened
from gradtx.common.numerics import (
    cast,
    safe_divide,
    safe_increment,
    sqrt,
    square,
    value_at,
)
from gradtx.common.types import (
    OptState,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
    Static,
    Updates,
)
from gradtx.core.leafwise import flatten_updates, matching_params, to_compute_dtype
from gradtx.core.reductions import real_products
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    transformation,
)
from gradtx.linalg import axes
from gradtx.lowering.sharding import zero_count
from gradtx.lowering.varying_matrices import warn_of_shards
from gradtx.primitives.scale import ScaleByScheduleState
from gradtx.primitives.shape import numbers_of_leaves

Axes = tuple[int, ...]
# From the update and the parameter of a leaf, the axes of its matrices, those of their
# rows, and what the step has for all leaves.
Rule = Callable[[jax.Array, jax.Array, Axes, Axes, Any], jax.Array]


@transformation
def scale_radial_part(
    outward_scale: Scalar = 0.5,
    inward_scale: Scalar = 1.0,
    *,
    weight_dimension_numbers: Static = None,
) -> GradientTransformation:
    """Scale the part of a direction along the weights, which changes their length.

        r = ⟨u, p⟩ p / ‖p‖²
        u ← u + (s - 1) r                  s: s_out where ⟨u, p⟩ < 0, else s_in

    of every matrix. For directions, which are subtracted: the weights grow where
    ⟨u, p⟩ < 0.

    Args:
      outward_scale: s_out, at least 0: the factor of a part whose step makes the
        weights longer.
      inward_scale: s_in, at least 0: that of one that makes them shorter.
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`gradtx.scale_by_muon` takes them. Leaves that have None stay as they are.

    Raises:
      ValueError: if a scale is negative; from ``update`` without parameters.

    Reference: Jordan et al., 2026, https://github.com/KellerJordan/modded-nanogpt
      (track 3, records 44 to 46)

    Example:
      >>> tx, params = gradtx.scale_radial_part(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 2.  1.]
       [ 0. -1.]]
    """
    checks.non_negative(outward_scale=outward_scale, inward_scale=inward_scale)

    def rule(u: jax.Array, p: jax.Array, matrix: Axes, _: Axes, __: Any) -> jax.Array:
        along = _inner(u, p, matrix)
        scale = jnp.where(along < 0, outward_scale, inward_scale)
        return u + (scale - 1) * safe_divide(along, _inner(p, p, matrix)) * p

    return _of_matrices(rule, weight_dimension_numbers)


@transformation
def floor_by_weights(
    floor: Scalar = 0.35,
    per: str = "neuron",
    *,
    weight_dimension_numbers: Static = None,
) -> GradientTransformation:
    """Lengthen a direction where it is short beside the weights.

        u ← u max(1, τ ‖p‖ / ‖u‖)

    with norms over the inputs of each output, or of each matrix. A direction of 0 stays
    0. Weights that every step moves by a part of them settle without decay.

    Args:
      floor: τ, at least 0: the least length of a direction relative to the weights.
      per: what the norms are taken over: "neuron", the inputs of each output, or
        "matrix".
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`gradtx.scale_by_muon` takes them. Leaves that have None stay as they are.

    Raises:
      ValueError: if τ is negative or ``per`` not known; from ``update`` without
        parameters.

    Reference: Jordan et al., 2026, https://github.com/KellerJordan/modded-nanogpt
      (track 3, records 44 to 46)

    Example:
      >>> tx, params = gradtx.floor_by_weights(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 2.  1.]
       [ 0. -1.]]
    """
    checks.non_negative(floor=floor)
    if per not in ("neuron", "matrix"):
        raise checks.InvalidArgument(f"per must be 'neuron' or 'matrix', got {per!r}")

    def rule(
        u: jax.Array, p: jax.Array, matrix: Axes, inputs: Axes, _: Any
    ) -> jax.Array:
        over = inputs if per == "neuron" else matrix
        return lengthened(u, _norm(u, over), floor * _norm(p, over))

    return _of_matrices(rule, weight_dimension_numbers)


@transformation
def keep_radial_step(
    learning_rate: ScalarOrSchedule = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    *,
    weight_dimension_numbers: Static = None,
) -> GradientTransformation:
    """Let the length of weights change by the radial part of the step alone.

        p' = p + u
        ρ = ‖p‖ + ⟨u, p⟩ / ‖p‖
        p' ← p' ρ / ‖p'‖
        p' ← (1 - η λ) p'                  where u p < 0

    of every matrix. A step across the weights makes them longer by its square, which
    adds up; this takes it back. The decay is for entries that the step makes smaller.
    The last link of a chain, after the learning rate. Weights of 0 are moved freely.

    Args:
      learning_rate: η, or a schedule of the number of steps taken, for the decay.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken; 0 for no
        decay.
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`gradtx.scale_by_muon` takes them. Leaves that have None stay as they are.

    Raises:
      ValueError: if a number is negative; from ``update`` without parameters.

    Reference: Jordan et al., 2026, https://github.com/KellerJordan/modded-nanogpt
      (track 3, records 44 to 46)

    Example:
      >>> tx, params = gradtx.keep_radial_step(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 1.01        0.66999996]
       [ 0.         -1.        ]]
    """
    checks.non_negative(learning_rate=learning_rate, weight_decay=weight_decay)

    def rule(
        u: jax.Array, p: jax.Array, matrix: Axes, _: Axes, shrink: Any
    ) -> jax.Array:
        length = _norm(p, matrix)
        kept = length + safe_divide(_inner(u, p, matrix), length)
        moved = p + u
        bounded = jnp.maximum(kept, 0) * safe_divide(moved, _norm(moved, matrix))
        moved = jnp.where(length == 0, moved, bounded)
        smaller = real_products(u, p) < 0
        return moved * jnp.where(smaller, 1 - shrink, 1) - p

    return _of_matrices(
        rule,
        weight_dimension_numbers,
        lambda t: value_at(learning_rate, t) * value_at(weight_decay, t),
        counts=callable(learning_rate) or callable(weight_decay),
    )


def _of_matrices(
    rule: Rule,
    numbers: Any,
    shared: Callable[[Any], Any] = lambda _: None,
    *,
    counts: bool = False,
) -> GradientTransformation:
    """Make a transformation of a rule for a leaf of matrices and its parameter."""

    def init(params: Params) -> OptState:
        return ScaleByScheduleState(zero_count(params)) if counts else EmptyState()

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        checks.require_params(params)
        leaves, treedef = flatten_updates(updates)
        targets = matching_params(params, leaves, treedef)
        found = numbers_of_leaves(numbers, updates)
        pairs = zip(leaves, found, strict=True)
        warn_of_shards(leaf for leaf, which in pairs if which is not None)
        given = shared(state.count if counts else 0)
        one = partial(_one, rule, given)
        new = [
            one(*leaf, p, n) for leaf, p, n in zip(leaves, targets, found, strict=True)
        ]
        if counts:
            state = ScaleByScheduleState(safe_increment(state.count))
        return treedef.unflatten(new), state

    return GradientTransformation(init, update)


def _one(rule: Rule, shared: Any, path: Any, u: Any, p: Any, numbers: Any) -> PyTree:
    if u is None or numbers is None or u.size == 0:
        return u
    inputs = axes.reduction_axes(u.shape, numbers, path)
    matrix = (*inputs, *axes.output_axes(u.shape, numbers, path))
    p = jnp.asarray(p)
    new = rule(to_compute_dtype(u), to_compute_dtype(p), matrix, inputs, shared)
    return cast(new, p.dtype)


def _inner(x: jax.Array, y: jax.Array, over: Axes) -> jax.Array:
    return jnp.sum(real_products(x, y), axis=over, keepdims=True)


def _norm(x: jax.Array, over: Axes) -> jax.Array:
    return sqrt(jnp.sum(square(x), axis=over, keepdims=True))
