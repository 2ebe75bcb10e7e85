"""What every loss has in common: one table of calls, and the laws they all keep."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest

from gradtx import losses

BATCH, CLASSES = 3, 4


class Call(NamedTuple):
    """A loss with arguments, the first ``floats`` of which are floating-point."""

    name: str
    args: tuple[Any, ...]
    settings: dict[str, Any] = {}  # noqa: RUF012
    floats: int = 2
    by_example: bool = True  # one number for each entry of the first axis
    differentiable: int = 1  # how many arguments have a smooth dependence

    def run(self, *args: Any) -> Any:
        """Call the loss, with other arguments if given."""
        return getattr(losses, self.name)(*(args or self.args), **self.settings)

    def jitted(self, *args: Any) -> Any:
        """Call the loss, compiled: much quicker than one operation at a time."""
        return compiled(self.name)(*args)

    def optax(self) -> Any:
        """Call optax's loss of this name."""
        loss = functools.partial(getattr(optax.losses, self.name), **self.settings)
        return jax.jit(loss)(*self.args)


def _calls() -> list[Call]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, BATCH, CLASSES))
    p, q = rng.dirichlet(np.ones(CLASSES), size=(2, BATCH))
    labels = np.array([2, 0, 3])
    signs = np.sign(y)
    pixels = rng.normal(size=(BATCH, 5, CLASSES))
    hot = np.eye(CLASSES)[rng.integers(0, CLASSES, (BATCH, 5))]
    frames = rng.normal(size=(BATCH, 6, CLASSES))
    words = np.array([[1, 2], [3, 3], [1, 0]])
    pad = np.array([[0.0, 0.0], [0, 0], [0, 1]])
    no_pad = np.zeros((BATCH, 6))
    return [
        Call("squared_error", (x, y), differentiable=2),
        Call("l2_loss", (x, y), differentiable=2),
        Call("huber_loss", (x, y), {"delta": 0.7}, differentiable=2),
        Call("log_cosh", (x, y), differentiable=2),
        Call("cosine_similarity", (x, y), differentiable=2),
        Call("cosine_distance", (x, y), {"epsilon": 1e-3}, differentiable=2),
        Call("sigmoid_binary_cross_entropy", (x, p), differentiable=2),
        Call("sigmoid_focal_loss", (x, p), {"alpha": 0.3, "gamma": 1.5}),
        Call("softmax_cross_entropy", (x, p), differentiable=2),
        Call("safe_softmax_cross_entropy", (x, p), differentiable=2),
        Call("softmax_cross_entropy_with_integer_labels", (x, labels), floats=1),
        Call("poly_loss_cross_entropy", (x, p), {"epsilon": 1.5}, differentiable=2),
        Call("hinge_loss", (x, signs)),
        Call("perceptron_loss", (x, signs)),
        Call("multiclass_hinge_loss", (x, labels), floats=1),
        Call("multiclass_perceptron_loss", (x, labels), floats=1),
        Call("sparsemax_loss", (x, p > q), floats=1),
        Call("multiclass_sparsemax_loss", (x, labels), floats=1),
        Call("kl_divergence", (np.log(p), q), differentiable=2),
        Call("kl_divergence_with_log_targets", (np.log(p), np.log(q))),
        Call("generalized_kl_divergence", (np.log(p), 2 * q), differentiable=2),
        Call("smooth_labels", (p, 0.1), floats=1),
        Call("ctc_loss", (frames, no_pad, words, pad), floats=1),
        Call(
            "ctc_loss_with_forward_probs",
            (frames, no_pad, words, pad),
            floats=1,
            by_example=False,
        ),
        Call("ranking_softmax_loss", (x, q), by_example=False, differentiable=2),
        Call("dice_loss", (pixels, hot), {"alpha": 0.3, "beta": 0.6}),
        Call("binary_dice_loss", (x, p > q), floats=1),
        Call("multiclass_generalized_dice_loss", (pixels, hot), by_example=False),
        Call("ntxent", (x, np.array([0, 1, 0])), floats=1, by_example=False),
        Call("triplet_margin_loss", (x, y, p), floats=3, differentiable=3),
    ]


