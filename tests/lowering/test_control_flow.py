"""Loops and conditionals within shard_map, where JAX wants both ends to vary alike."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.lowering.control_flow import either


def test_either_runs_one() -> None:
    """Of two functions one runs; a traced condition is decided on the device."""
    ran = []

    def say(word: str, value: float) -> Any:
        return lambda: (ran.append(word), jnp.float32(value))[1]

    assert either(jnp.array(1) > 0, say("yes", 1), say("no", 2)) == 1
    assert ran == ["yes"]
    choose = jax.jit(lambda x: either(x > 0, say("yes", 1), say("no", 2)))
    assert (choose(1), choose(-1)) == (1, 2)
