"""Adam-mini: one second moment for each block of entries that are of one scale."""

from functools import partial
from typing import Any, NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import (
    abs_sq,
    debias,
    ema,
    is_differentiable,
    safe_divide,
    sqrt,
)
from gradtx.common.types import (
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
from gradtx.core.by_hand import settled_leaves, stored, wide_leaves
from gradtx.core.leafwise import (
    flatten_updates,
    leafwise,
    matching_params,
    to_compute_dtype,
)
from gradtx.core.slots import make_slot, zeros
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.core.whole import of_whole_leaves
from gradtx.optimizers.adam_mini_blocks import (
    check_fits,
    mini_blocks,
    over_blocks,
    resolved,
    slot,
    spread,
)
from gradtx.tree.packed import unpacked_only
from gradtx.wrappers.chain import descend


class ScaleByAdamMiniState(NamedTuple):
    """What :func:`scale_by_adam_mini` remembers."""

    count: Count
    mu: Updates  # m, the mean of the gradients
    nu: SecondMoment  # v, the mean of their squares, a number for each block


@transformation
def scale_by_adam_mini(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    blocks: Static = None,
    mu_dtype: DTypeLike | None = None,
    *,
    num_heads: int | None = None,
    num_kv_heads: int | None = None,
) -> GradientTransformation:
    """Divide the mean gradient by the root mean square of its block.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) mean(|g|²)          over each block
        u = m̂ / (√v̂ + ε)                        m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)

    Entries of one neuron or of one head are of one scale, and need one number between
    them: the state is half of Adam's. With blocks of one entry this is Adam.

    Args:
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root.
      blocks: which entries share a number: a tree of :class:`MiniBlocks` with the
        structure of the parameters or a prefix of it, or a function that makes one from
        the parameters. If None it is :func:`mini_blocks`, which goes by paths.
      mu_dtype: the type to keep m in; the parameter's if None.
      num_heads: how many heads a query or key of two axes has, for ``mini_blocks``.
      num_kv_heads: how many a key has; as many as a query, if None.

    Raises:
      ValueError: if a decay is outside [0, 1) or ε is negative; from ``init``, if a
        parameter cannot be cut into its blocks.

    Reference: Zhang et al., 2024, https://arxiv.org/abs/2406.16793

    Example:
      >>> tx, params = gradtx.scale_by_adam_mini(), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[ 1.41  1.  ]
       [ 0.   -1.  ]]
    """
    checks.decay_rates(b1=b1, b2=b2)
    checks.non_negative(eps=eps)
    checks.positive_int(num_heads=num_heads, num_kv_heads=num_kv_heads)
    if blocks is None:
        blocks = partial(mini_blocks, num_heads=num_heads, num_kv_heads=num_kv_heads)

    def rule(g: jax.Array, m: jax.Array, *, t: Count) -> tuple[jax.Array, jax.Array]:
        m = ema(m, g, b1)
        return debias(m, b1, t), m

    average = leafwise(
        rule, ScaleByAdamMiniState, elementwise=False, mu=partial(zeros, dtype=mu_dtype)
    )

    def init(params: Params) -> OptState:
        unpacked_only(params)
        return average.init(params)._replace(nu=_slots(blocks, params))

    def divided(u: Any, leaf: Any, v: Any, t: Count) -> tuple[Any, Any]:
        path, g = leaf
        if not is_differentiable(g):
            return u, v
        check_fits(v, g, path)
        v = ema(
            to_compute_dtype(v), over_blocks(abs_sq(to_compute_dtype(g)), v.shape), b2
        )
        return safe_divide(u, spread(sqrt(debias(v, b2, t)) + eps, g.shape)), v

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        leaves, treedef = flatten_updates(updates)
        targets = matching_params(params, leaves, treedef)
        # The mean goes on in float32, and only the result is rounded.
        wide = None if params is None else wide_leaves(params)
        mean, new = average.update(wide_leaves(updates), state, wide, **extra)
        columns: list[Any] = [
            treedef.flatten_up_to(mean),
            leaves,
            checks.leaves_like(state.nu, treedef, "the state 'nu'", "updates"),
        ]
        rows = zip(*columns, strict=True)
        pairs = [divided(u, leaf, v, new.count) for u, leaf, v in rows]
        u = settled_leaves([u for u, _ in pairs], leaves, targets)
        nu = treedef.unflatten([v for _, v in pairs])
        return treedef.unflatten(u), new._replace(nu=stored(state.nu, nu))

    return of_whole_leaves(GradientTransformation(init, update))


def _slots(blocks: Any, params: Params) -> Any:
    leaves, treedef = jax.tree_util.tree_flatten_with_path(
        params, is_leaf=checks.is_none
    )
    return treedef.unflatten(
        [
            make_slot(partial(slot, blocks=one, path=path), p)
            for (path, p), one in zip(leaves, resolved(blocks, params), strict=True)
        ]
    )


@transformation
def adam_mini(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    blocks: Static = None,
    mu_dtype: DTypeLike | None = None,
    *,
    num_heads: int | None = None,
    num_kv_heads: int | None = None,
) -> GradientTransformation:
    """Adam-mini: :func:`scale_by_adam_mini` made an optimizer by :func:`descend`.

        p ← p - η (u + λ p)

    Args:
      learning_rate: η, or a schedule of the number of steps taken; what suits AdamW
        suits it.
      b1: β₁, how much of the mean is kept at each step.
      b2: β₂, how much of the mean square is kept.
      eps: ε, outside the root.
      weight_decay: λ, or a schedule of it; None leaves the decay out.
      mask: which leaves decay, as :func:`add_decayed_weights` takes it.
      blocks: which entries share a number, as :func:`scale_by_adam_mini` takes them;
        by their paths if None.
      mu_dtype: the type to keep m in; the parameter's if None.
      num_heads: how many heads a query or key of two axes has.
      num_kv_heads: how many a key has; as many as a query, if None.

    Raises:
      ValueError: if a decay rate is outside [0, 1), or another number but the
        learning rate is negative; from ``init``, if a parameter cannot be cut into its
        blocks.

    Reference: Zhang et al., 2024, https://arxiv.org/abs/2406.16793

    Example:
      >>> tx, params = gradtx.adam_mini(0.1), jnp.eye(2)
      >>> grads = jnp.array([[2.0, 1.0], [0.0, -1.0]])
      >>> updates, state = tx.update(grads, tx.init(params), params)
      >>> print(updates.round(2))
      [[-0.14       -0.09999999]
       [-0.          0.09999999]]
    """
    direction = scale_by_adam_mini(
        b1,
        b2,
        eps,
        blocks,
        mu_dtype,
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
    )
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask)
