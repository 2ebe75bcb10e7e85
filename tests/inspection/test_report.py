"""What a step costs: known numbers of bytes, products counted by hand."""

from typing import Any

import catalogue
import jax
import jax.numpy as jnp
import problems
import pytest

import gradtx
from gradtx import contrib

N = 64 * 32
F32 = {"w": jax.ShapeDtypeStruct((64, 32), jnp.float32)}


@pytest.mark.parametrize(
    ("tx", "for_each"),
    [
        (gradtx.sgd(0.1), 12),
        (gradtx.lion(0.1), 20),
        (gradtx.adamw(0.1), 28),
        (gradtx.accumulate(gradtx.adamw(0.1), 4), 36),
        (gradtx.lookahead(gradtx.adam(0.1), 5, 0.5), 36),
        (gradtx.average(gradtx.adam(0.1)), 36),
        (gradtx.chain(gradtx.clip(1.0), gradtx.adamw(0.1)), 28),
        (gradtx.chain(gradtx.mars(max_norm=None), gradtx.adamw(0.1)), 36),
        # What is read again is what a number of all is multiplied by: g after its norm,
        (gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1)), 32),
        (gradtx.novograd(0.1), 24),
        (gradtx.apply_if_finite(gradtx.adamw(0.1), 3), 32),
        (gradtx.chain(gradtx.mars(), gradtx.adamw(0.1)), 44),  # g and the former g,
        (gradtx.lars(0.1), 28),  # g and p,
        (gradtx.lamb(0.1), 40),  # m, v and p,
        (gradtx.cautious(gradtx.adamw(0.1), rescale=None), 28),
        (contrib.mechanize(gradtx.sgd(0.1)), 32),  # g, p and start, after products,
        (contrib.muon(0.1), 20),  # but not what its products move,
        # or the kept share of the update is written and read, which is less.
        (gradtx.cautious(gradtx.adamw(0.1)), 40),
        (gradtx.hyperball(gradtx.adamw(0.1)), 40),
        (gradtx.dog(0.1), 24),  # g and p, with a start that is not written.
        # Numbers that are only told are taken where the arrays are read in any case.
        (gradtx.with_metrics(gradtx.adamw(0.1)), 28),
    ],
    ids=lambda x: x.recipe.factory.name if hasattr(x, "recipe") else "",
)
def test_bytes_that_a_step_moves(tx: Any, for_each: int) -> None:
    """The lower bound is that of the tables of memory traffic, counted by hand."""
    found = gradtx.report(tx, F32, compiled=False)
    few = 0.5 * N  # numbers of the state that are not of a parameter
    assert found.moved_bytes == pytest.approx(for_each * N, abs=few)
    assert found.params_bytes == found.gradient_bytes == 4 * N
    assert found.memory is None


def test_bytes_of_private_steps() -> None:
    """The gradient of one example is read again when its norm is known."""
    grads = gradtx.stateless(lambda g, _: jax.tree.map(lambda x: x[None], g))
    tx = gradtx.chain(grads, contrib.dpsgd(0.1, 1.0, 0.0, 0, 0.9))
    assert gradtx.report(tx, F32, compiled=False).moved_bytes == 24 * N


def test_bytes_of_sides_and_blocks() -> None:
    """Means by row and column have the gradient read again; a block's largest not."""
    shape = {"w": jax.ShapeDtypeStruct((1024, 1024), jnp.float32)}
    for tx, for_each in ((gradtx.adafactor(0.1), 24), (gradtx.adamw8bit(0.1), 16)):
        found = gradtx.report(tx, shape, compiled=False).moved_bytes / 2**20
        assert found == pytest.approx(for_each, abs=0.1)


def test_what_a_clip_reads_of_frozen_leaves() -> None:
    """Their gradients once, for the norm."""
    tx = gradtx.chain(
        gradtx.clip_by_global_norm(1.0),
        gradtx.by_path({"w": None}, default=gradtx.sgd(0.1)),
    )
    found = gradtx.report(tx, {**F32, "v": F32["w"]}, compiled=False)
    assert found.moved_bytes == (4 + 16) * N


def test_what_does_not_move() -> None:
    """Frozen leaves are neither read nor written."""
    tx = gradtx.selective_transform(gradtx.adam(0.1), freeze_mask={"w": True})
    assert gradtx.report(tx, F32, compiled=False).moved_bytes == 0


