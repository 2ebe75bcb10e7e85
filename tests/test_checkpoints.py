"""Checkpoints that optax wrote: ours are restored from them, and training goes on.

In float32 the state goes on bit for bit, as do the updates of every method but those
whose bias correction optax rounds: ours are the exact ones, and optax's are as far from
them as its 1 - βᵗ is from the true one.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import problems
import pytest
from flax import serialization

import gradtx

Tree = Any
B1, B2 = 0.9, 0.999
TAKEN, MORE = 3, 3  # steps before the checkpoint, and after it


class Method(NamedTuple):
    """A call that both libraries understand."""

    make: Callable[[Any, Any], Any]
    # The decays by whose 1 - βᵗ the means are divided.
    corrected: tuple[float, ...] = ()
    held: bool = False  # whether the parameters are fast and slow ones held together


METHODS = {
    "sgd": Method(lambda lib, rate: lib.sgd(rate)),
    "momentum": Method(lambda lib, rate: lib.sgd(rate, 0.9)),
    "nesterov": Method(lambda lib, rate: lib.sgd(rate, 0.9, nesterov=True)),
    "adam": Method(lambda lib, rate: lib.adam(rate, B1, B2), (B1, B2)),
    "adamw": Method(lambda lib, rate: lib.adamw(rate, B1, B2), (B1, B2)),
    "nadam": Method(lambda lib, rate: lib.nadam(rate, B1, B2), (B1, B2)),
    "nadamw": Method(lambda lib, rate: lib.nadamw(rate, B1, B2), (B1, B2)),
    "adabelief": Method(lambda lib, rate: lib.adabelief(rate, B1, B2), (B1, B2)),
    "lookahead": Method(
        lambda lib, rate: lib.lookahead(lib.sgd(rate, 0.9), 2, 0.3), held=True
    ),
    "lookahead of adam": Method(
        lambda lib, rate: lib.lookahead(lib.adam(rate, B1, B2), 2, 0.3),
        (B1, B2),
        held=True,
    ),
    "rmsprop": Method(lambda lib, rate: lib.rmsprop(rate)),
    "rmsprop, as PyTorch": Method(
        lambda lib, rate: lib.rmsprop(rate, 0.99, eps_in_sqrt=False)
    ),
    "rmsprop with momentum": Method(lambda lib, rate: lib.rmsprop(rate, momentum=0.9)),
    "rmsprop, centered": Method(lambda lib, rate: lib.rmsprop(rate, centered=True)),
    "rmsprop, corrected": Method(
        lambda lib, rate: lib.rmsprop(
            rate, momentum=0.9, nesterov=True, bias_correction=True
        ),
        (0.9,),
    ),
    "adagrad": Method(lambda lib, rate: lib.adagrad(rate)),
    "lion": Method(lambda lib, rate: lib.lion(rate)),
    "clipped adamw": Method(
        lambda lib, rate: lib.chain(
            lib.clip(1.0), lib.adamw(rate, mask={"b": False, "w": True})
        ),
        (B1, B2),
    ),
}
RATES: dict[str, Callable[[], Any]] = {
    "float": lambda: 0.1,
    "schedule": lambda: optax.cosine_decay_schedule(0.1, 10),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
every_rate = pytest.mark.parametrize("rate", RATES.values(), ids=list(RATES))


def start(method: Method, library: Any) -> Tree:
    """Return fresh parameters, in the form in which the library's call wants them."""
    params = problems.small_tree()
    return library.LookaheadParams.init_synced(params) if method.held else params


def step(tx: Any, grads: Tree, state: Tree, params: Tree) -> Any:
    """Take one step; return the updates, the state, the parameters.

    Operation by operation, as a compiler may round products within sums or not.
    """
    with jax.disable_jit():
        updates, state = tx.update(grads, state, params)
        return updates, state, optax.apply_updates(params, updates)