CALLS = _calls()


@functools.cache
def compiled(name: str) -> Any:
    """Return a loss of the table that is compiled once for each type."""
    (call,) = (call for call in CALLS if call.name == name)
    return jax.jit(call.run)


every = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)


def in_type(call: Call, dtype: Any) -> list[Any]:
    """Return the arguments with floating-point ones in a type."""
    return [
        jnp.asarray(a, dtype if i < call.floats else None)
        for i, a in enumerate(call.args)
    ]


@functools.cache
def in_float32(name: str) -> Any:
    """Return the loss of the table's arguments in float32, compiled."""
    (call,) = (call for call in CALLS if call.name == name)
    return call.jitted(*in_type(call, jnp.float32))


def test_the_table_is_complete() -> None:
    """Every public loss is in the table, but for the maker and the old name."""
    public = {name for name in dir(losses) if callable(getattr(losses, name))}
    makers = {"make_fenchel_young_loss", "convex_kl_divergence"}
    assert {call.name for call in CALLS} == public - makers
    assert public >= {n for n in vars(optax.losses) if n.endswith("loss")}


@every
@pytest.mark.one_in(8)
def test_agrees_with_optax(call: Call) -> None:
    """In float64, on arguments of no special kind, a loss is optax's loss."""
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):  # noqa: FBT003
        got, expected = call.jitted(*call.args), call.optax()
        # What stands for the logarithm of 0 may be any large negative number.
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(
                np.maximum(a, -1e4), np.maximum(b, -1e4), rtol=1e-9, atol=1e-12
            ),
            got,
            expected,
        )


@every
@pytest.mark.one_in(16)
def test_half_precision_rounds_once(call: Call) -> None:
    """Half-precision arrays give the float32 result of their values, rounded."""
    dtype = jnp.bfloat16
    half = in_type(call, dtype)
    wide = [a.astype(jnp.float32) if a.dtype == dtype else a for a in half]
    got, exact = call.jitted(*half), call.jitted(*wide)
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a, b.astype(dtype)), got, exact
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {jnp.dtype(dtype)}


@every
def test_needs_no_promotion(call: Call) -> None:
    """Mixed types are converted on purpose: strict promotion refuses nothing."""
    with jax.numpy_dtype_promotion("strict"):
        got = jax.eval_shape(call.run, *in_type(call, jnp.float32))
    assert {x.dtype for x in jax.tree.leaves(got)} == {jnp.dtype("float32")}


BATCHED = [c for c in CALLS if c.by_example]


@pytest.mark.parametrize("call", BATCHED, ids=lambda call: call.name)
@pytest.mark.one_in(6)
def test_vmap_is_a_batch(call: Call) -> None:
    """An example alone has the loss that it has in a batch."""
    args = in_type(call, jnp.float32)
    mapped = [0 if a.ndim else None for a in args]

    def alone(*parts: jax.Array) -> jax.Array:
        return call.run(
            *(x if m is None else x[None] for x, m in zip(parts, mapped, strict=True))
        )

    single = jax.jit(jax.vmap(alone, in_axes=mapped))
    np.testing.assert_allclose(
        single(*args)[:, 0], in_float32(call.name), rtol=2e-5, atol=1e-6
    )


@every
@pytest.mark.one_in(16)
def test_gradients_are_slopes(call: Call) -> None:
    """Forward and reverse derivatives agree with finite differences."""
    smooth = call.differentiable
    with jax.enable_x64(True):  # noqa: FBT003
        args = [jnp.asarray(a) for a in call.args]
        problems.assert_slopes(
            lambda *front: call.run(*front, *args[smooth:]), *args[:smooth]
        )


# Losses of single entries, whose targets may broadcast to the predictions.
FITTED = {
    "huber_loss",
    "log_cosh",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "hinge_loss",
    "sparsemax_loss",
}

PAIRS = [c for c in CALLS if c.args[0].shape == np.shape(c.args[1])]


