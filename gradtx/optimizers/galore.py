"""GaLore: keep the state of a matrix in the few directions its gradient has."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import is_differentiable, safe_increment
from gradtx.common.types import (
    Count,
    MaskOrFn,
    OptState,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
    Static,
    Updates,
)
from gradtx.core.by_hand import settled
from gradtx.core.leafwise import matching_params, to_compute_dtype
from gradtx.core.slots import make_slot, zeros
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.linalg import axes
from gradtx.lowering.control_flow import either
from gradtx.lowering.sharding import zero_count
from gradtx.lowering.varying_matrices import warn_of_shards
from gradtx.optimizers.adam import scale_by_adam
from gradtx.optimizers.low_rank import (
    LowRank,
    all_planned,
    zeros_along,
)
from gradtx.primitives.downhill import add_decayed_weights, scale_by_learning_rate
from gradtx.tree.packed import unpacked_only
from gradtx.wrappers.chain import chain

SIDES = ("longer", "shorter")


class GaLoreState(NamedTuple):
    """What :func:`scale_by_galore` remembers."""

    count: Count
    base_optimizer_state: OptState  # of the gradients in few directions
    projector: PyTree  # P, one for each matrix; empty where a leaf is none


@transformation
def scale_by_galore(
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Scalar = 1.0,
    base_optimizer: GradientTransformation | None = None,
    weight_dimension_numbers: Static = None,
    *,
    side: str = "longer",
) -> GradientTransformation:
    """Let another transformation see every matrix in the r main directions only.

        P ← the first r left singular vectors of g       every ``update_proj_gap`` steps
        u = α P base(Pᴴ g)                               where they are the longer side
        u = α base(g P) Pᴴ                               with the right ones, otherwise

    so that what ``base`` keeps is r/n as large for a matrix of n rows. The state of
    ``base`` is kept when P changes. Leaves that are no matrix go through ``base``
    whole, and without α.

    Args:
      rank: r, at most the shorter side of a matrix.
      update_proj_gap: how many steps P is kept.
      scale: α.
      base_optimizer: what is done in the r directions, a transformation that needs no
        parameters; ``scale_by_adam()`` if None.
      weight_dimension_numbers: which leaves are matrices, and along which axes: one
        :class:`GaLoreDimensionNumbers` for all leaves of two axes or more, or a tree of
        them with the structure of the parameters or a prefix of it, None standing where
        a leaf is no matrix, or a function that makes one. Leaves of two axes are
        matrices if None.
      side: which side of a matrix is made short: the "longer", which leaves least state
        to ``base``, or the "shorter", as in the paper, which keeps the smaller P.

    Raises:
      ValueError: if a number is outside its range, or a setting not known; if a leaf
        does not have the axes it should.

    Reference: Zhao et al., 2024, https://arxiv.org/abs/2403.03507 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.scale_by_galore(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 1.1999999  0.74     ]
       [ 0.74      -1.1999999]]
    """
    checks.positive_int(rank=rank, update_proj_gap=update_proj_gap)
    checks.finite(scale=scale)
    if side not in SIDES:
        raise checks.InvalidArgument(
            f"side must be one of {', '.join(SIDES)}, got {side!r}"
        )
    base = scale_by_adam() if base_optimizer is None else base_optimizer
    base = with_extra_args_support(base)

    def left(rows: int, columns: int) -> bool:
        return (rows >= columns) == (side == "longer")

    def plans(tree: PyTree) -> tuple[list[Any], Any]:
        """Return (path, leaf, its numbers, how it is projected) for every leaf."""
        return all_planned(tree, weight_dimension_numbers, rank, left)

    def init(params: Params) -> OptState:
        unpacked_only(params)
        plan, treedef = plans(params)
        rooms = [_rooms(p, numbers, how) for _, p, numbers, how in plan]
        base_state = base.init(treedef.unflatten([low for low, _ in rooms]))
        projector = treedef.unflatten([p for _, p in rooms])
        return GaLoreState(zero_count(params), base_state, projector)

    def update(
        updates: Updates,
        state: GaLoreState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, OptState]:
        plan, treedef = plans(updates)
        leaves = [(path, g) for path, g, *_ in plan]
        warn_of_shards((path, g) for path, g, _, how in plan if how is not None)
        targets = matching_params(params, leaves, treedef)
        old = checks.leaves_like(state.projector, treedef, "the state", "updates")
        due = state.count % update_proj_gap == 0
        parts = [_lowered(leaf, p, due) for leaf, p in zip(plan, old, strict=True)]
        low = treedef.unflatten([x for x, *_ in parts])
        u, base_state = base.update(low, state.base_optimizer_state, None, **extra)
        news = zip(treedef.flatten_up_to(u), parts, leaves, targets, strict=True)
        raised = [settled(back(x, scale), g, p) for x, (_, _, back), (_, g), p in news]
        projector = treedef.unflatten([p for _, p, _ in parts])
        new = GaLoreState(safe_increment(state.count), base_state, projector)
        return treedef.unflatten(raised), new

    return GradientTransformation(init, update)


def _rooms(p: Any, numbers: Any, how: LowRank | None) -> tuple[Any, Any]:
    """Make room for what ``base`` sees of a leaf, and for P, on the leaf's devices."""
    if not is_differentiable(p):
        return None, None
    if how is None:
        return make_slot(zeros, p), make_slot(lambda x: jnp.zeros((0, 0), x.dtype), p)
    low = zeros_along(p, numbers, how.low, int(how.left), rows=not how.left)
    return low, zeros_along(p, numbers, how.projector, 0, rows=how.left)


