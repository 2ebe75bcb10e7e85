"""Gradients of examples made one, against means and variances by NumPy."""

import pickle
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx.experimental import aggregating
from gradtx.experimental.aggregating import Aggregator

RNG = np.random.default_rng(0)
PARAMS = {"w": jnp.float32([1.0, -2.0]), "b": jnp.float32(0.5)}
# Six batches of four examples.
BATCHES = {
    "w": RNG.normal(size=(6, 4, 2)).astype(np.float32),
    "b": RNG.normal(size=(6, 4)).astype(np.float32),
}


def at(i: int, tree: Any = BATCHES) -> Any:
    """Return one batch."""
    return jax.tree.map(lambda x: x[i], tree)


def run(tx: Any, grads: Any = BATCHES, params: Any = PARAMS) -> tuple[list[Any], Any]:
    """Take a jitted step for each batch; return the updates and the last state."""
    state, update, path = tx.init(params), jax.jit(tx.update), []
    for i in range(len(jax.tree.leaves(grads)[0])):
        updates, state = update(at(i, grads), state, params)
        path.append(updates)
    return path, state


def close(found: Any, expected: Any, rtol: float = 1e-5) -> None:
    """Compare two trees."""
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6),
        found,
        expected,
    )


# --- means -------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, -1, (0, 2), [1, -1]])
def test_the_mean_over_the_examples(axis: Any) -> None:
    """The axes of the examples go, wherever they are; their sizes are the batch."""
    g = RNG.normal(size=(3, 4, 5)).astype(np.float32)
    several = tuple(np.atleast_1d(axis))
    found, _ = aggregating.average_per_element_updates(axis).update({"w": g}, ())
    np.testing.assert_allclose(found["w"], g.mean(several), rtol=1e-5, atol=1e-6)
    size = aggregating.get_batch_size_from_per_elt_updates({"w": g}, axis)
    assert size == np.prod([g.shape[i] for i in several])
    assert type(size) is int


def test_means_over_steps() -> None:
    """Every k-th update is the mean of k, and zero are the others; then all is anew."""
    tx = aggregating.accumulate_avg_updates(3)
    means = jax.tree.map(lambda g: g.mean(1), BATCHES)
    path, state = run(tx, means)
    for i in range(6):
        expected = jax.tree.map(
            lambda m, i=i: m[i - 2 : i + 1].mean(0) if i in (2, 5) else m[i] * 0, means
        )
        close(path[i], expected)
    assert int(state.micro_step) == 0
    assert bool(state.ready)
    close(state.avg_grad, jax.tree.map(jnp.zeros_like, PARAMS))


