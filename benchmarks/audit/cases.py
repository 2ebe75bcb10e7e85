"""What is audited: the catalogue's rows and wrappers, and what they must move.

The lower bound follows from the arrays: each that is needed is read once, each that
changes is written once. Some methods cannot do with that: what they scale by is known
only when all has been read. What they read again is said in ways.csv, and why.
"""

from collections.abc import Callable
from functools import partial
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

import gradtx
from benchmarks.audit.optax_twin import catalogue, optax_rows
from benchmarks.trees import Shapes

RATE = 1e-3
Build = Callable[[Any], Any]


class Way(NamedTuple):
    """One of the ways that a step may take."""

    label: str = ""
    # Which way through the compiled conditionals it is: what is rare (a norm that
    # overflows) moves more, so the common way moves "least", another one "most". Of two
    # loops for either case one runs: the "lesser loop" or the "greater loop".
    pick: str = "least"
    again: float = 0.0  # bytes per parameter beyond each array once in, once out
    why: str = ""  # what these bytes are
    reachable: bool = True  # the lower bound is not where matrix products rule


class Case(NamedTuple):
    """One row of the audit: a transformation, and what it is compiled for."""

    name: str
    build: Build  # raises where the library lacks it
    matrix: bool = False
    needs: tuple[str, ...] = ()  # extra arguments that ``update`` wants
    weights: Any = jnp.float32

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways that a step may take."""
        return WAYS.get(self.name, (Way(),))

    def leaf(self, size: int) -> Shapes:
        """Return the shape of one leaf of so many parameters."""
        side = isqrt(size)
        return {"w": (side, side) if self.matrix else (size,)}


def _ways() -> dict[str, tuple[Way, ...]]:
    """Read the ways of the steps that take several, or must read something again."""
    found: dict[str, tuple[Way, ...]] = {}
    text = Path(__file__).with_name("ways.csv").read_text("utf-8")
    for line in text.splitlines()[1:]:
        rows, label, pick, again, reachable, why = map(str.strip, line.split("|"))
        way = Way(label, pick or "least", float(again or 0), why, reachable != "no")
        for row in rows.split("; "):
            found[row] = (*found.get(row, ()), way)
    return found


WAYS = _ways()


def made(name: str, **settings: Any) -> Build:
    """Make an optimizer."""
    return lambda lib: getattr(lib, name)(RATE, **settings)


ADAMW = made("adamw", weight_decay=0.01)


def before(change: str, *args: Any, **settings: Any) -> Build:
    """Make AdamW after a change of the gradient."""
    return lambda lib: lib.chain(getattr(lib, change)(*args, **settings), ADAMW(lib))


def around(wrap: str, *args: Any, inner: Build = ADAMW, **settings: Any) -> Build:
    """Make a wrapper around AdamW, or around something else."""
    return lambda lib: getattr(lib, wrap)(inner(lib), *args, **settings)


CLIPPED = before("clip_by_global_norm", 1.0)
INT8, INT8_ROWS = made("adamw8bit"), made("adamw8bit", block=None)
AROUND = (
    "flatten cautious spike_aware_reset dynamic_loss_scale average ema_nesterov "
    "primal_averaging hyperball with_stochastic_rounding with_master_weights"
)
IN_PHASES = {
    "lookahead(adam, 5)": partial(around, "lookahead", 5, 0.5, inner=made("adam")),
    "average(adamw), every 8": partial(around, "average", every=8),
    "tail_average(adamw)": partial(around, "tail_average", start=1000),
    "outer_nesterov(adamw)": partial(around, "outer_nesterov", every=30),
}
EIGHT_BITS = {"": {}, ", rows": {"block": None}, ", kernel": {"kernel": True}}
WRAPPERS: dict[str, Build] = {
    "MultiSteps(adamw, 4)": around("MultiSteps", 4),
    "apply_if_finite(adamw)": around("apply_if_finite", 3),
    "conditionally_mask(adamw)": around("conditionally_mask", lambda x: x % 2 == 0),
    "clip_by_global_norm, adamw": CLIPPED,
    "clip_by_block_rms, adamw": before("clip_by_block_rms", 1.0),
    "clip, adamw": before("clip", 1.0),
    "zero_nans, adamw": before("zero_nans"),
    "inject_hyperparams(adamw)": lambda lib: lib.inject_hyperparams(lib.adamw)(RATE),
    "masked(adamw)": around("masked", mask={"w": True}),
    "partition(adamw)": lambda lib: lib.partition({"all": ADAMW(lib)}, "all"),
    "ema, sgd": lambda lib: lib.chain(lib.ema(0.9), lib.sgd(RATE)),
    "trace, sgd": lambda lib: lib.chain(lib.trace(0.9), lib.sgd(RATE)),
    "scheduled adamw": lambda lib: lib.adamw(lib.cosine_decay_schedule(RATE, 99)),
    "reduce_on_plateau, adamw": lambda lib: lib.chain(
        ADAMW(lib), lib.contrib.reduce_on_plateau()
    ),
    "mars, adamw": before("mars"),
    "mars without a bound, adamw": before("mars", max_norm=None),
    "grokfast_ema, adamw": before("grokfast_ema"),
    **{f"{name}(adamw)": around(name) for name in AROUND.split()},
    "cautious(adamw), rescale=None": around("cautious", rescale=None),
    **{name: make() for name, make in IN_PHASES.items()},
    **{f"{x}, single pass": make(single_pass=True) for x, make in IN_PHASES.items()},
    "adamw, with_metrics": around("with_metrics"),
    "clip_by_global_norm, adamw, with_metrics": around("with_metrics", inner=CLIPPED),
    # A block's largest number is known when the block has been computed; that it is
    # then encoded in the same pass, from registers, is what the lower bound asks for.
    **{f"adamw8bit{x}": made("adamw8bit", **told) for x, told in EIGHT_BITS.items()},
    **{f"lion8bit{x}": made("lion8bit", **told) for x, told in EIGHT_BITS.items()},
    "adamw4bit": made("adamw4bit"),
    "quantize_state(adamw, bfloat16)": around(
        "quantize_state", gradtx.codecs.bfloat16()
    ),
    "with_compensation(adamw8bit)": around("with_compensation", inner=INT8),
    "with_compensation(adamw8bit), rows": around("with_compensation", inner=INT8_ROWS),
}
# Compiled for trees of many leaves, and for one leaf only where they are asked for.
OF_TREES: dict[str, Build] = {
    "pack_small_leaves(adamw)": around("pack_small_leaves"),
    "pack_small_leaves(clipped adamw)": around("pack_small_leaves", inner=CLIPPED),
}


def cases() -> dict[str, Case]:
    """Return what there is to audit, by name."""
    theirs, found = optax_rows(), {}
    for row in catalogue():
        build = partial(_built, row, theirs[row.name])
        found[row.name] = Case(row.name, build, len(row.shape) > 1, row.needs)
    for name, build in (WRAPPERS | OF_TREES).items():
        matrix = "bit" in name or name.startswith("hyperball")
        needs = ("value",) if name.startswith("reduce_on_plateau") else ()
        weights = jnp.bfloat16 if name.startswith("with_") else jnp.float32
        found[name] = Case(name, build, matrix, needs, weights)
    return found


def _built(row: Any, twin: Any, lib: Any) -> Any:
    return (twin if lib.__name__ == "optax" else row).build()
