"""Time one step in every format, in turn with that of float32."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich import box
from rich.table import Table
from timing import Spread, in_turn, spread
from trees import nbytes

import gradtx
from survival.formats import FORMATS, Kept

RATE, WIDTH = 1e-3, 1024
REFERENCE = "float32"


class Speed(NamedTuple):
    """What a step in one format takes."""

    seconds: Spread
    ratio: float
    """Over float32's step of the same round: the median."""
    bytes: float
    """Per parameter, of weights and state."""
    scratch: float
    """Per parameter, that the compiled step asks for besides."""


class Steps:
    """The compiled step of one format on one matrix; called, it makes so many."""

    def __init__(self, kept: Kept, size: int) -> None:
        rows = max(size // WIDTH, 1)
        numbers = np.random.default_rng(0).standard_normal((rows, WIDTH), np.float32)
        tx = kept.build(RATE)
        self.params = {"w": jnp.asarray(numbers, kept.weights)}
        self.grads = jax.tree.map(lambda p: p / 100, self.params)
        self.state = jax.jit(tx.init)(self.params)
        self.held = nbytes((self.params, self.state)) / numbers.size

        def step(grads: Any, params: Any, state: Any) -> tuple[Any, Any]:
            updates, state = tx.update(grads, state, params)
            return gradtx.apply_updates(params, updates), state

        jitted = gradtx.jit_step(step, donate_argnums=(1, 2))
        self._step = jitted.lower(self.grads, self.params, self.state).compile()
        memory = self._step.memory_analysis()
        scratch = getattr(memory, "temp_size_in_bytes", np.nan)
        self.scratch = scratch / numbers.size

    def __call__(self, steps: int) -> None:
        """Make so many steps with the same gradients."""
        for _ in range(steps):
            self.params, self.state = self._step(self.grads, self.params, self.state)
        jax.block_until_ready((self.params, self.state))


def speeds(names: list[str], size: int, repeats: int) -> dict[str, Speed]:
    """Time the steps of some formats, each in turn with float32's alone.

    So no more than two stand in memory at a time.
    """
    found = {}
    for name in names:
        pair = {REFERENCE: Steps(FORMATS[REFERENCE], size)}
        pair[name] = pair.get(name) or Steps(FORMATS[name], size)
        seconds = in_turn(dict(pair), repeats)
        ratio = float(np.median(seconds[name] / seconds[REFERENCE]))
        made = pair[name]
        found[name] = Speed(spread(seconds[name]), ratio, made.held, made.scratch)
    return found


def table(title: str, found: Mapping[str, Speed], style: box.Box) -> Table:
    """Lay the times out: a row for every format."""
    made = Table(title=title, box=style, title_justify="left")
    made.add_column("format")
    for name in ("ms (quartiles)", "/ float32", "B/param", "scratch B/param"):
        made.add_column(name, justify="right")
    for name, speed in found.items():
        low, middle, high = (f"{1e3 * s:.1f}" for s in speed.seconds)
        made.add_row(
            name,
            f"{middle} ({low}-{high})",
            f"{speed.ratio:.2f}",
            f"{speed.bytes:.2f}",
            f"{speed.scratch:.2f}",
        )
    return made
