"""What is audited: the catalogue's rows and wrappers, and what they must move.

The lower bound follows from the arrays: each that is needed is read once, each that
changes is written once. Some methods cannot do with that: what they scale by is known
only when all has been read. What they read again is said here, and why.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp

from benchmarks.audit.optax_twin import catalogue, optax_rows

RATE = 1e-3
# Of two loops for either case, one runs: the one that moves less, or the other.
Pick = Literal["least", "most", "lesser loop", "greater loop"]
Build = Callable[[Any], Any]


class Way(NamedTuple):
    """One of the ways that a step may take."""

    label: str = ""
    pick: Pick = "least"
    """Which way through the compiled conditionals it is: what is rare (a norm that
    overflows) moves more, so the common way moves least."""
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
        return BY_NAME.get(self.name, (Way(),))

    @property
    def paired(self) -> bool:
        """Whether optax wants fast and slow weights together as its parameters."""
        return self.name.startswith("lookahead")


SYNC = Way("synchronising", "most")
SKIPPING = Way("skipping", "least", -24, "all but g is unchanged")
SCALED = Way("stepping", "most", 4, "g, after looking at all of it")
NO_MEAN = Way("between", "least", -8, "the mean is unchanged")
BEFORE = NO_MEAN._replace(label="before")
MEAN = Way("averaging", "most")
ADDING = Way("adding", "lesser loop", -24, "all but g and the sum is unchanged")
# Where either way through a step is a loop of its own.
IN_ONE: dict[Pick, Pick] = {"least": "lesser loop", "most": "greater loop"}
FINITE = Way("", "most", 4, "g, after looking whether it is finite")
SLOW = Way("exploring", "least", -8, "the slow weights are unchanged")
OUTER = Way("exploring", "least", -16, "the slow weights and b are unchanged")
PRODUCTS = Way(reachable=False, why="matrix products or histories rule")
PROJECTED = Way(again=4, why="g, after its projection", reachable=False)
CURVED = Way("between", "least", -4, "h is unchanged")
CURVING = Way("with h", "most", reachable=False, why="the objective's gradients rule")
FITTED = Way("fitting", "most", 20, "m thrice and Q twice, after what is found of them")
KEPT = Way("between", "least", 4, "Q and m, after the update's norm; Q is unchanged")
MASKING = Way("masking", "least", -28, "all is unchanged")

# What is read again, in bytes and in words, by which rows: names parted by "; ".
READS: dict[tuple[float, str], str] = {
    (4, "g, after its norm"): "chain; novograd; polyak_sgd; dpsgd; zclip, sgd; "
    "adagc, adamw; clip_by_global_norm, adamw; clip_by_block_rms, adamw; "
    "clip_by_global_norm, adamw, with_metrics",
    (4, "g, after its mean squares"): "adam_mini",
    (8, "g and p, after the distance"): "distance over gradients; dog; dowg; "
    "dog, learning rate",
    (8, "g and p, after their norms"): "fromage; lars; hyperball, sgd; "
    "relative_update, sgd",
    (8, "m and v, after the mean of g² / v"): "stable_adamw; stable_adamw, no decay",
    (8, "m and p, after inner products"): "momo; momo, adapted",
    (8, "g and the former g, after the norm"): "mars, adam; mars, adamw",
    (8, "g and m, after the share that is kept"): "cautious, adam",
    (12, "m, v and p, after the update's norm"): "lamb; radial_brake, adam; "
    "row_floor, adam; cautious(adamw); hyperball(adamw)",
    (12, "m, v and p, after inner products"): "momo_adam; momo_adam, adapted",
    (12, "g twice and p, after their mean squares"): "adafactor",
    (12, "g, v and p, after their mean squares"): "adafactor, momentum",
    (12, "g twice and m, after their mean squares"): "came",
    (12, "g, p and the start, after inner products"): "mechanize",
    (-12, "one gradient of three is replaced, and not read"): "grokfast_ma, sgd",
}
# The same, where matrix products rule.
AMONG_PRODUCTS: dict[tuple[float, str], str] = {
    (-8, "the roots are found anew, or only read"): "shampoo; shampoo, grafted",
    (-4, "the bases are found anew, or only read"): "corrected_shampoo",
    (4, "v, after the norm of the update"): "adamuon",
    (4, "p, after inner products"): "soap_muon",
    (16, "g and p, after inner products; p twice, for lengths"): "muown",
    (2, "which entries of the mean are finite, out and in"): "dion2, as Dion3",
}
# The ways of the steps that may take several, or cannot do with what is necessary.
WAYS: dict[str, tuple[Way, ...]] = {
    "muon; lbfgs": (PRODUCTS,),
    "apollo; apollo_mini": (PROJECTED,),
    "accumulate; MultiSteps(adamw, 4)": (ADDING, Way("stepping", "greater loop")),
    "apply_if_finite; apply_if_finite(adamw)": (FINITE,),
    "lookahead, adam; lookahead, reset; lookahead(adam, 5)": (SLOW, SYNC),
    "outer_nesterov, adam; outer_nesterov(adamw)": (OUTER, SYNC),
    "average, adam; average(adamw), every 8": (NO_MEAN, MEAN),
    "tail_average, adam; tail_average(adamw)": (BEFORE, MEAN),
    "sophia; sophia, as in the paper": (CURVED, CURVING),
    "psgd_kron": (KEPT, FITTED),
    "skip_spikes, adam; skip_spikes(adamw)": (SKIPPING, SCALED),
    "dynamic_loss_scale(adamw)": (SKIPPING, SCALED),
    "dynamic_loss_scale, sgd": (SKIPPING._replace(again=-8), SCALED),
    "conditionally_mask(adamw)": (MASKING, Way("step", "most")),
}
WAYS |= {
    f"{names}, single pass": tuple(way._replace(pick=IN_ONE[way.pick]) for way in ways)
    for names, ways in {
        "average, adam, single pass; average(adamw), every 8": (NO_MEAN, MEAN),
        "tail_average(adamw)": (BEFORE, MEAN),
        "outer_nesterov, adam, single pass; outer_nesterov(adamw)": (OUTER, SYNC),
        "lookahead(adam, 5)": (SLOW, SYNC),
    }.items()
}
WAYS |= {names: (Way("", "least", *again),) for again, names in READS.items()}
WAYS |= {
    names: (Way("", "least", *again, reachable=False),)
    for again, names in AMONG_PRODUCTS.items()
}
BY_NAME = {name: ways for names, ways in WAYS.items() for name in names.split("; ")}


def adamw(lib: Any) -> Any:
    """Make what the wrappers are put around."""
    return lib.adamw(RATE, weight_decay=0.01)


def before(change: str, *args: Any, **settings: Any) -> Build:
    """Make AdamW after a change of the gradient."""
    return lambda lib: lib.chain(getattr(lib, change)(*args, **settings), adamw(lib))


def around(wrap: str, *args: Any, **settings: Any) -> Build:
    """Make a wrapper around AdamW."""
    return lambda lib: getattr(lib, wrap)(adamw(lib), *args, **settings)


WRAPPERS: dict[str, Build] = {
    "MultiSteps(adamw, 4)": around("MultiSteps", 4),
    "lookahead(adam, 5)": lambda lib: lib.lookahead(lib.adam(RATE), 5, 0.5),
    "lookahead(adam, 5), single pass": lambda lib: lib.lookahead(
        lib.adam(RATE), 5, 0.5, single_pass=True
    ),
    "apply_if_finite(adamw)": around("apply_if_finite", 3),
    "conditionally_mask(adamw)": around("conditionally_mask", lambda x: x % 2 == 0),
    "clip_by_global_norm, adamw": before("clip_by_global_norm", 1.0),
    "clip_by_block_rms, adamw": before("clip_by_block_rms", 1.0),
    "clip, adamw": before("clip", 1.0),
    "zero_nans, adamw": before("zero_nans"),
    "inject_hyperparams(adamw)": lambda lib: lib.inject_hyperparams(lib.adamw)(
        learning_rate=RATE
    ),
    "masked(adamw)": around("masked", mask={"w": True}),
    "partition(adamw)": lambda lib: lib.partition({"all": adamw(lib)}, "all"),
    "ema, sgd": lambda lib: lib.chain(lib.ema(0.9), lib.sgd(RATE)),
    "trace, sgd": lambda lib: lib.chain(lib.trace(0.9), lib.sgd(RATE)),
    "scheduled adamw": lambda lib: lib.adamw(lib.cosine_decay_schedule(RATE, 99)),
    "flatten(adamw)": around("flatten"),
    "reduce_on_plateau, adamw": lambda lib: lib.chain(
        adamw(lib), lib.contrib.reduce_on_plateau()
    ),
    "mars, adamw": before("mars"),
    "mars without a bound, adamw": before("mars", max_norm=None),
    "grokfast_ema, adamw": before("grokfast_ema"),
    "cautious(adamw)": around("cautious"),
    "cautious(adamw), rescale=None": around("cautious", rescale=None),
    "spike_aware_reset(adamw)": around("spike_aware_reset"),
    "dynamic_loss_scale(adamw)": around("dynamic_loss_scale"),
    "average(adamw)": around("average"),
    "average(adamw), every 8": around("average", every=8),
    "average(adamw), every 8, single pass": around(
        "average", every=8, single_pass=True
    ),
    "tail_average(adamw)": around("tail_average", start=1000),
    "tail_average(adamw), single pass": around(
        "tail_average", start=1000, single_pass=True
    ),
    "ema_nesterov(adamw)": around("ema_nesterov"),
    "outer_nesterov(adamw)": around("outer_nesterov", every=30),
    "outer_nesterov(adamw), single pass": around(
        "outer_nesterov", every=30, single_pass=True
    ),
    "primal_averaging(adamw)": around("primal_averaging"),
    "adamw, with_metrics": around("with_metrics"),
    "clip_by_global_norm, adamw, with_metrics": lambda lib: lib.with_metrics(
        before("clip_by_global_norm", 1.0)(lib)
    ),
    "hyperball(adamw)": around("hyperball"),
    # A block's largest number is known when the block has been computed; that it is
    # then encoded in the same pass, from registers, is what the lower bound asks for.
    "adamw8bit": lambda lib: lib.adamw8bit(RATE),
    "adamw8bit, rows": lambda lib: lib.adamw8bit(RATE, block=None),
    "adamw8bit, kernel": lambda lib: lib.adamw8bit(RATE, kernel=True),
    "adamw4bit": lambda lib: lib.adamw4bit(RATE),
    "lion8bit": lambda lib: lib.lion8bit(RATE),
    "lion8bit, rows": lambda lib: lib.lion8bit(RATE, block=None),
    "lion8bit, kernel": lambda lib: lib.lion8bit(RATE, kernel=True),
    "quantize_state(adamw, bfloat16)": lambda lib: lib.quantize_state(
        adamw(lib), lib.codecs.bfloat16()
    ),
    "with_compensation(adamw8bit)": lambda lib: lib.with_compensation(
        lib.adamw8bit(RATE)
    ),
    "with_compensation(adamw8bit), rows": lambda lib: lib.with_compensation(
        lib.adamw8bit(RATE, block=None)
    ),
    "with_stochastic_rounding(adamw)": around("with_stochastic_rounding"),
    "with_master_weights(adamw)": around("with_master_weights"),
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
