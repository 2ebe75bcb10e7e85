"""What is audited: the catalogue's rows and wrappers, and what they must move.

The floor follows from the arrays: each that is needed is read once, each that changes
is written once. Some methods cannot do with that: what they scale by is known only
when all has been read. What they read again is said here, and why.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp

from benchmarks.audit.optax_twin import Missing, catalogue, optax_rows

RATE = 1e-3
# Of two loops for either case, one runs: the one that moves less, or the other.
Pick = Literal["least", "most", "lesser loop", "greater loop"]


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
    bound: bool = True
    """Whether the floor can be reached: not where matrix products rule."""


class Case(NamedTuple):
    """One row of the audit."""

    name: str
    build: Callable[[Any], Any]
    """Makes the transformation of a library; raises where the library lacks it."""
    matrix: bool = False
    needs: tuple[str, ...] = ()
    """Extra arguments that ``update`` wants."""
    ways: tuple[Way, ...] = (Way(),)
    paired: bool = False
    """Whether optax wants the fast and the slow weights together as its parameters."""
    weights: Any = jnp.float32
    """The type of the parameters and of their gradients."""


ADDING = Way("adding", "lesser loop", -24, "all but g and the sum stand still")
STEPPING = Way("stepping", "greater loop")
GRADIENT = Way(again=4, why="g, after its norm")
WITH_MOMENTS = Way(again=12, why="m, v and p, after the update's norm")
WITH_DISTANCE = Way(again=8, why="g and p, after the distance")
WITH_PARAMS = Way(again=8, why="g and p, after their norms")
PRODUCTS = Way(bound=False, why="matrix products or histories rule")
MEASURED = Way(again=12, why="u out and in, and p, for the norm of u")
MEASURED_CLIP = Way(again=16, why="g after its norm, and u and p for that of u")
SKIPPING = Way("skipping", "least", -24, "all but g stands still")
SCALED = Way("stepping", "most", 4, "g, after looking at all of it")
NO_MEAN = Way("between", "least", -8, "the mean stands still")
MEAN = Way("averaging", "most", 4, "p, to be averaged apart")
OUTER = Way("exploring", "least", -16, "the slow weights and b stand still")
NO_SLOW = Way("exploring", "least", -8, "the slow weights stand still")

WAYS: dict[str, tuple[Way, ...]] = {
    "chain": (GRADIENT,),
    "with_metrics": (MEASURED,),
    "accumulate": (ADDING, STEPPING),
    "apply_if_finite": (Way("", "most", 4, "g, after looking whether it is finite"),),
    "lookahead, adam": (NO_SLOW, Way("synchronising", "most")),
    "lookahead, reset": (NO_SLOW, Way("synchronising", "most")),
    "average, adam": (NO_MEAN, MEAN),
    "tail_average, adam": (NO_MEAN._replace(label="before"), MEAN),
    "outer_nesterov, adam": (OUTER, Way("synchronising", "most")),
    "adafactor": (Way(again=12, why="g twice and p, after their mean squares"),),
    "adafactor, momentum": (Way(again=12, why="g, v and p, after their mean squares"),),
    "distance over gradients": (WITH_DISTANCE,),
    "dog": (WITH_DISTANCE,),
    "dog, learning rate": (WITH_DISTANCE,),
    "dowg": (WITH_DISTANCE,),
    "fromage": (WITH_PARAMS,),
    "lamb": (WITH_MOMENTS,),
    "lars": (WITH_PARAMS,),
    "novograd": (GRADIENT,),
    "polyak_sgd": (GRADIENT,),
    "dpsgd": (GRADIENT,),
    "mechanize": (Way(again=12, why="g, p and the start, after inner products"),),
    "momo": (Way(again=8, why="m and p, after inner products"),),
    "momo, adapted": (Way(again=8, why="m and p, after inner products"),),
    "momo_adam": (Way(again=12, why="m, v and p, after inner products"),),
    "momo_adam, adapted": (Way(again=12, why="m, v and p, after inner products"),),
    "muon": (PRODUCTS,),
    "lbfgs": (PRODUCTS,),
    "sophia": (Way("between", "least", -4, "h stands still"),),
    "sophia, as in the paper": (Way("between", "least", -4, "h stands still"),),
    "mars, adam": (Way(again=8, why="g and the former g, after the norm"),),
    "grokfast_ma, sgd": (Way(again=-8, why="one gradient of three is replaced"),),
    "zclip, sgd": (GRADIENT,),
    "adagc, adamw": (GRADIENT,),
    "cautious, adam": (Way(again=8, why="g and m, after the share that is kept"),),
    "hyperball, sgd": (WITH_PARAMS,),
    "relative_update, sgd": (WITH_PARAMS,),
    "radial_brake, adam": (WITH_MOMENTS,),
    "row_floor, adam": (WITH_MOMENTS,),
    "skip_spikes, adam": (SKIPPING, SCALED),
    "dynamic_loss_scale, sgd": (SKIPPING._replace(again=-8), SCALED),
}


def wrapped(lib: Any) -> Any:
    """Make what the wrappers are put around."""
    return lib.adamw(RATE, weight_decay=0.01)


def clipped(clip: str, *settings: float) -> Callable[[Any], Any]:
    """Make AdamW after a bound on the gradient."""
    return lambda lib: lib.chain(getattr(lib, clip)(*settings), wrapped(lib))


WRAPPERS = (
    Case(
        "MultiSteps(adamw, 4)",
        lambda lib: lib.MultiSteps(wrapped(lib), 4),
        ways=WAYS["accumulate"],
    ),
    Case(
        "lookahead(adam, 5)",
        lambda lib: lib.lookahead(lib.adam(RATE), 5, 0.5),
        ways=WAYS["lookahead, adam"],
        paired=True,
    ),
    Case(
        "apply_if_finite(adamw)",
        lambda lib: lib.apply_if_finite(wrapped(lib), 3),
        ways=WAYS["apply_if_finite"],
    ),
    Case(
        "conditionally_mask(adamw)",
        lambda lib: lib.conditionally_mask(wrapped(lib), lambda step: step % 2 == 0),
        ways=(Way("masking", "least", -28, "all stands still"), Way("step", "most")),
    ),
    Case(
        "clip_by_global_norm, adamw",
        clipped("clip_by_global_norm", 1.0),
        ways=(GRADIENT,),
    ),
    Case(
        "clip_by_block_rms, adamw", clipped("clip_by_block_rms", 1.0), ways=(GRADIENT,)
    ),
    Case("clip, adamw", clipped("clip", 1.0)),
    Case("zero_nans, adamw", clipped("zero_nans")),
    Case(
        "inject_hyperparams(adamw)",
        lambda lib: lib.inject_hyperparams(lib.adamw)(learning_rate=RATE),
    ),
    Case(
        "masked(adamw)",
        lambda lib: lib.masked(wrapped(lib), mask={"w": True}),
    ),
    Case("partition(adamw)", lambda lib: lib.partition({"all": wrapped(lib)}, "all")),
    Case("ema, sgd", lambda lib: lib.chain(lib.ema(0.9), lib.sgd(RATE))),
    Case("trace, sgd", lambda lib: lib.chain(lib.trace(0.9), lib.sgd(RATE))),
    Case("scheduled adamw", lambda lib: lib.adamw(lib.cosine_decay_schedule(RATE, 99))),
    Case("flatten(adamw)", lambda lib: lib.flatten(wrapped(lib))),
    Case(
        "reduce_on_plateau, adamw",
        lambda lib: lib.chain(wrapped(lib), lib.contrib.reduce_on_plateau()),
        needs=("value",),
    ),
)


def before(change: str, **settings: Any) -> Callable[[Any], Any]:
    """Make AdamW after a change of the gradient."""
    return lambda lib: lib.chain(getattr(lib, change)(**settings), wrapped(lib))


def around(wrap: str, **settings: Any) -> Callable[[Any], Any]:
    """Make a wrapper around AdamW."""
    return lambda lib: getattr(lib, wrap)(wrapped(lib), **settings)


def measured_clip(lib: Any) -> Any:
    """Make AdamW after a clip, with the numbers that are kept of every step."""
    return lib.with_metrics(clipped("clip_by_global_norm", 1.0)(lib))


MODIFIERS = (
    Case("mars, adamw", before("mars"), ways=WAYS["mars, adam"]),
    Case("mars without a bound, adamw", before("mars", max_norm=None)),
    Case("grokfast_ema, adamw", before("grokfast_ema")),
    Case("cautious(adamw)", around("cautious"), ways=(WITH_MOMENTS,)),
    Case("cautious(adamw), rescale=None", around("cautious", rescale=None)),
    Case("spike_aware_reset(adamw)", around("spike_aware_reset")),
    Case(
        "dynamic_loss_scale(adamw)",
        around("dynamic_loss_scale"),
        ways=WAYS["skip_spikes, adam"],
    ),
    Case("average(adamw)", around("average")),
    Case(
        "average(adamw), every 8",
        around("average", every=8),
        ways=WAYS["average, adam"],
    ),
    Case(
        "tail_average(adamw)",
        around("tail_average", start=1000),
        ways=WAYS["tail_average, adam"],
    ),
    Case("ema_nesterov(adamw)", around("ema_nesterov")),
    Case(
        "outer_nesterov(adamw)",
        around("outer_nesterov", every=30),
        ways=WAYS["outer_nesterov, adam"],
    ),
    Case("primal_averaging(adamw)", around("primal_averaging")),
    Case("with_metrics(adamw)", around("with_metrics"), ways=(MEASURED,)),
    Case("with_metrics(clip, adamw)", measured_clip, ways=(MEASURED_CLIP,)),
    Case("hyperball(adamw)", around("hyperball"), matrix=True, ways=(WITH_MOMENTS,)),
)

# A block's largest number is known when the block has been computed; that it is then
# encoded in the same pass, from registers, is what the floor asks for.
FEW_BITS = (
    Case("adamw8bit", lambda lib: lib.adamw8bit(RATE), matrix=True),
    Case("adamw8bit, rows", lambda lib: lib.adamw8bit(RATE, block=None), matrix=True),
    Case(
        "adamw8bit, kernel", lambda lib: lib.adamw8bit(RATE, kernel=True), matrix=True
    ),
    Case("adamw4bit", lambda lib: lib.adamw4bit(RATE), matrix=True),
    Case("lion8bit", lambda lib: lib.lion8bit(RATE), matrix=True),
    Case("lion8bit, rows", lambda lib: lib.lion8bit(RATE, block=None), matrix=True),
    Case("lion8bit, kernel", lambda lib: lib.lion8bit(RATE, kernel=True), matrix=True),
    Case(
        "quantize_state(adamw, bfloat16)",
        lambda lib: lib.quantize_state(wrapped(lib), lib.codecs.bfloat16()),
    ),
    Case(
        "with_compensation(adamw8bit)",
        lambda lib: lib.with_compensation(lib.adamw8bit(RATE)),
        matrix=True,
        weights=jnp.bfloat16,
    ),
    Case(
        "with_compensation(adamw8bit), rows",
        lambda lib: lib.with_compensation(lib.adamw8bit(RATE, block=None)),
        matrix=True,
        weights=jnp.bfloat16,
    ),
    Case(
        "with_stochastic_rounding(adamw)",
        lambda lib: lib.with_stochastic_rounding(wrapped(lib)),
        weights=jnp.bfloat16,
    ),
    Case(
        "with_master_weights(adamw)",
        lambda lib: lib.with_master_weights(wrapped(lib)),
        weights=jnp.bfloat16,
    ),
)


def cases() -> dict[str, Case]:
    """Return what there is to audit, by name."""
    theirs = optax_rows()
    found = [_case(row, theirs[row.name]) for row in catalogue()]
    return {case.name: case for case in (*found, *WRAPPERS, *MODIFIERS, *FEW_BITS)}


def _case(row: Any, twin: Any) -> Case:
    def build(lib: Any) -> Any:
        return (twin if lib.__name__ == "optax" else row).build()

    ways = WAYS.get(row.name, (Way(),))
    paired = row.name.startswith("lookahead")
    return Case(row.name, build, len(row.shape) > 1, row.needs, ways, paired)


def absent(error: Exception) -> bool:
    """Whether an error says that a library does not have a thing."""
    return isinstance(error, Missing | TypeError | AttributeError)
