"""Norms kept, braked, and followed: hyperball and its relatives."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest

import gradtx
from gradtx import contrib

PARAMS = {"w": jnp.linspace(-1, 2, 12).reshape(4, 3), "b": jnp.float32([1, -2])}
GRADS = problems.noise(PARAMS, 0)
norm = np.linalg.norm


def moved(tx: Any, params: Any = None, grads: Any = None, steps: int = 1) -> Any:
    """Return the parameters after some steps with one gradient."""
    params = PARAMS if params is None else params
    grads = GRADS if grads is None else grads
    state, step = tx.init(params), jax.jit(tx.update)
    for _ in range(steps):
        updates, state = step(grads, state, params)
        params = gradtx.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("radius", ["current", "initial", 1.5])
@pytest.mark.one_in(2)
def test_the_norm_stays(radius: Any) -> None:
    """After forty steps the norm of the matrix is what it was, to rounding."""
    p = moved(gradtx.hyperball(gradtx.adam(0.1), radius), steps=40)
    wanted = radius if radius == 1.5 else norm(PARAMS["w"])
    np.testing.assert_allclose(norm(p["w"]), wanted, rtol=3e-6)
    assert norm(p["w"] - PARAMS["w"]) > 1


def test_the_first_norm_is_found_again() -> None:
    """Weights that were made larger return to the first norm, not to their own."""
    first = gradtx.hyperball(gradtx.sgd(0.1), "initial")
    state = first.init(PARAMS)
    larger = jax.tree.map(lambda p: 3 * p, PARAMS)
    updates, _ = first.update(GRADS, state, larger)
    got = norm(gradtx.apply_updates(larger, updates)["w"])
    np.testing.assert_allclose(got, norm(PARAMS["w"]), rtol=1e-6)
    now = moved(gradtx.hyperball(gradtx.sgd(0.1)), larger)
    np.testing.assert_allclose(norm(now["w"]), 3 * norm(PARAMS["w"]), rtol=1e-6)


def test_vectors_follow_the_method() -> None:
    """Leaves with fewer than two axes, and those masked out, take the step as it is."""
    sgd = gradtx.sgd(0.1)
    plain = moved(sgd)
    for wrap in (gradtx.hyperball, gradtx.relative_update, gradtx.row_floor):
        np.testing.assert_array_equal(moved(wrap(sgd))["b"], plain["b"])
        none = moved(wrap(sgd, mask={"w": False, "b": False}))
        problems.assert_close(none, plain)
    all_of_them = moved(gradtx.hyperball(sgd, mask=True))
    np.testing.assert_allclose(norm(all_of_them["b"]), norm(PARAMS["b"]), rtol=1e-6)


def test_the_rate_is_that_of_the_method() -> None:
    """It is found in the method or its parts; given, it wins; a schedule counts."""
    size = norm(PARAMS["w"])

    def length(tx: Any, steps: int = 1) -> float:
        before, after = (moved(tx, steps=n)["w"] for n in (steps - 1, steps))
        return float(norm(after - before) / norm(before))

    relative = gradtx.relative_update
    clipped = gradtx.chain(gradtx.clip(1.0), gradtx.adamw(0.1))
    for tx in (gradtx.sgd(0.1), clipped, contrib.muon(0.1), gradtx.lion(0.1)):
        np.testing.assert_allclose(length(relative(tx)), 0.1, rtol=1e-5)
    given = relative(optax.sgd(3.0), learning_rate=0.2)
    np.testing.assert_allclose(length(given), 0.2, rtol=1e-5)
    falling = relative(gradtx.sgd(lambda t: 0.1 / (1 + t)))
    np.testing.assert_allclose(length(falling, 2), 0.05, rtol=1e-5)
    assert size > 0
    for lacking in (optax.sgd(0.1), gradtx.scale(-0.1), gradtx.chain(clipped, clipped)):
        with pytest.raises(ValueError, match=r"relative_update: .*give learning_rate"):
            relative(lacking)


@pytest.mark.exhaustive
def test_layers_that_are_stacked_are_apart() -> None:
    """With `axis` each layer has its norm, as it has alone."""
    layers = [PARAMS["w"], 2 * PARAMS["w"] + 1]
    grads = [problems.noise(PARAMS["w"], i) for i in range(2)]
    stacked, slopes = jnp.stack(layers), jnp.stack(grads)
    wraps = (
        partial(gradtx.hyperball, radius="initial", learning_rate=0.1),
        partial(gradtx.relative_update, learning_rate=0.1),
        gradtx.radial_brake,
    )
    for wrap in wraps:
        together = moved(wrap(gradtx.adam(0.1), axis=(-2, -1)), stacked, slopes, 2)
        apart = [
            moved(wrap(gradtx.adam(0.1)), p, g, 2)
            for p, g in zip(layers, grads, strict=True)
        ]
        np.testing.assert_allclose(together, jnp.stack(apart), rtol=1e-5)


def test_a_matrix_of_zeros_is_refused() -> None:
    """It has no norm to keep: its path is named. A number for the radius gives one."""
    zeros = {"head": jnp.zeros((3, 2)), "b": jnp.zeros(2)}
    for radius in ("current", "initial"):
        tx = gradtx.hyperball(gradtx.sgd(0.1), radius)
        with pytest.raises(ValueError, match=r"hyperball: .*\['head'\] is zero"):
            tx.init(zeros)
        assert jax.eval_shape(tx.init, zeros)
    onto = moved(gradtx.hyperball(gradtx.sgd(0.1), 2.0), zeros, zeros)
    np.testing.assert_array_equal(onto["head"], zeros["head"])
    still = moved(
        gradtx.hyperball(gradtx.sgd(0.1)), grads=jax.tree.map(jnp.zeros_like, PARAMS)
    )
    np.testing.assert_allclose(still["w"], PARAMS["w"], rtol=1e-6)


def test_another_radius_is_refused() -> None:
    """A radius is "current", "initial" or a number above 0."""
    for wrong in ("first", 0.0, -1.0):
        with pytest.raises(ValueError, match=r"hyperball: radius must .*"):
            gradtx.hyperball(gradtx.sgd(0.1), wrong)


def test_the_brake_takes_a_part_of_the_growth() -> None:
    """The norm grows by half of what the step would make, and shrinks by all of it."""
    w, size = PARAMS["w"], norm(PARAMS["w"])
    for sign, share in ((-1, 0.5), (1, 1.0)):
        p = moved(
            gradtx.radial_brake(gradtx.sgd(0.1)),
            PARAMS,
            {"w": sign * w, "b": PARAMS["b"]},
        )
        np.testing.assert_allclose(
            norm(p["w"]) / size, 1 - sign * share * 0.1, rtol=1e-6
        )
        np.testing.assert_allclose(p["w"] / norm(p["w"]), w / size, atol=1e-6)


def test_the_floor_lifts_single_units() -> None:
    """A column that moves too little is lifted to the floor, another stays."""
    grads = {"w": GRADS["w"] * jnp.float32([[1e-3, 1, 0]]), "b": GRADS["b"]}
    floored = gradtx.row_floor(gradtx.sgd(0.1), 0.2)
    u = moved(floored, grads=grads)["w"] - PARAMS["w"]
    least = 0.1 * 0.2 * norm(PARAMS["w"], axis=0)
    np.testing.assert_allclose(norm(u[:, 0]), least[0], rtol=1e-4)
    np.testing.assert_allclose(u[:, 1], -0.1 * grads["w"][:, 1], rtol=1e-5)
    np.testing.assert_array_equal(u[:, 2], 0)
    whole = gradtx.row_floor(gradtx.sgd(0.1), 0.9, axis=None)
    u = moved(whole)["w"] - PARAMS["w"]
    np.testing.assert_allclose(
        norm(u), 0.1 * max(0.9 * norm(PARAMS["w"]), norm(GRADS["w"])), rtol=1e-5
    )
