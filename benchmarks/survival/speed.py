"""Time one step in every format, in turn with that of float32."""

import numpy as np

import gradtx
from benchmarks.programs import Program
from benchmarks.survival.formats import FORMATS, REFERENCE, Kept
from benchmarks.tables import Record
from benchmarks.timing import in_turn, quartiles
from benchmarks.trees import nbytes, random_tree

RATE, WIDTH = 1e-3, 1024


def speeds(names: list[str], size: int, repeats: int) -> list[Record]:
    """Time the steps of some formats, each in turn with float32's alone.

    So no more than two stand in memory at a time. The ratio is the median of those of
    the rounds; the bytes are of weights and state, and scratch is what the compiled
    step asks for besides.
    """
    records = []
    for name in names:
        pair = {x: _program(FORMATS[x], size) for x in (REFERENCE, name)}
        stages = {x: program.stages() for x, program in pair.items()}
        seconds = in_turn({**pair}, repeats)
        program = pair[name]
        count = program.params["w"].size
        records.append(
            {
                "format": name,
                "ms": quartiles(1e3 * seconds[name]),
                "/ float32": float(np.median(seconds[name] / seconds[REFERENCE])),
                "B/param": nbytes((program.params, program.state)) / count,
                "scratch B/param": stages[name]["temp bytes"] / count,
            }
        )
    return records


def _program(kept: Kept, size: int) -> Program:
    """Return the step of one format on one matrix."""
    shapes = {"w": (max(size // WIDTH, 1), WIDTH)}
    params, grads = (
        {k: x.astype(kept.weights) for k, x in random_tree(shapes, i, scale).items()}
        for i, scale in ((0, 1.0), (1, 0.01))
    )
    return Program(gradtx, kept.build(RATE), params, grads)
