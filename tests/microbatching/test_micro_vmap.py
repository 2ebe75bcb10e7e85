"""Maps over microbatches, against jax.vmap and NumPy."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx.microbatching import AccumulationType, Accumulator, micro_vmap

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


@pytest.mark.parametrize("size", [None, 1, 4])
def test_it_maps_as_vmap_does(size: int | None) -> None:
    """Over axes of one's choice, with arguments that have none, and by name."""

    def fun(a: Any, b: Any, scale: Any, *, shift: Any) -> Any:
        return {"dot": scale * (a["x"] @ b) + shift, "sign": a["x"] > 0}

    a, b, shift = {"x": X, "rest": 1.0}, X.T, jnp.arange(12.0)
    axes = ({"x": 0, "rest": None}, 1, None)
    found = micro_vmap(fun, axes, microbatch_size=size)(a, b, 2.0, shift=shift)
    expected = jax.vmap(fun, axes)(a, b, 2.0, shift=shift)
    np.testing.assert_allclose(found["dot"], expected["dot"], rtol=1e-6)
    np.testing.assert_array_equal(found["sign"], expected["sign"])


@pytest.mark.parametrize("size", [None, 4])
def test_results_are_taken_together(size: int | None) -> None:
    """Sums and means are over all examples, as each part of the result is told."""
    kinds = (
        AccumulationType.SUM,
        {"mean": AccumulationType.MEAN, "running": AccumulationType.RUNNING_MEAN},
        AccumulationType.SUM,
    )

    def fun(x: Any) -> Any:
        return x**2, {"mean": x, "running": x.sum()}, x > 0

    total, means, positive = micro_vmap(fun, accumulator=kinds, microbatch_size=size)(X)
    np.testing.assert_allclose(total, (X**2).sum(0), rtol=1e-5)
    np.testing.assert_allclose(means["mean"], X.mean(0), rtol=1e-4)
    np.testing.assert_allclose(means["running"], X.sum(1).mean(), rtol=1e-4)
    np.testing.assert_array_equal(positive, (X > 0).sum(0))  # how many


@pytest.mark.parametrize("size", [None, 4])
def test_its_own_accumulator(size: int | None) -> None:
    """Examples are aggregated in each microbatch; finalize is run whatever the size."""
    root = Accumulator(
        init=lambda kind: jnp.zeros(kind.shape, kind.dtype),
        update=lambda carry, x, _: carry + x,
        finalize=jnp.sqrt,
        aggregate=lambda x: jnp.sum(x**2, axis=0),
    )
    norm = micro_vmap(lambda x: x, accumulator=root, microbatch_size=size)(X)
    np.testing.assert_allclose(norm, np.linalg.norm(X, axis=0), rtol=1e-6)


@pytest.mark.parametrize("size", [None, 2])
def test_half_precision_is_summed_in_float32(size: int | None) -> None:
    """Examples and microbatches add up beyond the largest float16."""
    x = jnp.float16([60000, -60000, 60000, -60000])
    run = partial(micro_vmap, lambda x: x, microbatch_size=size)
    total = run(accumulator=AccumulationType.SUM)(x)
    mean = run(accumulator=AccumulationType.MEAN)(x[::2])
    assert total.dtype == mean.dtype == jnp.float16
    assert total == 0
    assert mean == 60000


def test_left_out_microbatches() -> None:
    """Examples i, i + n, ... of the microbatches that are run are mapped."""
    found = micro_vmap(
        lambda x: x, microbatch_size=4, num_real_microbatches=jnp.int32(2)
    )(X)
    run = np.arange(12) % 3 < 2
    np.testing.assert_array_equal(found, X * run[:, None])


def test_what_maps_is_one_s_own() -> None:
    """The mapping function is given the function and the axes by position."""
    seen = []

    def mapping(fun: Any, in_axes: Any, out_axes: Any) -> Any:
        seen.append((in_axes, out_axes))
        return jax.vmap(fun, in_axes, out_axes, axis_name="examples")

    def centred(x: Any) -> Any:
        return x - jax.lax.pmean(x, "examples")

    found = micro_vmap(centred, 0, microbatch_size=12, vmap_fn=mapping)(X)
    np.testing.assert_allclose(found, X - X.mean(0, keepdims=True), atol=1e-6)
    assert seen == [((0,), 0)]


REFUSED = [
    (lambda: micro_vmap(abs, 0, 1), "out_axes must be 0, got 1"),
    (lambda: micro_vmap(abs, microbatch_size=-1), "microbatch_size must be"),
    (lambda: micro_vmap(abs, num_real_microbatches=1), "give microbatch_size"),
    (lambda: micro_vmap(abs, (0, 0))(X), "each of the 1 positional arguments"),
    (lambda: micro_vmap(abs, None, microbatch_size=2)(X), "nothing to cut"),
    (lambda: micro_vmap(abs, microbatch_size=5)(X), "12 in argument 0 must be divis"),
    (lambda: micro_vmap(abs, accumulator=max)(X), "an accumulator must be one of"),
]


@pytest.mark.parametrize(
    ("call", "words"), REFUSED, ids=[words for _, words in REFUSED]
)
def test_refusals(call: Any, words: str) -> None:
    """What does not fit is refused with the argument's name and what came."""
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert str(error.value).startswith("micro_vmap: ")
