"""What is peculiar to Adafactor."""

from typing import Any

import beside_optax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from jax.sharding import AxisType
from methods import adaptive as papers

import gradtx


@pytest.mark.parametrize(
    "settings",
    [
        {"min_dim_size_to_factor": 3},
        {"min_dim_size_to_factor": 2, "momentum": 0.9, "learning_rate": None},
        {
            "learning_rate": beside_optax.falling,
            "clipping_threshold": None,
            "multiply_by_parameter_scale": False,
            "weight_decay_rate": 0.01,
            "weight_decay_mask": beside_optax.matrices,
            "eps": 1e-3,
            "decay_rate": 0.6,
        },
    ],
    ids=["default", "momentum", "bare"],
)
@pytest.mark.one_in(6)
def test_agrees_with_optax(settings: dict[str, Any]) -> None:
    """Each argument does what it does in optax, for leaves of one to three axes."""
    settings = {"learning_rate": 0.1, **settings}
    beside_optax.assert_same(gradtx.adafactor(**settings), optax.adafactor(**settings))


def test_the_two_longest_axes_are_factored() -> None:
    """Rows and columns lack one of the two longest axes, if both are long enough."""
    params = beside_optax.tree()
    state = gradtx.scale_by_factored_rms(min_dim_size_to_factor=3).init(params)
    shapes = jax.tree.map(jnp.shape, state._asdict())
    assert shapes["v_row"] == {"b": (1,), "c": (3, 2), "w": (4,)}
    assert shapes["v_col"] == {"b": (1,), "c": (4, 2), "w": (6,)}
    assert shapes["v"] == {"b": (5,), "c": (1,), "w": (1,)}
    for whole in (
        gradtx.scale_by_factored_rms(min_dim_size_to_factor=5),
        gradtx.scale_by_factored_rms(factored=False),
    ):
        assert jax.tree.map(jnp.shape, whole.init(params).v) == jax.tree.map(
            jnp.shape, params
        )


@pytest.mark.usefixtures("x64")
def test_a_batch_of_matrices_is_one_matrix_each() -> None:
    """Along the axes that are not factored the paper is followed for each apart."""
    rng = np.random.default_rng(1)
    grads = [rng.normal(size=(3, 7, 5)) for _ in range(4)]
    settings = {"multiply_by_parameter_scale": False, "clipping_threshold": None}
    tx = gradtx.adafactor(1.0, 5, **settings)
    p = jnp.asarray(rng.normal(size=(3, 7, 5)))
    state, path = tx.init(p), []
    for g in grads:
        u, state = tx.update(jnp.asarray(g), state, p)
        path.append(u)
    for i in range(3):
        start = np.sqrt(1e-6) * np.ones((7, 5))  # 1e-3 of the size 1e-3: never moves
        row = [g[i] for g in grads]
        paper = papers.adafactor(start, row, learning_rate=1e3, clipping_threshold=1e9)
        moves = np.diff(np.stack([start, *paper]), axis=0)
        first = moves[0] / (1e3 * 1e-3)
        np.testing.assert_allclose(path[0][i], first, rtol=1e-9)


def test_an_offset_ahead_of_the_count_is_the_first_step() -> None:
    """With a fresh state the decay is that of step 1 until the offset is reached."""
    g = jnp.float32([0.3, -2.0])
    late, plain = (gradtx.scale_by_factored_rms(step_offset=n) for n in (2, 0))
    state, other = late.init(g), plain.init(g)
    for t in range(5):
        u, state = late.update((t + 1) * g, state)
        if t <= 2:  # forgets all that was before
            np.testing.assert_allclose(u, jnp.sign(g), rtol=1e-6)
        if t >= 2:
            v, other = plain.update((t + 1) * g, other)
            np.testing.assert_allclose(u, v, rtol=1e-6)


def test_a_state_that_has_counted_to_the_offset_starts_anew() -> None:
    """Fine-tuning from step N on, the decay rates are those of a new beginning."""
    p = beside_optax.tree()
    ours, theirs = gradtx.adafactor(0.1, decay_offset=4), optax.adafactor(0.1)
    counted = ours.init(p)[0]._replace(count=jnp.int32(4))
    g = jax.tree.map(jnp.cos, p)
    u, _ = ours.update(g, (counted, *ours.init(p)[1:]), p)
    v, _ = theirs.update(g, theirs.init(p), p)
    problems.assert_close(u, v)


def test_the_decay_is_asked_with_the_steps_taken() -> None:
    """``decay_rate_fn`` takes the steps since the offset, and the exponent."""
    tx = gradtx.scale_by_factored_rms(
        step_offset=1, decay_rate=0.5, decay_rate_fn=lambda step, c: c * (step > 0)
    )
    g = jnp.float32([2.0])
    state = tx.init(g)
    for expected in (4.0, 4.0, 2.0 + 0.5 * 16):
        value = 2.0 if expected == 4 else 4.0
        _, state = tx.update(value * g / 2, state)
        np.testing.assert_allclose(state.v, [expected], rtol=1e-6)


def test_momentum_keeps_the_type_of_the_parameter() -> None:
    """Updates of bfloat16 parameters are bfloat16, the mean float32 as asked."""
    p = jnp.ones((4, 4), jnp.bfloat16)
    tx = gradtx.adafactor(0.1, momentum=0.9)
    u, state = tx.update(p, tx.init(p), p)
    assert u.dtype == jnp.bfloat16
    kinds = {x.dtype for x in jax.tree.leaves(state) if x.ndim}
    assert kinds == {jnp.dtype(jnp.float32)}
    z = jnp.array([1 + 2j, 3 - 1j])
    u, state = tx.update(z, tx.init(z), z)
    assert u.dtype == jnp.complex64
    np.testing.assert_allclose(jnp.angle(u), jnp.angle(-z), rtol=1e-5)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_rows_lie_as_the_matrix_does(kind: AxisType) -> None:
    """Row means of a matrix that is spread by rows are spread too, jitted or not."""
    over = problems.mesh(kind)
    tx = gradtx.scale_by_factored_rms(min_dim_size_to_factor=2)
    with jax.set_mesh(over):
        p = problems.spread({"w": jnp.ones((16, 4))}, over)
        for init in (tx.init, jax.jit(tx.init)):
            state = init(p)
            assert state.v_col["w"].shape == (16,)
            assert state.v_col["w"].sharding.shard_shape((16,)) == (2,)
            assert state.v_row["w"].sharding.is_fully_replicated
            assert len(state.v["w"].sharding.device_set) == 8


@pytest.mark.parametrize("size", [1e-15, 1.0, 1e17, 1e18, 3e18])
@pytest.mark.parametrize("shape", [(3, 5), (16, 700), (700, 16)])
@pytest.mark.one_in(2)
def test_gradients_of_any_size_are_divided_by_their_means(
    shape: tuple[int, int], size: float
) -> None:
    """The first step is the paper's in float64, where sums of squares overflow too."""
    rng = np.random.default_rng(0)
    g = np.float32(size * rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape))
    tx = gradtx.scale_by_factored_rms(min_dim_size_to_factor=2)
    u, state = tx.update(jnp.asarray(g), tx.init(jnp.asarray(g)))
    square = np.square(np.float64(g)) + 1e-30
    row, col = square.mean(1, keepdims=True), square.mean(0, keepdims=True)
    np.testing.assert_allclose(u, g / np.sqrt(row * col / row.mean()), rtol=1e-5)
    assert problems.all_finite(state)