def train(tx: Any, params: Tree, state: Tree, steps: range) -> list[Any]:
    """Take some steps; return all updates, states and parameters."""
    path = []
    for t in steps:
        grads = problems.noise(problems.small_tree(), t)
        updates, state, params = step(tx, grads, state, params)
        path.append((updates, state, params))
    return path


def flax_state_dict(state: Tree, target: Tree, _: Path) -> Tree:
    """Go by way of Flax's state dict."""
    return serialization.from_state_dict(target, serialization.to_state_dict(state))


def flax_bytes(state: Tree, target: Tree, _: Path) -> Tree:
    """Go by way of Flax's bytes."""
    return serialization.from_bytes(target, serialization.to_bytes(state))


def orbax(state: Tree, target: Tree, folder: Path) -> Tree:
    """Go by way of a checkpoint of Orbax on the disk."""
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "state", state)
        checkpointer.wait_until_finished()
        return checkpointer.restore(folder / "state", jax.eval_shape(lambda: target))


ROADS = {"state dict": flax_state_dict, "bytes": flax_bytes, "orbax": orbax}


def keys(tree: Any) -> Any:
    """Return the nested names of a state dict."""
    return {k: keys(x) for k, x in tree.items()} if isinstance(tree, dict) else None


def rounding(method: Method, t: int) -> float:
    """Return how far optax's 1 - βᵗ are from the exact ones, relative to those."""
    error = 0.0
    for decay in method.corrected:
        for step in (t, t + 1):  # Nesterov's mean has the next one too
            theirs = float(1 - jnp.float32(decay) ** jnp.int32(step))
            error += abs(theirs / (1 - decay**step) - 1)
    return error


def assert_same_bits(got: Tree, expected: Tree) -> None:
    """Compare two trees, whatever their classes, bit for bit."""
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True)
    for x, y in pairs:
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def assert_goes_on(method: Method, got: Tree, expected: Tree, t: int) -> None:
    """Compare updates, or sums of them: bit for bit where nothing is corrected."""
    if not method.corrected:
        assert_same_bits(got, expected)
        return
    few = rounding(method, t) + 4 * float(jnp.finfo(jnp.float32).eps)
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=few * np.abs(y).max(initial=0.1))


def without_sums(state: Tree) -> Tree:
    """Return the state without sums of updates."""
    return gradtx.tree.set(state, trace=()) if _has_sums(state) else state


def _has_sums(state: Tree) -> bool:
    return bool(gradtx.tree.get_all_with_path(state, "trace"))


@every_rate
@every_method
@pytest.mark.one_in(16)
def test_training_goes_on(
    method: Method, rate: Callable[[], Any], tmp_path: Path
) -> None:
    """A state of optax, by every road, is one of the same call of ours, and goes on.

    It is what ours would be after the same gradients, bit for bit.
    """
    theirs, params = method.make(optax, rate()), start(method, optax)
    path = train(theirs, params, theirs.init(params), range(TAKEN + MORE))
    (_, state, params), later = path[TAKEN - 1], path[TAKEN:]
    tx, fresh = method.make(gradtx, rate()), start(method, gradtx)
    target = tx.init(fresh)
    state_dicts = [serialization.to_state_dict(x) for x in (state, target)]
    assert keys(state_dicts[0]) == keys(state_dicts[1])
    for road in ROADS.values():
        restored = road(state, target, tmp_path)
        assert jax.tree.structure(restored) == jax.tree.structure(target)
        assert_same_bits(restored, state)
    own = train(tx, fresh, target, range(TAKEN))[-1][1]
    assert_same_bits(without_sums(own), without_sums(restored))
    if method.held:
        params = gradtx.LookaheadParams(*params)
    path = train(tx, params, restored, range(TAKEN, TAKEN + MORE))
    for t, (got, expected) in enumerate(zip(path, later, strict=True), TAKEN + 1):
        assert_same_bits(without_sums(got[1]), without_sums(expected[1]))
        for x, y in zip((got[0], got[1]), (expected[0], expected[1]), strict=True):
            assert_goes_on(method, x, y, t)


