"""In other people's programs: the same training as with optax, to rounding."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from configurations import EXHAUSTIVE
from flax import linen as nn, nnx, serialization
from flax.training.train_state import TrainState

import gradtx
from gradtx import contrib

X = jnp.linspace(-1, 1, 12).reshape(4, 3)
Y = jnp.linspace(0, 1, 8).reshape(4, 2)
RATES: dict[str, Callable[[], Any]] = {
    "float": lambda: 0.1,
    "array": lambda: jnp.float32(0.1),
    "schedule": lambda: optax.cosine_decay_schedule(0.1, 10),
}
every_rate = pytest.mark.parametrize("rate", RATES.values(), ids=list(RATES))


def line(library: Any, rate: Any) -> Any:
    """Return the optimizer of most programs, of one library or the other."""
    clip = library.clip_by_global_norm(1.0)
    return library.chain(clip, library.adamw(rate, weight_decay=0.01))


def loss(prediction: Any) -> Any:
    """Return the mean squared error."""
    return jnp.mean((prediction - Y) ** 2)


def both(train: Callable[[Any], Any], rate: Callable[[], Any]) -> None:
    """Train with both libraries and compare."""
    problems.assert_close(train(line(gradtx, rate())), train(line(optax, rate())))


# --- optax -------------------------------------------------------------------


@every_rate
@pytest.mark.one_in(2)
def test_every_link_may_be_either_library_s(rate: Callable[[], Any]) -> None:
    """Links of both libraries, in chains of both, in any order, train alike."""

    def train(tx: Any) -> Any:
        params = problems.small_tree()
        state = tx.init(params)
        for seed in range(3):
            grads = problems.noise(params, seed)
            updates, state = tx.update(grads, state, params)
            params = optax.apply_updates(params, updates)
        return params

    expected = train(line(optax, rate()))
    for chain in (optax.chain, gradtx.chain):
        for first, second in ((optax, gradtx), (gradtx, optax), (gradtx, gradtx)):
            tx = chain(
                first.clip_by_global_norm(1.0),
                second.scale_by_adam(),
                first.add_decayed_weights(0.01),
                second.scale_by_learning_rate(rate()),
            )
            problems.assert_close(train(tx), expected)


def test_optax_wrappers_take_it() -> None:
    """What wraps optax's transformations wraps ours as well."""
    params = problems.small_tree()
    grads = problems.noise(params, 0)
    for wrap in (
        lambda lib: optax.MultiSteps(lib.adam(0.1), 2).gradient_transformation(),
        lambda lib: optax.masked(lib.adam(0.1), {"w": True, "b": False}),
        lambda lib: optax.partition(
            {"x": lib.adam(0.1), "y": lib.sgd(0.1)}, {"w": "x", "b": "y"}
        ),
        lambda lib: optax.inject_hyperparams(lib.adam)(0.1),
        lambda lib: optax.apply_if_finite(lib.adam(0.1), 3),
    ):
        ours, theirs = wrap(gradtx), wrap(optax)
        state, expected_state = ours.init(params), theirs.init(params)
        for _ in range(2):
            updates, state = ours.update(grads, state, params)
            expected, expected_state = theirs.update(grads, expected_state, params)
            problems.assert_close(updates, expected)


# --- Flax --------------------------------------------------------------------


@every_rate
@pytest.mark.one_in(3)
def test_flax_train_state(rate: Callable[[], Any]) -> None:
    """A jitted step on a Linen TrainState."""
    model = nn.Dense(2)
    params = model.init(jax.random.key(0), X)["params"]

    @jax.jit
    def step(state: TrainState) -> TrainState:
        grads = jax.grad(lambda p: loss(model.apply({"params": p}, X)))(state.params)
        return state.apply_gradients(grads=grads)

    def train(tx: Any) -> Any:
        state = TrainState.create(apply_fn=model.apply, params=params, tx=tx)
        for _ in range(3):
            state = step(state)
        return state.params

    both(train, rate)


def test_flax_checkpoints() -> None:
    """A state dict of optax's state is one of ours, and training goes on alike."""
    params = problems.small_tree()
    ours, theirs = line(gradtx, 0.1), line(optax, 0.1)
    _, state = theirs.update(problems.noise(params, 0), theirs.init(params), params)
    stored = serialization.to_bytes(state)
    restored = serialization.from_bytes(ours.init(params), stored)
    assert jax.tree.structure(restored) == jax.tree.structure(ours.init(params))
    grads = problems.noise(params, 1)
    got, _ = ours.update(grads, restored, params)
    problems.assert_close(got, theirs.update(grads, state, params)[0])


@every_rate
@pytest.mark.parametrize("jit", [lambda f: f, nnx.jit], ids=["eager", "nnx.jit"])
@pytest.mark.one_in(6)
def test_flax_nnx(rate: Callable[[], Any], jit: Callable[[Any], Any]) -> None:
    """An nnx.Optimizer, jitted or not, with every kind of learning rate."""

    @jit
    def step(model: Any, optimizer: Any) -> None:
        grads = nnx.grad(lambda m: loss(m(X)))(model)
        optimizer.update(model, grads)

    def train(tx: Any) -> Any:
        model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        for _ in range(3):
            step(model, optimizer)
        return nnx.to_pure_dict(nnx.state(model, nnx.Param))

    both(train, rate)


