"""From a direction to a step downhill: weight decay, and minus the learning rate."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks, directions, numerics
from gradtx.common.types import (
    Count,
    MaskOrFn,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core import order
from gradtx.core.leafwise import leafwise
from gradtx.core.masking import restrict
from gradtx.core.transformation import (
    EmptyState,
    GradientTransformation,
    identity,
    transformation,
)
from gradtx.lowering.sharding import zero_count
from gradtx.primitives.scale import (
    ScaleByScheduleState,
    ScaleState,
    scale_by_schedule,
)

AddDecayedWeightsState = EmptyState

KINDS = ("decoupled", "cautious", "corrected", "independent")


@order.keeps("others", when=lambda given: given["mask"] is not None)
@order.needs_final("direction", when=lambda given: given["kind"] == "cautious")
@transformation
def add_decayed_weights(
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    *,
    kind: str = "decoupled",
    learning_rate: ScalarOrSchedule | None = None,
    peak_learning_rate: Scalar | None = None,
) -> GradientTransformation:
    """Add the parameters, times a number, to the updates.

        u = g + λ p                                  "decoupled"
        u = g + λ p where g p ≥ 0, else g            "cautious"
        u = g + λ (η / η_peak) p                     "corrected"
        u = g + (λ / η_peak) p                       "independent"

    Before the learning rate's minus sign this pulls the parameters towards zero. Placed
    after a method's direction it is decoupled weight decay; placed before it, an L2
    penalty.

    Multiplied by the learning rate η afterwards, a step shrinks the parameters by η λ;
    corrected, by λ η² / η_peak, so that the norm which a normalized layer settles at
    does not fall with the rate; independent, by λ η / η_peak, so that the peak rate may
    be tuned without the decay. Cautious decay leaves alone what the step moves away
    from zero; what follows it in a chain may only scale the updates.

    Args:
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      mask: a tree of booleans shaped like the parameters (or a prefix of them), or a
        function from the parameters to one; only where it is True does the leaf decay.
        All leaves do, if None.
      kind: "decoupled", "cautious", "corrected" or "independent". The corrected one is
        meant for weights that a normalization follows, not for the last layer, norms
        and biases.
      learning_rate: η, or a schedule of the number of steps taken: the same
        that the updates are multiplied by. Only kind "corrected" needs it.
      peak_learning_rate: η_peak, above 0, the largest rate of the schedule. The
        learning rate itself, if None and that is a number.

    Raises:
      ValueError: if a number is out of range, the kind not known, or a rate missing
        that the kind needs; from ``update`` if it is given no parameters. With kind
        "cautious" also from ``chain``, if something that changes the direction follows.

    Reference: Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101; Chen et
      al., 2025, https://arxiv.org/abs/2510.12402 (cautious); Defazio, 2025,
      https://arxiv.org/abs/2506.02285 (corrected)

    Example:
      >>> tx, params = gradtx.add_decayed_weights(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2.1000001  -0.90000004]
    """
    checks.non_negative(weight_decay=weight_decay)
    checks.finite(learning_rate=learning_rate)
    checks.positive(peak_learning_rate=peak_learning_rate)
    if kind not in KINDS:
        raise checks.InvalidArgument(
            f"kind must be one of {', '.join(KINDS)}, got {kind!r}"
        )
    factor = _relative(kind, learning_rate, peak_learning_rate)
    scheduled_rate = kind == "corrected" and callable(learning_rate)

    def decay_at(count: Count | None) -> Any:
        return numerics.value_at(weight_decay, count) * factor(count)

    tx = _unmasked(
        decay_at,
        cautious=kind == "cautious",
        counts=callable(weight_decay) or scheduled_rate,
    )
    return tx if mask is None else restrict(tx, mask)


def _relative(
    kind: str, rate: Any, peak: Scalar | None
) -> Callable[[Count | None], Any]:
    """Return the step's factor of the decay: 1, η / η_peak, or 1 / η_peak."""
    if kind in ("decoupled", "cautious"):
        return lambda _: 1
    if peak is None and (rate is None or callable(rate)):
        raise checks.InvalidArgument(
            f"kind {kind!r} needs peak_learning_rate, the largest learning rate"
        )
    if kind == "corrected" and rate is None:
        raise checks.InvalidArgument(
            f"kind {kind!r} needs learning_rate, what the updates are multiplied by"
        )
    highest = rate if peak is None else peak

    def factor(count: Count | None) -> jax.Array:
        now = numerics.value_at(rate, count) if kind == "corrected" else 1.0
        return numerics.safe_divide(jnp.asarray(now), jnp.asarray(highest))

    return factor


@transformation
def _add(*, cautious: bool) -> GradientTransformation:
    """Add the parameters times the extra argument ``decay``."""
    return leafwise(_cautiously if cautious else _everywhere, EmptyState)


@transformation
def _add_and_count(*, cautious: bool) -> GradientTransformation:
    """Do as :func:`_add`, and count the steps."""
    add = leafwise(_cautiously if cautious else _everywhere, EmptyState)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        updates, _empty = add.update(updates, EmptyState(), params, **extra)
        return updates, ScaleByScheduleState(numerics.safe_increment(state.count))

    return GradientTransformation(add.init, update)


def _unmasked(
    decay_at: Callable[..., Any], *, cautious: bool, counts: bool
) -> GradientTransformation:
    add = (_add_and_count if counts else _add)(cautious=cautious)

    def init(params: Params) -> OptState:
        return ScaleByScheduleState(zero_count(params)) if counts else add.init(params)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        decay = decay_at(state.count if counts else None)
        return add.update(updates, state, params, decay=decay)

    return GradientTransformation(init, update)


def _everywhere(g: jax.Array, *, p: jax.Array, decay: Any) -> jax.Array:
    return g + decay * p


def _cautiously(g: jax.Array, *, p: jax.Array, decay: Any) -> jax.Array:
    return g + jnp.where(directions.agreement(g, p) >= 0, decay * p, 0)


@order.keeps("direction")
@transformation
def scale_by_learning_rate(
    learning_rate: ScalarOrSchedule | None = None, *, flip_sign: bool = True
) -> GradientTransformation:
    """Multiply the direction by the learning rate, and turn it downhill.

        u = -η g

    Args:
      learning_rate: η, or a schedule of the number of steps taken. As a schedule it
        keeps the step count in a :class:`ScaleByScheduleState`. A negative one goes
        uphill. None passes the updates on as they are.
      flip_sign: whether to multiply by -1, as descent needs.

    Raises:
      ValueError: if the learning rate is infinite or NaN.

    Example:
      >>> tx, params = gradtx.scale_by_learning_rate(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    checks.finite(learning_rate=learning_rate)
    if learning_rate is None:
        return identity()
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        return scale_by_schedule(lambda count: sign * learning_rate(count))
    return leafwise(lambda g: sign * learning_rate * g, ScaleState)


def downhill(
    learning_rate: ScalarOrSchedule | None,
    weight_decay: ScalarOrSchedule | None,
    mask: MaskOrFn | None,
    decay_kind: str,
    peak_learning_rate: Scalar | None,
) -> tuple[GradientTransformation, ...]:
    """Return the links that make an optimizer of a direction; :func:`descend`'s."""
    last = scale_by_learning_rate(learning_rate)
    if weight_decay is None:
        return (last,)
    decay = add_decayed_weights(
        weight_decay,
        mask,
        kind=decay_kind,
        learning_rate=learning_rate,
        peak_learning_rate=peak_learning_rate,
    )
    return decay, last
