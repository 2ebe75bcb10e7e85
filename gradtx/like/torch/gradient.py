"""What PyTorch does to every gradient before a method sees it, and after it."""

from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, identity
from gradtx.primitives.downhill import add_decayed_weights
from gradtx.primitives.scale import scale
from gradtx.wrappers.chain import chain, descend


def prepared(maximize: bool, penalty: Scalar | None) -> GradientTransformation:
    """Turn the gradient uphill if asked, then add the gradient of λ/2 ‖p‖²."""
    uphill = scale(-1.0) if maximize else identity()
    if penalty is None:
        return uphill
    return chain(uphill, add_decayed_weights(penalty))


def descended(
    direction: GradientTransformation,
    lr: ScalarOrSchedule,
    weight_decay: Scalar | None,
    *,
    maximize: bool,
    decoupled: bool,
) -> GradientTransformation:
    """Go down a direction of the gradient, with the decay in it or beside it."""
    if decoupled:
        direction = chain(prepared(maximize, None), direction)
        return descend(direction, lr, weight_decay=weight_decay)
    return descend(chain(prepared(maximize, weight_decay), direction), lr)
