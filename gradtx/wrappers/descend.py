"""From a direction to an optimizer."""

from gradtx.common.types import MaskOrFn, Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.primitives.decay import add_decayed_weights
from gradtx.primitives.scale import scale_by_learning_rate
from gradtx.wrappers.chain import chain


@transformation
def descend(
    direction: GradientTransformation,
    learning_rate: ScalarOrSchedule | None,
    *,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    decay_kind: str = "decoupled",
    peak_learning_rate: Scalar | None = None,
) -> GradientTransformation:
    """Go downhill along a direction: make an optimizer of any transformation.

        p ← p - η (u + λ p)           u: what ``direction`` makes of the gradient

    Args:
      direction: the transformation that says where to go, such as ``scale_by_adam()``.
      learning_rate: η, or a schedule of the number of steps taken. A negative one goes
        uphill, to maximize; the weights then grow by λ.
      weight_decay: λ, decoupled from the direction; None leaves the link out.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      decay_kind: "decoupled", "cautious", "corrected" or "independent", as
        :func:`gradtx.add_decayed_weights` tells them apart.
      peak_learning_rate: the largest value of the schedule η, for the last two kinds;
        η itself, if None and η is a number.

    Raises:
      ValueError: if the learning rate is not finite, the decay is negative, the kind
        of decay not known, or the peak missing that it needs.

    Example:
      >>> tx, params = gradtx.descend(gradtx.scale_by_adam(), 0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    decay = (weight_decay, mask, decay_kind, peak_learning_rate)
    return chain(direction, *downhill(learning_rate, *decay))


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
