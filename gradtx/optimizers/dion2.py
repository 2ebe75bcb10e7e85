"""Dion2 and Dion3: orthogonalize only the largest rows of a sum of gradients."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import safe_increment
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    MaskOrFn,
    OptState,
    Params,
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
from gradtx.linalg.leaf_stacks import in_stacks
from gradtx.lowering.sharding import zero_count
from gradtx.optimizers.normuon import by_neuron, per_neuron
from gradtx.optimizers.orthogonal import Iteration
from gradtx.optimizers.routing import descend_with_rest, of_two_axes
from gradtx.primitives.shape import (
    MuonDimensionNumbers,
    numbers_of_leaves,
    scale_by_shape,
)
from gradtx.wrappers.chain import chain

STACKED = MuonDimensionNumbers(1, 2)  # of a batch of matrices


class ScaleByDion2State(NamedTuple):
    """What :func:`scale_by_dion2` remembers."""

    count: Count
    mu: Updates  # M, a sum of the gradients
    nu: SecondMoment  # v, a mean square for every neuron; None without ``b2``


@transformation
def scale_by_dion2(
    fraction: Static = 0.25,
    beta: Scalar = 0.95,
    b2: Scalar | None = None,
    eps: Scalar = 1e-8,
    mu_dtype: DTypeLike | None = None,
    *,
    ns_coeffs: Any = "polar_express",
    ns_steps: int = 5,
    ns_eps: Scalar = 1e-8,
    ns_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Orthogonalize a part of the sum of the gradients, and let that part decay.

        M ← M + g
        S = the ⌈φ n⌉ rows of largest Σ|M|     rows along the shorter side, of n
        u[S] = NS(M[S]),  u = 0 elsewhere
        M[S] ← β M[S]

    With ``b2`` this is Dion3: S are always outputs, and u[S] is divided by the neurons'
    mean squares v[S] as :func:`scale_by_normuon` divides. With φ = 1 it is Muon with a
    sum of gradients that is decayed after each step.

    Args:
      fraction: φ, above 0 and at most 1, part of the structure.
      beta: β, how much stays of what the update has taken.
      b2: β₂, how much of v is kept; None for Dion2, which has no v.
      eps: ε of the division by √v.
      mu_dtype: the type to keep M in; the parameter's if None.
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps to make, where ``ns_coeffs`` is one triple.
      ns_eps: ε of the iteration.
      ns_dtype: the type to iterate in; at least float32 if None.
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`scale_by_muon` takes them.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; if a leaf is
        no matrix.

    Reference: Ahn et al., 2025, https://arxiv.org/abs/2512.16928

    Example:
      >>> tx, params = gradtx.scale_by_dion2(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[0.9 0. ]
       [0.  0. ]]
    """
    checks.positive(fraction=fraction)
    checks.unit_interval(fraction=fraction)
    checks.decay_rates(beta=beta, b2=b2)
    checks.non_negative(eps=eps)
    iteration = Iteration(ns_coeffs, ns_steps, ns_eps, dtype=ns_dtype)
    iteration.check()
    numbers = partial(numbers_of_leaves, weight_dimension_numbers)

    def init(params: Params) -> OptState:
        mu = make_slot(partial(zeros, dtype=mu_dtype), params)
        nu = None if b2 is None else slots_of_matrices(per_neuron, params, numbers)
        return ScaleByDion2State(zero_count(params), mu, nu)

    def step(m: jax.Array, *v: jax.Array) -> tuple[jax.Array, ...]:
        chosen = _largest(m, fraction, by_output=b2 is not None)
        x = iteration(chosen.take(m))
        if b2 is None:
            return chosen.put(jnp.zeros_like(m), x), chosen.scaled(m, beta)
        x, some = by_neuron(
            x, chosen.take(to_compute_dtype(v[0])), STACKED, (), b2=b2, eps=eps
        )
        new = chosen.put(to_compute_dtype(v[0]), some)
        return chosen.put(jnp.zeros_like(m), x), new, chosen.scaled(m, beta)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        leaves, treedef = flatten_updates(updates)
        targets = matching_params(params, leaves, treedef)
        columns = [matching_slots(state.mu, leaves, treedef, "mu")]
        if b2 is not None:
            columns.append(checks.leaves_like(state.nu, treedef, "'nu'", "updates"))
        sums = [
            (
                path,
                to_compute_dtype(g) + to_compute_dtype(m) if has_entries(g) else None,
            )
            for (path, g), m in zip(leaves, columns[0], strict=True)
        ]
        found = in_stacks(sums, numbers(updates), step, *columns[1:], split=split)
        old = zip(*columns[::-1], strict=True)
        rows = [
            (g, *kept) if row is None else row
            for row, (_, g), kept in zip(found, leaves, old, strict=True)
        ]
        u, *slots = zip(*rows, strict=True) if rows else [()] * (1 + len(columns))
        trees = [treedef.unflatten(list(x)) for x in slots]
        nu = None if b2 is None else stored(state.nu, trees[0])
        new = ScaleByDion2State(
            safe_increment(state.count), stored(state.mu, trees[-1]), nu
        )
        return treedef.unflatten(settled_leaves(list(u), leaves, targets)), new

    return GradientTransformation(init, update)


