"""Gradients of every example, against those written by hand in NumPy."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx.microbatching import AccumulationType, micro_grad

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
Y = RNG.normal(size=12).astype(np.float32)
W = np.float32([0.5, -1.0, 2.0])
ERRORS = X @ W - Y
GRADS = ERRORS[:, None] * X  # of (x·w - y)² / 2, for every example


def loss(w: Any, x: Any, y: Any) -> Any:
    """Return half the mean squared error of a batch, or of one example."""
    return 0.5 * jnp.mean((x @ w - y) ** 2)


@pytest.mark.parametrize("size", [None, 4])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.one_in(2)
def test_gradients_are_transformed_one_by_one(size: int | None, keep: bool) -> None:
    """Sums of transformed gradients, and values and metrics of every example."""

    def fun(w: Any, x: Any, y: Any) -> Any:
        assert x.shape == ((1, 3) if keep else (3,))
        return loss(w, x, y)

    def clipped(g: Any) -> Any:
        return g / jnp.maximum(1, jnp.linalg.norm(g)), g**2

    f = micro_grad(
        fun,
        batch_argnums=(1, 2),
        keep_batch_dim=keep,
        microbatch_size=size,
        accumulator=(AccumulationType.SUM, AccumulationType.MEAN),
        transform_fn=clipped,
        metrics_fn=jnp.linalg.norm,
    )
    (bounded, squares), aux = f(W, X, Y)
    norms = np.linalg.norm(GRADS, axis=1)
    expected = (GRADS / np.maximum(1, norms)[:, None]).sum(0)
    np.testing.assert_allclose(bounded, expected, rtol=1e-4)
    np.testing.assert_allclose(squares, (GRADS**2).mean(0), rtol=1e-4)
    np.testing.assert_allclose(aux.values, ERRORS**2 / 2, rtol=1e-4)
    np.testing.assert_allclose(aux.metrics, norms, rtol=1e-4)
    assert aux.aux is None
    assert aux._fields == ("values", "metrics", "aux")


def test_it_is_the_gradient_of_the_mean() -> None:
    """Without more, the mean over the examples is what jax.grad gives."""
    f = micro_grad(
        loss,
        batch_argnums=(-2, -1),
        microbatch_size=3,
        accumulator=AccumulationType.MEAN,
    )
    gradient, aux = jax.jit(f)(W, X, Y)
    np.testing.assert_allclose(gradient, jax.grad(loss)(W, X, Y), rtol=1e-5)
    assert aux.metrics is None


def test_only_one_microbatch_is_held_in_memory() -> None:
    """Gradients of all examples would need an array of examples times parameters."""
    w, x = jnp.ones((16, 16)), jnp.ones((512, 16))

    def used(size: int | None) -> int:
        f = micro_grad(
            lambda w, x: jnp.sum(jnp.tanh(x @ w) ** 2),
            microbatch_size=size,
            transform_fn=lambda g: jnp.sort(g, axis=0),
        )
        total = jax.jit(lambda *args: f(*args)[0])
        return total.lower(w, x).compile().memory_analysis().temp_size_in_bytes

    all_gradients = 4 * w.size * len(x)
    assert used(None) >= all_gradients
    assert used(8) < all_gradients / 8


def test_several_arguments_and_something_more() -> None:
    """Gradients for a tuple of arguments; what else is returned is kept by example."""

    def fun(w: Any, x: Any, b: Any, *, y: Any) -> Any:
        assert y.shape == ()  # given by name, it is the example's own
        error = x @ w + b - y
        return 0.5 * jnp.mean(error**2), {"error": error[0]}

    f = micro_grad(
        fun, has_aux=True, argnums=(0, 2), batch_argnums=1, microbatch_size=6
    )
    (dw, db), aux = f(W, X, 0.0, y=Y)
    np.testing.assert_allclose(dw, GRADS.sum(0), rtol=1e-4)
    np.testing.assert_allclose(db, ERRORS.sum(), rtol=1e-4)
    np.testing.assert_allclose(aux.aux["error"], ERRORS, rtol=1e-4, atol=1e-6)


def test_left_out_microbatches() -> None:
    """Only the examples of the microbatches that are run give gradients."""
    f = micro_grad(
        loss, batch_argnums=(1, 2), microbatch_size=4, num_real_microbatches=2
    )
    gradient, aux = f(W, X, Y)
    run = np.arange(12) % 3 < 2
    np.testing.assert_allclose(gradient, GRADS[run].sum(0), rtol=1e-4)
    np.testing.assert_allclose(aux.values, run * ERRORS**2 / 2, rtol=1e-4)


def test_half_precision_is_summed_in_float32() -> None:
    """Gradients of bfloat16 parameters add up without being rounded on the way."""
    fun = partial(micro_grad, lambda w, x: (w * x).sum(), microbatch_size=1)
    gradient, _ = fun()(jnp.bfloat16(1), jnp.ones(1024, jnp.bfloat16))
    assert gradient.dtype == jnp.bfloat16
    assert gradient == 1024


NONE = micro_grad(loss, batch_argnums=(), microbatch_size=4)
REFUSED = [
    (lambda: micro_grad(loss, microbatch_size=0), "microbatch_size must be"),
    (lambda: micro_grad(loss, num_real_microbatches=0), "give microbatch_size"),
    (lambda: micro_grad(loss, batch_argnums=3)(W, X, Y), "argument 3 has a batch"),
    (lambda: NONE(W, X, Y), "no argument has a batch"),
    (lambda: micro_grad(loss, microbatch_size=4)(W, X, y=1.0), "'y' has no axis 0"),
]


@pytest.mark.parametrize(
    ("call", "words"), REFUSED, ids=[words for _, words in REFUSED]
)
def test_refusals(call: Any, words: str) -> None:
    """What does not fit is refused with the argument's name and what came."""
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert str(error.value).startswith("micro_grad")
