"""Cautious updates: no entry goes against its gradient."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import map_differentiable
from gradtx.common.numerics import agreement
from gradtx.common.types import OptState, Params, Scalar, Updates
from gradtx.core import order
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.tree.packed import unpacked_only
from gradtx.wrappers.inside import around_base


class _Work(NamedTuple):
    gradient: Updates


@transformation
def cautious(
    inner: GradientTransformation,
    rescale: str | None = "mean",
    min_mean: Scalar = 1e-3,
    *,
    direction: bool = False,
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

    Args:
      inner: any optimizer, or what comes before its learning rate.
      rescale: "mean", to divide what is left by the share of it in the leaf; "count",
        to multiply by n / (Σ k + 1), as Lion's authors of this method do; None to leave
        it as it is, which also saves reading the leaf twice.
      min_mean: k_min, above 0: the least share to divide by, with "mean".
      direction: whether ``inner`` makes a direction, which a learning rate is still to
        turn downhill; then entries with u g > 0 are kept.

    Raises:
      ValueError: if ``min_mean`` is not positive, for another ``rescale``, or if
        ``inner`` must see the final update.

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
        return cautious(tx, rescale, min_mean, direction=direction)

    within = around_base(inner, wrap)
    if within is not None:
        return within
    order.check_inner(inner, "cautious")
    inner = with_extra_args_support(inner)
    sign = 1 if direction else -1

    def rule(u: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
        kept = sign * agreement(u, g) > 0
        return jnp.where(kept, _scale(kept, u, rescale, min_mean) * u, 0), g

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
    kept: jax.Array, u: jax.Array, rescale: str | None, min_mean: Scalar
) -> jax.Array:
    """Return what the kept entries of a leaf are multiplied by."""
    one = jnp.ones((), u.real.dtype)
    if rescale is None or not u.size:
        return one
    many = jnp.sum(kept, dtype=one.dtype)
    if rescale == "count":
        return one * u.size / (many + 1)
    return one / jnp.maximum(many / u.size, min_mean)
