"""Muown: Muon of the directions of the neurons' weights, and Adam of their lengths."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import (
    compute_dtype,
    debias,
    ema,
    ema_of_squares,
    safe_divide,
    safe_increment,
    sqrt,
    square,
    value_at,
)
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    Exact,
    OptState,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Static,
    Updates,
)
from gradtx.core.by_hand import settled_leaves, stored
from gradtx.core.leafwise import (
    flatten_updates,
    matching_params,
    matching_slots,
    to_compute_dtype,
)
from gradtx.core.matrixwise import has_entries, slots_of_matrices
from gradtx.core.slots import make_slot, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.linalg import axes
from gradtx.linalg.leaf_stacks import in_stacks
from gradtx.lowering.sharding import zero_count
from gradtx.optimizers.adam import adamw
from gradtx.optimizers.normuon import per_neuron
from gradtx.optimizers.orthogonal import Iteration
from gradtx.optimizers.routing import of_two_axes, with_rest
from gradtx.primitives.shape import factors_of, known_factor, numbers_of_leaves

SHORTEST = 1e-12  # the length that a neuron of zeros begins with


class MuownState(NamedTuple):
    """What the part of :func:`muown` for matrices remembers."""

    count: Count
    mu: Updates  # m, the mean gradient of the directions
    gain: Exact  # γ, the length of each neuron's weights
    length: Exact  # ‖v‖, of its direction
    gain_mu: Params  # the mean gradient of γ
    gain_nu: SecondMoment  # the mean of its square


class _Settings(NamedTuple):
    """What a step depends on."""

    beta: Scalar
    b1: Scalar
    b2: Scalar
    eps: Scalar
    decay: ScalarOrSchedule
    rate: ScalarOrSchedule


class _Neurons(NamedTuple):
    """The weights of one leaf in two parts, and their gradients."""

    unit: jax.Array  # w / γ
    gain: jax.Array
    length: jax.Array
    gain_grad: jax.Array
    mean: jax.Array  # m anew


@transformation
def muown(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Any = "quintic",
    ns_steps: int = 5,
    beta: Scalar = 0.95,
    b1: Scalar = 0.9,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    shape_factor: str = "moonlight",
    scale: Scalar = 1.0,
    min_norm: Scalar = 1e-15,
    ns_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    rest: GradientTransformation | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Muown for matrices, and AdamW for all other parameters.

    Each neuron's weights w, all that leads to one output, are γ v / ‖v‖:

        gγ = ⟨g, w / γ⟩,  gv = (γ / ‖v‖) (g - gγ w / γ)
        m ← β m + (1 - β) gv
        v ← v - η x s NS(m)              of the whole matrix, as :func:`scale_by_muon`
        γ ← (1 - η λ) (γ - η Adam(gγ))
        w ← γ v / ‖v‖

    so that only Adam and the decay change how long they are. At first v = w and
    γ = ‖w‖. Of v only the norm is kept: its direction is that of the parameter.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps the iteration makes, with one triple of coefficients.
      beta: β, how much of m is kept at each step.
      b1: Adam's β₁, for γ.
      b2: Adam's β₂, for γ.
      eps: Adam's ε, for γ.
      weight_decay: λ, or a schedule; also AdamW's.
      mu_dtype: the type to keep m in; the parameter's if None.
      shape_factor: the name of s, the factor of :func:`scale_by_shape`.
      scale: x.
      min_norm: the lower bound of what the iteration begins by dividing with.
      ns_dtype: the type to iterate in; at least float32 if None.
      weight_dimension_numbers: what :func:`gradtx.matrices` returns, or as
        :func:`muon` takes them; every leaf of two axes is a matrix if None.
      rest: the method for all other leaves; ``adamw(learning_rate)`` if None.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; if a leaf is
        given to Muown that is no matrix; from ``update`` without parameters.

    Reference: https://arxiv.org/abs/2605.10797 (2026)

    Example:
      >>> tx, params = gradtx.muown(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.09999999 -0.03      ]
       [ 0.          0.09999999]]
    """
    checks.decay_rates(beta=beta, b1=b1, b2=b2)
    checks.non_negative(
        learning_rate=learning_rate, eps=eps, weight_decay=weight_decay, scale=scale
    )
    iteration = Iteration(ns_coeffs, ns_steps, 0.0, dtype=ns_dtype, min_norm=min_norm)
    iteration.check()
    numbers = of_two_axes(weight_dimension_numbers)
    factor = known_factor(shape_factor)
    matrices = _of_matrices(
        _Settings(beta, b1, b2, eps, weight_decay, learning_rate),
        iteration,
        lambda rows, columns: scale * factor(rows, columns),
        partial(numbers_of_leaves, numbers),
        mu_dtype,
        split,
    )
    if rest is None:
        rest = adamw(learning_rate, weight_decay=weight_decay)
    return with_rest(matrices, rest, numbers, ("matrices", "rest"))


