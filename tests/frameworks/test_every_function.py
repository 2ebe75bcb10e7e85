"""What sees and steers an optimizer, on one small model in the trees of each framework.

Haiku's tree is made by hand in its form, a dictionary for each module, as Haiku itself
is not among what the tests need.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import gradtx
from gradtx.groups import paths

RATE = gradtx.linear_schedule(1.0, 0.0, 10)


class Form(NamedTuple):
    """A model of an embedding, two dense layers and a norm, as a framework has it."""

    params: Any
    embedding: str
    layers: tuple[str, str]
    norm: str
    weight: str = "kernel"
    bias: str = "bias"
    scale: str = "scale"
    shift: str = "bias"

    @property
    def names(self) -> list[str]:
        """The paths, in the order in which the model would be run."""
        dense = [f"{x}/{y}" for x in self.layers for y in (self.weight, self.bias)]
        norm = [f"{self.norm}/{x}" for x in (self.scale, self.shift)]
        return [self.embedding, *dense, *norm]

    @property
    def weights(self) -> set[str]:
        """The paths of the matrices."""
        return {f"{x}/{self.weight}" for x in self.layers}


class Linen(linen.Module):
    """The model in Linen."""

    @linen.compact
    def __call__(self, tokens: Any) -> Any:
        """Apply it."""
        x = linen.Embed(3, 4, name="embed")(tokens)
        for i in range(2):
            x = linen.Dense(4, name=f"layers_{i}")(x)
        return linen.LayerNorm(name="norm")(x)


class Nnx(nnx.Module):
    """The model in NNX, with a random key and a count in its state."""

    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.embed = nnx.Embed(3, 4, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(2)])
        self.norm = nnx.LayerNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)


class Equinox(eqx.Module):
    """The model in Equinox, with a function in its tree."""

    embed: Any
    layers: list[Any]
    norm: Any
    activation: Callable[[Any], Any] = jax.nn.relu

    def __init__(self) -> None:
        key = jax.random.key(0)
        self.embed = eqx.nn.Embedding(3, 4, key=key)
        self.layers = [eqx.nn.Linear(4, 4, key=key) for _ in range(2)]
        self.norm = eqx.nn.LayerNorm(4)


def plain(embedding: str, layers: tuple[str, str], norm: str, *names: str) -> Form:
    """Return the model as dictionaries, a path of several names being one of a dict."""
    form = Form({}, embedding, layers, norm, *names)
    for name in form.names:
        module, _, leaf = name.rpartition("/")
        shape = (3, 4) if name == embedding else (4, 4) if name in form.weights else 4
        form.params.setdefault(module, {})[leaf] = jnp.ones(shape)
    return form


def linen_params() -> Any:
    """Return the variables of Linen."""
    return Linen().init(jax.random.key(0), jnp.zeros(2, int))


NAMES = ("embed/embedding", ("layers_0", "layers_1"), "norm")
OF_NNX = ("embed/embedding", ("layers/0", "layers/1"), "norm")
OF_EQUINOX = (
    *("embed/weight", ("layers/0", "layers/1"), "norm"),
    *("weight", "bias", "weight", "bias"),
)
OF_HAIKU = (
    *("model/embed/embeddings", ("model/linear", "model/linear_1"), "model/~/norm"),
    *("w", "b", "scale", "offset"),
)
FORMS: dict[str, Callable[[], Form]] = {
    "linen": lambda: Form(linen_params()["params"], *NAMES),
    "nnx parameters": lambda: Form(nnx.state(Nnx(), nnx.Param), *OF_NNX),
    "nnx state": lambda: Form(nnx.state(Nnx()), *OF_NNX),
    "nnx pure": lambda: Form(nnx.to_pure_dict(nnx.state(Nnx(), nnx.Param)), *OF_NNX),
    "equinox": lambda: Form(eqx.filter(Equinox(), eqx.is_inexact_array), *OF_EQUINOX),
    "equinox module": lambda: Form(Equinox(), *OF_EQUINOX),
    "haiku": lambda: plain(*OF_HAIKU),
    "plain": lambda: plain(*NAMES),
}


def every_form(test: Any) -> Any:
    """Try a law on all forms; by default on some, those of each law being others."""
    return pytest.mark.one_in(3)(pytest.mark.parametrize("name", FORMS)(test))


@cache
def form(name: str) -> Form:
    """Return the model in a form, made once."""
    return FORMS[name]()


def filled(tree: Any, value: float) -> Any:
    """Return gradients of one value, and None for what can have none."""

    def one(x: Any) -> Any:
        known = isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.inexact)
        return jnp.full_like(x, value) if known else None

    return jax.tree.map(one, tree)


def by_name(tree: Any) -> dict[str, Any]:
    """Return the leaves by their paths, without what is None."""
    names, _ = paths.paths_of(tree)
    leaves = jax.tree.leaves(tree, is_leaf=lambda x: x is None)
    return {k: x for k, x in zip(names, leaves, strict=True) if x is not None}


def optimizer(this: Form) -> Any:
    """Return one that has all: metrics, a clip around groups, decay by layers."""
    adamw = gradtx.get("adamw", learning_rate=RATE, mask=gradtx.decay_mask)
    tuned = gradtx.layer_decay(adamw, 0.5)
    groups = gradtx.by_path({this.embedding: None}, default=tuned)
    clipped = gradtx.chain(gradtx.clip_by_global_norm(1.0), groups)
    return gradtx.with_metrics(clipped, lambda path: path.split("/")[-1])


@cache
def stepped(name: str) -> tuple[Any, Any, Any]:
    """Take a step, jitted but for a tree that holds functions, which jit refuses."""
    this = form(name)
    tx = optimizer(this)
    update = tx.update if name == "equinox module" else jax.jit(tx.update)
    grads = filled(this.params, 1.0)
    return tx, *update(grads, tx.init(this.params), this.params)


@every_form
@pytest.mark.one_in(2)
def test_groups(name: str) -> None:
    """The first pattern that matches wins, also in the table; one norm is of all."""
    this = form(name)
    bias = f"{this.layers[0]}/{this.bias}"
    groups = {bias: gradtx.sgd(1.0), this.layers[0]: gradtx.sgd(2.0)}
    rest = {this.embedding: None}
    tx = gradtx.by_path(groups | rest, default=gradtx.sgd(3.0))
    clipped = gradtx.chain(gradtx.clip_by_global_norm(np.sqrt(60) / 2), tx)
    updates, _ = clipped.update(
        filled(this.params, 1.0), clipped.init(this.params), this.params
    )
    got = {k: float(u.min()) for k, u in by_name(updates).items() if u.ndim}
    first = f"{this.layers[0]}/{this.weight}"
    expected = dict.fromkeys(this.names, -1.5)
    expected |= {this.embedding: 0, bias: -0.5, first: -1.0}
    assert got == pytest.approx(expected)
    described = {x.pattern: x for x in gradtx.describe(tx, this.params).groups}
    assert described[bias].methods == ("sgd(learning_rate=1.0)",)
    assert described[first].methods == ("sgd(learning_rate=2.0)",)
    assert described[this.embedding].frozen


@every_form
@pytest.mark.one_in(8)
def test_a_step(name: str) -> None:
    """Kernels alone decay, and each layer below moves half as far: so it is told.

    Groups, bytes, settings and norms are those of this step.
    """
    this, (tx, updates, state) = form(name), stepped(name)
    described = gradtx.describe(tx, this.params).groups
    assert {p for x in described for p in x.paths if x.decayed} == this.weights
    assert this.embedding in next(x.paths for x in described if x.frozen)
    reported = gradtx.report(tx, this.params, compiled=name == "nnx state")
    assert reported.gradient_bytes == 4 * 60
    assert sum(x.state_bytes for x in reported.groups) == 2 * 4 * 48
    settings = gradtx.hyperparams(tx, state)
    assert settings["inner/by_path/default/tx/learning_rate"] == pytest.approx(0.9)
    assert gradtx.learning_rate(tx, state) == pytest.approx(0.9)
    got = gradtx.metrics(state)
    assert got["gradient_norm"] == pytest.approx(np.sqrt(60))
    assert got[f"gradient_norm/{this.weight}"] >= np.sqrt(32)
    moved = sum(float((u**2).sum()) for u in by_name(updates).values() if u.ndim)
    assert got["update_norm"] == pytest.approx(np.sqrt(moved))
    assert (got["learning_rate"], got["clipped_share"]) == (1, 1)
    flags = by_name(gradtx.decay_mask(this.params))
    assert {k for k, x in flags.items() if x} == this.weights
    moves = {k: -float(u.max()) for k, u in by_name(updates).items()}
    assert moves[this.embedding] == 0
    biases = [f"{x}/{this.bias}" for x in this.layers] + [f"{this.norm}/{this.shift}"]
    assert [moves[k] for k in biases] == pytest.approx([0.25, 0.5, 1], rel=1e-3)


@every_form
def test_a_plan_and_routes(name: str) -> None:
    """Shapes are those of the arrays; the two kernels are matrices."""
    this = form(name)
    plan = gradtx.plan(this.params, 4 * 60 * 4 + 12)
    assert plan["float32 state"].state_bytes == 2 * 4 * 60 + 4
    routes = gradtx.matrices(this.params)
    assert {k for k, axes in routes.items() if axes} == this.weights
    muon = gradtx.muon(0.1, muon_weight_dimension_numbers=routes)
    described = gradtx.describe(muon, this.params).groups
    by_muon = [x for x in described if x.methods[0].endswith(": muon")]
    assert {path for x in by_muon for path in x.paths} == this.weights


@every_form
@pytest.mark.one_in(8)
def test_unfreezing_keeps_the_others(name: str) -> None:
    """Of the state of a run all goes on, and what was frozen starts anew."""
    this, (tx, _, state) = form(name), stepped(name)
    free = gradtx.by_path(
        {this.embedding: gradtx.adam(0.1)},
        default=gradtx.layer_decay(gradtx.adamw(RATE, mask=gradtx.decay_mask), 0.5),
    )
    new, changes = gradtx.migrate(tx, state, free, this.params)
    assert "ScaleByAdamState.nu of " + this.embedding in changes.made
    kept = gradtx.tree.get(state, "default").inner_state[0]
    carried = new.inner_states["default"].inner_state[0]
    for one, other in zip(*map(jax.tree.leaves, (kept, carried)), strict=True):
        np.testing.assert_array_equal(one, other)
    updates, _ = free.update(filled(this.params, 1.0), new, this.params)
    assert by_name(updates)[this.embedding].max() == pytest.approx(-0.1)
    with pytest.raises(ValueError, match=r"MetricsState.*by_path|by_path.*Metrics"):
        free.update(filled(this.params, 1.0), state, this.params)


@every_form
def test_a_state_from_elsewhere(name: str) -> None:
    """What PyTorch and Keras kept for a parameter comes to its path, turned."""
    this = form(name)
    params = this.params
    rng = np.random.default_rng(0)
    arrays = by_name(params)
    mean = {k: rng.random(arrays[k].shape) for k in this.names}
    there = {k: x.T if x.shape == (4, 4) else x for k, x in mean.items()}
    kept = {
        i: {"step": 7, "exp_avg": there[k], "exp_avg_sq": there[k]}
        for i, k in enumerate(this.names)
    }
    group = {"params": range(7), "lr": 0.1, "betas": (0.9, 0.99)}
    torch, keras = gradtx.like.torch, gradtx.like.keras
    of_torch = torch.from_param_groups(torch.AdamW, [group], this.names)
    as_here = this.weight == "weight"
    variables = [7, 0.1, *(x for k in this.names for x in [there[k]] * 2)]
    of_keras = keras.Adam(0.1)
    states = [
        (torch.state_from(of_torch, {"state": kept}, params, this.names), not as_here),
        (keras.state_from(of_keras, variables, params, this.names), as_here),
    ]
    for state, turned in states:
        assert gradtx.tree.get(state, "ScaleByAdamState.count") == 7
        for slot in ("mu", "nu"):
            got = by_name(gradtx.tree.get(state, slot))
            for k in this.names:
                expected = mean[k] if turned else there[k]
                np.testing.assert_allclose(got[k], expected, rtol=1e-6, err_msg=k)


@every_form
def test_written_and_read(name: str) -> None:
    """Groups and masks by path are data; a mask of a framework's class is refused."""
    this = form(name)
    tx = optimizer(this).recipe.arguments["inner"]
    assert gradtx.from_config(json.loads(json.dumps(gradtx.to_config(tx)))) == tx
    with pytest.raises(ValueError, match="'groups' of with_metrics is"):
        gradtx.to_config(optimizer(this))
    masked = gradtx.adamw(0.1, mask=gradtx.decay_mask(this.params))
    if type(this.params) is dict:
        assert gradtx.from_config(gradtx.to_config(masked)) == masked
        return
    with pytest.raises(ValueError, match=r"'mask' of adamw is .*mask_by_path"):
        gradtx.to_config(masked)


