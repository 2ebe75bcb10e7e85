"""Every optimizer on shards, within shard_map: none differs without a word."""

import warnings
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from catalogue import ROWS
from jax.sharding import AxisType, PartitionSpec as P
from methods.common import Row

from gradtx.sharding import ShardWarning

Tree = Any
# Rows that have a setting for it, or draw numbers, and why nothing is compared.
OTHERWISE = {
    "chain": "its link that clips is told the axis, see test_axis_name.py",
    "row_floor, adam": "the wrapper is told the axis, see test_sums_over_devices.py",
    "noisy_sgd": "every shard has noise of its own",
    "dpsgd": "takes the gradients of examples, see test_axis_name.py",
}
# A method that is given a function of the parameters is given one of a device's shard.
CASES = [row for row in ROWS if not row.needs and row.name not in OTHERWISE]


def on_shards(tx: Any, params: Tree, grads: list[Tree]) -> tuple[Tree, bool]:
    """Take steps with a quarter of every leaf on a device; was there a warning?"""
    mesh = jax.make_mesh((4, 2), ("d", "e"), axis_types=(AxisType.Auto,) * 2)
    mapped = jax.shard_map(
        partial(problems.trained, tx),
        mesh=mesh,
        in_specs=(P("d"), P("d")),
        out_specs=P("d"),
    )
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = jax.jit(mapped)(params, grads)
    return found, any(issubclass(x.category, ShardWarning) for x in seen)


def are_close(got: Tree, expected: Tree) -> bool:
    """Whether two trees are equal to rounding."""
    return all(np.allclose(got[k], expected[k], rtol=1e-4, atol=1e-6) for k in expected)


@pytest.mark.parametrize("row", CASES, ids=[row.name for row in CASES])
@pytest.mark.one_in(89)
def test_no_method_differs_on_shards_without_a_word(row: Row) -> None:
    """It takes the steps of whole leaves, or warns, or does so where told the axis."""
    whole = problems.noise({"w": jnp.zeros((8, 6)), "b": jnp.zeros(8)}, 0)
    grads = [problems.noise(whole, t + 1) for t in range(2)]
    expected = jax.jit(partial(problems.trained, row.build()))(whole, grads)
    found, warned = on_shards(row.build(), whole, grads)
    if are_close(found, expected) or warned:
        return
    found, _ = on_shards(row.build(axis_name="d"), whole, grads)
    problems.assert_close(jax.device_get(found), jax.device_get(expected), 1e-4)
