"""Programs as people write them for optax: with gradtx in its place they do the same.

Each program is a function of the library, run with both.
"""

import functools
import importlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from flax import linen as nn, nnx
from flax.training import common_utils, dynamic_scale, train_state
from jax.sharding import AxisType

import gradtx

Tree = Any
X = jnp.linspace(-1, 1, 12).reshape(4, 3)
LABELS = jnp.array([0, 1, 1, 0])


# --- Linen -------------------------------------------------------------------


class Net(nn.Module):
    """A small network with running statistics."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Return logits of two classes."""
        x = nn.BatchNorm(use_running_average=False)(nn.Dense(4)(x))
        return nn.Dense(2)(nn.relu(x))


class ScaledState(train_state.TrainState):
    """A train state for half precision."""

    batch_stats: Any
    dynamic_scale: Any


def classify_images(lib: Any) -> Tree:
    """Warm up, decay by a cosine, with Nesterov's momentum and a scale of the loss.

    The scale makes the first gradients overflow, and such steps are taken back.
    """
    ramp = lib.linear_schedule(init_value=0.0, end_value=0.1, transition_steps=2)
    decay = lib.cosine_decay_schedule(init_value=0.1, decay_steps=10)
    rate = lib.join_schedules(schedules=[ramp, decay], boundaries=[2])
    variables = Net().init(jax.random.key(0), X)
    state = ScaledState.create(
        apply_fn=Net().apply,
        params=variables["params"],
        tx=lib.sgd(learning_rate=rate, momentum=0.9, nesterov=True),
        batch_stats=variables["batch_stats"],
        dynamic_scale=dynamic_scale.DynamicScale(scale=jnp.float32(3e38)),
    )

    @jax.jit
    def step(state: Any) -> Any:
        def loss(params: Tree) -> Any:
            given = {"params": params, "batch_stats": state.batch_stats}
            logits, new = state.apply_fn(given, X, mutable=["batch_stats"])
            onehot = common_utils.onehot(LABELS, num_classes=2)
            cost = lib.softmax_cross_entropy(logits=logits, labels=onehot)
            return cost.mean(), new

        scaled = state.dynamic_scale.value_and_grad(loss, has_aux=True)
        scale, finite, (cost, new), grads = scaled(state.params)
        moved = state.apply_gradients(grads=grads, batch_stats=new["batch_stats"])
        select = functools.partial(jnp.where, finite)
        return moved.replace(
            opt_state=jax.tree.map(select, moved.opt_state, state.opt_state),
            params=jax.tree.map(select, moved.params, state.params),
            dynamic_scale=scale,
        ), (cost, rate(state.step))

    seen = []
    for _ in range(7):
        state, metrics = step(state)
        seen.append(metrics)
    return jax.tree.leaves(state.params), seen


class Partitioned(nn.Module):
    """A layer whose weights say how they are laid out."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Return eight features."""
        init = nn.with_logical_partitioning(
            nn.initializers.lecun_normal(), ("embed", "mlp")
        )
        return nn.Dense(8, kernel_init=init, use_bias=False)(x)


def model_language(lib: Any) -> Tree:
    """Shard parameters and state as the model says, and donate the state.

    The rate is a schedule of the library's and one by hand, joined, and is passed as a
    static argument.
    """

    def falling(count: Any) -> Any:
        return 0.1 * (count + 3) ** -0.5 * 3**0.5

    ramp = lib.linear_schedule(init_value=0, end_value=0.1, transition_steps=3)
    rate = lib.join_schedules([ramp, falling], boundaries=[3])
    tx = lib.adamw(rate, b1=0.9, b2=0.98, eps=1e-9, weight_decay=0.1)

    def create(key: Any) -> Any:
        params = Partitioned().init(key, X)["params"]
        return train_state.TrainState.create(
            apply_fn=Partitioned().apply, params=params, tx=tx
        )

    specs = nn.get_partition_spec(jax.eval_shape(create, jax.random.key(0)))
    rules = [("embed", None), ("mlp", "d")]
    places = nn.logical_to_mesh_sharding(specs, problems.mesh(AxisType.Auto), rules)
    state = jax.jit(create, out_shardings=places)(jax.random.key(0))

    @functools.partial(
        jax.jit,
        in_shardings=(places, None),
        out_shardings=(places, None),
        static_argnums=2,
        donate_argnums=0,
    )
    def step(state: Any, x: Any, rate: Any) -> Any:
        def loss(params: Tree) -> Any:
            return jnp.mean(state.apply_fn({"params": params}, x) ** 2)

        grads = jax.grad(loss)(state.params)
        return state.apply_gradients(grads=grads), rate(state.step)

    rates = []
    for _ in range(5):
        state, now = step(state, X, rate)
        rates.append(now)
    assert problems.compiled_at_most_once(step)
    for x in jax.tree.leaves(state.opt_state):
        assert x.ndim == 0 or x.sharding.spec[-1] == "d"
    return jax.tree.leaves(state.params), rates


