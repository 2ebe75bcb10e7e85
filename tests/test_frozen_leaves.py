"""What cannot have a gradient is frozen, by every optimizer and every wrapper."""

from collections.abc import Callable
from functools import partial
from typing import Any

import catalogue
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from catalogue import ROWS, Row
from flax import nnx
from flax.training.train_state import TrainState

import gradtx
from gradtx import contrib
from gradtx.experimental import aggregating

Tree = Any
every_row = pytest.mark.parametrize("row", ROWS, ids=catalogue.NAMES)

# Beside the parameters: what a program of arrays may hold, and what else a model may.
ARRAYS = {
    "codes": jnp.arange(-2, 2, dtype=jnp.int8),
    "flag": jnp.array(True),  # noqa: FBT003
    "key": jax.random.key(1),
}
OTHERS = {"activation": jnp.tanh, "name": "float32", "steps": 3, "type": jnp.float32}
NOTHING = dict.fromkeys(OTHERS)


def float0(shape: tuple[int, ...]) -> Any:
    """Return what JAX gives for the gradient of an integer."""
    return np.zeros(shape, jax.dtypes.float0)


MISSING = {"codes": float0((4,)), "flag": float0(()), "key": float0(())}
NONE = dict.fromkeys(ARRAYS)
# As a partition makes updates for what it freezes.
ZEROS = {**MISSING, "codes": jnp.zeros(4, jnp.int8), "flag": jnp.array(False)}  # noqa: FBT003


def params_of(frozen: Tree) -> Tree:
    """Return parameters with frozen ones between them, at two depths."""
    moving = problems.small_tree()
    return {"a": frozen, "b": moving["b"], "layer": {"f": frozen, "w": moving["w"]}}


def moving(tree: Tree) -> Tree:
    """Return what is of the parameters that move."""
    return {"b": tree["b"], "w": tree["layer"]["w"]}


def trained(tx: Any, frozen: Tree, *missing: Tree) -> list[Tree]:
    """Take steps; return the updates, the leaves of the state, and the parameters."""
    params = params_of(frozen)
    state = tx.init(params)
    kinds = problems.shapes(state)
    path = [jax.tree.leaves(state)]
    for seed in range(2):
        noise = problems.noise(problems.small_tree(), seed)
        first, second = missing
        layer = {"f": second, "w": noise["w"]}
        grads = {"a": first, "b": noise["b"], "layer": layer}
        extra = {"value": height(params), "grad": grads}
        extra |= {"value_fn": height, "obj_fn": height}
        updates, state = tx.update(grads, state, params, **extra)
        assert problems.shapes(state) == kinds
        params = gradtx.apply_updates(params, updates)
        path += [moving(updates), jax.tree.leaves(state), moving(params)]
        held = params["a"], params["layer"]["f"]
        for x in held:
            assert_same(x, frozen)
    return path


def assert_same(got: Tree, expected: Tree) -> None:
    """Two trees of anything are the same; nothing has been added to an array."""
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        same = (x == y).all() if isinstance(y, jax.Array) else x is y
        assert same


def height(params: Tree) -> Any:
    """Return the height of a bowl, from whole parameters."""
    return problems.bowl(moving(params))


def assert_left_alone(tx: Any) -> None:
    """The others move as if there were no frozen ones, and no state is made."""
    frozen = {**ARRAYS, **OTHERS}
    none, float0s, zeros = ({**x, **NOTHING} for x in (NONE, MISSING, ZEROS))
    with jax.disable_jit():
        expected = trained(tx, {}, {}, {})
        for given in ((none, float0s), (zeros, none)):
            problems.assert_close(trained(tx, frozen, *given), expected)


@every_row
@pytest.mark.one_in(32)
def test_every_optimizer_leaves_them_alone(row: Row) -> None:
    """Integers, flags, keys, functions, strings: no state, no move, not counted."""
    assert_left_alone(row.build())


