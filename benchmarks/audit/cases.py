"""What is audited: the catalogue's rows and wrappers, and the ways that they take."""

import importlib
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase as fnmatch
from functools import partial
from math import isqrt
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

import jax.numpy as jnp

import gradtx
from benchmarks.trees import Shapes

RATE = 1e-3
TESTS = str(Path(__file__).parents[2] / "tests")
Build = Callable[[Any], Any]

# Steps of two ways: what the lesser does, and the other, and the bytes per parameter
# that the lesser does not move, as those arrays stay as they are.
TWO_WAYS = {
    "accumulate": ("adding", "stepping", 24),
    "MultiSteps*": ("adding", "stepping", 24),
    "apply_if_finite*": ("skipping", "stepping", 28),
    "lookahead*": ("exploring", "synchronising", 8),
    "outer_nesterov*": ("exploring", "synchronising", 16),
    "average, adam*": ("between", "averaging", 8),
    "average(adamw), every 8*": ("between", "averaging", 8),
    "tail_average*": ("before", "averaging", 8),
    "sophia*": ("between", "with h", 4),
    "psgd_kron": ("between", "fitting", 16),
    "skip_spikes, adam": ("skipping", "stepping", 28),
    "dynamic_loss_scale(adamw)": ("skipping", "stepping", 28),
    "dynamic_loss_scale, sgd": ("skipping", "stepping", 12),
    "conditionally_mask(adamw)": ("masking", "step", 28),
}
# Where products of matrices, histories or the objective's gradients rule what is moved.
UNBOUNDED = (
    *("muon", "normuon", "adamuon", "muon_squared", "muown", "soap_muon", "dion"),
    *("dion2, as Dion3", "scion", "shampoo*", "corrected_shampoo", "psgd_kron *"),
    *("apollo", "apollo_mini", "lbfgs", "sophia* with h"),
)


class Case(NamedTuple):
    """One row of the audit: a transformation, and what it is compiled for."""

    name: str
    build: Build  # raises where the library lacks it
    matrix: bool = False
    needs: tuple[str, ...] = ()  # extra arguments that ``update`` wants
    weights: Any = jnp.float32

    def ways(self) -> Iterator[tuple[str, float, bool]]:
        """Yield of each way of a step what it does, what it saves, if it is bounded."""
        pairs = (two for x, two in TWO_WAYS.items() if fnmatch(self.name, x))
        lesser, label, less = next(pairs, ("", "", 0))
        for does, saves in {lesser: less, label: 0}.items():  # one, if both are ""
            step = f"{self.name} {does}".strip()
            yield does, saves, not any(fnmatch(step, x) for x in UNBOUNDED)

    def leaf(self, size: int) -> Shapes:
        """Return the shape of one leaf of so many parameters."""
        side = isqrt(size)
        return {"w": (side, side) if self.matrix else (size,)}


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
    with patch.object(sys, "path", [TESTS, *sys.path]):
        rows = importlib.import_module("catalogue").ROWS
    found = {
        x.name: Case(x.name, partial(_built, x), len(x.shape) > 1, x.needs)
        for x in rows
    }
    for name, build in (WRAPPERS | OF_TREES).items():
        matrix = "bit" in name or name.startswith("hyperball")
        needs = ("value",) if name.startswith("reduce_on_plateau") else ()
        weights = jnp.bfloat16 if name.startswith("with_") else jnp.float32
        found[name] = Case(name, build, matrix, needs, weights)
    return found


def _built(row: Any, library: ModuleType) -> Any:
    """Make a row, or what another library has under the name of its function."""
    if library is gradtx:
        return row.build()
    name = getattr(row.make, "__name__", "")
    if not name or row.make is not getattr(gradtx, name, None):
        raise LookupError(f"{row.name} is made of several functions")
    place = library if hasattr(library, name) else library.contrib
    return getattr(place, name)(**row.settings)
