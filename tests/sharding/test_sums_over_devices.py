"""Methods whose leaves share numbers, within shard_map over eight devices."""

from typing import Any

import jax
import jax.numpy as jnp
import problems
import pytest
from jax.sharding import AxisType, PartitionSpec as P

import gradtx

STEPS, AXES = 3, ("a", "b")
SPECS = {"cut": P("a"), "twice": P(AXES), "whole": P(), "other": P("b")}
METHODS = {
    "lamb": lambda **axis: gradtx.lamb(0.1, weight_decay=0.1, **axis),
    "lars": lambda **axis: gradtx.lars(0.1, 0.1, trust_coefficient=0.5, **axis),
    "lars of the sum": lambda **axis: gradtx.lars(0.1, 0.1, norm_of_sum=True, **axis),
    "prodigy": lambda **axis: gradtx.contrib.prodigy(estim_lr0=1e-2, **axis),
    "dog": lambda **axis: gradtx.contrib.dog(init_step=("heuristic", 0.1), **axis),
    "dowg": lambda **axis: gradtx.contrib.dowg(init_estim_sq_dist=0.1, **axis),
    "normalized": gradtx.normalize_by_update_norm,
    "zclip": lambda **axis: gradtx.zclip(
        max_grad_norm=None, warmup_steps=1, z_thresh=0.5, **axis
    ),
    "adagc": lambda **axis: gradtx.adagc(lambda_rel=0.7, warmup_steps=1, **axis),
}


def tree() -> Any:
    """Return leaves that are to be sharded over one axis, over both, and over none."""
    shapes = {"cut": (4, 3), "twice": (8,), "whole": (5,), "other": (6, 2)}
    return problems.noise({k: jnp.zeros(s) for k, s in shapes.items()}, 3)


def steps(tx: Any, params: Any, grads: list[Any]) -> tuple[Any, Any]:
    """Take steps, and return the parameters and what the leaves share."""
    state = tx.init(params)
    for g in grads:
        updates, state = tx.update(g, state, params)
        params = gradtx.apply_updates(params, updates)
    return params, [x for x in jax.tree.leaves(state) if not x.ndim]


@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)
@pytest.mark.one_in(6)
def test_shards_take_the_steps_of_whole_arrays(make: Any) -> None:
    """Sums over leaves and devices are those of one device that holds all of them.

    What leaves share is the same on all devices by its type, so it can be returned.
    """
    over = jax.make_mesh((4, 2), AXES, axis_types=(AxisType.Auto,) * 2)
    whole = tree()
    grads = [
        jax.tree.map(lambda x, t=t: (1 + t) * x, problems.noise(whole, t))
        for t in range(STEPS)
    ]
    expected = steps(make(), whole, grads)
    tx = make(axis_name=AXES)
    found = jax.jit(
        jax.shard_map(
            lambda p, g: steps(tx, p, g),
            mesh=over,
            in_specs=(SPECS, [SPECS] * STEPS),
            out_specs=(SPECS, P()),
        )
    )(whole, grads)
    problems.assert_close(jax.device_get(found), jax.device_get(expected), 1e-5)