ADAM = partial(gradtx.adam, 0.1)
LINE = {"a": "still", "b": "go", "layer": "go"}
OTHER: dict[str, Callable[[], Any]] = {
    "accumulate": lambda: gradtx.MultiSteps(ADAM(), 2),
    "adaptive_grad_clip": lambda: gradtx.adaptive_grad_clip(0.1),
    "add_noise": lambda: gradtx.add_noise(0.1, 0.5, 3),
    "apply_every": lambda: gradtx.apply_every(2),
    "apply_if_finite": lambda: gradtx.apply_if_finite(ADAM(), 2),
    "backtracking": lambda: gradtx.chain(
        gradtx.sgd(0.1), gradtx.scale_by_backtracking_linesearch(5, store_grad=True)
    ),
    "centralize": gradtx.centralize,
    "clip": lambda: gradtx.clip(0.1),
    "clip_by_block_rms": lambda: gradtx.clip_by_block_rms(0.1),
    "clip_by_global_norm": lambda: gradtx.clip_by_global_norm(0.1),
    "conditionally_mask": lambda: gradtx.conditionally_mask(ADAM(), lambda i: i < 1),
    "conditionally_transform": lambda: gradtx.conditionally_transform(
        ADAM(), lambda i: i < 1
    ),
    "ema": lambda: gradtx.ema(0.9),
    "flatten": lambda: gradtx.flatten(ADAM()),
    "freeze": lambda: gradtx.chain(
        gradtx.freeze({"a": True, "b": False, "layer": False}), ADAM()
    ),
    "galore": lambda: contrib.galore(0.1, rank=2),
    "identity": gradtx.identity,
    "inject_hyperparams": lambda: gradtx.inject_hyperparams(gradtx.adam)(0.1),
    "keep_params_nonnegative": gradtx.keep_params_nonnegative,
    "lbfgs": gradtx.lbfgs,
    "lookahead": lambda: gradtx.lookahead(ADAM(), 2, 0.5),
    "lookahead, reset": lambda: gradtx.lookahead(ADAM(), 2, 0.5, reset_state=True),
    "masked": lambda: gradtx.masked(ADAM(), {"a": False, "b": True, "layer": True}),
    "mechanize": lambda: contrib.mechanize(gradtx.sgd(1.0)),
    "monitor": lambda: gradtx.monitor({"norm": lambda u: gradtx.tree.norm(moving(u))}),
    "normalize": contrib.normalize,
    "pack_small_leaves": lambda: gradtx.pack_small_leaves(ADAM()),
    "partition": lambda: gradtx.chain(
        gradtx.partition({"go": ADAM(), "still": gradtx.set_to_zero()}, LINE),
        gradtx.clip_by_global_norm(0.01),
    ),
    "quantize_state": lambda: gradtx.quantize_state(ADAM(), min_size=8),
    "reduce_on_plateau": lambda: contrib.reduce_on_plateau(patience=1),
    "sam": lambda: contrib.sam(ADAM(), contrib.normalize()),
    "schedule_free": lambda: contrib.schedule_free(gradtx.sgd(0.1), 0.1),
    "set_to_zero": gradtx.set_to_zero,
    "split_real_and_imaginary": lambda: contrib.split_real_and_imaginary(ADAM()),
    "stateless": lambda: gradtx.stateless_with_tree_map(lambda g, p: g + p),
    "with_compensation": lambda: gradtx.with_compensation(ADAM()),
    "with_master_weights": lambda: gradtx.with_master_weights(ADAM()),
    "with_stochastic_rounding": lambda: gradtx.with_stochastic_rounding(ADAM(), 1),
    "zero_nans": gradtx.zero_nans,
}


@pytest.mark.parametrize("make", OTHER.values(), ids=OTHER)
@pytest.mark.one_in(8)
def test_every_wrapper_leaves_them_alone(make: Callable[[], Any]) -> None:
    """The same for what has no row of its own: wrappers, clips, searches."""
    assert_left_alone(make())


def stepped(txs: dict[str, Any], frozen: Tree, *, jit: bool) -> list[Tree]:
    """Take two steps with several, in one program; return what moves, and states."""
    params = dict.fromkeys(txs, params_of(frozen))
    states = {name: tx.init(params[name]) for name, tx in txs.items()}

    def step(params: Tree, states: Tree) -> Any:
        value, grads = jax.value_and_grad(height, allow_int=True)(params["sam"])
        extra = {"value": value, "grad": grads, "value_fn": height, "obj_fn": height}
        moved, new = {}, {}
        for name, tx in txs.items():
            p = params[name]
            updates, new[name] = tx.update(grads, states[name], p, **extra)
            moved[name] = gradtx.apply_updates(p, updates)
        return moved, new

    step = jax.jit(step) if jit else step
    path = []
    for _ in range(2):
        params, states = step(params, states)
        path += [jax.tree.map(moving, list(params.values()), is_leaf=is_params)]
        path += [jax.tree.leaves(states)]
    assert_same(params["sam"]["a"], frozen)
    return path


