"""What is audited: the catalogue's rows and wrappers, and what they must move.

The lower bound follows from the arrays: each that is needed is read once, each that
changes is written once. Some methods cannot do with that: what they scale by is known
only when all has been read. What they read again is said in ways.csv, and why.
"""

from collections.abc import Callable
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from benchmarks.audit.optax_twin import catalogue, optax_rows
from benchmarks.trees import Shapes

RATE = 1e-3
Build = Callable[[Any], Any]


class Way(NamedTuple):
    """One of the ways that a step may take."""

    label: str = ""
    pick: str = "least"
    """Which way through the compiled conditionals it is: what is rare (a norm that
    overflows) moves more, so the common way moves "least", another one "most". Of two
    loops for either case one runs: the "lesser loop" or the "greater loop"."""
    again: float = 0.0
    """Bytes per parameter beyond each array once in, once out."""
    why: str = ""
    """What these bytes are."""
    reachable: bool = True
    """Whether the lower bound can be reached: not where matrix products rule."""


class Case(NamedTuple):
    """One row of the audit."""

    name: str
    build: Build
    """Makes the transformation of a library; raises where the library lacks it."""
    matrix: bool = False
    needs: tuple[str, ...] = ()
    """Extra arguments that ``update`` wants."""
    weights: Any = jnp.float32
    """The type of the parameters and of their gradients."""

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
AROUND = (
    "flatten cautious spike_aware_reset dynamic_loss_scale average ema_nesterov "
    "primal_averaging hyperball with_stochastic_rounding with_master_weights"
)
EIGHT_BITS = {"": {}, ", rows": {"block": None}, ", kernel": {"kernel": True}}
WRAPPERS: dict[str, Build] = {
    "MultiSteps(adamw, 4)": around("MultiSteps", 4),
    "lookahead(adam, 5)": around("lookahead", 5, 0.5, inner=made("adam")),
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
    "average(adamw), every 8": around("average", every=8),
    "tail_average(adamw)": around("tail_average", start=1000),
    "outer_nesterov(adamw)": around("outer_nesterov", every=30),
    "adamw, with_metrics": around("with_metrics"),
    "clip_by_global_norm, adamw, with_metrics": around("with_metrics", inner=CLIPPED),
    # A block's largest number is known when the block has been computed; that it is
    # then encoded in the same pass, from registers, is what the lower bound asks for.
    **{f"adamw8bit{x}": made("adamw8bit", **told) for x, told in EIGHT_BITS.items()},
    **{f"lion8bit{x}": made("lion8bit", **told) for x, told in EIGHT_BITS.items()},
    "adamw4bit": made("adamw4bit"),
    "quantize_state(adamw, bfloat16)": lambda lib: lib.quantize_state(
        ADAMW(lib), lib.codecs.bfloat16()
    ),
    "with_compensation(adamw8bit)": around(
        "with_compensation", inner=made("adamw8bit")
    ),
    "with_compensation(adamw8bit), rows": around(
        "with_compensation", inner=made("adamw8bit", block=None)
    ),
    "pack_small_leaves(adamw)": around("pack_small_leaves"),
    "pack_small_leaves(clipped adamw)": around("pack_small_leaves", inner=CLIPPED),
}


def cases() -> dict[str, Case]:
    """Return what there is to audit, by name."""
    theirs = optax_rows()
    found = [_case(row, theirs[row.name]) for row in catalogue()]
    found += [_wrapper(name, build) for name, build in WRAPPERS.items()]
    return {case.name: case for case in found}


def _case(row: Any, twin: Any) -> Case:
    def build(lib: Any) -> Any:
        return (twin if lib.__name__ == "optax" else row).build()

    return Case(row.name, build, len(row.shape) > 1, row.needs)


def _wrapper(name: str, build: Build) -> Case:
    matrix = "bit" in name or name.startswith("hyperball")
    needs = ("value",) if name.startswith("reduce_on_plateau") else ()
    weights = jnp.bfloat16 if name.startswith("with_") else jnp.float32
    return Case(name, build, matrix, needs, weights)
