"""From a direction to an optimizer."""

from gradtx.common.types import MaskOrFn, ScalarOrSchedule
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

    Raises:
      ValueError: if the learning rate is not finite or the decay is negative.
    """
    if weight_decay is None:
        return chain(direction, scale_by_learning_rate(learning_rate))
    return chain(
        direction,
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