def is_params(x: Any) -> bool:
    """Whether this is a tree of parameters."""
    return isinstance(x, dict) and "layer" in x


def test_steps_that_are_left_out_carry_them() -> None:
    """Jitted: in loops and branches, with the gradient that JAX gives for integers."""
    names = ["accumulate", "backtracking", "lookahead, reset", "quantize_state", "sam"]
    txs = {name: OTHER[name]() for name in names}
    got, expected = (stepped(txs, x, jit=True) for x in (ARRAYS, {}))
    problems.assert_close(got, expected)


def test_functions_are_leaves_outside_of_jit() -> None:
    """Not jitted, whole models step as their arrays do, also where it is a program."""
    for name in ("accumulate", "lookahead", "sam", "backtracking"):
        tx = OTHER[name]()
        none = {**NONE, **NOTHING}
        got = trained(tx, {**ARRAYS, **OTHERS}, none, none)
        problems.assert_close(got, trained(tx, {}, {}, {}))


# --- what is refused ---------------------------------------------------------


REAL = {"int32": jnp.arange(2), "bool": jnp.array([True, False]), "key": ARRAYS["key"]}


@pytest.mark.parametrize("kind", [*REAL, "function"])
def test_a_real_gradient_for_one_is_refused(kind: str) -> None:
    """By its path and type; without parameters by the slot that it has not."""
    p = REAL.get(kind, jnp.tanh)
    params, grads = {"w": jnp.ones(2), "b": p}, {"w": jnp.ones(2), "b": jnp.ones(2)}
    for tx in (gradtx.clip_by_global_norm(1.0), gradtx.adam(0.1), gradtx.lbfgs()):
        state = tx.init(params)
        with pytest.raises(
            ValueError, match=r"\['b'\] is of type .*cannot have a grad"
        ):
            tx.update(grads, state, params, value=1.0, grad=grads, value_fn=height)
    tx = gradtx.scale_by_adam()
    with pytest.raises(ValueError, match=r"\['b'\].*without a gradient"):
        tx.update(grads, tx.init(params))
    with pytest.raises(ValueError, match=r"\['b'\] is of type .*cannot take an update"):
        gradtx.apply_updates(params, grads)


def test_no_gradient_of_a_float_is_an_integer() -> None:
    """An integer for a float is refused, and for what nobody knows; zero freezes."""
    params, grads = {"w": jnp.ones(2)}, {"w": jnp.arange(2)}
    tx = gradtx.clip(1.0)
    for given in (params, None):
        with pytest.raises(ValueError, match=r"\['w'\] is of type int32"):
            tx.update(grads, tx.init(params), given)
    for p in (jnp.arange(2), jnp.ones(2)):
        still = gradtx.set_to_zero()
        updates, _ = still.update({"w": jnp.ones(2)}, still.init({"w": p}), {"w": p})
        problems.assert_close(updates, {"w": jnp.zeros_like(p)})


# --- in frameworks -----------------------------------------------------------


def test_a_train_state_of_integers() -> None:
    """Flax's TrainState is made of them, and moves what it can, by optax's addition."""
    params = {"a": 1, "b": (2, 3), "w": jnp.ones(2)}
    state = TrainState.create(apply_fn=None, params=params, tx=gradtx.adamw(0.1))
    grads = jax.grad(lambda p: jnp.sum(p["w"] ** 2) * p["a"], allow_int=True)(params)
    state = state.apply_gradients(grads=grads)
    assert (state.params["a"], state.params["b"]) == (1, (2, 3))
    assert (state.params["w"] < 1).all()


