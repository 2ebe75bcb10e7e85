"""Kernels: what is made entry by entry is found, and made as without them."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from configurations import EXHAUSTIVE
from jax.sharding import AxisType, PartitionSpec

import gradtx
from gradtx.codecs import bfloat16, float8, int4, int8, is_encoded
from gradtx.kernels import Program, pieces, written_out

Tree = Any
SHAPE = (6, 512)


def found(f: Any, *args: Any) -> tuple[Program, list[Any]]:
    """Return a function written out, and the pieces of its results."""
    program = written_out(f, *args)
    return program, pieces(program.jaxpr, program.jaxpr.outvars)


def test_a_piece_makes_the_same_in_tiles() -> None:
    """Results of one array are in one piece, whose tiles are those of the whole."""

    def f(x: jax.Array, y: jax.Array, t: jax.Array) -> list[jax.Array]:
        m = jax.jit(jnp.add)(x, y) * t
        return [jnp.where(m > 0, m, jnp.sqrt(jnp.abs(y))), m / (1 + t), y.T, t + 1]

    x, y = jax.random.normal(jax.random.key(0), (2, *SHAPE))
    program, [piece] = found(f, x, y, jnp.float32(2))
    assert piece.shape == SHAPE
    assert [v in program.jaxpr.outvars[:2] for v in piece.results] == [True, True]
    values = {v: program.read(v) for v in piece.scalars}
    values |= {v: program.read(v)[:2, 128:256] for v in piece.arrays}
    tiles = dict(zip(piece.results, piece.run(values, (2, 128)), strict=True))
    whole = f(x, y, jnp.float32(2))
    for v, expected in zip(program.jaxpr.outvars[:2], whole, strict=False):
        np.testing.assert_allclose(tiles[v], expected[:2, 128:256], rtol=1e-6)


def test_what_is_not_made_entry_by_entry_enters() -> None:
    """A sum over an array enters as a number, and a product of matrices as an array."""

    def f(x: jax.Array) -> list[jax.Array]:
        scaled = x / jnp.sum(x)
        return [scaled + 1, x @ x + 1, jnp.flip(x)]

    x = jnp.arange(1.0, 10).reshape(3, 3)
    program, both = found(f, x)
    assert len(both) == 2
    for piece in both:
        made = piece.run(program.values, x.shape)
        expected = [program.read(v) for v in piece.results]
        np.testing.assert_allclose(made, expected, rtol=1e-6)


# --- around a transformation -------------------------------------------------

SIGNED, SQUARES = {"mu": int8()}, {"mu": int8(), "nu": int8(signed=False)}
ROOTS = {"mu": float8(), "nu": int8(signed=False, map="sqrt")}
CASES = {
    "adamw": (gradtx.adamw(1e-2), SQUARES),
    "lion": (gradtx.lion(gradtx.linear_schedule(1e-2, 0.0, 9)), SIGNED),
    "one in float32": (gradtx.adam(1e-2), SIGNED),
    "float8": (gradtx.adam(1e-2), ROOTS),
    "after a norm": (
        gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.lion(1e-2)),
        SIGNED,
    ),
    "nearest": (gradtx.lion(1e-2), {"mu": int8(rounding="nearest")}),
    "rows": (gradtx.lion(1e-2), {"mu": int8(None)}),
    "of two lengths": (
        gradtx.adam(1e-2),
        {"mu": int8(), "nu": int8(128, signed=False)},
    ),
    "in halves of bytes": (gradtx.lion(1e-2), {"mu": int4()}),
    "without scales": (gradtx.lion(1e-2), {"mu": bfloat16()}),
}
# For how many arrays there is a kernel, where it is not for one.
KERNELS = {
    ("cuda", "rows"): 2,  # rows of 600 are no power of 2
    ("tpu", "rows"): 3,
    **{(device, name): 0 for device in ("cuda", "tpu") for name in list(CASES)[-3:]},
}


def weights(dtype: Any) -> Tree:
    """Return arrays with blocks that are pieces of rows, and others."""
    keys = jax.random.split(jax.random.key(1), 4)
    shapes = {"w": SHAPE, "odd": (3, 600), "short": (16, 32), "b": (7,)}
    return {
        name: jax.random.normal(key, shape).astype(dtype)
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def trained(name: str, dtype: Any, *, kernel: bool | str) -> tuple[Tree, Any]:
    """Take three steps, and tell how many kernels there are in one."""
    inner, codecs = CASES[name]
    tx = gradtx.quantize_state(inner, codecs, min_size=100, kernel=kernel)

    @jax.jit
    def step(params: Tree, state: Tree) -> Any:
        updates, state = tx.update(params, state, params)
        return gradtx.apply_updates(params, updates), state

    params = weights(dtype)
    state = tx.init(params)
    text = str(step.trace(params, state).jaxpr)
    for _ in range(3):
        params, state = step(params, state)
    return (params, state), text.count("pallas_call[")


@pytest.mark.parametrize(
    ("device", "name", "dtype"),
    [
        *(
            pytest.param(
                *("cuda", name, jnp.float32),
                marks=() if name in ("adamw", "after a norm") else EXHAUSTIVE,
            )
            for name in CASES
        ),
        ("tpu", "adamw", jnp.float32),
        pytest.param("tpu", "rows", jnp.float32, marks=EXHAUSTIVE),
        pytest.param("tpu", "of two lengths", jnp.float32, marks=EXHAUSTIVE),
        pytest.param("cuda", "adamw", jnp.bfloat16, marks=EXHAUSTIVE),
    ],
)
@pytest.mark.one_in(6)
def test_a_kernel_makes_the_same_step(device: str, name: str, dtype: Any) -> None:
    """Codes, scales and weights are those of the step without kernels."""
    plain, none = trained(name, dtype, kernel=False)
    made, count = trained(name, dtype, kernel=device)
    assert (none, count) == (0, KERNELS.get((device, name), 1))
    assert jax.tree.structure(made) == jax.tree.structure(plain)
    for x, y in zip(*map(jax.tree.leaves, (made, plain)), strict=True):
        assert x.dtype == y.dtype
        apart = np.abs(np.asarray(x, np.float32) - np.asarray(y, np.float32))
        # One rounding may be another where a compiler joins two operations in one.
        near = apart <= 1e-6 if x.dtype == jnp.float32 else apart == 0
        assert near.mean() > 0.999, name


def test_arrays_alike_have_one_kernel() -> None:
    """For arrays of one shape the kernel is made once, and each is rounded apart."""
    tx = gradtx.lion8bit(1e-2, min_size=100, kernel="cuda")
    w = weights(jnp.float32)["w"]
    params = {"a": w, "b": w}

    @jax.jit
    def step(params: Tree) -> Any:
        return tx.update(params, tx.init(params), params)

    assert str(step.trace(params).jaxpr).count("pallas_call[") == 1
    _, state = step(params)
    a, b = jax.tree.leaves(state, is_leaf=is_encoded)[1:3]
    np.testing.assert_array_equal(a.scales, b.scales)
    assert 0.1 < np.mean(np.asarray(a.codes != b.codes)) < 0.5


def test_only_what_is_asked_for_is_a_kernel() -> None:
    """On a device for which there is none, `kernel=True` changes nothing."""
    plain, _ = trained("lion", jnp.float32, kernel=False)
    made, _ = trained("lion", jnp.float32, kernel=True)
    jax.tree.map(np.testing.assert_array_equal, made, plain)


def test_updates_are_right_whoever_adds_them() -> None:
    """The updates are those that move the weights to where the kernel moves them."""
    tx = gradtx.adamw8bit(1e-2, kernel="cuda", min_size=100)
    params = weights(jnp.float32)

    @jax.jit
    def both(params: Tree) -> Any:
        updates, _ = tx.update(params, tx.init(params), params)
        ours = gradtx.apply_updates(params, updates)
        return ours, jax.tree.map(jnp.add, params, updates)

    for x, y in zip(*map(jax.tree.leaves, both(params)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("add", [gradtx.apply_updates, optax.apply_updates])
def test_a_step_is_computed_once_whoever_adds_it(add: Any) -> None:
    """Of an array that a kernel makes, nothing but sums is left to the compiler."""
    tx = gradtx.adamw8bit(1e-2, kernel="cuda", min_size=100)
    w = weights(jnp.float32)["w"]

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(w: jax.Array, state: Tree) -> Any:
        updates, state = tx.update(w, state, w)
        return add(w, updates), state

    text = step.lower(w, tx.init(w)).compile().as_text()
    whole = re.compile(r"f32\[6,512\]\S* (sqrt|rsqrt|divide|multiply)\(")
    assert "while" in text  # the kernel, imitated
    assert not whole.search(text)


def test_a_sweep_is_one_program() -> None:
    """Mapped over learning rates, every one gets its own step."""
    params = {"w": weights(jnp.float32)["w"]}

    def moved(rate: jax.Array) -> Tree:
        tx = gradtx.lion8bit(rate, min_size=100, kernel="cuda")
        state = tx.init(params)
        updates, state = tx.update(params, state, params)
        assert any(map(is_encoded, jax.tree.leaves(state, is_leaf=is_encoded)))
        return gradtx.apply_updates(params, updates)

    rates = jnp.array([0.1, 0.01])
    together = jax.jit(jax.vmap(moved))(rates)
    for i, rate in enumerate(rates):
        one = jax.jit(moved)(rate)
        np.testing.assert_allclose(together["w"][i], one["w"], rtol=1e-6, atol=1e-8)


@pytest.mark.exhaustive
def test_a_shard_has_its_own_kernel() -> None:
    """In `shard_map` every device makes its rows; arrays said to be spread are left."""
    w = jax.random.normal(jax.random.key(2), (16, 512))
    spec = PartitionSpec("rows")

    def moved(kernel: bool | str, w: jax.Array) -> jax.Array:
        tx = gradtx.lion8bit(1e-2, min_size=100, kernel=kernel)
        updates, _ = tx.update(w, tx.init(w), w)
        return gradtx.apply_updates(w, updates)

    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    plain, made = (
        jax.jit(
            jax.shard_map(
                partial(moved, kernel),
                mesh=mesh,
                in_specs=spec,
                out_specs=spec,
                check_vma=False,
            )
        )(w)
        for kernel in (False, "cuda")
    )
    np.testing.assert_allclose(made, plain, rtol=1e-6)
    explicit = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(explicit):
        step = jax.jit(partial(moved, "cuda"))
        there = jax.device_put(w, spec)
        assert "pallas_call" not in str(step.trace(there).jaxpr)
        assert step(there).sharding.spec == PartitionSpec("rows", None)


def test_another_word_is_refused() -> None:
    """`kernel` is yes, no, or an imitation."""
    with pytest.raises(
        ValueError, match=r"quantize_state: kernel must be True, False or"
    ):
        gradtx.quantize_state(gradtx.lion(1e-3), kernel="triton").init(jnp.ones(3))