@pytest.mark.parametrize("call", PAIRS, ids=lambda call: call.name)
def test_a_column_against_a_row_is_refused(call: Call) -> None:
    """Shapes (n, 1, ...) and (n, ...), which broadcast to n² values, are an error."""
    first, *rest = in_type(call, jnp.float32)
    with (
        jax.numpy_rank_promotion("allow"),
        pytest.raises(ValueError, match=r"\(3, 1.*") as error,
    ):
        call.run(first[:, None], *rest)
    assert str(rest[0].shape) in str(error.value)
    assert call.name in str(error.value) or "dice" in call.name


@pytest.mark.parametrize("call", PAIRS, ids=lambda call: call.name)
def test_a_missing_class_is_refused(call: Call) -> None:
    """Vectors of different lengths are an error, also where one has length 1."""
    first, *rest = in_type(call, jnp.float32)
    parts = [rest[0][..., :-1]]
    if call.name not in FITTED:
        parts.append(rest[0][..., :1])
    for part in parts:
        with pytest.raises(ValueError, match="shape"):
            call.run(first, part, *rest[1:])


INTEGERS_ALLOWED = {
    "hinge_loss",
    "perceptron_loss",
    "multiclass_hinge_loss",
    "multiclass_perceptron_loss",
    "sparsemax_loss",
    "multiclass_sparsemax_loss",
    "dice_loss",
    "binary_dice_loss",
    "multiclass_generalized_dice_loss",
}


@every
@pytest.mark.one_in(2)
def test_types_are_refused(call: Call) -> None:
    """Complex predictions are an error; so are integers, but where scores may be."""
    first, *rest = in_type(call, jnp.float32)
    with pytest.raises(TypeError, match="complex64"):
        call.run(first.astype(jnp.complex64), *rest)
    whole = first.astype(jnp.int32)
    if call.name in INTEGERS_ALLOWED:
        as_float = call.jitted(whole.astype(jnp.float32), *rest)
        np.testing.assert_array_equal(call.jitted(whole, *rest), as_float)
    else:
        with pytest.raises(TypeError, match="int32"):
            call.run(whole, *rest)


@every
@pytest.mark.one_in(8)
def test_gradients_are_finite_at_zero(call: Call) -> None:
    """Predictions of 0 leave every gradient finite."""
    first, *rest = in_type(call, jnp.float32)

    def total(x: jax.Array) -> jax.Array:
        return sum(map(jnp.sum, jax.tree.leaves(call.run(x, *rest))))

    slope = jax.jit(jax.grad(total))(jnp.zeros_like(first))
    assert jnp.all(jnp.isfinite(slope))


LABELLED = [c for c in CALLS if c.args[1] is CALLS[10].args[1]]


@pytest.mark.parametrize("call", LABELLED, ids=lambda call: call.name)
@pytest.mark.parametrize("wrong", [-1, CLASSES, -100])
@pytest.mark.one_in(6)
def test_an_unknown_label_is_no_class(call: Call, wrong: int) -> None:
    """A label out of range, also -1, gives NaN for its example alone, and no slope."""
    scores = jnp.asarray(call.args[0], jnp.float32)
    labels = jnp.asarray([2, wrong, 3], jnp.int8)
    got = call.jitted(scores, labels)
    np.testing.assert_array_equal(jnp.isnan(got), [False, True, False])
    masked = jax.jit(
        jax.grad(lambda s: jnp.sum(jnp.where(labels == wrong, 0, call.run(s, labels))))
    )(scores)
    assert jnp.all(masked[1] == 0)
    assert jnp.all(jnp.isfinite(masked))


@pytest.mark.parametrize("call", LABELLED, ids=lambda call: call.name)
def test_labels_must_fit(call: Call) -> None:
    """Labels of another shape, or that are not integers, are an error."""
    scores = jnp.asarray(call.args[0], jnp.float32)
    for labels in (jnp.zeros((3, 1), int), jnp.zeros((), int), jnp.zeros(4, int)):
        with pytest.raises(ValueError, match=call.name):
            call.run(scores, labels)
    with pytest.raises(TypeError, match="float32"):
        call.run(scores, jnp.zeros(3))
