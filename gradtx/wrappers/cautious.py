"""Cautious updates: no entry goes against its gradient."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.directions import agreement
from gradtx.common.leaves import map_differentiable
from gradtx.common.types import AxisName, OptState, Params, Scalar, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.reductions import sum_over_leaves
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.lowering.collective import parts_of
from gradtx.tree.packed import unpacked_only
from gradtx.wrappers.chain import check_inner
from gradtx.wrappers.inside import around_base, check_descends

_ASCENT = "with direction=True put it before scale_by_learning_rate"


class _Work(NamedTuple):
    gradient: Updates


@transformation
def cautious(
    inner: GradientTransformation,
    rescale: str | None = "mean",
    min_mean: Scalar = 1e-3,
    *,
    direction: bool = False,
    axis_name: AxisName = None,
) -> GradientTransformation:
    """Leave out the entries of an update that would go against the gradient.

        u = inner(g)
        k = 1 where u goes down along g, that is u g < 0, else 0
        u ← u k / max(mean(k), k_min)        the mean over each leaf

    What ``inner`` remembers is as without. A weight decay in ``inner`` is left out with
    the rest of the entry; to decay all entries, let the decay follow:

        chain(
            cautious(scale_by_adam(), direction=True),
            add_decayed_weights(1e-2),
            scale_by_learning_rate(1e-3),
        )

    Around Schedule-Free it acts on the base optimizer, which makes the steps.

    With a negative learning rate in ``inner`` every entry would go against the mask,
    and a known one is refused. To ascend, let the rate follow the direction:

        chain(
            cautious(scale_by_adam(), direction=True),
            scale_by_learning_rate(-1e-3),
        )

    Args:
      inner: any optimizer, or what comes before its learning rate.
      rescale: "mean", to divide what is left by the share of it in the leaf; "count",
        to multiply by n / (Σ k + 1), as Lion's authors of this method do; None to leave
        it as it is, which also saves reading the leaf twice.
      min_mean: k_min, above 0: the least share to divide by, with "mean".
      direction: whether ``inner`` makes a direction, which a learning rate is still to
        turn downhill; then entries with u g > 0 are kept.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, over which
        leaves in parts are summed, as :func:`clip_by_global_norm` takes it. None: what
        this device holds.

    Raises:
      ValueError: if ``min_mean`` is not positive, for another ``rescale``, if
        ``inner`` must see the final update, or if its learning rate is negative.

    Reference: Liang et al., 2024, https://arxiv.org/abs/2411.16085 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.cautious(gradtx.adam(0.1)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    checks.positive(min_mean=min_mean)
    if rescale not in ("mean", "count", None):
        raise checks.InvalidArgument(
            f'rescale must be "mean", "count" or None, got {rescale!r}'
        )

    def wrap(tx: GradientTransformation) -> GradientTransformation:
        return cautious(tx, rescale, min_mean, direction=direction, axis_name=axis_name)

    within = around_base(inner, wrap)
    if within is not None:
        return within
    check_inner(inner, "cautious")
    if not direction:
        check_descends(inner, cautious=_ASCENT)
    inner = with_extra_args_support(inner)
    sign = 1 if direction else -1

    def rule(u: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
        kept = sign * agreement(u, g) > 0
        scale = _scale(kept, u, rescale, min_mean, axis_name)
        return jnp.where(kept, scale * u, 0), g

    whole = rescale is not None
    select = leafwise(rule, _Work, elementwise=not whole, gradient=jnp.zeros_like)

    def init(params: Params) -> OptState:
        if whole:
            unpacked_only(params)
        return inner.init(params)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        u, state = inner.update(updates, state, params, **extra)
        gradient = map_differentiable(jnp.asarray, updates)
        return select.update(u, _Work(gradient), params)[0], state

    return GradientTransformation(init, update)


def _scale(
    kept: jax.Array,
    u: jax.Array,
    rescale: str | None,
    min_mean: Scalar,
    axis_name: AxisName,
) -> jax.Array:
    """Return what the kept entries of a leaf are multiplied by."""
    one = jnp.ones((), u.real.dtype)
    if rescale is None or not u.size:
        return one
    many = sum_over_leaves([jnp.sum(kept, dtype=one.dtype)], axis_name)
    size = u.size * parts_of(u, axis_name)
    if rescale == "count":
        return one * size / (many + 1)
    return one / jnp.maximum(many / size, min_mean)
