"""Codecs: how far what comes out is from what went in, and that it is so on average."""

import pickle
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gradtx import codecs
from gradtx.codecs.dither import noise, rounded

BLOCK = 16


def table(name: str, signed: bool, bits: int) -> Any:
    """Return the sizes of a grid of whole numbers, as the docstrings define them."""
    most = 2 ** (bits - signed) - 1
    k = np.arange(most + 1.0)
    if name == "linear":
        return k
    if name == "sqrt":
        return k**2
    f = (3 if signed else 4) if bits == 8 else 1
    sizes = list(range(2 ** (f + 1)))
    while len(sizes) <= most:
        octave = len(sizes) // 2**f - 1
        sizes += [(2**f + i) * 2**octave for i in range(2**f)]
    return np.array(sizes[: most + 1], float)


def minifloats(dtype: Any) -> Any:
    """Return the sizes that a float of 8 bits has."""
    every = np.arange(256, dtype=np.uint8).view(dtype).astype(float)
    return np.unique(every[np.isfinite(every) & (every >= 0)])


# Of every format: the codec by its rounding, the sizes that it has in units of the
# largest, and whether nothing but 0 becomes 0.
FORMATS: dict[str, tuple[Any, Any, bool]] = {}
for _bits, _make in ((8, codecs.int8), (4, codecs.int4)):
    for _signed in (True, False):
        for _map in ("linear", "sqrt", "dynamic"):
            _keeps = not _signed or (_bits == 8 and _map == "dynamic")
            _sizes = table(_map, _signed, _bits)
            FORMATS[f"int{_bits}, {_map}{'' if _signed else ', unsigned'}"] = (
                partial(_make, BLOCK, signed=_signed, map=_map),
                _sizes / _sizes[-1],
                _keeps,
            )
for _kind, _dtype in (("e4m3", jnp.float8_e4m3fn), ("e5m2", jnp.float8_e5m2)):
    _sizes = minifloats(_dtype)
    FORMATS[_kind] = (
        partial(codecs.float8, _kind, BLOCK),
        _sizes / _sizes[-1],
        True,
    )

every_format = pytest.mark.parametrize("name", FORMATS)
NUMBERS = hnp.arrays(
    np.float32,
    (4, BLOCK),
    elements=st.one_of(
        st.floats(-(2.0**66), 2.0**66, width=32, allow_subnormal=False),
        st.floats(-1, 1, width=32, allow_subnormal=False),
    ),
)
# What is smaller may come out as 0.
TINY = float(np.finfo(np.float32).tiny)


def neighbours(name: str, x: Any) -> tuple[Any, Any]:
    """Return the numbers of the format below and above each size, by the block."""
    make, sizes, keeps = FORMATS[name]
    unsigned = make().format.unsigned
    size = np.maximum(x, 0) if unsigned else np.abs(x)
    size = size.astype(float)
    scale = size.max(-1, keepdims=True)
    share = size / np.where(scale == 0, 1, scale)
    last = np.clip(np.searchsorted(sizes, share, "right") - 1, 0, len(sizes) - 2)
    low, high = sizes[last], sizes[last + 1]
    low = np.where(share == 1, 1, np.where(share == sizes[last], share, low))
    high = np.where(share == low, share, high)
    if keeps:
        low = np.where((share > 0) & (low == 0), sizes[1], low)
    return low * scale, high * scale


def through(codec: Any, x: Any, seed: int = 0) -> Any:
    """Return what comes out of a codec."""
    return np.asarray(codec.encode(x, seed).decode())


# --- how far -----------------------------------------------------------------


@every_format
@settings(max_examples=20)
@given(x=NUMBERS)
@pytest.mark.one_in(12)
def test_it_goes_to_a_neighbour(name: str, x: Any) -> None:
    """Rounded at random it is the number of the grid below or above, with its sign."""
    make = FORMATS[name][0]
    low, high = neighbours(name, x)
    got = through(make(), x, seed=3)
    tolerance = 1e-6 * high + TINY
    assert (np.minimum(abs(abs(got) - low), abs(abs(got) - high)) <= tolerance).all()
    unsigned = make().format.unsigned
    wrong = got < 0 if unsigned else (got != 0) & (np.sign(got) != np.sign(x))
    assert not wrong.any()


@every_format
@settings(max_examples=20)
@given(x=NUMBERS)
@pytest.mark.one_in(3)
def test_nearest_is_the_nearest(name: str, x: Any) -> None:
    """Rounded to nearest no other number of the grid is nearer."""
    make = FORMATS[name][0]
    low, high = neighbours(name, x)
    size = np.maximum(x, 0) if make().format.unsigned else abs(x)
    got = abs(through(make(rounding="nearest"), x))
    best = np.minimum(abs(size - low), abs(size - high))
    assert (abs(got - size) <= best + 1e-6 * high + TINY).all()