def test_a_model_with_functions_in_it() -> None:
    """Equinox: the state of a whole model is that of its parameters."""
    model = eqx.nn.MLP(3, 2, 4, 1, activation=jax.nn.relu, key=jax.random.key(0))
    tx = gradtx.lookahead(gradtx.sgd(0.1, momentum=0.9), 2, 0.5)
    params, _ = eqx.partition(model, eqx.is_inexact_array)
    state, expected = tx.init(model), tx.init(params)
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    grads = eqx.filter_grad(lambda m: jnp.sum(m(jnp.ones(3)) ** 2))(model)
    for given in (model, params):
        updates, _ = tx.update(grads, state, given)
        want, _ = tx.update(grads, expected, params)
        problems.assert_close(jax.tree.leaves(updates), jax.tree.leaves(want))
    assert eqx.apply_updates(model, updates).activation is jax.nn.relu


def test_layers_that_are_frozen_by_their_gradients() -> None:
    """Equinox: with gradients for the last layer alone, and `update` without params."""
    model = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0))
    chosen = jax.tree.map(lambda _: False, model)
    chosen = eqx.tree_at(lambda m: m.layers[-1].bias, chosen, replace=True)
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(0.1))
    state = tx.init(model)

    @eqx.filter_jit
    def step(model: Any, state: Any) -> Any:
        trained, still = eqx.partition(model, chosen)
        grads = eqx.filter_grad(
            lambda m: jnp.sum(eqx.combine(m, still)(jnp.ones(3)) ** 2)
        )(trained)
        updates, state = tx.update(grads, state)
        return eqx.apply_updates(model, updates), state

    moved, state = step(*step(model, state))
    for old, new in zip(model.layers, moved.layers, strict=True):
        assert (old.weight == new.weight).all()
    assert (model.layers[-1].bias != moved.layers[-1].bias).all()


MASKED: dict[str, Callable[[Any], Any]] = {
    "masked": lambda mask: gradtx.masked(gradtx.adam(0.1), mask),
    "decay": lambda mask: gradtx.adamw(0.1, mask=mask),
    "radial_brake": lambda mask: gradtx.radial_brake(gradtx.adam(0.1), mask=mask),
}


@pytest.mark.parametrize("make", MASKED.values(), ids=MASKED)
def test_a_function_for_a_mask_sees_what_has_no_gradient(make: Any) -> None:
    """It makes the same mask of gradients of None as of the parameters."""
    params = {"w": jnp.ones((2, 2)), "frozen": jnp.ones((2, 2)), "f": jnp.sin}
    tx = make(lambda tree: jax.tree.map(lambda x: getattr(x, "ndim", 0) == 2, tree))
    grads = {"w": jnp.ones((2, 2)), "frozen": None, "f": None}
    updates, state = tx.update(grads, tx.init(params), params)
    tx.update(grads, state, params)
    assert updates["frozen"] is None
    assert updates["f"] is None
    assert (updates["w"] != 0).all()


class Quantized(nnx.Module):
    """A layer of integers beside a factor that is trained."""

    def __init__(self) -> None:
        """Make both parameters, of one kind to NNX."""
        self.codes = nnx.Param(jnp.arange(3, dtype=jnp.int8))
        self.factor = nnx.Param(jnp.ones(3))

    def __call__(self, x: Any) -> Any:
        """Return a number."""
        return jnp.sum(self.codes * self.factor * x)


@pytest.mark.parametrize(
    "make", [ADAM, OTHER["with_master_weights"], OTHER["quantize_state"]]
)
def test_integer_parameters_of_nnx(make: Callable[[], Any]) -> None:
    """Among the parameters of an `nnx.Optimizer` they stay, whatever is around it."""
    model = Quantized()
    optimizer = nnx.Optimizer(model, make(), wrt=nnx.Param)
    graph, params = nnx.split(model)
    grads = jax.grad(lambda p: nnx.merge(graph, p)(2.0), allow_int=True)(params)
    with jax.disable_jit():
        optimizer.update(model, grads)
    np.testing.assert_array_equal(model.codes.get_value(), [0, 1, 2])
    np.testing.assert_allclose(model.factor.get_value(), [1, 0.9, 0.9], rtol=1e-5)