class _Chosen(NamedTuple):
    """Rows, or columns, of a batch of matrices."""

    places: jax.Array  # (batch, k)
    axis: int

    def take(self, x: jax.Array) -> jax.Array:
        places = jnp.expand_dims(self.places, 3 - self.axis)
        return jnp.take_along_axis(x, places, axis=self.axis)

    def put(self, x: jax.Array, values: jax.Array) -> jax.Array:
        if self.axis == 1:
            return jax.vmap(lambda a, i, b: a.at[i].set(b))(x, self.places, values)
        return jax.vmap(lambda a, i, b: a.at[:, i].set(b))(x, self.places, values)

    def scaled(self, x: jax.Array, factor: Scalar) -> jax.Array:
        return self.put(x, factor * self.take(x))


def _largest(m: jax.Array, fraction: float, *, by_output: bool) -> _Chosen:
    _, rows, columns = m.shape
    axis = 2 if by_output or columns <= rows else 1
    sizes = jnp.sum(jnp.abs(jax.lax.stop_gradient(m)), axis=3 - axis)
    many = max(1, math.ceil(fraction * m.shape[axis]))
    return _Chosen(jax.lax.top_k(sizes, many)[1], axis)


@transformation
def dion2(
    learning_rate: ScalarOrSchedule,
    fraction: Static = 0.25,
    beta: Scalar = 0.95,
    b2: Scalar | None = None,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.01,
    weight_decay_mask: MaskOrFn | None = None,
    mu_dtype: DTypeLike | None = None,
    *,
    shape_factor: str = "spectral",
    ns_coeffs: Any = "polar_express",
    ns_steps: int = 5,
    ns_eps: Scalar = 1e-8,
    ns_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Static = None,
    rest: GradientTransformation | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Dion2, or Dion3, for matrices, and AdamW for all other parameters.

        p ← p - η (s u + λ p)       u: the direction of :func:`scale_by_dion2`
                                    s: the factor of :func:`scale_by_shape`

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      fraction: φ, above 0 and at most 1, part of the structure.
      beta: β, how much stays of what an update has taken.
      b2: β₂ of Dion3, 0.95 there; None for Dion2.
      eps: ε of Dion3's division.
      weight_decay: λ, or a schedule; also AdamW's. All entries decay at every step.
      weight_decay_mask: which of the matrices decay; all if None.
      mu_dtype: the type to keep M in; the parameter's if None.
      shape_factor: the name of s, which is that of the whole matrix.
      ns_coeffs: the coefficients of the iteration, numbers or a name.
      ns_steps: how many steps the iteration makes, with one triple of coefficients.
      ns_eps: ε of the iteration.
      ns_dtype: the type to iterate in; at least float32 if None.
      weight_dimension_numbers: what :func:`gradtx.matrices` returns, or as
        :func:`muon` takes them; every leaf of two axes is a matrix if None.
      rest: the method for all other leaves; ``adamw(learning_rate)`` if None.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; if a leaf is
        given to Dion2 that is no matrix.

    Reference: Ahn et al., 2025, https://arxiv.org/abs/2512.16928

    Example:
      >>> tx, params = gradtx.dion2(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.09 -0.  ]
       [-0.   -0.  ]]
    """
    numbers = of_two_axes(weight_dimension_numbers)
    direction = scale_by_dion2(
        fraction,
        beta,
        b2,
        eps,
        mu_dtype,
        ns_coeffs=ns_coeffs,
        ns_steps=ns_steps,
        ns_eps=ns_eps,
        ns_dtype=ns_dtype,
        weight_dimension_numbers=numbers,
        split=split,
    )
    return descend_with_rest(
        chain(direction, scale_by_shape(numbers, shape_factor=shape_factor)),
        learning_rate,
        numbers,
        weight_decay=weight_decay,
        mask=weight_decay_mask,
        rest=rest,
    )