def flags(make: Any) -> Any:
    """Return flags for the parameters of a linear layer, in the container of NNX."""
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    return jax.tree.map(lambda x: make(x.ndim > 1), nnx.state(model, nnx.Param))


HOLDING: dict[str, Callable[[], Any]] = {
    "random key": lambda: gradtx.noisy_sgd(1e-2, key=jax.random.key(0)),
    "key of two numbers": lambda: gradtx.add_noise(0.1, 0.5, jax.random.PRNGKey(0)),
    "key of a wrapper": lambda: gradtx.with_stochastic_rounding(
        gradtx.adam(0.1), jax.random.key(0)
    ),
    "numbers in a schedule": lambda: gradtx.sgd(
        gradtx.piecewise_constant_schedule(jnp.float32(0.1), {2: jnp.float32(0.5)})
    ),
    "array in a schedule": lambda: gradtx.sgd(
        gradtx.join_schedules([gradtx.constant_schedule(0.1)] * 2, jnp.array([2]))
    ),
    "mask": lambda: gradtx.adamw(0.1, mask=flags(bool)),
    "mask of arrays": lambda: gradtx.masked(gradtx.sgd(0.1), flags(jnp.array)),
    "labels": lambda: gradtx.partition(
        {True: gradtx.sgd(0.1), False: gradtx.adam(0.1)}, flags(bool)
    ),
    "coefficients": lambda: contrib.muon(0.1, jnp.array([3.4, -4.7, 2.0])),
    "injected": lambda: gradtx.inject_hyperparams(gradtx.noisy_sgd)(
        jnp.float32(0.1), key=jax.random.key(0)
    ),
    "replaced": lambda: gradtx.sgd(0.1).replace(learning_rate=jnp.float32(0.2)),
}


@pytest.mark.parametrize("make", HOLDING.values(), ids=HOLDING)
@pytest.mark.one_in(2)
def test_flax_nnx_takes_what_holds_arrays(make: Callable[[], Any]) -> None:
    """An optimizer is no data to NNX, though it hold arrays, flags or random keys.

    As what is not data it is hashed and compared, for ``nnx.jit``.
    """
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    optimizer, other = (nnx.Optimizer(model, make(), wrt=nnx.Param) for _ in range(2))
    graph = nnx.graphdef(optimizer)
    assert (graph, hash(graph)) == (nnx.graphdef(other), hash(nnx.graphdef(other)))
    before = model.kernel.get_value()
    grads = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
    with jax.disable_jit():
        optimizer.update(model, grads)
    assert (model.kernel.get_value() != before).any()


def test_flax_nnx_has_slow_weights() -> None:
    """Lookahead in an nnx.Optimizer: its slow weights load into the model."""
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    tx = gradtx.lookahead(gradtx.adam(0.1), 2, 0.5)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    for _ in range(2):
        grads = nnx.grad(lambda m: loss(m(X)))(model)
        optimizer.update(model, grads)
    params = nnx.as_pure(nnx.state(model, nnx.Param))
    optimizer.update(model, grads)
    slow = gradtx.eval_params(nnx.as_pure(optimizer.opt_state), params)
    problems.assert_close(jax.tree.leaves(slow), jax.tree.leaves(params))
    nnx.update(model, slow)
    problems.assert_close(nnx.as_pure(nnx.state(model, nnx.Param)), params)


# --- Equinox -----------------------------------------------------------------


@every_rate
@pytest.mark.parametrize(
    "shown",
    [
        eqx.is_inexact_array,
        pytest.param(eqx.is_array, marks=EXHAUSTIVE),
        pytest.param(None, marks=EXHAUSTIVE),
    ],
)
@pytest.mark.one_in(6)
def test_equinox(rate: Callable[[], Any], shown: Any) -> None:
    """Under `filter_jit`, with filtered parameters, or the whole model in `update`.

    The gradient of a whole model is None where it has functions, as is the update.
    """
    start = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0))

    def train(tx: Any) -> Any:
        model = start
        state = tx.init(eqx.filter(model, shown or eqx.is_array))

        @eqx.filter_jit
        def step(model: Any, state: Any) -> Any:
            grads = eqx.filter_grad(lambda m: loss(jax.vmap(m)(X)))(model)
            params = model if shown is None else eqx.filter(model, shown)
            updates, state = tx.update(grads, state, params)
            return eqx.apply_updates(model, updates), state

        for _ in range(3):
            model, state = step(model, state)
        return jax.tree.leaves(eqx.filter(model, eqx.is_array))

    if shown is not None:
        both(train, rate)
        return
    expected = train(line(gradtx, rate()))
    assert all(np.isfinite(x).all() for x in expected)


def test_equinox_takes_the_optimizer_as_an_argument() -> None:
    """Another learning rate compiles nothing new when it is passed as an array."""
    model = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    params = eqx.filter(model, eqx.is_inexact_array)
    traces = []

    @eqx.filter_jit
    def step(tx: Any, state: Any, params: Any) -> Any:
        traces.append(tx)
        return tx.update(params, state, params)[0]

    for rate in (0.1, 0.2):
        tx = jax.tree.map(jnp.asarray, gradtx.adamw(rate))
        got = step(tx, tx.init(params), params)
        theirs = optax.adamw(rate)
        expected = theirs.update(params, theirs.init(params), params)[0]
        problems.assert_close(jax.tree.leaves(got), jax.tree.leaves(expected))
    assert len(traces) == 1
