"""Methods whose leaves share numbers, within shard_map over eight devices."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import problems
import pytest
from jax.sharding import AxisType, PartitionSpec as P

import gradtx
from gradtx.core.reductions import sum_over_leaves

STEPS, AXES = 3, ("a", "b")
SPECS = {"cut": P("a"), "twice": P(AXES), "whole": P(), "other": P("b")}
SGD = gradtx.sgd(0.1)
# Each is given the axes by keyword, or nothing.
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
    "dadapt": lambda **axis: gradtx.contrib.dadapt_adamw(0.1, estim_lr0=0.1, **axis),
    "momo": lambda **axis: gradtx.contrib.momo(0.1, **axis),
    "momo_adam": lambda **axis: gradtx.contrib.momo_adam(0.1, **axis),
    "polyak": gradtx.polyak_sgd,
    "mechanize": lambda **axis: gradtx.contrib.mechanize(SGD, s_init=0.1, **axis),
    "novograd": lambda **axis: gradtx.novograd(0.1, **axis),
    "stable_adamw": lambda **axis: gradtx.stable_adamw(0.1, **axis),
    "mars": lambda **axis: gradtx.mars(max_norm=0.3, **axis),
    "distance": lambda **axis: gradtx.scale_by_distance_over_gradients(0.1, **axis),
    "block rms": lambda **axis: gradtx.clip_by_block_rms(0.3, **axis),
    "param norm": gradtx.scale_by_param_block_norm,
    "param rms": gradtx.scale_by_param_block_rms,
    "cautious": lambda **axis: gradtx.cautious(gradtx.sgd(0.1, 0.9), **axis),
    "counted": lambda **axis: gradtx.cautious(gradtx.sgd(0.1, 0.9), "count", **axis),
    "hyperball": lambda **axis: gradtx.hyperball(SGD, "initial", **axis),
    "hyperball of rows": lambda **axis: gradtx.hyperball(SGD, axis=0, **axis),
    "relative": lambda **axis: gradtx.relative_update(SGD, **axis),
    "brake": lambda **axis: gradtx.radial_brake(SGD, **axis),
    "spikes": lambda **axis: gradtx.skip_spikes(SGD, 4, 0.5, min_steps=2, **axis),
    "finite": lambda **axis: gradtx.apply_if_finite(SGD, 3, **axis),
    "loss scale": lambda **axis: gradtx.dynamic_loss_scale(SGD, 4.0, **axis),
    "sums": lambda **axis: gradtx.MultiSteps(
        SGD, 2, should_skip_update_fn=partial(gradtx.skip_not_finite, **axis)
    ),
    "short sums": lambda **axis: gradtx.MultiSteps(
        SGD,
        2,
        should_skip_update_fn=partial(
            gradtx.skip_large_updates, max_squared_norm=50.0, **axis
        ),
    ),
    "metrics": lambda **axis: gradtx.with_metrics(
        gradtx.chain(gradtx.adagc(lambda_rel=0.7, warmup_steps=1, **axis), SGD),
        lambda path: path[:1],
        **axis,
    ),
    "lbfgs": lambda **axis: gradtx.lbfgs(memory_size=2, **axis),
    "backtracking": lambda **axis: gradtx.chain(
        SGD, gradtx.scale_by_backtracking_linesearch(20, store_grad=True, **axis)
    ),
    "adagc": lambda **axis: gradtx.adagc(lambda_rel=0.7, warmup_steps=1, **axis),
    "fromage": lambda **axis: gradtx.fromage(0.1, **axis),
    "units": lambda **axis: gradtx.adaptive_grad_clip(0.1, axis=0, **axis),
    "rows": lambda **axis: gradtx.row_floor(SGD, 30.0, **axis),
    "no nans": lambda **axis: gradtx.chain(gradtx.zero_nans(**axis), SGD),
}


def tree() -> Any:
    """Return leaves that are to be sharded over one axis, over both, and over none."""
    shapes = {"cut": (4, 3), "twice": (8,), "whole": (5,), "other": (6, 2)}
    return problems.noise({k: jnp.zeros(s) for k, s in shapes.items()}, 3)


def objective(axis_name: Any, params: Any) -> Any:
    """Return a function of all leaves, also where each device has a part of some."""
    parts = [jnp.sum(x**2 + x**4) for x in jax.tree.leaves(params)]
    return sum_over_leaves(parts, axis_name)


def steps(tx: Any, f: Any, params: Any, grads: list[Any]) -> tuple[Any, Any]:
    """Take steps, and return the parameters and what the leaves share.

    A line search is given the objective's own gradients.
    """
    state = tx.init(params)
    searches = "lbfgs" in repr(tx) or "linesearch" in repr(tx)
    for given in grads:
        g = jax.grad(f)(params) if searches else given
        known = {"grad": g, "value_fn": f} if searches else {}
        updates, state = tx.update(g, state, params, value=f(params), **known)
        params = gradtx.apply_updates(params, updates)
    return params, [x for x in jax.tree.leaves(state) if not x.ndim]


@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)
@pytest.mark.one_in(48)
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
    if any(name in repr(make()) for name in ("finite", "loss_scale", "zero_nans")):
        # One device alone has an entry that is not finite, in the last step but none.
        grads[-1]["twice"] = grads[-1]["twice"].at[3].set(jnp.nan)
    expected = jax.jit(partial(steps, make(), partial(objective, None)))(whole, grads)
    f = partial(steps, make(axis_name=AXES), partial(objective, AXES))
    found = jax.jit(
        jax.shard_map(
            f,
            mesh=over,
            in_specs=(SPECS, [SPECS] * STEPS),
            out_specs=(SPECS, P()),
        )
    )(whole, grads)
    problems.assert_close(jax.device_get(found), jax.device_get(expected), 1e-5)


@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)
@pytest.mark.one_in(20)
def test_sums_over_devices_are_in_float32(make: Any) -> None:
    """No sum over the devices is of numbers in bfloat16, where all leaves are."""
    over = jax.make_mesh((4, 2), AXES, axis_types=(AxisType.Auto,) * 2)
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), tree())
    mapped = jax.shard_map(
        partial(steps, make(axis_name=AXES), partial(objective, AXES)),
        mesh=over,
        in_specs=(SPECS, [SPECS]),
        out_specs=(SPECS, P()),
    )
    traced = jax.make_jaxpr(mapped)(half, [half])
    every = (equation for equation, _ in problems.operations(traced.jaxpr))
    sums = [x for x in every if "psum" in x.primitive.name]
    assert sums
    for x in sums:
        assert {str(number.aval.dtype) for number in x.invars} <= {"float32", "int32"}
