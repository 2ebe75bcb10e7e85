"""Keras's three ways to clip gradients."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import differentiable
from gradtx.common.types import OptState, Params, Scalar, Updates
from gradtx.core.leafwise import leafwise
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    identity,
    init_empty_state,
)
from gradtx.primitives.clip import clip
from gradtx.tree import norms


def clipped(
    clipnorm: Scalar | None, clipvalue: Scalar | None, global_clipnorm: Scalar | None
) -> GradientTransformation:
    """Return the way to clip that is asked for.

    Raises:
      ValueError: if more than one is, or a bound is negative.
    """
    bounds = {
        "clipnorm": clipnorm,
        "clipvalue": clipvalue,
        "global_clipnorm": global_clipnorm,
    }
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    checks.non_negative(**given)
    if len(given) > 1:
        raise checks.InvalidArgument(
            f"{' and '.join(given)} exclude each other: choose one"
        )
    if clipnorm is not None:
        return leafwise(
            lambda g: g * _factor(norms.norm(g), clipnorm),
            EmptyState,
            elementwise=False,
        )
    if global_clipnorm is not None:
        return _clipped_together(global_clipnorm)
    return identity() if clipvalue is None else clip(clipvalue)


def _clipped_together(bound: Scalar) -> GradientTransformation:
    shrink = leafwise(lambda g, *, factor: g * factor, EmptyState)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        norm = norms.norm(differentiable(updates))
        # Keras makes everything NaN, not only what was infinite.
        factor = jnp.where(jnp.isfinite(norm), _factor(norm, bound), jnp.nan)
        return shrink.update(updates, state, params, factor=factor)

    return GradientTransformation(init_empty_state, update)


def _factor(norm: jax.Array, bound: Scalar) -> jax.Array:
    return bound / jnp.maximum(norm, bound)
