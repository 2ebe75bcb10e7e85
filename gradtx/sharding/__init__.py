"""Sharding: where an optimizer's state lies among devices and memories."""

from gradtx.lowering.varying_matrices import ShardWarning as ShardWarning
from gradtx.sharding.abstract import abstract_state as abstract_state
from gradtx.sharding.gather import gathered as gathered
from gradtx.sharding.memory import offload as offload
from gradtx.sharding.zero import zero1 as zero1