def classify_text(lib: Any) -> Tree:
    """Add weight decay after the optimizer, as some do, and label leaves by path."""
    params = problems.small_tree()
    labels = {"w": "train", "b": "freeze"}
    tx = lib.chain(
        lib.multi_transform(
            {"train": lib.sgd(0.1, momentum=0.9), "freeze": lib.set_to_zero()}, labels
        ),
        lib.add_decayed_weights(
            weight_decay=3e-3, mask=lambda p: {"w": True, "b": p is None}
        ),
    )
    state = train_state.TrainState.create(apply_fn=None, params=params, tx=tx)
    for seed in range(3):
        state = state.apply_gradients(grads=problems.noise(params, seed))
    return state.params


def losses_of_examples(lib: Any) -> Tree:
    """Call losses as examples call them, by keyword and by position."""
    logits = X
    onehot = lib.smooth_labels(jax.nn.one_hot(LABELS, 3), alpha=0.1)
    return [
        lib.softmax_cross_entropy(logits=logits, labels=onehot),
        lib.softmax_cross_entropy_with_integer_labels(logits=logits, labels=LABELS),
        lib.sigmoid_binary_cross_entropy(logits, onehot).mean(),
        lib.l2_loss(logits, onehot).sum(),
        lib.huber_loss(logits, onehot, delta=0.5),
        lib.losses.cosine_distance(logits, onehot),
        lib.tree.norm({"a": logits}),
    ]


# --- NNX ---------------------------------------------------------------------


def cost_of(lib: Any, model: Any) -> Any:
    """Return the mean cross entropy of a model."""
    return lib.softmax_cross_entropy_with_integer_labels(model(X), LABELS).mean()


def fit_by_lbfgs(lib: Any) -> Tree:
    """Give an NNX optimizer what a line search wants."""
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.ModelAndOptimizer(model, lib.lbfgs(), wrt=nnx.Param)
    graph, _ = nnx.split(model)

    def height(state: Any) -> Any:
        return cost_of(lib, nnx.merge(graph, state))

    @nnx.jit
    def step(optimizer: Any) -> Any:
        value_and_grad = nnx.value_and_grad(functools.partial(cost_of, lib))
        cost, grads = value_and_grad(optimizer.model)
        optimizer.update(grads, grad=grads, value=cost, value_fn=height)
        return cost

    return [step(optimizer) for _ in range(3)]


NNX = {
    "labels by shape": lambda lib: lib.partition(
        {"matrix": lib.adam(0.1), "vector": lib.sgd(0.1)},
        lambda s: jax.tree.map(lambda x: "matrix" if x.ndim > 1 else "vector", s),
    ),
    "masked decay": lambda lib: lib.adamw(
        0.1, mask=lambda s: jax.tree.map(lambda x: x.ndim > 1, s)
    ),
    "injected": lambda lib: lib.inject_hyperparams(lib.adam)(learning_rate=0.1),
    "accumulated": lambda lib: lib.MultiSteps(lib.adam(0.1), 2),
    "flattened": lambda lib: lib.flatten(lib.adam(0.1)),
}


def fit_nnx(make: Any, lib: Any) -> Tree:
    """Train under ``nnx.jit``; return the costs."""
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, make(lib), wrt=nnx.Param)

    @nnx.jit
    def step(model: Any, optimizer: Any) -> Any:
        cost, grads = nnx.value_and_grad(functools.partial(cost_of, lib))(model)
        optimizer.update(model, grads)
        return cost

    return [step(model, optimizer) for _ in range(4)]


PROGRAMS = {
    "classify images": classify_images,
    "model language": model_language,
    "classify text": classify_text,
    "losses": losses_of_examples,
    "NNX, L-BFGS": fit_by_lbfgs,
} | {f"NNX, {name}": functools.partial(fit_nnx, make) for name, make in NNX.items()}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.one_in(12)
def test_a_program_does_the_same(program: Any) -> None:
    """With optax and with gradtx, to the rounding of optax's bias correction."""
    got, expected = (jax.tree.leaves(program(lib)) for lib in (gradtx, optax))
    assert len(got) == len(expected)
    for x, y in zip(got, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=1e-6)


def test_its_parts_are_imported_by_optax_s_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Standing in for the module, it answers for the modules within."""
    for name in list(sys.modules):
        if name == "optax" or name.startswith("optax."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optax", gradtx)
    for address, name in {
        "optax": "adam",
        "optax.contrib": "muon",
        "optax.losses": "l2_loss",
        "optax.schedules": "join_schedules",
        "optax.tree_utils": "tree_norm",
        "optax.projections": "projection_simplex",
        "optax.transforms": "chain",
    }.items():
        part = importlib.import_module(address)
        own = importlib.import_module(address.replace("optax", "gradtx"))
        assert getattr(part, name) is getattr(own, name)
    for name in list(sys.modules):
        if name.startswith("optax."):
            monkeypatch.delitem(sys.modules, name)