def _lowered(leaf: Any, old: Any, due: jax.Array) -> tuple[Any, Any, Any]:
    """Return the gradient in few directions, P, and the way back."""
    path, g, numbers, how = leaf
    if how is None:
        return g if is_differentiable(g) else None, old, lambda u, _: u
    checks.same_shape(
        old.shape, how.projector, path, "the state 'projector'", "that of the gradient"
    )
    (matrix,), undo = axes.as_matrices(to_compute_dtype(g), numbers, path)
    still = jax.lax.stop_gradient(matrix)
    kept = either(due, lambda: _directions(still, how).astype(old.dtype), lambda: old)
    p = to_compute_dtype(kept)
    low = p.conj().T @ matrix if how.left else matrix @ p

    def back(u: jax.Array, scale: Scalar) -> jax.Array:
        u = to_compute_dtype(u)
        full = p @ u if how.left else u @ p.conj().T
        return undo(scale * full[None])

    return low.astype(g.dtype), kept, back


def _directions(g: jax.Array, how: LowRank) -> jax.Array:
    """Return the first singular vectors of one side."""
    u, _, vh = jnp.linalg.svd(g, full_matrices=False)
    return u[:, : how.rank] if how.left else vh[: how.rank].conj().T


@transformation
def galore(
    learning_rate: ScalarOrSchedule,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Scalar = 1.0,
    base_optimizer: GradientTransformation | None = None,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    weight_dimension_numbers: Static = None,
    *,
    side: str = "longer",
) -> GradientTransformation:
    """GaLore: :func:`scale_by_galore` made an optimizer.

        p ← p - η (u + λ p)

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      rank: r, a whole number of at least 1; a side of a matrix that is shorter stays.
      update_proj_gap: how many steps the directions are kept, a whole number of at
        least 1.
      scale: α, by which the update of a matrix is multiplied; any finite number.
      base_optimizer: what is done in the r directions, a transformation that needs no
        parameters; ``scale_by_adam()`` if None.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      weight_dimension_numbers: which leaves are matrices, and along which axes, as
        :func:`scale_by_galore` takes them. Leaves of two axes are, if None.
      side: which side of a matrix is made short: the "longer", which leaves least
        state, or the "shorter", as in the paper.

    Raises:
      ValueError: if a number is outside its range.

    Reference: Zhao et al., 2024, https://arxiv.org/abs/2403.03507

    Example:
      >>> tx, params = gradtx.galore(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.12 -0.07]
       [-0.07  0.12]]
    """
    return chain(
        scale_by_galore(
            rank,
            update_proj_gap,
            scale,
            base_optimizer,
            weight_dimension_numbers,
            side=side,
        ),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
