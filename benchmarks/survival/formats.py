"""AdamW in every format of weights and state."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp

import gradtx
from gradtx import codecs

SMALL = 256  # leaves below this stay as they are: here even the small ones are encoded


class Kept(NamedTuple):
    """How weights and states are kept."""

    weights: Any
    build: Callable[[Any], Any]
    """From a learning rate to the optimizer."""


_adamw = partial(gradtx.adamw, weight_decay=0.01)
_int8 = partial(gradtx.adamw8bit, weight_decay=0.01, min_size=SMALL)
_int4 = partial(gradtx.adamw4bit, weight_decay=0.01, min_size=SMALL)


def _in(codec: Any) -> Callable[[Any], Any]:
    chosen = {"mu": codec, "nu": codec}
    return lambda rate: gradtx.quantize_state(_adamw(rate), chosen, min_size=SMALL)


def _after(make: Callable[[Any], Any], wrap: Callable[[Any], Any]) -> Kept:
    return Kept(jnp.bfloat16, lambda rate: wrap(make(rate)))


REFERENCE = "float32"
FORMATS = {
    "float32": Kept(jnp.float32, _adamw),
    "bfloat16-state": Kept(jnp.float32, _in(codecs.bfloat16())),
    "float8-state": Kept(jnp.float32, _in(codecs.float8())),
    "int8-state": Kept(jnp.float32, partial(_int8, block=256)),
    "int8-rows-state": Kept(jnp.float32, partial(_int8, block=None)),
    "int4-state": Kept(jnp.float32, _int4),
    "bfloat16-master": _after(_adamw, gradtx.with_master_weights),
    "bfloat16-compensated": _after(_adamw, gradtx.with_compensation),
    "bfloat16-compensated-int8": _after(_int8, gradtx.with_compensation),
    "bfloat16-stochastic": _after(_adamw, gradtx.with_stochastic_rounding),
    "bfloat16-plain": Kept(jnp.bfloat16, _adamw),
}
