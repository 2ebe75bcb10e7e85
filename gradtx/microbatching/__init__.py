"""Microbatching: evaluate a function of a large batch in small pieces."""

from gradtx.microbatching.accumulators import (
    AccumulationType as AccumulationType,
    Accumulator as Accumulator,
)
from gradtx.microbatching.batches import reshape_batch_axis as reshape_batch_axis
from gradtx.microbatching.grad import micro_grad as micro_grad
from gradtx.microbatching.microbatch import microbatch as microbatch
from gradtx.microbatching.vmap import micro_vmap as micro_vmap
