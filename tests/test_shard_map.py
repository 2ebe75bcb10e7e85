"""Within shard_map: wrappers and primitives, states that leave it, and no checks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import problems
import pytest
from jax.sharding import AxisType, PartitionSpec as P

import gradtx
from gradtx import contrib
from gradtx.lowering.varying import varied

Tree = Any
ADAM = gradtx.adam(0.1)
CLIP = gradtx.clip_by_global_norm(0.5)
EVEN = {"should_transform_fn": lambda step: step % 2 == 0}

# Where every leaf is treated apart, one that is the same everywhere stays the same.
APART: dict[str, Callable[[], Any]] = {
    "accumulate": lambda: gradtx.accumulate(ADAM, 2),
    "conditionally_mask": lambda: gradtx.conditionally_mask(ADAM, **EVEN),
    "conditionally_transform": lambda: gradtx.conditionally_transform(ADAM, **EVEN),
    "lookahead": lambda: gradtx.lookahead(ADAM, 2, 0.5, reset_state=True),
    "clip_by_block_rms": lambda: gradtx.chain(gradtx.clip_by_block_rms(0.5), ADAM),
    "zero_nans": lambda: gradtx.chain(gradtx.zero_nans(), ADAM),
    "pack_small_leaves": lambda: gradtx.pack_small_leaves(ADAM),
    "flatten": lambda: gradtx.flatten(gradtx.lookahead(ADAM, 2, 0.5)),
    "quantize_state": lambda: gradtx.quantize_state(ADAM, min_size=1),
    "with_compensation": lambda: gradtx.with_compensation(ADAM),
    "galore": lambda: contrib.galore(0.1, rank=1, update_proj_gap=2),
    "sam": lambda: contrib.sam(ADAM, gradtx.sgd(0.1), 2),
}

TOGETHER: dict[str, Callable[[], Any]] = {
    "skip_not_finite": lambda: gradtx.MultiSteps(
        ADAM, 2, should_skip_update_fn=gradtx.skip_not_finite
    ),
    "apply_if_finite": lambda: gradtx.apply_if_finite(gradtx.chain(CLIP, ADAM), 2),
    "normalize_by_update_norm": gradtx.normalize_by_update_norm,
    "monitor": lambda: gradtx.chain(gradtx.snapshot("size", gradtx.tree.norm), ADAM),
    "backtracking": lambda: gradtx.chain(
        gradtx.sgd(1.0), gradtx.scale_by_backtracking_linesearch(5, store_grad=True)
    ),
    "lbfgs": lambda: gradtx.lbfgs(memory_size=2),
    "packed": lambda: gradtx.pack_small_leaves(gradtx.chain(CLIP, ADAM)),
}


def two_devices() -> Any:
    """Return a mesh of two of the devices."""
    return jax.make_mesh((2,), ("d",), (AxisType.Auto,), devices=jax.devices()[:2])


def steps(tx: Any, params: Tree) -> Tree:
    """Take two steps down the bowl, in a scan."""

    def body(carry: Any, _: None) -> Any:
        params, state = carry
        grads = problems.slope(params)
        known = {"value": problems.bowl(params), "grad": grads}
        updates, state = tx.update(
            grads, state, params, value_fn=problems.bowl, **known
        )
        return (gradtx.apply_updates(params, updates), state), None

    return jax.lax.scan(body, (params, tx.init(params)), length=2)[0][0]


def hold(made: dict[str, Any], *, apart: bool, check: bool, jit: bool = True) -> None:
    """Compare the steps of all of them within `shard_map` with those of each piece."""
    whole = problems.small_tree()
    pieces = [{"b": whole["b"], "w": w} for w in jnp.split(whole["w"], 2)]
    specs = {"b": P() if apart else P("d"), "w": P("d")}
    if not apart:
        whole["b"] = jnp.concatenate([piece["b"] for piece in pieces])

    def local(params: Tree) -> Tree:
        return {name: steps(tx, params) for name, tx in made.items()}

    mapped = jax.shard_map(
        local,
        mesh=two_devices(),
        in_specs=(specs,),
        out_specs=dict.fromkeys(made, specs),
        check_vma=check,
    )
    got = jax.device_get((jax.jit(mapped) if jit else mapped)(whole))
    alone = jax.jit(local)
    for i, piece in enumerate(pieces):
        parts = {
            name: {k: np.split(x, 2)[i] if specs[k] else x for k, x in tree.items()}
            for name, tree in got.items()
        }
        problems.assert_close(parts, jax.device_get(alone(piece)))


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.one_in(6)
@pytest.mark.exhaustive
def test_each_device_takes_the_steps_of_its_piece(apart: bool, check: bool) -> None:
    """Every wrapper, in a scan, with and without the check of what varies."""
    cases = APART if apart else TOGETHER
    made = {name: make() for name, make in cases.items()}
    hold(made, apart=apart, check=check)


@pytest.mark.exhaustive
def test_without_jit() -> None:
    """Operation by operation, `shard_map` does the same."""
    made = {name: TOGETHER[name]() for name in ("apply_if_finite", "packed")}
    hold(made, apart=False, check=True, jit=False)


def test_a_state_leaves_with_its_counts_on_every_device() -> None:
    """By hand-written FSDP: shards of moments, and a count that is the same for all."""
    params, tx = problems.small_tree(), gradtx.adamw(0.1)
    lay = {"b": P("d"), "w": P()}
    state = tx.init(params)
    specs = jax.tree.map(
        lambda x: P("d") if x.shape == params["b"].shape else P(), state
    )
    over = partial(jax.shard_map, mesh=two_devices())
    made = jax.jit(over(tx.init, in_specs=(lay,), out_specs=specs))(params)
    update = over(tx.update, in_specs=(lay, specs, lay), out_specs=(lay, specs))
    for seed in range(2):
        grads = problems.noise(params, seed)
        got, made = jax.jit(update)(grads, made, params)
        expected, state = tx.update(grads, state, params)
        problems.assert_close(jax.device_get((got, made)), (expected, state))


# What looks at numbers of all devices only, or at each leaf's shard.
SAME_EVERYWHERE: dict[str, Callable[[Any], Any]] = {
    "plateau": lambda lib: lib.chain(
        lib.sgd(1.0), lib.contrib.reduce_on_plateau(patience=1, cooldown=1)
    ),
    "adafactor": lambda lib: lib.adafactor(0.1, multiply_by_parameter_scale=False),
}


@pytest.mark.parametrize("name", SAME_EVERYWHERE)
@pytest.mark.parametrize("lib", [gradtx, optax], ids=["gradtx", "optax"])
@pytest.mark.one_in(2)
def test_what_is_the_same_on_every_device_leaves_as_that(lib: Any, name: str) -> None:
    """After a scan over shards with the loss of all, as from optax, `P()` takes it."""
    params = problems.small_tree()
    params["w"] = params["w"][:, 0]  # a vector's moments are not factored
    tx = lib.with_extra_args_support(SAME_EVERYWHERE[name](lib))
    specs = jax.tree.map(
        lambda x: P("d") if x.shape in {p.shape for p in params.values()} else P(),
        tx.init(params),
    )

    def steps(params: Tree, over: Any) -> Any:
        def body(carry: Any, _: None) -> Any:
            loss = over(sum(jnp.sum(jnp.cos(x)) for x in carry[0].values()))
            grads = jax.tree.map(lambda x: -jnp.sin(x), carry[0])
            updates, state = tx.update(grads, carry[1], carry[0], value=loss)
            return (lib.apply_updates(carry[0], updates), state), None

        return jax.lax.scan(body, (params, tx.init(params)), length=3)[0]

    local = partial(steps, over=partial(jax.lax.psum, axis_name="d"))
    lay = P("d"), specs
    mapped = jax.shard_map(local, mesh=two_devices(), in_specs=P("d"), out_specs=lay)
    got = jax.device_get(jax.jit(mapped)(params))
    if lib is gradtx and name != "adafactor":  # which clips each shard by its own norm
        problems.assert_close(got, jax.device_get(steps(params, lambda x: x)))


def test_a_plateau_of_each_device() -> None:
    """Where devices are to differ, `pcast` lets the state vary before a loop."""
    tx = contrib.reduce_on_plateau(patience=1)
    losses, u = jnp.float32([[3.0, 2.0, 1.0], [1.0, 1.0, 2.0]]), jnp.float32([1, 1])

    def scales(losses: Any, u: Any, varying: Any) -> Any:
        body = lambda state, loss: tx.update(u, state, value=loss)[::-1]  # noqa: E731
        return jax.lax.scan(body, varying(tx.init(u)), losses[0])[1]

    def varying(state: Any) -> Any:
        return jax.tree.map(lambda x: varied(x, frozenset("d")), state)

    local = partial(scales, varying=varying)
    mapped = jax.shard_map(local, mesh=two_devices(), in_specs=P("d"), out_specs=P("d"))
    alone = [scales(losses[i : i + 1], u[:1], lambda x: x) for i in range(2)]
    problems.assert_close(jax.jit(mapped)(losses, u), jnp.concatenate(alone))


def test_an_optimizer_for_each_device() -> None:
    """A rate that varies over the devices is each device's own, in a scan too."""
    rates, w = jnp.float32([0.1, 0.3]), problems.small_tree()["w"]
    make = partial(contrib.schedule_free, ADAM)

    def local(rate: Any, w: Any) -> Any:
        return steps(make(rate[0]), {"w": w})["w"]

    mapped = jax.shard_map(local, mesh=two_devices(), in_specs=P("d"), out_specs=P("d"))
    got = jax.device_get(jax.jit(mapped)(rates, w))
    for rate, part, mine in zip(rates, jnp.split(w, 2), np.split(got, 2), strict=True):
        expected = steps(make(float(rate)), {"w": part})["w"]
        np.testing.assert_allclose(mine, expected, rtol=1e-5)


def test_what_is_promised_of_rates_and_errors_holds_there() -> None:
    """Another rate compiles nothing, and a wrong shape is refused with its path."""
    params = problems.small_tree()
    update = jax.shard_map(
        lambda tx, grads, params: tx.update(grads, tx.init(params), params)[0],
        mesh=two_devices(),
        in_specs=(P(), P("d"), P("d")),
        out_specs=P("d"),
    )
    step, found = jax.jit(update), []
    for rate in (0.1, 0.2):
        before = problems.compiled()
        u = step(gradtx.sgd(rate, momentum=0.9), params, params)
        found.append((float(u["b"][0]), problems.compiled() - before))
    assert [first for first, _ in found] == pytest.approx([-0.1, -0.2])
    assert found[1][1] == 0
    wrong = {**params, "b": jnp.ones(4)}
    for run in (step, update):
        with pytest.raises(ValueError, match=r"sgd.*\['b'\] has shape \(2,\)"):
            run(gradtx.sgd(0.1, momentum=0.9), wrong, params)
