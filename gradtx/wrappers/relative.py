"""Updates that are measured against the weights they change, leaf by leaf."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.leaves import ndim
from gradtx.common.numerics import safe_divide, safe_increment, value_at
from gradtx.common.types import (
    AxisName,
    Count,
    MaskOrFn,
    OptState,
    Params,
    PyTree,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core.masking import restrict
from gradtx.core.reductions import real_products
from gradtx.core.transformation import GradientTransformation, with_extra_args_support
from gradtx.lowering.collective import axes_of, summed
from gradtx.lowering.sharding import zero_count
from gradtx.tree import masks
from gradtx.tree.norms import norm_along

Axis = int | tuple[int, ...] | None


class RelativeState(NamedTuple):
    """What the wrappers remember that measure updates against the weights."""

    count: Count
    inner_state: OptState
    rewrite_state: OptState  # the first norms, where these are to be kept


def relative(
    inner: GradientTransformation,
    rewrite: GradientTransformation,
    mask: MaskOrFn | None,
    *,
    rate: ScalarOrSchedule = 0.0,
    check: Callable[[Params], None] | None = None,
) -> GradientTransformation:
    """Rewrite the updates of some leaves, given the learning rate of the step.

    Args:
      inner: makes the updates.
      rewrite: is given them, and the rate as the extra argument ``rate``.
      mask: which leaves; those with two axes or more, if None.
      rate: the learning rate, or a schedule of the number of steps taken.
      check: refuses parameters in ``init``; it is shown only those that are rewritten.
    """
    inner = with_extra_args_support(inner)
    which = _are_matrices if mask is None else mask
    some = restrict(rewrite, which)

    def init(params: Params) -> OptState:
        if check is not None:
            flags = masks.as_prefix(which, params)
            check(masks.mask_out(params, flags, "parameters"))
        return RelativeState(zero_count(params), inner.init(params), some.init(params))

    def update(
        updates: Updates,
        state: RelativeState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, OptState]:
        checks.require_params(params)
        u, inner_state = inner.update(updates, state.inner_state, params, **extra)
        now = value_at(rate, state.count)
        u, kept = some.update(u, state.rewrite_state, params, rate=now)
        return u, RelativeState(safe_increment(state.count), inner_state, kept)

    return GradientTransformation(init, update)


def measured(
    p: jax.Array, u: jax.Array, axis: Axis, axis_name: AxisName
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return ‖p‖, ‖u‖ and the cosine of the angle between them, in one reading."""
    size, length = (norm_along(x, axis, axis_name) for x in (p, u))
    products = real_products(p, u)
    parts = axes_of(products, axis_name)
    product = summed(jnp.sum(products, axis=axis, keepdims=axis is not None), parts)
    return (
        size,
        length,
        jnp.clip(safe_divide(safe_divide(product, size), length), -1, 1),
    )


def _are_matrices(tree: PyTree) -> PyTree:
    """Tell which leaves have two axes or more; where there is no gradient, any."""
    return jax.tree.map(
        lambda x: x is None or ndim(x) > 1, tree, is_leaf=checks.is_none
    )
