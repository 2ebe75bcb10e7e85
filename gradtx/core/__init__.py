"""The pair (init, update), leafwise, slots of state, reductions and masks."""

from gradtx.core.apply_updates import apply_updates as apply_updates
from gradtx.core.leafwise import leafwise as leafwise
from gradtx.core.masking import MaskedState as MaskedState, masked as masked