BOUNDS = {
    "int8, linear": lambda _, s: s / 127,
    "int8, linear, unsigned": lambda _, s: s / 255,
    "int8, sqrt": lambda x, s: s * (2 * np.sqrt(x / s) / 127 + 1 / 127**2),
    "int8, sqrt, unsigned": lambda x, s: s * (2 * np.sqrt(x / s) / 255 + 1 / 255**2),
    "int8, dynamic": lambda x, s: np.maximum(x / 8, s / (15 * 2**14)),
    "int8, dynamic, unsigned": lambda x, s: np.maximum(x / 16, s / (31 * 2**14)),
    "int4, linear": lambda _, s: s / 7,
    "int4, linear, unsigned": lambda _, s: s / 15,
    "int4, sqrt": lambda x, s: s * (2 * np.sqrt(x / s) / 7 + 1 / 7**2),
    "int4, sqrt, unsigned": lambda x, s: s * (2 * np.sqrt(x / s) / 15 + 1 / 15**2),
    "int4, dynamic": lambda x, s: np.maximum(x / 2, s / 12),
    "int4, dynamic, unsigned": lambda x, s: np.maximum(x / 2, s / 192),
    "e4m3": lambda x, s: np.maximum(x / 8, s * 2**-9 / 448),
    "e5m2": lambda x, s: np.maximum(x / 4, s * 2**-16 / 57344),
}


@every_format
@pytest.mark.one_in(3)
def test_the_bounds_that_are_stated(name: str) -> None:
    """The error stays below the bound of the docstring, and comes close to it."""
    make = FORMATS[name][0]
    rng = np.random.default_rng(0)
    x = (rng.uniform(0, 1, (2000, BLOCK)) ** 6).astype(np.float32)
    scale = x.max(-1, keepdims=True)
    error = abs(through(make(), x) - x)
    bound = BOUNDS[name](x, scale)
    assert (error <= bound * (1 + 1e-5)).all()
    assert (error > 0.9 * bound).any()


@settings(max_examples=20)
@given(x=NUMBERS)
def test_bfloat16(x: Any) -> None:
    """The nearest is that of a cast; at random the error is below 2⁻⁷ of the number."""
    nearest = through(codecs.bfloat16("nearest"), x)
    np.testing.assert_array_equal(nearest, x.astype(jnp.bfloat16).astype(np.float32))
    assert (abs(through(codecs.bfloat16(), x) - x) <= 2.0**-7 * abs(x)).all()


@pytest.mark.parametrize("name", [*FORMATS, "bfloat16"])
@pytest.mark.one_in(3)
def test_it_is_right_on_average(name: str) -> None:
    """The mean over many roundings is the number, to five standard errors."""
    make = FORMATS[name][0] if name in FORMATS else codecs.bfloat16
    x = np.random.default_rng(1).uniform(0.3, 1, (2, BLOCK)).astype(np.float32)
    if name in FORMATS:
        low, high = neighbours(name, x)
    else:
        low, high = x, x * (1 + 2.0**-7)
    codec, times = make(), 4096
    draws = jax.jit(jax.vmap(lambda seed: codec.encode(x, seed).decode()))
    mean = np.mean(np.asarray(draws(jnp.arange(times)), float), axis=0)
    share = (x - low) / np.where(high == low, 1, high - low)
    error = (high - low) * np.sqrt(np.maximum(share * (1 - share), 1e-3) / times)
    if name not in FORMATS:
        error = (high - low) / 2 / np.sqrt(times)
    assert (abs(mean - x) <= 5 * error + 1e-6).all()
    assert (mean != x.astype(float)).any()


def test_the_noise_is_uniform_and_independent() -> None:
    """Bits are even, and neighbours, successive seeds and salts are not correlated."""
    draw = jax.vmap(lambda s, t: noise((64, 64), s, t), in_axes=(0, 0))
    seeds = jnp.arange(32, dtype=jnp.uint32)
    for bits in (draw(seeds, 0 * seeds), draw(0 * seeds, seeds)):
        u = np.asarray(bits, float) / 2**32
        n = u.size
        counts = np.histogram(u, 64, (0, 1))[0]
        assert abs(counts - n / 64).max() < 5 * np.sqrt(n / 64)
        z = (u - 0.5) * np.sqrt(12)
        for one, other in (
            (z[1:], z[:-1]),
            (z[:, 1:], z[:, :-1]),
            (z[:, :, 1:], z[:, :, :-1]),
        ):
            assert abs((one * other).mean()) < 5 / np.sqrt(one.size)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn"])