def _of_matrices(
    settings: _Settings,
    iteration: Iteration,
    factor: Any,
    numbers: Any,
    mu_dtype: DTypeLike | None,
    split: AxisName,
) -> GradientTransformation:
    def init(params: Params) -> OptState:

        def slot(make: Any) -> PyTree:
            return slots_of_matrices(make, params, numbers)

        return MuownState(
            zero_count(params),
            make_slot(partial(zeros, dtype=mu_dtype), params),
            *map(slot, (_lengths, _lengths, per_neuron, per_neuron)),
        )

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        checks.require_params(params)
        leaves, treedef = flatten_updates(updates)
        targets = matching_params(params, leaves, treedef)
        matching_slots(state.mu, leaves, treedef, "mu")
        columns = [
            checks.leaves_like(x, treedef, f"the state {name!r}", "updates")
            for name, x in zip(state._fields[1:], state[1:], strict=True)
        ]
        found = numbers(updates)
        parts = [
            _parted(leaf, p, which, settings.beta, *old)
            for leaf, p, which, *old in zip(
                leaves, targets, found, *columns[:3], strict=True
            )
        ]
        means = [
            (path, None if part is None else part.mean)
            for (path, _), part in zip(leaves, parts, strict=True)
        ]
        u = in_stacks(means, found, iteration, split=split)
        count = safe_increment(state.count)
        rows = [
            (leaf[1], *old)
            if part is None
            else _moved(leaf[0], p, part, which, x, old[3:], settings, factor, count)
            for leaf, p, part, which, x, *old in zip(
                leaves, targets, parts, found, u, *columns, strict=True
            )
        ]
        new, *slots = zip(*rows, strict=True) if rows else [()] * 6
        trees = (treedef.unflatten(list(x)) for x in slots)
        kept = (stored(x, y) for x, y in zip(state[1:], trees, strict=True))
        u = treedef.unflatten(settled_leaves(list(new), leaves, targets))
        return u, MuownState(count, *kept)

    return GradientTransformation(init, update)


def _lengths(p: jax.Array, numbers: Any, path: Any) -> jax.Array:
    inputs = axes.reduction_axes(p.shape, numbers, path)
    squares = jnp.sum(square(to_compute_dtype(p)), axis=inputs, keepdims=True)
    return jnp.maximum(sqrt(squares), SHORTEST)


def _parted(
    leaf: Any, p: Any, numbers: Any, beta: Scalar, *old: jax.Array
) -> _Neurons | None:
    """Return the parts of a leaf's weights, and the mean gradient of the one."""
    path, g = leaf
    if not has_entries(g):
        return None
    m, gain, length = map(to_compute_dtype, old)
    inputs = axes.reduction_axes(g.shape, numbers, path)
    g = g.astype(jnp.promote_types(compute_dtype(g.dtype), p.dtype))
    unit = safe_divide(to_compute_dtype(jnp.asarray(p)), gain)
    by_gain = jnp.sum((unit.conj() * g).real, axis=inputs, keepdims=True)
    by_direction = safe_divide(gain, length) * (g - unit * by_gain)
    return _Neurons(unit, gain, length, by_gain, ema(m, by_direction, beta))


def _moved(
    path: Any,
    p: Any,
    part: _Neurons,
    numbers: Any,
    u: jax.Array,
    old: Any,
    settings: _Settings,
    factor: Any,
    count: Count,
) -> tuple[jax.Array, ...]:
    """Return the update of a leaf, and its slots anew."""
    b1, b2 = settings.b1, settings.b2
    rate = value_at(settings.rate, count - 1)
    decay = value_at(settings.decay, count - 1)
    gain_mu = ema(to_compute_dtype(old[0]), part.gain_grad, b1)
    gain_nu = ema_of_squares(to_compute_dtype(old[1]), part.gain_grad, b2)
    below = sqrt(debias(gain_nu, b2, count)) + settings.eps
    step = safe_divide(debias(gain_mu, b1, count), below)
    gain = (1 - rate * decay) * (part.gain - rate * step)
    v = part.unit * part.length - rate * factors_of(u.shape, numbers, path, factor) * u
    inputs = axes.reduction_axes(u.shape, numbers, path)
    length = sqrt(jnp.sum(square(v), axis=inputs, keepdims=True))
    w = gain * safe_divide(v, length)
    update = w - to_compute_dtype(jnp.asarray(p))
    return update, part.mean, gain, length, gain_mu, gain_nu