def test_gradients_of_examples() -> None:
    """Their aggregation leaves out what has none."""
    params = {"w": jnp.ones(2), **ARRAYS, **OTHERS}
    missing = {"codes": float0((4, 4)), "flag": None, "key": None, **NOTHING}
    grads = {"w": jnp.arange(8.0).reshape(4, 2), **missing}
    tx = aggregating.average_per_element_updates()
    updates, _ = tx.update(grads, tx.init(params), params)
    np.testing.assert_array_equal(updates["w"], [3, 4])
    tx = aggregating.add_mean_variance_to_opt(gradtx.sgd(1.0))
    updates, _ = tx.update(grads, tx.init(params), params)
    moved = gradtx.apply_updates(params, updates)
    np.testing.assert_array_equal(moved["w"], [-2, -3])
    assert_same({**moved, "w": 0}, {**params, "w": 0})


# --- what is read from a state -----------------------------------------------


AVERAGES: dict[str, Callable[[], Any]] = {
    "lookahead": lambda: gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5),
    "flatten": lambda: gradtx.flatten(gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5)),
    "packed": lambda: gradtx.pack_small_leaves(
        gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5)
    ),
    "schedule_free": lambda: contrib.schedule_free(gradtx.sgd(0.1), 0.1),
    "sam": lambda: contrib.sam(gradtx.sgd(0.1), contrib.normalize()),
}


@pytest.mark.parametrize("make", AVERAGES.values(), ids=AVERAGES)
@pytest.mark.one_in(2)
def test_averaged_weights_are_whole(make: Callable[[], Any]) -> None:
    """They hold the frozen leaves of the parameters, and the others' averages."""
    tx, found = make(), []
    for frozen in ({**ARRAYS, **OTHERS}, {}):
        params = params_of(frozen)
        none = dict.fromkeys(frozen)
        noise = problems.noise(problems.small_tree(), 0)
        grads = {"a": none, "b": noise["b"], "layer": {"f": none, "w": noise["w"]}}
        updates, state = tx.update(grads, tx.init(params), params)
        average = gradtx.eval_params(state, gradtx.apply_updates(params, updates))
        assert_same(average["layer"]["f"], frozen)
        found.append(moving(average))
    problems.assert_close(*found)


def test_slow_weights_that_the_caller_holds_are_whole() -> None:
    """`init_synced` keeps frozen leaves in both, and a step leaves them in both."""
    tx = gradtx.lookahead(gradtx.sgd(0.1), 1, 0.5, reset_state=True)
    params = gradtx.LookaheadParams.init_synced(
        {"w": jnp.ones(2), "n": 3, "f": jnp.tanh}
    )
    grads = {"w": jnp.ones(2), "n": None, "f": None}
    updates, _ = tx.update(grads, tx.init(params), params)
    moved = gradtx.apply_updates(params, updates)
    for weights in (moved.fast, moved.slow):
        np.testing.assert_allclose(weights["w"], 0.95)
        assert (weights["n"], weights["f"]) == (3, jnp.tanh)


def test_a_state_is_mapped_beside_its_parameters() -> None:
    """`map_params` passes over the parameters that have no state."""
    tx, params = gradtx.adam(0.1), {"w": jnp.ones(2), "n": jnp.arange(2)}
    names = {"w": "layout of w", "n": "layout of n"}
    got = gradtx.tree.map_params(tx, lambda _, name: name, tx.init(params), names)
    assert got[0].mu == {"w": "layout of w", "n": None}


def test_a_norm_counts_numbers() -> None:
    """Of a tree the integers too; not keys, functions, or gradients of integers."""
    tree = {"w": jnp.float32([3.0]), "n": jnp.array([4]), **OTHERS, **MISSING}
    del tree["steps"]
    tree["key"] = ARRAYS["key"]
    assert gradtx.tree.norm(tree) == 5
    assert gradtx.tree.sum(tree) == 7
    assert gradtx.tree.size(tree) == 2
    assert (gradtx.tree.max(tree), gradtx.tree.min(tree)) == (4, 3)
    assert gradtx.tree.vdot(tree, tree) == 25
    assert gradtx.tree.allclose(tree, {**tree, "w": tree["w"] + 1e-7})
    assert not gradtx.tree.allclose(tree, {**tree, "w": tree["w"] + 1})
    clip = gradtx.clip_by_global_norm(1.0)
    grads = {"w": jnp.float32([3.0]), "n": float0((1,))}
    updates, _ = clip.update(grads, clip.init(tree))
    np.testing.assert_allclose(updates["w"], 1)
