"""What PyTorch does to every gradient before a method sees it."""

from gradtx.common.types import Scalar
from gradtx.core.transformation import GradientTransformation, identity
from gradtx.primitives.decay import add_decayed_weights
from gradtx.primitives.scale import scale
from gradtx.wrappers.chain import chain


def prepared(maximize: bool, penalty: Scalar | None) -> GradientTransformation:
    """Turn the gradient uphill if asked, then add the gradient of λ/2 ‖p‖²."""
    uphill = scale(-1.0) if maximize else identity()
    if penalty is None:
        return uphill
    return chain(uphill, add_decayed_weights(penalty))
