"""AdamW in every format of weights and state, and what is expected of each."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp

import gradtx
from gradtx import codecs

DECAY = 0.01
SMALL = 256  # leaves below this stay as they are: here even the small ones are encoded


class Kept(NamedTuple):
    """How weights and states are kept."""

    weights: Any
    build: Callable[[Any], Any]
    """From a learning rate to the optimizer."""


def _adamw(rate: Any) -> Any:
    return gradtx.adamw(rate, weight_decay=DECAY)


def _in(codec: Any, second: Any = None) -> Callable[[Any], Any]:
    chosen = {"mu": codec, "nu": second or codec}
    return lambda rate: gradtx.quantize_state(_adamw(rate), chosen, min_size=SMALL)


def _int8(rate: Any, block: int | None = 256) -> Any:
    return gradtx.adamw8bit(rate, weight_decay=DECAY, block=block, min_size=SMALL)


def _int4(rate: Any) -> Any:
    return gradtx.adamw4bit(rate, weight_decay=DECAY, min_size=SMALL)


FORMATS = {
    "float32": Kept(jnp.float32, _adamw),
    "bfloat16-state": Kept(jnp.float32, _in(codecs.bfloat16())),
    "float8-state": Kept(jnp.float32, _in(codecs.float8())),
    "int8-state": Kept(jnp.float32, _int8),
    "int8-rows-state": Kept(jnp.float32, partial(_int8, block=None)),
    "int4-state": Kept(jnp.float32, _int4),
    "bfloat16-master": Kept(
        jnp.bfloat16, lambda rate: gradtx.with_master_weights(_adamw(rate))
    ),
    "bfloat16-compensated": Kept(
        jnp.bfloat16, lambda rate: gradtx.with_compensation(_adamw(rate))
    ),
    "bfloat16-compensated-int8": Kept(
        jnp.bfloat16, lambda rate: gradtx.with_compensation(_int8(rate))
    ),
    "bfloat16-stochastic": Kept(
        jnp.bfloat16, lambda rate: gradtx.with_stochastic_rounding(_adamw(rate))
    ),
    "bfloat16-plain": Kept(jnp.bfloat16, _adamw),
}
