"""Dion: orthogonal updates of low rank, with what they leave out kept for later."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.common import checks
from gradtx.common.numerics import (
    compute_dtype,
    safe_divide,
    safe_increment,
    sqrt,
    square,
)
from gradtx.common.types import (
    AxisName,
    Count,
    DTypeLike,
    Exact,
    MaskOrFn,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
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
from gradtx.linalg.orthogonal import largest_entry
from gradtx.lowering.packing import is_sharded
from gradtx.lowering.sharding import replicated_like, sharded_like, zero_count
from gradtx.optimizers.routing import descend_with_rest, of_two_axes
from gradtx.primitives.noise import random_key
from gradtx.primitives.shape import numbers_of_leaves, scale_by_shape
from gradtx.wrappers.chain import chain


class ScaleByDionState(NamedTuple):
    """What :func:`scale_by_dion` remembers."""

    count: Count
    mu: Updates  # M, the gradients that no update has taken yet
    basis: Exact  # Q, shaped as the parameter with k in the place of its outputs


@transformation
def scale_by_dion(
    rank: int = 768,
    beta: Scalar = 0.95,
    eps: Scalar = 1e-8,
    mu_dtype: DTypeLike | None = None,
    *,
    key: jax.Array | int | None = None,
    weight_dimension_numbers: Static = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Take an orthogonal update of rank k from the sum of the gradients.

        B = M + g                              of shape (in, out)
        P = an orthonormal basis of Bᵀ Q       (out, k), by QR
        R = B P                                (in, k)
        M ← B - (1 - β) R Pᵀ
        Q ← R with columns divided by their norm + ε
        u = Q Pᵀ

    One step of the power method from the last Q finds the k main directions; what they
    hold of B decays, and all else stays in M. With k the shorter side u is orthogonal.
    Where B is 0, so is u, and Q is kept. To derivatives P is a constant.

    Args:
      rank: k, of every matrix; at most its shorter side.
      beta: β, how much stays of what the update has taken.
      eps: ε.
      mu_dtype: the type to keep M in; the parameter's if None.
      key: the random key that the first Q is drawn with, from a normal distribution, or
        an integer to make one of; None means 0.
      weight_dimension_numbers: which axes make up the matrices, as
        :func:`scale_by_muon` takes them, but for ``splits``.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range; if a leaf is no matrix.

    Reference: Ahn et al., 2025, https://arxiv.org/abs/2504.05295

    Example:
      >>> tx, params = gradtx.scale_by_dion(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 1.11        0.17999999]
       [ 0.31       -0.79999995]]
    """
    checks.positive_int(rank=rank)
    checks.decay_rates(beta=beta)
    checks.non_negative(eps=eps)
    numbers = partial(numbers_of_leaves, weight_dimension_numbers)

    def init(params: Params) -> OptState:
        start = random_key(0 if key is None else key)
        draw = partial(_basis, rank=rank, keys=iter(range(1 << 31)), key=start)
        return ScaleByDionState(
            zero_count(params),
            make_slot(partial(zeros, dtype=mu_dtype), params),
            slots_of_matrices(draw, params, numbers),
        )

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        leaves, treedef = flatten_updates(updates)
        targets = matching_params(params, leaves, treedef)
        mu = matching_slots(state.mu, leaves, treedef, "mu")
        bases = checks.leaves_like(state.basis, treedef, "the state 'basis'", "updates")
        sums = [
            (
                path,
                to_compute_dtype(g) + to_compute_dtype(m) if has_entries(g) else None,
            )
            for (path, g), m in zip(leaves, mu, strict=True)
        ]
        step = partial(_step, beta=beta, eps=eps)
        found = in_stacks(
            sums, numbers(updates), step, bases, one_by_one=True, split=split
        )
        rows = [
            (g, q, m) if row is None else row
            for row, (_, g), q, m in zip(found, leaves, bases, mu, strict=True)
        ]
        u, q, m = (list(x) for x in zip(*rows, strict=True)) if rows else ([], [], [])
        new = ScaleByDionState(
            safe_increment(state.count),
            stored(state.mu, treedef.unflatten(m)),
            stored(state.basis, treedef.unflatten(q)),
        )
        return treedef.unflatten(settled_leaves(u, leaves, targets)), new

    return GradientTransformation(init, update)