def test_rounding_without_a_cast(dtype: str) -> None:
    """What is rounded to nearest is what a cast gives, subnormal numbers included."""
    dtype = jnp.dtype(dtype)
    info = jnp.finfo(dtype)
    rng = np.random.default_rng(0)
    low = -30 if dtype == jnp.bfloat16 else np.log2(float(info.smallest_subnormal)) - 2
    high = np.log2(float(info.max)) - 1
    x = 2.0 ** rng.uniform(low, min(high, 30), 5000) * rng.choice([-1, 1], 5000)
    halves = (x.astype(dtype).astype(float) + x.astype(np.float32)) / 2
    for values in (x.astype(np.float32), halves.astype(np.float32), np.float32([0.0])):
        got = np.asarray(jax.jit(rounded, static_argnums=1)(values, dtype))
        np.testing.assert_array_equal(got, values.astype(dtype).astype(np.float32))


# --- what is kept ------------------------------------------------------------


@every_format
@pytest.mark.one_in(6)
def test_zero_and_the_largest_are_kept(name: str) -> None:
    """Zeros, and the largest of a block, come out as they went in, however rounded.

    Where the format says so, nothing else becomes 0; what comes out is encoded to the
    same again.
    """
    make, _, keeps = FORMATS[name]
    x = np.float32(
        [[0] * BLOCK, [3e-30] + [0] * (BLOCK - 1), np.logspace(-8, 3, BLOCK)]
    )
    for rounding in ("nearest", "stochastic"):
        encoded = make(rounding=rounding).encode(x, 5)
        got = np.asarray(encoded.decode())
        np.testing.assert_array_equal(got[:2], x[:2])
        assert got[2, -1] == x[2, -1]
        assert (got[2] > 0).all() or not keeps
        again = encoded.codec.encode(got, 6)
        for one, other in zip(*map(jax.tree.leaves, (encoded, again)), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", [codecs.int8, codecs.int4, codecs.float8])
@pytest.mark.parametrize(
    "shape",
    [
        (),
        (0, 3),
        (1,),
        (7,),
        (31,),
        (300,),
        (3, 5),
        (9, 2, 129),
        (33, 1, 258),
        (40, 64),
    ],
    ids=str,
)
@pytest.mark.one_in(8)
def test_shapes(make: Any, shape: tuple[int, ...]) -> None:
    """Arrays of any shape come back, with at most one scale for a block of numbers."""
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    codec = make(block=64, rounding="nearest")
    encoded = codec.encode(x)
    got = encoded.decode()
    assert got.shape == x.shape
    assert got.dtype == jnp.float32
    error = abs(np.asarray(got) - x).max(initial=0)
    assert error <= 1.001 * abs(x).max(initial=0) / 6
    if x.size and make is not codecs.int4 and shape:
        assert encoded.codes.shape == shape
    assert encoded.scales.size <= max(2 * x.size / 64, 1)


def test_rows() -> None:
    """Without a block every row has a scale, and so has a vector and a number."""
    x = np.random.default_rng(0).normal(size=(3, 5, 700)).astype(np.float32)
    for make in (codecs.int8, codecs.int4, codecs.float8):
        encoded = make(block=None, rounding="nearest").encode(x)
        assert encoded.scales.shape == (3, 5, 1)
        np.testing.assert_array_equal(encoded.scales[..., 0], abs(x).max(-1))
        error = abs(np.asarray(encoded.decode()) - x)
        assert (error <= 1.001 * abs(x).max(-1, keepdims=True) / 6).all()
        for shape in ((0, 2), (2, 0), (4,), ()):
            small = make(block=None).encode(jnp.ones(shape))
            np.testing.assert_array_equal(small.decode(), np.ones(shape))


def test_bytes() -> None:
    """A block costs four bytes, and the codes one byte each or half of one."""
    x = jnp.ones((64, 512))
    for codec, size in (
        (codecs.bfloat16(), 2),
        (codecs.float8(), 1 + 4 / 256),
        (codecs.int8(), 1 + 4 / 256),
        (codecs.int4(), 0.5 + 4 / 128),
        (codecs.int4(32, signed=False), 0.5 + 4 / 32),
    ):
        assert codec.encode(x).nbytes == size * x.size


def test_what_is_not_finite_spoils_its_block_only() -> None:
    """NaN and infinity leave the other blocks alone, and do not pass unseen."""
    x = np.ones((3, BLOCK), np.float32)
    x[0, 3], x[1, 2] = np.nan, np.inf
    for make, _, _ in FORMATS.values():
        got = through(make(), x)
        assert not np.isfinite(got[0, 3])
        assert not np.isfinite(got[1, 2])
        np.testing.assert_array_equal(got[2], x[2])


# --- as values and trees -----------------------------------------------------


@pytest.mark.parametrize(
    "make", [codecs.bfloat16, codecs.float8, codecs.int8, codecs.int4]
)
def test_a_codec_is_a_value(make: Any) -> None:
    """It prints, compares, hashes, pickles; what it encodes is a tree of arrays."""
    codec, other = make(), make(rounding="nearest")
    assert eval(repr(codec), vars(codecs)) == codec  # noqa: S307
    assert pickle.loads(pickle.dumps(codec)) == codec  # noqa: S301
    assert hash(make()) == hash(codec)
    assert codec != other
    assert codec.replace(rounding="nearest") == other
    assert jax.tree.leaves(codec) == []
    encoded = codec.encode(jnp.linspace(-1, 1, 40))
    for same in (
        jax.tree.map(lambda x: x, encoded),
        pickle.loads(pickle.dumps(encoded)),  # noqa: S301
        jax.jit(lambda x: x)(encoded),
    ):
        assert jax.tree.structure(same) == jax.tree.structure(encoded)
        np.testing.assert_array_equal(same.decode(), encoded.decode())
    assert "shape=(40,)" in repr(encoded)


def test_vmap_is_a_loop() -> None:
    """Mapped over a stack each array is encoded for itself, and read inside or out."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5, 40)), jnp.float32)
    for codec in (codecs.int8(16), codecs.int4(16), codecs.bfloat16()):
        stack = jax.vmap(codec.encode)(x)
        expected = jnp.stack([codec.encode(one).decode() for one in x])
        np.testing.assert_array_equal(stack.decode(), expected)
        np.testing.assert_array_equal(jax.vmap(lambda e: e.decode())(stack), expected)


def test_no_gradient_goes_through() -> None:
    """The derivative of what is encoded is 0, at 0 and elsewhere."""
    for codec in (codecs.int8(16), codecs.int4(16), codecs.float8(), codecs.bfloat16()):
        slope = jax.grad(lambda x, c=codec: c.encode(x).decode().sum())
        for x in (jnp.zeros(20), jnp.linspace(-1, 1, 20)):
            np.testing.assert_array_equal(slope(x), 0)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.parametrize("codec", [codecs.int8(16), codecs.int4(16), codecs.float8()])
@pytest.mark.one_in(6)
def test_spread_over_devices(codec: Any, kind: AxisType) -> None:
    """Spread over eight devices, by rows or columns, the bits are the same.

    The codes stay where the array lies.
    """
    x = np.random.default_rng(0).normal(size=(16, 256)).astype(np.float32)
    expected = codec.encode(x, 3)
    mesh = problems.mesh(kind)
    for spec in (PartitionSpec("d", None), PartitionSpec(None, "d")):
        place = NamedSharding(mesh, spec)
        with jax.set_mesh(mesh):
            got = jax.jit(codec.encode)(jax.device_put(x, place), 3)
            back = jax.jit(lambda e: e.decode())(got)
        np.testing.assert_array_equal(got.codes, expected.codes)
        np.testing.assert_array_equal(got.scales, expected.scales)
        np.testing.assert_array_equal(back, expected.decode())
        assert got.codes.sharding.is_equivalent_to(place, 2)
        assert back.sharding.is_equivalent_to(place, 2)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: codecs.int8(0), "block must be a whole number"),
        (lambda: codecs.int4(-3), "block must be a whole number"),
        (lambda: codecs.float8(block=0), "block must be a whole number"),
        (lambda: codecs.int8(map="log"), "map must be one of linear, sqrt, dynamic"),
        (lambda: codecs.int4(map="log"), "map must be one of linear, sqrt, dynamic"),
        (lambda: codecs.int8(rounding="up"), "rounding must be one of"),
        (lambda: codecs.bfloat16("up"), "rounding must be one of"),
        (lambda: codecs.float8("e3m4"), "kind must be one of e4m3, e5m2"),
        (lambda: codecs.int8().encode(jnp.arange(3)), "int32"),
        (lambda: codecs.int8().encode(jnp.ones(3, complex)), "complex64"),
    ],
)
def test_what_is_refused(make: Any, match: str) -> None:
    """Wrong settings and arrays are refused with what is wrong about them."""
    with pytest.raises(ValueError, match=match):
        make()