def test_products_of_a_matrix_method() -> None:
    """Muon's five iterations on (64, 32) take three products each, counted by hand."""
    found = gradtx.report(contrib.muon(0.1), F32, compiled=False)
    # X Xᵀ and A A in the smaller dimension, and B X.
    by_hand = 5 * 2 * (32 * 32 * 64 + 32 * 32 * 32 + 32 * 64 * 32)
    assert (found.products, found.flops) == (15, by_hand)
    assert gradtx.report(gradtx.adam(0.1), F32, compiled=False).products == 0


def test_what_the_compiler_says() -> None:
    """State and parameters are updated in place; a page shows all of it."""
    found = gradtx.report(gradtx.adamw(0.1), F32)
    assert found.memory is not None
    assert found.memory.arguments >= 16 * N
    assert found.memory.in_place >= 12 * N
    assert found.memory.most >= 16 * N
    text = str(found)
    assert "57.3 kB" in text
    assert "nu    float32" in text


@pytest.mark.parametrize("name", ["adam", "polyak_sgd", "soap", "adafactor"])
def test_from_shapes(name: str) -> None:
    """Arrays and their shapes give one report; extra arguments are passed on."""
    row, params = catalogue.row(name), problems.small_tree()
    extra = problems.extras(row, params, params)
    extra.pop("value_fn", None)
    arrays = gradtx.report(row.build(), params, extra=extra, compiled=False)
    shapes = jax.eval_shape(lambda: params)
    assert gradtx.report(row.build(), shapes, extra=extra, compiled=False) == arrays


# --- plans -------------------------------------------------------------------

LARGE = {"w": jax.ShapeDtypeStruct((512, 256), jnp.float32)}
M = 512 * 256


def test_what_fits() -> None:
    """Bytes for each parameter are the known ones, and those within the budget fit."""
    found = gradtx.plan(LARGE, 12 * M, devices=8)
    state = {x.name: x.state_bytes / M for x in found.options}
    expected = {
        "float32 state": 8,
        "bfloat16 mean": 6,
        "8-bit state": 2.03,
        "4-bit state": 1.06,
        "factored": 0.03,
        "sign, float32 mean": 4,
        "sign, 8-bit mean": 1.02,
        "sign, no state": 0,
        "offloaded": 0,
        "spread over 8": 1,
    }
    for name, n in expected.items():
        assert state[name] == pytest.approx(n, abs=0.03), name
    assert found["bfloat16 parameters"].params_bytes == 2 * M
    for option in found.options:
        assert option.fits == (option.total_bytes <= 12 * M)
    assert not found["float32 state"].fits
    assert found["8-bit state"].fits
    totals = [x.total_bytes for x in found.options]
    assert totals == sorted(totals, reverse=True)
    assert found["offloaded"].over_a_link == pytest.approx(16 * M, rel=1e-3)
    assert "8-bit state" in str(found)


@pytest.mark.parametrize("option", gradtx.plan(F32, 1e9, devices=8).options)
@pytest.mark.one_in(6)
def test_options_are_ready_to_call(option: Any) -> None:
    """Each makes a transformation whose state, where it is put, descends."""
    params = jax.tree.map(lambda x: jnp.ones(x.shape, option.params_dtype), F32)
    tx = option.make(0.1)
    state = option.place(tx.init(params))
    if option.name == "offloaded":
        kinds = {x.sharding.memory_kind for x in jax.tree.leaves(state) if x.ndim}
        assert kinds == {"pinned_host"}
        state = option.fetch(state)
    if option.name.startswith("spread"):
        assert state[0].mu["w"].sharding.shard_shape((64, 32)) == (8, 32)
        mesh = state[0].mu["w"].sharding.mesh
        everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        params = jax.device_put(params, everywhere)
    updates, _ = jax.jit(tx.update)(params, state, params)
    assert jnp.all(updates["w"] < 0)


def test_what_a_plan_refuses() -> None:
    """No bytes, no devices, an option that there is not, and devices that are not."""
    for budget, devices in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match=r"budget|devices"):
            gradtx.plan(F32, budget, devices=devices)
    with pytest.raises(ValueError, match="no option '2-bit'"):
        gradtx.plan(F32, 1e9)["2-bit"]
    spread = gradtx.plan(F32, 1e9, devices=99)["spread over 99"]
    with pytest.raises(ValueError, match="99 devices"):
        spread.place(spread.make(0.1).init({"w": jnp.ones(99)}))