def _basis(
    p: jax.Array, numbers: Any, path: Any, *, rank: int, keys: Any, key: jax.Array
) -> jax.Array:
    """Draw the first Q of a leaf."""
    if len(getattr(numbers, "splits", ())) > 1:
        raise checks.InvalidArgument(
            f"the matrices of the leaf at {checks.path_name(path)} are of several "
            "sizes, and Dion has one rank for all: leave out splits"
        )
    shape = axes.with_columns(p.shape, numbers, path, rank)
    drawn = jax.random.normal(
        jax.random.fold_in(key, next(keys)), shape, compute_dtype(p.dtype)
    )
    if isinstance(p, jax.ShapeDtypeStruct):
        return drawn
    if shape == p.shape:
        return axes.on_every_device(p)[1](drawn)
    if is_sharded(p):
        return replicated_like(p, drawn) if isinstance(p, Tracer) else drawn
    # There the compiler leaves Q on an automatic mesh: sharded as the rows are.
    output = axes.output_axes(p.shape, numbers, path)
    like = jnp.broadcast_to(jnp.sum(p, axis=output, keepdims=True), shape)
    return sharded_like(like, drawn)


def _step(
    b: jax.Array, q: jax.Array, *, beta: Scalar, eps: Scalar
) -> tuple[jax.Array, ...]:
    """Return u, Q and M of a batch of matrices, given B and Q."""
    top = largest_entry(b)  # so that no square overflows
    x = b / top
    still = jax.lax.stop_gradient(x)
    p, _ = jnp.linalg.qr(still.mT.conj() @ jax.lax.stop_gradient(to_compute_dtype(q)))
    zero = jnp.all(still == 0, axis=(-2, -1), keepdims=True)
    p = jnp.where(zero, 0, p)
    r = x @ p
    lengths = sqrt(jnp.sum(square(r), axis=-2, keepdims=True))
    turned = safe_divide(r, lengths + eps / top)
    m = b - (1 - beta) * top * (r @ p.mT.conj())
    return turned @ p.mT.conj(), jnp.where(zero, q, turned), m


@transformation
def dion(
    learning_rate: ScalarOrSchedule,
    rank: int = 768,
    beta: Scalar = 0.95,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.01,
    weight_decay_mask: MaskOrFn | None = None,
    mu_dtype: DTypeLike | None = None,
    *,
    shape_factor: str = "spectral",
    key: jax.Array | int | None = None,
    weight_dimension_numbers: Static = None,
    rest: GradientTransformation | None = None,
    split: AxisName = None,
) -> GradientTransformation:
    """Dion for matrices, and AdamW for all other parameters.

        p ← p - η (s u + λ p)       u: the direction of :func:`scale_by_dion`
                                    s: the factor of :func:`scale_by_shape`

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      rank: k, of every matrix; at most its shorter side.
      beta: β, how much stays of what an update has taken.
      eps: ε.
      weight_decay: λ, or a schedule; also AdamW's.
      weight_decay_mask: which of the matrices decay; all if None.
      mu_dtype: the type to keep M in; the parameter's if None.
      shape_factor: the name of s.
      key: the random key that the first Q is drawn with, or an integer to make one of;
        None means 0.
      weight_dimension_numbers: what :func:`gradtx.matrices` returns, or as
        :func:`muon` takes them; every leaf of two axes is a matrix if None.
      rest: the method for all other leaves; ``adamw(learning_rate)`` if None.
      split: the axis, or axes, of the mesh over which the matrices of one shape are
        shared out, as :func:`scale_by_muon` takes it; as the compiler likes if None.

    Raises:
      ValueError: if a number is outside its range or a setting not known; if a leaf is
        given to Dion that is no matrix.

    Reference: Ahn et al., 2025, https://arxiv.org/abs/2504.05295

    Example:
      >>> tx, params = gradtx.dion(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.11 -0.02]
       [-0.03  0.08]]
    """
    numbers = of_two_axes(weight_dimension_numbers)
    direction = scale_by_dion(
        rank,
        beta,
        eps,
        mu_dtype,
        key=key,
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
