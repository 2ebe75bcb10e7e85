"""An example for each class of state: which method keeps it, and what it has.

A record of a state is not made by hand. Its example is made here, from the tests'
catalogue: the shortest row whose state has it, and how it is reached.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import catalogue
import jax
import jax.numpy as jnp

import gradtx
from gradtx.tree.keys import is_named_tuple

PARAMS = "jnp.ones((8, 8))"
SHAPE = jax.ShapeDtypeStruct((8, 8), jnp.float32)
NAME = re.compile(r"(?<![\w.'])[a-z]\w*(?=[(,)])")  # of a function, not of a setting
# What the catalogue has under settings that are no line of code, or not at all.
MORE = (
    "gradtx.apply_every(2)",
    "gradtx.zclip()",
    "gradtx.zero_nans()",
    "gradtx.contrib.differentially_private_aggregate(1.0, 0.0, 0)",
    "gradtx.galore(0.1, rank=2)",
    "gradtx.corrected_shampoo(0.1)",
    "gradtx.kl_shampoo(0.1)",
    "gradtx.optimistic_adam(0.1)",
    "gradtx.scale_by_scion()",
    "gradtx.graft_by_rms()",
    "gradtx.reduce_on_plateau()",
    "gradtx.scale_by_backtracking_linesearch(10)",
    "gradtx.scale_by_zoom_linesearch(10)",
    "gradtx.scale_by_distance_over_gradients()",
    "gradtx.snapshot('seen', lambda updates, **extra: updates)",
    "gradtx.monitor({'seen': lambda updates, **extra: updates})",
    "gradtx.hyperball(gradtx.sgd(0.1), radius='initial')",
    "gradtx.with_compensation(gradtx.sgd(0.1))",
    "gradtx.with_master_weights(gradtx.sgd(0.1))",
    "gradtx.with_stochastic_rounding(gradtx.sgd(0.1))",
    "gradtx.split_real_and_imaginary(gradtx.sgd(0.1))",
    "gradtx.pack_small_leaves(gradtx.trace(0.9))",
    "gradtx.spike_aware_reset(gradtx.adam(0.1))",
    "gradtx.sam(gradtx.sgd(0.1), gradtx.sgd(0.1))",
    "gradtx.conditionally_mask(gradtx.sgd(0.1), lambda step, **extra: step > 0)",
    "gradtx.conditionally_transform(gradtx.sgd(0.1), lambda step, **extra: step > 0)",
    "gradtx.MultiSteps(gradtx.sgd(0.1), 2)",
    "gradtx.inject_hyperparams(gradtx.sgd)(gradtx.linear_schedule(1.0, 0.0, 9))",
    "gradtx.experimental.aggregating.accumulate_avg_updates(2)",
    "gradtx.experimental.aggregating.get_per_element_mean_and_sum_sq_diff_grads()",
    "gradtx.experimental.aggregating.track_per_element_mean_and_variance_with_ema()",
)


@cache
def examples() -> dict[type, list[str]]:
    """Return the lines of the example of each class of state that the catalogue has."""
    found: dict[type, list[str]] = {}
    rows = [_in_full(repr(row.build())) for row in catalogue.ROWS]
    for written in [*sorted(filter(_is_code, rows), key=len), *MORE]:
        state = jax.eval_shape(_read(written).init, SHAPE)
        for kind in _records(state):
            if kind not in found and _is_one(state, kind):
                found[kind] = _example(written, kind)
    return found


def _in_full(text: str) -> str:
    """Return the text of a method with the module before each name that it has."""
    return NAME.sub(lambda x: f"gradtx.{x[0]}" if hasattr(gradtx, x[0]) else x[0], text)


def _is_code(text: str) -> bool:
    """Whether the text of a method makes it, in one line, for one matrix."""
    try:
        jax.eval_shape(_read(text).init, SHAPE)
    except Exception:  # noqa: BLE001 - of another module, with a function, for a tree
        return False
    return "\n" not in text


def _read(text: str) -> Any:
    return eval(text, {"gradtx": gradtx})  # noqa: S307


def _records(node: Any) -> Iterator[type]:
    if is_named_tuple(node):
        yield type(node)
    children = jax.tree.leaves(node, is_leaf=lambda x: x is not node)
    for child in children:
        if child is not node:
            yield from _records(child)


def _is_one(state: Any, kind: type) -> bool:
    return len(gradtx.tree.get_all_with_path(state, kind.__name__)) == 1


def _example(written: str, kind: type) -> list[str]:
    return [
        "Example:",
        f"  >>> state = {written}.init({PARAMS})",
        f"  >>> gradtx.tree.get(state, {kind.__name__!r})._fields",
        f"  {kind._fields!r}",
    ]
