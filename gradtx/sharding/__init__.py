"""Sharding: where an optimizer's state lies among devices and memories."""

from gradtx.sharding.abstract import abstract_state as abstract_state
from gradtx.sharding.memory import offload as offload
from gradtx.sharding.zero import zero1 as zero1