@every_form
@pytest.mark.one_in(4)
def test_laws_are_checked(name: str) -> None:
    """On the parameters of each framework, what keeps the laws passes all ten."""
    this = form(name)
    tx = gradtx.by_path({this.embedding: None}, default=gradtx.sgd(0.1, 0.9))
    needs_jit = ("jit", "one program", "scan", "shapes")
    left = needs_jit if name == "equinox module" else ()
    found = gradtx.testing.check(tx, this.params, leave_out=left)
    assert len(found) == 10 - len(left)


@every_form
def test_a_pattern_for_nothing(name: str) -> None:
    """It is refused with the closest paths, in the form that patterns take."""
    this = form(name)
    wrong = f"**/{this.weight}s"
    for tx in (
        gradtx.by_path({wrong: None}, default=None),
        gradtx.freeze(gradtx.mask_by_path(wrong)),
    ):
        with pytest.raises(ValueError, match=rf"closest are '.*/{this.weight}'"):
            tx.init(this.params)


def test_the_metrics_of_an_optimizer_of_nnx() -> None:
    """They are arrays, whatever the state's own are kept in, also when jitted."""
    model = nnx.Linear(8, 4, rngs=nnx.Rngs(0))
    tx: Any = gradtx.with_metrics(gradtx.adam(RATE))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    optimizer.update(model, nnx.state(model, nnx.Param))
    for read in (gradtx.metrics, nnx.jit(gradtx.metrics)):
        got = read(optimizer.opt_state)
        assert all(isinstance(x, jax.Array) for x in got.values())
        assert f"{got['learning_rate']:.1f}" == "1.0"