SCHEDULES = {
    "constant": lambda lib: lib.constant_schedule(0.1),
    "linear": lambda lib: lib.linear_schedule(0.1, 0.01, 7),
    "exponential": lambda lib: lib.exponential_decay(0.1, 3, 0.5),
    "cosine": lambda lib: lib.cosine_decay_schedule(0.1, 10),
    "warmup": lambda lib: lib.warmup_cosine_decay_schedule(0.0, 0.1, 4, 10),
    "pieces": lambda lib: lib.piecewise_constant_schedule(0.1, {2: 0.5, 4: 0.1}),
}


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_schedules_go_on(make: Callable[[Any], Any]) -> None:
    """Our schedules go on where optax's stood: their values differ by rounding only."""
    theirs, ours = (lib.sgd(make(lib), 0.9) for lib in (optax, gradtx))
    params = problems.small_tree()
    path = train(theirs, params, theirs.init(params), range(TAKEN + MORE))
    _, state, params = path[TAKEN - 1]
    restored = flax_bytes(state, ours.init(params), Path())
    got = train(ours, params, restored, range(TAKEN, TAKEN + MORE))
    for (u, s, _), (v, z, _) in zip(got, path[TAKEN:], strict=True):
        assert_same_bits(s, z)
        for x, y in zip(jax.tree.leaves(u), jax.tree.leaves(v), strict=True):
            np.testing.assert_array_max_ulp(x, y, 4)


SAME_STATE = (
    "adabelief adadelta adafactor adagrad adam adamax adamaxw adamw adan amsgrad "
    "lamb lion nadam nadamw novograd optimistic_adam_v2 optimistic_gradient_descent "
    "radam rmsprop rprop sgd sign_sgd signum sm3 yogi contrib.acprop "
    "contrib.ademamix contrib.adopt contrib.cocob contrib.dadapt_adamw contrib.dog "
    "contrib.dowg contrib.galore contrib.madgrad contrib.momo contrib.momo_adam "
    "contrib.muon contrib.prodigy contrib.schedule_free_adamw "
    "contrib.schedule_free_sgd contrib.simplified_ademamix contrib.sophia "
)
SAME_WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "accumulation": lambda lib: lib.MultiSteps(lib.adam(0.1), 2),
    "injection": lambda lib: lib.inject_hyperparams(lib.adamw)(lambda _: 0.1),
    "parts": lambda lib: lib.partition({0: lib.adam(0.1), 1: lib.sgd(0.1)}, PARTS),
    "mask": lambda lib: lib.masked(lib.adam(0.1), {"b": True, "w": False}),
    "finite": lambda lib: lib.apply_if_finite(lib.adam(0.1), 3),
    "flat": lambda lib: lib.flatten(lib.adam(0.1)),
    "sharpness": lambda lib: lib.contrib.sam(lib.adam(0.1), lib.sgd(0.1)),
    "mechanic": lambda lib: lib.contrib.mechanize(lib.adam(0.1)),
    "plateau": lambda lib: lib.contrib.reduce_on_plateau(),
    "lbfgs": lambda lib: lib.lbfgs(),
}
PARTS = {"b": 0, "w": 1}


def called(name: str, lib: Any) -> Any:
    """Call an optimizer by its name, with a learning rate and nothing else."""
    for part in name.split("."):
        lib = getattr(lib, part)
    return lib(0.1)


MAKERS = {
    name: functools.partial(called, name) for name in SAME_STATE.split()
} | SAME_WRAPPERS


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_states_have_optax_s_structure(make: Callable[[Any], Any]) -> None:
    """Names, nesting, shapes and types: a fresh state of optax is restored as ours."""
    theirs, ours = (make(lib).init(problems.small_tree()) for lib in (optax, gradtx))
    dicts = [serialization.to_state_dict(x) for x in (theirs, ours)]
    assert keys(dicts[0]) == keys(dicts[1])
    restored = serialization.from_state_dict(ours, dicts[0])
    assert problems.shapes(restored) == problems.shapes(ours)
