"""Time one step in every format, in turn with that of float32."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from rich.table import Table

import gradtx
from benchmarks.jax_side import Program
from benchmarks.methods import Method
from benchmarks.survival.formats import FORMATS, REFERENCE, Kept
from benchmarks.tables import quartiles, table
from benchmarks.timing import Spread, in_turn, spread
from benchmarks.trees import nbytes, parameters, random_tree

RATE, WIDTH = 1e-3, 1024


class Speed(NamedTuple):
    """What a step in one format takes."""

    seconds: Spread
    ratio: float
    """Over float32's step of the same round: the median."""
    bytes: float
    """Per parameter, of weights and state."""
    scratch: float
    """Per parameter, that the compiled step asks for besides."""


def _compiled(kept: Kept, size: int) -> tuple[Program, float]:
    """Return the step of one format on one matrix, and the scratch that it asks for."""
    shapes = {"w": (max(size // WIDTH, 1), WIDTH)}
    params, grads = (
        {k: x.astype(kept.weights) for k, x in random_tree(shapes, i, scale).items()}
        for i, scale in ((0, 1.0), (1, 0.01))
    )
    method = Method(lambda _: kept.build(RATE), floor=np.nan)
    program = Program(gradtx, method, params, grads)
    return program, program.stages().temp_bytes / parameters(shapes)


def speeds(names: list[str], size: int, repeats: int) -> dict[str, Speed]:
    """Time the steps of some formats, each in turn with float32's alone.

    So no more than two stand in memory at a time.
    """
    found = {}
    for name in names:
        pair = {REFERENCE: _compiled(FORMATS[REFERENCE], size)}
        pair[name] = pair.get(name) or _compiled(FORMATS[name], size)
        seconds = in_turn({k: program for k, (program, _) in pair.items()}, repeats)
        ratio = float(np.median(seconds[name] / seconds[REFERENCE]))
        program, scratch = pair[name]
        held = nbytes((program.params, program.state)) / program.params["w"].size
        found[name] = Speed(spread(seconds[name]), ratio, held, scratch)
    return found


def speed_table(title: str, found: Mapping[str, Speed]) -> Table:
    """Make the table of times: a row for every format."""
    headings = ("format", "ms (quartiles)", "/ float32", "B/param", "scratch B/param")
    rows = (
        [name, quartiles(x.seconds), *(f"{number:.2f}" for number in x[1:])]
        for name, x in found.items()
    )
    return table(title, headings, rows)