@pytest.mark.parametrize("axis", [0, None])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.one_in(2)
def test_an_optimizer_on_means_of_means(axis: int | None, steps: int) -> None:
    """It takes the steps that it takes alone on means over examples and batches."""
    tx = aggregating.process(
        gradtx.identity(),
        aggregating.average_incrementally_updates(axis, steps),
        gradtx.adam(0.1),
    )
    assert isinstance(tx, Aggregator) == (axis is not None)
    means = jax.tree.map(lambda g: g.mean(1), BATCHES)
    path, state = run(tx, means if axis is None else BATCHES)
    together = jax.tree.map(
        lambda m: m.reshape(6 // steps, steps, *m.shape[1:]).mean(1), means
    )
    expected, alone = run(gradtx.adam(0.1), together)
    for i, u in enumerate(path):
        real = (i + 1) % steps == 0
        close(u, expected[i // steps] if real else jax.tree.map(jnp.zeros_like, PARAMS))
    close(state[2], alone)


def test_before_the_mean() -> None:
    """What comes first sees every example with its parameter."""
    tx = aggregating.process(
        gradtx.chain(gradtx.clip(0.5), gradtx.add_decayed_weights(0.1)),
        aggregating.average_per_element_updates(),
        gradtx.sgd(1.0),
    )
    found, _ = tx.update(at(0), tx.init(PARAMS), PARAMS)
    expected = jax.tree.map(
        lambda g, p: -(np.clip(g, -0.5, 0.5).mean(0) + 0.1 * p), at(0), PARAMS
    )
    close(found, expected)


class Seen(NamedTuple):
    """The state of an aggregator that is ready in every second step."""

    ready: Any
    steps: Any


def test_an_aggregator_written_by_hand() -> None:
    """Its state says when it is ready, and it names arguments for what follows."""
    values = []

    def largest(g: Any, state: Seen, params: Any = None) -> Any:
        del params
        state = Seen(state.steps % 2 == 1, state.steps + 1)
        return (jax.tree.map(lambda x: x.max(0), g), {"value": 2.0}), state

    def count(g: Any, state: Any, params: Any = None, *, value: Any) -> Any:
        del params
        values.append(value)
        return g, state + 1

    tx = aggregating.process(
        optax.identity(),
        Aggregator(lambda _: Seen(np.bool_(0), jnp.int32(0)), largest),
        optax.GradientTransformationExtraArgs(lambda _: jnp.int32(0), count),
        aggregator_has_aux=True,
    )
    assert isinstance(tx, Aggregator)
    path, state = run(tx)
    close(path[1::2], [jax.tree.map(lambda g: g.max(0), at(i)) for i in (1, 3, 5)])
    close(path[::2], [jax.tree.map(jnp.zeros_like, PARAMS)] * 3)
    assert int(state[2]) == 3
    assert values
    assert set(values) == {2.0}


# --- moments -----------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_mean_and_scatter(steps: int) -> None:
    """Of all examples of k batches: their mean, Σ |g - mean|², and their number."""
    shifted = jax.tree.map(lambda g: g + 100, BATCHES)  # so that squares are large
    tx = aggregating.get_per_element_mean_and_sum_sq_diff_grads(0, steps)
    path, _ = run(tx, shifted)
    for i, (mean, aux) in enumerate(path):
        if (i + 1) % steps:
            expected = jax.tree.map(jnp.zeros_like, PARAMS)
            close((mean, aux["sum_sq_diff_grads"]), (expected, expected))
            assert int(aux["sample_size"]) == 0
            continue
        block = jax.tree.map(
            lambda g, i=i: np.concatenate(g[i + 1 - steps : i + 1]).astype(float),
            shifted,
        )
        close(mean, jax.tree.map(lambda g: g.mean(0), block))
        scatter = jax.tree.map(lambda g: ((g - g.mean(0)) ** 2).sum(0), block)
        close(aux["sum_sq_diff_grads"], scatter, rtol=1e-3)
        assert int(aux["sample_size"]) == 4 * steps


@pytest.mark.parametrize("decay", [0.0, 0.9])
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.one_in(2)
def test_running_means_of_mean_and_variance(decay: float, steps: int) -> None:
    """They are those of NumPy's mean and sample variance, made unbiased."""
    tx = aggregating.add_mean_variance_to_opt(gradtx.sgd(0.1, 0.9), decay, 0, steps)
    path, state = run(tx)
    blocks = jax.tree.map(
        lambda g: g.reshape(6 // steps, 4 * steps, *g.shape[2:]), BATCHES
    )

    def running(values: Any) -> Any:
        ema = np.zeros_like(values[0])
        for x in values:
            ema = decay * ema + (1 - decay) * x
        return ema / (1 - decay ** len(values))

    found = aggregating.get_unbiased_mean_and_variance_ema({"within": state})
    close(found[0], jax.tree.map(lambda g: running(g.mean(1)), blocks))
    close(found[1], jax.tree.map(lambda g: running(g.var(1, ddof=1)), blocks), 1e-4)
    expected, _ = run(gradtx.sgd(0.1, 0.9), jax.tree.map(lambda g: g.mean(1), blocks))
    close(path[steps - 1 :: steps], expected)


def test_states_and_updates_are_optax_s() -> None:
    """Where optax runs too, states have its fields and values, and updates are its."""
    theirs = optax.experimental.aggregating
    for make in (
        lambda a, lib: a.add_mean_variance_to_opt(lib.sgd(0.1), 0.8, 0, 2),
        lambda a, lib: a.process(
            lib.identity(), a.average_incrementally_updates(0, 2), lib.adam(0.1)
        ),
    ):
        path, state = run(make(aggregating, gradtx))
        expected, other = run(make(theirs, optax))
        close(path, expected)
        close(jax.tree.leaves(state), jax.tree.leaves(other))
        paths = [
            [jax.tree_util.keystr(path) for path, _ in found]
            for found in map(jax.tree_util.tree_leaves_with_path, (state, other))
        ]
        assert paths[0] == paths[1]
    tracked = run(theirs.add_mean_variance_to_opt(optax.sgd(0.1)))[1]
    close(
        aggregating.get_unbiased_mean_and_variance_ema(tracked),
        theirs.get_unbiased_mean_and_variance_ema(tracked),
    )


def test_before_the_first_step_the_means_are_zero() -> None:
    """Nothing is divided by zero before anything is known."""
    state = aggregating.add_mean_variance_to_opt(gradtx.sgd(0.1)).init(PARAMS)
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    found = aggregating.get_unbiased_mean_and_variance_ema(state)
    close(found, (zeros, zeros))


# --- types, trees, values ----------------------------------------------------


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.complex64])
@pytest.mark.one_in(2)
def test_types(dtype: Any) -> None:
    """Updates keep the parameter's type; sums are wide, and scatter is real."""
    params = jnp.ones(2, dtype)
    grads = (400 + 400 * RNG.normal(size=(2, 8, 2))).astype(dtype)
    if dtype == jnp.complex64:
        grads = grads * (1 + 0.5j)
    tx = aggregating.add_mean_variance_to_opt(gradtx.sgd(0.1), accumulation_steps=2)
    path, state = run(tx, jnp.asarray(grads), params)
    mean, variance = aggregating.get_unbiased_mean_and_variance_ema(state)
    exact = grads.reshape(16, 2).astype(complex)
    # The mean of the step is an update, so that it was rounded once.
    once = max(float(jnp.finfo(dtype).eps), 1e-5)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=once)
    np.testing.assert_allclose(variance, exact.var(0, ddof=1), rtol=1e-4)
    assert path[1].dtype == dtype
    assert variance.dtype == jnp.float32
    kinds = jax.tree.map(jnp.result_type, tx.init(params))
    assert jax.tree.map(jnp.result_type, state) == kinds


def test_without_parameters_the_gradients_types_are_kept() -> None:
    """Half-precision gradients have half-precision means, also of several steps."""
    grads = jnp.ones((4, 2), jnp.bfloat16)
    for tx in (
        aggregating.average_incrementally_updates(0, 2),
        aggregating.get_per_element_mean_and_sum_sq_diff_grads(0, 1),
        aggregating.get_per_element_mean_and_sum_sq_diff_grads(0, 2),
    ):
        found, _ = tx.update(grads, tx.init(grads[0]))
        mean = found[0] if isinstance(found, tuple) else found
        assert mean.dtype == jnp.bfloat16


def test_what_follows_may_change_types() -> None:
    """State and updates keep their types whatever another library's pair returns."""
    widening = optax.GradientTransformation(
        lambda _: jnp.bfloat16(0),
        lambda g, s, _=None: (g.astype(jnp.float32), s.astype(jnp.float32) + 1),
    )
    for steps in (1, 2):
        average = aggregating.average_incrementally_updates(0, steps)
        tx = aggregating.process(gradtx.identity(), average, widening)
        grads = jnp.ones((2, 4, 2), jnp.bfloat16)
        path, state = run(tx, grads, grads[0, 0])
        assert path[1].dtype == state[2].dtype == jnp.bfloat16
        assert int(state[2]) == 2 // steps


def test_leaves_that_are_none() -> None:
    """What has no gradient is passed over, and an empty tree has an empty mean."""
    tx = aggregating.process(
        gradtx.identity(),
        aggregating.average_incrementally_updates(0, 2),
        gradtx.sgd(1.0),
    )
    params = {"w": jnp.ones(2), "frozen": None}
    path, _ = run(tx, {"w": BATCHES["w"], "frozen": None}, params)
    close(path[1]["w"], -BATCHES["w"][:2].mean((0, 1)))
    assert path[1]["frozen"] is None
    assert tx.update({}, tx.init({}), {})[0] == {}


MADE = [
    aggregating.average_per_element_updates((0, 1)),
    aggregating.accumulate_avg_updates(3),
    aggregating.average_incrementally_updates(0, 2),
    aggregating.average_incrementally_updates(None, 2),
    aggregating.get_per_element_mean_and_sum_sq_diff_grads([0], 2),
    aggregating.track_per_element_mean_and_variance_with_ema(0.5),
    aggregating.add_mean_variance_to_opt(gradtx.adam(0.1), 0.5),
    aggregating.process(
        gradtx.clip(1.0), aggregating.average_per_element_updates(), gradtx.sgd(0.1)
    ),
]


@pytest.mark.parametrize("value", MADE, ids=repr)
def test_they_are_values(value: Any) -> None:
    """What prints makes it again; it survives trees and pickle, class and all."""
    known = {**vars(gradtx), **vars(aggregating)}
    others = [
        eval(repr(value), known),  # noqa: S307
        pickle.loads(pickle.dumps(value)),  # noqa: S301
        jax.tree.map(lambda x: x, value),
    ]
    for other in others:
        assert other == value
        assert hash(other) == hash(value)
        assert type(other) is type(value)


def test_numbers_move_within_a_program() -> None:
    """One program serves all rates, and a sweep is a map over optimizers."""
    traces = []

    @jax.jit
    def first(tx: Any) -> Any:
        traces.append(1)
        state = tx.update(at(0), tx.init(PARAMS), PARAMS)[1]
        return state[2][0].mean_grads_ema["b"]

    tx = aggregating.add_mean_variance_to_opt(gradtx.sgd(0.1), 0.9)
    m = BATCHES["b"][0].mean()
    np.testing.assert_allclose(first(tx), 0.1 * m, rtol=1e-5)
    np.testing.assert_allclose(first(tx.replace(ema_decay=0.5)), 0.5 * m, rtol=1e-5)
    assert len(traces) == 1
    other = tx.replace(ema_decay=0.5).update(at(0), tx.init(PARAMS), PARAMS)[1]
    known = aggregating.get_unbiased_mean_and_variance_ema(other)[0]["b"]
    np.testing.assert_allclose(known, m, rtol=1e-5)  # by the rate of the step
    stack = jax.tree.map(lambda *x: jnp.stack(x), tx, tx.replace(ema_decay=0.5))
    np.testing.assert_allclose(jax.vmap(first)(stack), [0.1 * m, 0.5 * m], rtol=1e-5)


# --- what is refused ---------------------------------------------------------

ONE = aggregating.add_mean_variance_to_opt(gradtx.sgd(0.1))
AVERAGE = aggregating.average_per_element_updates()
TRACK = aggregating.track_per_element_mean_and_variance_with_ema()
REFUSED = [
    (lambda: aggregating.accumulate_avg_updates(0), "accumulation_steps must be"),
    (lambda: aggregating.average_incrementally_updates(0, -1), "accumulation_steps"),
    (lambda: aggregating.average_per_element_updates(0.5), "an axis or several"),
    (lambda: aggregating.add_mean_variance_to_opt(gradtx.sgd(1.0), 1.0), r"\[0, 1\)"),
    (lambda: AVERAGE.update(PARAMS, ()), r"\['b'\] has shape \(\), so no axes \(0,\)"),
    (
        lambda: AVERAGE.update({"a": jnp.ones((2, 3)), "b": jnp.ones(3)}, ()),
        r"got 2 at \['a'\] and 3 at \['b'\]|got 3 at \['b'\] and 2 at \['a'\]",
    ),
    (lambda: AVERAGE.update(jnp.ones((0, 3)), ()), "at least one, got 0"),
    (
        lambda: ONE.update(jnp.ones((1, 3)), ONE.init(jnp.ones(3))),
        "one example has no variance",
    ),
    (lambda: TRACK.update(PARAMS, TRACK.init(PARAMS)), "'sum_sq_diff_grads'"),
    (
        lambda: aggregating.get_batch_size_from_per_elt_updates({}, 0),
        "got no leaves",
    ),
    (lambda: aggregating.get_unbiased_mean_and_variance_ema(()), "must hold one"),
    (
        lambda: aggregating.get_unbiased_mean_and_variance_ema(
            [TRACK.init(PARAMS)] * 2
        ),
        "got 2",
    ),
]


@pytest.mark.parametrize(
    ("call", "words"), REFUSED, ids=[words for _, words in REFUSED]
)
def test_refusals(call: Any, words: str) -> None:
    """What does not fit is refused, with what came."""
    with pytest.raises(ValueError, match=words):
        call()
