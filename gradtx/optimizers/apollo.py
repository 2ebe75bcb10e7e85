"""APOLLO: as long a step as Adam's, by what is seen of a matrix in a few directions."""

from functools import partial
from typing import Any, NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import safe_increment
from gradtx.common.types import (
    Count,
    DTypeLike,
    MaskOrFn,
    OptState,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
    SecondMoment,
    Static,
    Updates,
)
from gradtx.core.by_hand import settled, stored
from gradtx.core.leafwise import matching_params
from gradtx.core.slots import make_slot, squares, totals, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.core.whole import of_whole_leaves
from gradtx.lowering.sharding import replicated_like, zero_count
from gradtx.optimizers.apollo_parts import (
    Rule,
    check_shapes,
    fewer_rows,
    low,
    projections_of,
)
from gradtx.optimizers.low_rank import all_planned
from gradtx.primitives.noise import random_key
from gradtx.tree.packed import unpacked_only
from gradtx.wrappers.chain import descend


class ApolloState(NamedTuple):
    """What :func:`scale_by_apollo` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients in few directions
    nu: SecondMoment  # v, the mean of their squares
    norm: SecondMoment  # the norm of the last update of each matrix
    rng_key: jax.Array


@transformation
def scale_by_apollo(
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Scalar = 1.0,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-6,
    key: jax.Array | int | None = None,
    weight_dimension_numbers: Static = None,
    *,
    scale_type: str = "channel",
    norm_growth_limit: Scalar | None = 1.01,
    mu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Scale the gradient of a matrix as Adam would, judged in r random directions.

        R = P G                                  where there are no more rows than
        m ← β₁ m + (1 - β₁) R                    columns, else R = G Pᵀ
        v ← β₂ v + (1 - β₂) |R|²
        f = ‖m / (√v + ε)‖ / ‖R‖                 for each channel, or of the matrix
        u = G f
        u ← u min(1, γ n / ‖u‖),  n ← ‖u‖        n: the norm of the last u
        u ← √α √(1 - β₂ᵗ) / (1 - β₁ᵗ) u

    Of a matrix (in, out) the shorter side becomes r; a channel is an index of the other
    one, an output where both are as long. P is of normal numbers of variance 1/r, and
    drawn anew every ``update_proj_gap`` steps; m and v are kept then. P is no part of
    the state: it is made in every step of the key and of the number of the change.

    Leaves that are no matrix get u = √(1 - β₂ᵗ) / (1 - β₁ᵗ) m / (√v + ε) of their whole
    gradient.

    ``update`` takes ``projections``, a tree with P of shape (r, shorter side) for every
    matrix and any array for the other leaves, in place of the random ones.

    Args:
      rank: r, at most the shorter side of a matrix.
      update_proj_gap: how many steps P is kept.
      scale: α.
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root, and not corrected for the bias.
      key: the random key to draw P with, or an integer to make one of; None means 0.
      weight_dimension_numbers: which leaves are matrices, and along which axes, as
        :func:`scale_by_galore` takes them. Leaves of two axes are, if None.
      scale_type: "channel", or "tensor" for one f of each matrix.
      norm_growth_limit: γ, by what factor an update may be longer than the one before;
        None for no limit. There is none after an update of zero.
      mu_dtype: the type to keep m in; the parameter's if None.

    Raises:
      ValueError: if a number is outside its range, or the scale type not known; if a
        leaf does not have the axes it should.

    Reference: Zhu et al., 2024, https://arxiv.org/abs/2412.05270 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.scale_by_apollo(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 3.1699998   0.91999996]
       [ 0.         -0.91999996]]
    """
    checks.positive_int(rank=rank, update_proj_gap=update_proj_gap)
    rule = Rule(b1, b2, eps, scale, scale_type, norm_growth_limit)
    rule.check()

    def plans(tree: PyTree) -> tuple[list[Any], Any]:
        """Return (path, leaf, its numbers, how it is projected) for every leaf."""
        return all_planned(tree, weight_dimension_numbers, rank, fewer_rows)

    def init(params: Params) -> OptState:
        unpacked_only(params)
        plan, treedef = plans(params)
        seen = treedef.unflatten([low(p, n, how) for _, p, n, how in plan])
        return ApolloState(
            zero_count(params),
            make_slot(partial(zeros, dtype=mu_dtype), seen),
            make_slot(squares, seen),
            make_slot(totals, params),
            replicated_like(params, random_key(0 if key is None else key)),
        )

    def update(
        updates: Updates,
        state: ApolloState,
        params: Params | None = None,
        *,
        projections: PyTree | None = None,
        **_: Any,
    ) -> tuple[Updates, OptState]:
        plan, treedef = plans(updates)
        targets = matching_params(params, [leaf[:2] for leaf in plan], treedef)
        old = _columns(state, treedef)
        check_shapes(plan, old[0])
        t = safe_increment(state.count)
        again = jax.random.fold_in(state.rng_key, state.count // update_proj_gap)
        if projections is None:
            drawn = projections_of(plan, old[-1], again)
        else:
            drawn = checks.leaves_like(projections, treedef, "projections", "updates")
        rows = [
            rule(leaf, p, t, *slots)
            for leaf, p, *slots in zip(plan, drawn, *old, strict=True)
        ]
        u, *new = zip(*rows, strict=True) if rows else [()] * 4
        pairs = zip(u, plan, targets, strict=True)
        done = treedef.unflatten([settled(x, leaf[1], p) for x, leaf, p in pairs])
        mu, nu, norm = stored(_slots(state), tuple(map(treedef.unflatten, new)))
        return done, ApolloState(t, mu, nu, norm, state.rng_key)

    return of_whole_leaves(GradientTransformation(init, update), 2)


def _slots(state: ApolloState) -> tuple[PyTree, ...]:
    return state.mu, state.nu, state.norm


def _columns(state: ApolloState, treedef: Any) -> list[list[Any]]:
    """Return the slots of every leaf."""
    return [
        checks.leaves_like(tree, treedef, f"the state {name!r}", "updates")
        for name, tree in zip(("mu", "nu", "norm"), _slots(state), strict=True)
    ]


@transformation
def apollo(
    learning_rate: ScalarOrSchedule,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Scalar = 1.0,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-6,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    key: jax.Array | int | None = None,
    weight_dimension_numbers: Static = None,
    *,
    scale_type: str = "channel",
    norm_growth_limit: Scalar | None = 1.01,
    mu_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """APOLLO: :func:`scale_by_apollo` made an optimizer by :func:`descend`.

        p ← p - η (u + λ p)

    The authors' program decays after the step: in its place stands
    ``chain(scale_by_apollo(...), scale_by_learning_rate(η), decay_after_step(η, λ))``.

    Args:
      learning_rate: η, or a schedule of the number of steps taken; the authors have
        0.01.
      rank: r; the authors have a quarter of the shorter side, or 256.
      update_proj_gap: how many steps P is kept.
      scale: α.
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root, and not corrected for the bias.
      weight_decay: λ, or a schedule of it; None leaves the decay out.
      mask: which leaves decay, as :func:`add_decayed_weights` takes it.
      key: the random key to draw P with, or an integer to make one of; None means 0.
      weight_dimension_numbers: which leaves are matrices, as :func:`scale_by_galore`
        takes them.
      scale_type: "channel" or "tensor".
      norm_growth_limit: γ; None for no limit.
      mu_dtype: the type to keep m in; the parameter's if None.

    Raises:
      ValueError: if a number is outside its range, or the scale type not known.

    Reference: Zhu et al., 2024, https://arxiv.org/abs/2412.05270 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.apollo(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.32 -0.09]
       [-0.    0.09]]
    """
    direction = scale_by_apollo(
        rank,
        update_proj_gap,
        scale,
        b1,
        b2,
        eps,
        key,
        weight_dimension_numbers,
        scale_type=scale_type,
        norm_growth_limit=norm_growth_limit,
        mu_dtype=mu_dtype,
    )
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
