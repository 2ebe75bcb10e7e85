"""Groups: parameters chosen by their paths, and what is done to each group."""

from gradtx.groups.by_path import by_path as by_path
from gradtx.groups.decay_mask import decay_mask as decay_mask
from gradtx.groups.layer_decay import layer_decay as layer_decay
from gradtx.groups.mask_by_path import mask_by_path as mask_by_path
