"""Outside of jit: what Python says now holds, and what is the same compiles once."""

import gc
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx
from gradtx import contrib
from gradtx.wrappers.accumulate import accumulate
from gradtx.wrappers.condition import (
    apply_if_finite,
    conditionally_mask,
    conditionally_transform,
)

PARAMS = {"w": jnp.float32([[1, -2], [3, 4]]), "b": jnp.float32([0.5])}
Box = SimpleNamespace
Make = Callable[[Box], Any]


def bowl(params: Any, size: Any = 1.0) -> Any:
    """Return the height of a bowl that is steeper for a larger size."""
    return sum(size * jnp.sum(x * x) / 2 for x in jax.tree.leaves(params))


def updated(tx: Any, state: Any, **extra: Any) -> Any:
    """Return one step from the parameters, with their bowl's gradient."""
    return tx.update(PARAMS, state, PARAMS, **extra)


class Foreign:
    """A pair of someone else's, whose factor may be changed while it is in use."""

    def __init__(self, box: Box) -> None:
        """Keep what holds the factor."""
        self.box = box

    def init(self, _: Any) -> Any:
        """Return a state of nothing."""
        return ()

    def update(self, updates: Any, state: Any, _: Any = None, **__: Any) -> Any:
        """Multiply by the factor of now."""
        return jax.tree.map(lambda u: self.box.x * u, updates), state


# --- what a function sees ----------------------------------------------------


def rule_of(box: Box) -> Any:
    """Return a transformation whose rule looks at the box."""
    return gradtx.leafwise(lambda g: box.x * g, gradtx.EmptyState)


def made_of(box: Box) -> Any:
    """Return what a factory that looks at the box makes of a number in the state."""

    def factory(rate: Any) -> Any:
        return gradtx.scale(rate * box.x)

    return gradtx.inject_hyperparams(factory)(0.5)


class Steps:
    """A schedule with a state of its own that looks at a box."""

    def __init__(self, box: Box) -> None:
        """Keep the box."""
        self.box = box

    def init(self) -> Any:
        """Return how often it was asked."""
        return jnp.zeros((), jnp.int32)

    def update(self, state: Any, **_: Any) -> Any:
        """Count by as much as the box says."""
        return state + int(self.box.x)

    def __call__(self, state: Any, **_: Any) -> Any:
        """Return a rate that the box decides."""
        return self.box.x / (1 + state)


def labels(box: Box) -> Any:
    """Return a function that labels leaves as the box says."""
    return lambda _: {"w": "go" if box.x > 1 else "stay", "b": "go"}


SEEN: dict[str, Make] = {
    "sgd": lambda box: gradtx.sgd(lambda _: box.x),
    "adamw, mask": lambda box: gradtx.adamw(
        0.1, weight_decay=0.5, mask=lambda _: {"w": box.x > 1, "b": True}
    ),
    "scale_by_schedule": lambda box: gradtx.scale_by_schedule(lambda _: box.x),
    "add_decayed_weights": lambda box: gradtx.add_decayed_weights(lambda _: box.x),
    "fromage": lambda box: gradtx.fromage(lambda _: box.x),
    "adan": lambda box: gradtx.adan(lambda _: box.x, weight_decay=0.1),
    "lars": lambda box: gradtx.lars(0.1, weight_decay=lambda _: box.x),
    "lamb": lambda box: gradtx.lamb(lambda _: box.x),
    "ademamix": lambda box: gradtx.contrib.ademamix(0.1, alpha=lambda _: 5 * box.x),
    "adopt": lambda box: gradtx.chain(
        gradtx.trace(0.5), contrib.scale_by_adopt(clip_value_fn=lambda _: 0.1 * box.x)
    ),
    "optimistic": lambda box: gradtx.optimistic_gradient_descent(
        0.1, alpha=lambda _: box.x
    ),
    "prodigy": lambda box: contrib.prodigy(lambda _: box.x),
    "momo": lambda box: contrib.momo(lambda _: 0.1 * box.x),
    "schedule_free": lambda box: contrib.schedule_free(
        gradtx.sgd(lambda _: box.x), lambda _: box.x
    ),
    "lion": lambda box: gradtx.lion(gradtx.join_schedules([lambda _: box.x], [])),
    "stateless": lambda box: gradtx.stateless(
        lambda u, _: jax.tree.map(lambda x: box.x * x, u)
    ),
    "stateless_with_tree_map": lambda box: gradtx.stateless_with_tree_map(
        lambda u, _: box.x * u
    ),
    "leafwise": rule_of,
    "transformation": lambda box: gradtx.transformation(lambda: rule_of(box))(),
    "pair": lambda box: gradtx.chain(Foreign(box), gradtx.scale(2.0)),
    "masked": lambda box: gradtx.masked(
        gradtx.scale(2.0), lambda _: {"w": box.x > 1, "b": True}
    ),
    "freeze": lambda box: gradtx.freeze(lambda _: {"w": box.x > 1, "b": True}),
    "partition": lambda box: gradtx.partition(
        {"go": gradtx.scale(2.0), "stay": gradtx.set_to_zero()}, labels(box)
    ),
    "muon": lambda box: contrib.muon(
        0.1,
        muon_weight_dimension_numbers=lambda _: {
            "w": contrib.MuonDimensionNumbers(int(box.x) - 1, 2 - int(box.x)),
            "b": None,
        },
    ),
    "lookahead": lambda box: gradtx.lookahead(gradtx.sgd(lambda _: box.x), 1, 0.5),
    "sam": lambda box: contrib.sam(
        gradtx.sgd(lambda _: box.x), gradtx.sgd(lambda _: box.x)
    ),
    "mechanize": lambda box: gradtx.chain(
        contrib.mechanize(gradtx.sgd(lambda _: box.x)), gradtx.scale(1e6)
    ),
    "flatten": lambda box: gradtx.flatten(Foreign(box)),
    "with_master_weights": lambda box: gradtx.with_master_weights(
        gradtx.sgd(lambda _: box.x)
    ),
    "conditionally_transform": lambda box: conditionally_transform(
        gradtx.scale(3.0), lambda _: box.x > 1
    ),
    "conditionally_mask": lambda box: conditionally_mask(
        Foreign(Box(x=3.0)), lambda _: box.x > 1
    ),
    "apply_if_finite": lambda box: apply_if_finite(Foreign(box), 3),
    "every_k_schedule": lambda box: gradtx.MultiSteps(
        gradtx.sgd(0.1), lambda _: 3 - int(box.x)
    ),
    "should_skip_update_fn": lambda box: gradtx.MultiSteps(
        gradtx.sgd(0.1), 1, should_skip_update_fn=lambda *_: (box.x > 1, {"x": box.x})
    ),
    "accumulate": lambda box: accumulate(Foreign(box), 1),
    "schedule in the state": lambda box: gradtx.inject_hyperparams(gradtx.sgd)(
        lambda _: box.x
    ),
    "stateful schedule": lambda box: gradtx.inject_hyperparams(gradtx.sgd)(Steps(box)),
    "factory": made_of,
    "snapshot": lambda box: gradtx.snapshot("x", lambda u: box.x * u["w"]),
    "quantize_state": lambda box: gradtx.quantize_state(
        gradtx.trace(0.9), gradtx.codecs.int8(2), lambda *_: box.x > 1, min_size=1
    ),
    "keras": lambda box: gradtx.like.keras.SGD(lambda _: box.x),
    "keras, accumulated": lambda box: gradtx.like.keras.SGD(
        lambda _: box.x, gradient_accumulation_steps=2
    ),
    "torch": lambda box: gradtx.like.torch.SGD(lambda _: box.x, momentum=0.9),
}


@pytest.mark.parametrize("name", SEEN)
@pytest.mark.one_in(8)
def test_a_function_sees_its_surroundings_as_they_are(name: str) -> None:
    """When they have changed since the last step, the next is that of today."""
    box = Box(x=1.0)
    tx = SEEN[name](box)
    start = tx.init(PARAMS)
    # The second of two steps, as some stand still at the first.
    ends = []
    for x in (1.0, 2.0):
        box.x = x
        _, state = updated(tx, start, value=9.0)
        ends.append(updated(tx, state, value=9.0))
    fresh = SEEN[name](box)
    _, state = updated(fresh, start, value=9.0)
    problems.assert_close(ends[1], updated(fresh, state, value=9.0), rtol=1e-6)
    before, after = map(jax.tree.leaves, ends)
    pairs = zip(before, after, strict=False)
    assert len(before) != len(after) or any(bool(jnp.any(a != b)) for a, b in pairs)


def slope_fn(box: Box) -> Any:
    """Return the gradient of a bowl of the size of now."""
    return lambda params, _: jax.grad(bowl)(params, box.x)


class Objective:
    """A bowl whose size may be changed while it is in use."""

    def __init__(self, box: Box) -> None:
        """Keep what holds the size."""
        self.box = box

    def height(self, params: Any) -> Any:
        """Return the height of now."""
        return bowl(params, self.box.x)


ASKED: dict[str, tuple[Any, str]] = {
    "lbfgs": (gradtx.lbfgs(), "value_fn"),
    "zoom": (
        gradtx.chain(gradtx.sgd(0.1), gradtx.scale_by_zoom_linesearch(9)),
        "value_fn",
    ),
    "backtracking": (
        gradtx.chain(
            gradtx.sgd(9.0),
            gradtx.scale_by_backtracking_linesearch(9, store_grad=True),
        ),
        "value_fn",
    ),
    "lookahead": (gradtx.lookahead(gradtx.lbfgs(), 2, 0.5), "value_fn"),
    "sophia": (contrib.sophia(0.1, update_interval=1), "obj_fn"),
    "sam": (
        contrib.sam(gradtx.sgd(0.1), gradtx.sgd(0.1), opaque_mode=True),
        "grad_fn",
    ),
}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.one_in(6)
def test_an_objective_is_that_of_now(name: str) -> None:
    """A bound method or a closure whose object has changed is seen as it is."""
    tx, argument = ASKED[name]
    box = Box(x=1.0)
    fixed = Objective(box).height if argument != "grad_fn" else slope_fn(box)

    def step(function: Any) -> Any:
        value, grad = jax.value_and_grad(bowl)(PARAMS, box.x)
        extra = {"value": value, "grad": grad, argument: function}
        return tx.update(grad, tx.init(PARAMS), PARAMS, **extra)

    first = step(fixed)
    box.x = 4.0
    made = Objective(Box(x=4.0)).height
    new = made if argument != "grad_fn" else slope_fn(Box(x=4.0))
    problems.assert_close(step(fixed), step(new), rtol=1e-6)
    pairs = zip(*map(jax.tree.leaves, (first, step(fixed))), strict=True)
    assert any(bool(jnp.any(a != b)) for a, b in pairs)


# --- what a function may do --------------------------------------------------


TABLE = [0.5, 0.25, 0.125]


def listed(count: Any) -> float:
    """Look a rate up by the number of the step."""
    return TABLE[int(count)]


def branching(count: Any) -> float:
    """Choose a rate by the number of the step."""
    return 0.5 if count < 1 else 0.25 if count < 2 else 0.125


def skipping(updates: Any, step: Any, _: Any) -> tuple[bool, Any]:
    """Leave out the first gradients that are large, and say how large they are."""
    size = float(jnp.sum(updates["w"]))
    return bool(size > 100) or step > 5, {"size": size}


SCHEDULED: dict[str, Callable[[Any], Any]] = {
    "sgd": gradtx.sgd,
    "adamw": lambda rate: (
        gradtx.adamw(0.1, weight_decay=0.1, b1=0.5)
        if rate is None
        else gradtx.adamw(rate, weight_decay=0.1)
    ),
    "decay": gradtx.add_decayed_weights,
    "lion, in the state": gradtx.inject_hyperparams(gradtx.lion),
    "fromage": gradtx.fromage,
    "madgrad": contrib.madgrad,
    "rprop": gradtx.rprop,
    "prodigy": contrib.prodigy,
    "dadapt_adamw": contrib.dadapt_adamw,
    "momo_adam": contrib.momo_adam,
    "schedule_free": lambda rate: contrib.schedule_free(gradtx.sgd(rate), rate),
    "simplified_ademamix": lambda rate: contrib.simplified_ademamix(0.1, alpha=rate),
    "accumulate": lambda rate: accumulate(gradtx.sgd(rate), 1),
    "lookahead": lambda rate: gradtx.lookahead(gradtx.adam(rate), 2, 0.5),
    "joined": lambda rate: gradtx.sgd(gradtx.join_schedules([rate], [])),
    "keras": lambda rate: gradtx.like.keras.AdamW(rate, gradient_accumulation_steps=2),
    "torch": lambda rate: gradtx.like.torch.Adagrad(rate, lr_decay=0.1),
}


@pytest.mark.parametrize("schedule", [listed, branching])
@pytest.mark.parametrize("name", SCHEDULED)
@pytest.mark.one_in(8)
def test_a_schedule_may_look_at_its_step(name: str, schedule: Any) -> None:
    """It may branch in Python or index a list: the steps are those of `jnp.where`."""

    def path(rate: Any) -> Any:
        tx = SCHEDULED[name](rate)
        params, state = PARAMS, tx.init(PARAMS)
        for _ in range(3):
            updates, state = tx.update(PARAMS, state, params, value=9.0)
            params = gradtx.apply_updates(params, updates)
        return params

    table = jnp.float32(TABLE)
    problems.assert_close(path(schedule), path(lambda count: table[count]), rtol=1e-5)


def test_conditions_and_counts_may_look_at_the_step() -> None:
    """`bool(step > 1)`, `1 if step < 1 else 2` and a list decide as they say."""
    ones, plain = jnp.ones(1), gradtx.scale(2.0)
    moves = []
    for tx in (
        conditionally_transform(plain, lambda step: bool(step > 1)),
        conditionally_mask(plain, lambda step: [False, True, True, False][int(step)]),
        conditionally_mask(
            plain, lambda step, value: step > 1 and value > 1, forward_extra_args=True
        ),
        gradtx.MultiSteps(plain, lambda step: 1 if step < 1 else 2),
        gradtx.MultiSteps(plain, lambda step: [1, 2, 9][int(step)]),
    ):
        state, path = tx.init(ones), []
        for _ in range(4):
            updates, state = tx.update(ones, state, ones, value=9.0)
            path.append(float(updates[0]))
        moves.append(path)
    assert moves == [
        [1, 1, 2, 2],
        [0, 2, 2, 0],
        [0, 0, 2, 2],
        [2, 0, 2, 0],
        [2, 0, 2, 0],
    ]


def test_a_skip_function_may_look_at_the_gradients() -> None:
    """It may turn them into Python numbers, and its report is in the state."""
    tx = gradtx.MultiSteps(gradtx.scale(1.0), 2, should_skip_update_fn=skipping)
    state, path = tx.init(PARAMS), []
    for factor in (1.0, 1000.0, 3.0):
        grads = jax.tree.map(lambda x, f=factor: f * x, PARAMS)
        updates, state = tx.update(grads, state, PARAMS)
        path.append(float(updates["b"][0]))
    assert path == [0, 0, 1.0]
    assert state.skip_state["size"] == 3 * 6


# --- what is compiled, and what is kept --------------------------------------


def deep_tree() -> Any:
    """Return parameters of several shapes."""
    return {f"w{i}": jnp.ones(1 + i % 3) for i in range(6)}


NUMBERS: dict[str, Callable[[float], Any]] = {
    "sgd": lambda x: gradtx.sgd(x, momentum=0.9 * x),
    "adam": lambda x: gradtx.adam(x, b1=0.9 * x, b2=0.99 * x, eps=1e-8 * x),
    "adamw": lambda x: gradtx.chain(
        gradtx.clip_by_global_norm(x), gradtx.adamw(0.1, weight_decay=x)
    ),
    "replaced": lambda x: gradtx.adamw(0.1).replace(learning_rate=x, b2=0.9 * x),
    "schedule": lambda x: gradtx.lion(gradtx.linear_schedule(x, 0.0, 10)),
    "schedule of theirs": lambda x: gradtx.adamw(lambda _: x, mask=lambda _: True),
    "muon": contrib.muon,
    "lookahead": lambda x: gradtx.lookahead(gradtx.adam(x), 2, 0.5 * x),
    "accumulate": lambda x: accumulate(gradtx.adam(x), 2),
    "k": lambda x: gradtx.MultiSteps(gradtx.adam(x), lambda _: round(1 + x)),
    "condition": lambda x: conditionally_transform(gradtx.adam(x), lambda _: x > 0),
    "apply_if_finite": lambda x: apply_if_finite(gradtx.adam(x), 3),
    "partition": lambda x: gradtx.partition(
        {"a": gradtx.adam(x), "b": gradtx.sgd(x)}, "a"
    ),
    "in the state": gradtx.inject_hyperparams(gradtx.adamw),
    "scheduled in the state": lambda x: gradtx.inject_hyperparams(gradtx.adamw)(
        lambda _: x
    ),
    "fromage": lambda x: gradtx.fromage(lambda _: x),
    "lbfgs": gradtx.lbfgs,
    "sophia": lambda x: contrib.sophia(x, b1=0.9 * x),
    "theirs": lambda x: gradtx.chain(
        gradtx.GradientTransformation(lambda _: (), lambda u, s, _=None, **__: (u, s)),
        gradtx.adamw(x),
    ),
    "quantized": lambda x: gradtx.quantize_state(gradtx.adam(x), min_size=1),
    "with_master_weights": lambda x: gradtx.with_master_weights(gradtx.adam(x)),
    "keras": gradtx.like.keras.AdamW,
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.one_in(12)
def test_other_numbers_compile_nothing(name: str) -> None:
    """From the third step on, made anew with other numbers each, all is known."""
    params = deep_tree()
    state, counts = NUMBERS[name](0.1).init(params), []
    for i in range(5):
        tx, before = NUMBERS[name](0.1 + 0.1 * i), problems.compiled()
        extra = {"value": 1.0, "grad": params, "value_fn": bowl, "obj_fn": bowl}
        updates, state = tx.update(params, state, params, **extra)
        gradtx.apply_updates(params, updates)
        counts.append(problems.compiled() - before)
    assert counts[2:] == [0, 0, 0]


@pytest.mark.exhaustive
def test_a_number_is_as_exact_as_where_it_is_written() -> None:
    """A decay near 1, passed on as data, loses nothing of what it lacks to 1."""
    params = deep_tree()
    for tx in (
        gradtx.adamw(1e-3, b2=0.9999),
        gradtx.ema(0.99999),
        contrib.madgrad(0.1, momentum=0.9999),
        gradtx.yogi(0.1, b2=0.9999),
        gradtx.radam(0.1, b2=0.9999),
    ):
        ends = []
        for update in (tx.update, jax.jit(tx.update)):
            state = tx.init(params)
            for seed in range(2):
                updates, state = update(problems.noise(params, seed), state, params)
            ends.append((updates, state))
        problems.assert_close(*ends, rtol=2e-6)


def test_a_number_is_as_wide_as_the_floats_of_the_call() -> None:
    """Where float64 is turned on or off between two steps, no digit is lost or made."""
    tx, u = gradtx.scale(1 / 3), np.ones(2, np.float32)
    for wide in (False, True, False):
        with jax.enable_x64(wide):
            made = tx.update(jnp.ones(2, float), gradtx.EmptyState())[0]
            same = tx.update(jnp.asarray(u), gradtx.EmptyState())[0]
            assert made[0] == (1 / 3 if wide else np.float32(1 / 3))
            assert same.dtype == np.float32
    huge = gradtx.scale(1e39).update(jnp.asarray(u), gradtx.EmptyState())[0]
    assert jnp.all(jnp.isinf(huge))


def test_another_structure_is_another_program() -> None:
    """Flags, types, names and parts are not taken for those of another."""
    params = {"w": jnp.ones(3)}
    grads = {"w": jnp.float32([1, 2, -3])}
    kinds = [
        gradtx.sgd(0.5),
        gradtx.sgd(0.5, momentum=0.5),
        gradtx.sgd(0.5, momentum=0.5, nesterov=True),
        gradtx.chain(gradtx.scale_by_sign(), gradtx.sgd(0.5)),
        gradtx.chain(gradtx.sgd(0.5), gradtx.scale_by_sign()),
    ]
    firsts = [tx.update(grads, tx.init(params), params)[0]["w"] for tx in kinds]
    assert [float(u[2]) for u in firsts] == [1.5, 1.5, 2.25, 0.5, 1.0]


class Batch:
    """What a closure holds on to; it tells when it has gone."""

    def __init__(self, seed: int) -> None:
        """Make an array of 20 MB and something beside it."""
        self.array = jnp.full(5_000_000, 1.0 + seed)


HELD: dict[str, Callable[[Batch], Any]] = {
    "value_fn": lambda batch: (
        gradtx.lbfgs(),
        {"value_fn": lambda p: bowl(p, batch.array[0])},
    ),
    "jitted value_fn": lambda batch: (
        ASKED["backtracking"][0],
        {"value_fn": jax.jit(lambda p: bowl(p, jnp.max(batch.array)))},
    ),
    "obj_fn": lambda batch: (
        contrib.sophia(0.1),
        {"obj_fn": lambda p: bowl(p, jnp.max(batch.array))},
    ),
    "grad_fn": lambda batch: (
        ASKED["sam"][0],
        {"grad_fn": lambda p, _: jax.grad(bowl)(p, batch.array[0])},
    ),
    "unknown": lambda batch: (gradtx.adam(0.1), {"unknown": lambda: batch.array}),
    "condition": lambda batch: (
        conditionally_mask(gradtx.adam(0.1), lambda _: batch.array[0] > 0),
        {},
    ),
    "skip": lambda batch: (
        gradtx.MultiSteps(
            gradtx.adam(0.1),
            1,
            should_skip_update_fn=lambda *_: (batch.array[0] < 0, ()),
        ),
        {},
    ),
    "schedule": lambda batch: (gradtx.adam(lambda _: batch.array[0]), {}),
    "schedule in the state": lambda batch: (
        gradtx.inject_hyperparams(gradtx.adam)(lambda _: batch.array[0]),
        {},
    ),
    "rule": lambda batch: (
        gradtx.leafwise(lambda g: g * batch.array[0], gradtx.EmptyState),
        {},
    ),
}


@pytest.mark.parametrize("name", HELD)
@pytest.mark.one_in(12)
def test_nothing_is_kept_alive(name: str) -> None:
    """What closures held in three steps has gone when they have."""
    arrays = []
    for i in range(3):
        batch = Batch(i)
        tx, extra = HELD[name](batch)
        arrays.append(weakref.ref(batch.array))
        extra = {"value": bowl(PARAMS), "grad": PARAMS, **extra}
        tx.update(PARAMS, tx.init(PARAMS), PARAMS, **extra)
        del batch, tx, extra
    gc.collect()
    assert [array() for array in arrays] == [None] * 3


# --- one program, or several -------------------------------------------------


def test_an_update_is_one_program() -> None:
    """All leaves and links of what is this library's go through one call."""
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1))
    params = {f"w{i}": jnp.ones(i + 1) for i in range(4)}
    state, before = tx.init(params), problems.compiled()
    for expected in (1, 0):
        updates, state = tx.update(params, state, params)
        assert problems.compiled() - before == expected
        before = problems.compiled()
    gradtx.apply_updates(params, updates)
    assert problems.compiled() - before == 1


def test_the_parts_around_a_function_are_programs() -> None:
    """Beside a function of the user's, what holds none is compiled by itself."""
    seen = []

    def look(updates: Any, _: Any) -> Any:
        seen.append(np.asarray(updates["w"]))
        return updates

    tx = gradtx.chain(
        gradtx.clip_by_global_norm(1.0), gradtx.stateless(look), gradtx.adamw(0.1)
    )
    state, before = tx.init(PARAMS), problems.compiled()
    for _ in range(2):
        _, state = updated(tx, state)
    assert problems.compiled() - before == 2
    assert len(seen) == 2


def test_settings_may_be_traced_around_concrete_arguments() -> None:
    """A transformation made of traced numbers works on gradients that are not."""
    ones = jnp.ones(2)

    def first(rate: Any) -> Any:
        tx = accumulate(gradtx.sgd(rate), 1)
        return tx.update(ones, tx.init(ones), ones)[0]

    rates = jnp.float32([0.1, 0.2])
    np.testing.assert_allclose(
        jax.vmap(first)(rates), -rates[:, None] * ones[None], rtol=1e-6
    )
    assert jax.grad(lambda rate: first(rate).sum())(0.1) == -2


def test_arguments_that_are_no_arrays() -> None:
    """Names and functions that nobody asks for do not keep it from compiling."""
    tx, state = gradtx.adam(0.1), gradtx.adam(0.1).init(PARAMS)
    extra = {"name": "a", "f": print, "tree": {"x": "y"}}
    updated(tx, state)
    before = problems.compiled()
    updated(tx, state, **extra)
    assert problems.compiled() == before


def test_gradients_of_integers_are_handed_back() -> None:
    """What JAX gives for the gradient of an integer leaf has a type of its own."""
    params = {"n": jnp.arange(3), "x": jnp.ones(2)}
    tx = gradtx.selective_transform(
        gradtx.sgd(1.0), freeze_mask={"n": True, "x": False}
    )
    grads = jax.grad(lambda p: p["x"].sum(), allow_int=True)(params)
    updates, _ = tx.update(grads, tx.init(params), params)
    new = gradtx.apply_updates(params, updates)
    np.testing.assert_array_equal(new["n"], params["n"])
    np.testing.assert_array_equal(new["x"], [0, 0])


def test_errors_name_who_was_at_work() -> None:
    """Compiled or not, an error names the outermost and the innermost factory."""
    for tx, names in (
        (gradtx.adamw(0.1), r"adamw \(in scale_by_adam\)"),
        (gradtx.adamw(lambda _: 0.1), r"adamw \(in scale_by_adam\)"),
        (gradtx.lookahead(gradtx.adam(0.1), 2, 0.5), r"lookahead \(in scale_by_adam\)"),
        (gradtx.MultiSteps(gradtx.adam(0.1), lambda _: 1), "accumulate"),
    ):
        state = tx.init(PARAMS)
        for _ in range(2):
            with pytest.raises(ValueError, match=names) as caught:
                tx.update({"w": jnp.ones(7), "b": PARAMS["b"]}, state, PARAMS)
            assert "['w']" in str(caught.value)


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.adamw(0.1),
        gradtx.sgd(gradtx.linear_schedule(0.1, 0.0, 5), momentum=0.9),
        gradtx.chain(gradtx.clip(1.0), gradtx.lion(0.1)),
        gradtx.lookahead(gradtx.adam(0.1), 2, 0.5),
        accumulate(gradtx.adam(0.1), 2),
    ],
    ids=repr,
)
@pytest.mark.one_in(6)
def test_leaves_on_different_devices_are_updated_where_they_lie(tx: Any) -> None:
    """Outside of `jit` the layers of a model may be on one device each."""
    devices = jax.devices()[:2]
    whole = {"a": jnp.float32([1, -2, 3]), "b": jnp.float32([4, 5])}
    ends = []
    for places in (devices, devices[:1] * 2):
        params = {
            name: jax.device_put(np.array(x), place)
            for (name, x), place in zip(whole.items(), places, strict=True)
        }
        state = tx.init(params)
        for _ in range(2):
            updates, state = tx.update(params, state, params)
            params = gradtx.apply_updates(params, updates)
        assert [x.devices() for x in params.values()] == [{d} for d in places]
        ends.append(params)
    problems.assert_close(*ends, rtol=1e-6)


LEAKLESS: dict[str, Any] = {
    "adamw": gradtx.adamw(0.1),
    "lookahead": gradtx.lookahead(gradtx.adam(0.1), 2, 0.5),
    "accumulate": accumulate(gradtx.adam(0.1), 2),
    "MultiSteps": gradtx.MultiSteps(gradtx.adam(0.1), lambda step: 1 + step % 2),
    "apply_if_finite": apply_if_finite(gradtx.adam(0.1), 3),
    "conditionally_mask": conditionally_mask(gradtx.adam(0.1), lambda step: step > 1),
    "conditionally_transform": conditionally_transform(
        gradtx.adam(0.1), lambda step: step > 1
    ),
    "sophia": contrib.sophia(0.1),
    "lbfgs": gradtx.lbfgs(),
    "backtracking": ASKED["backtracking"][0],
    "sam": contrib.sam(gradtx.sgd(0.1), gradtx.sgd(0.1)),
    "in the state": gradtx.inject_hyperparams(gradtx.adamw)(lambda _: 0.1),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", LEAKLESS)
def test_nothing_traced_is_left_behind(name: str, *, jit: bool) -> None:
    """`jax.checking_leaks()` finds nothing."""
    tx, params = LEAKLESS[name], jnp.float32([1, -2])

    def step(grads: Any, state: Any, params: Any) -> Any:
        extra = {"value": bowl(params), "grad": grads, "value_fn": bowl, "obj_fn": bowl}
        updates, state = tx.update(grads, state, params, **extra)
        return gradtx.apply_updates(params, updates), state

    with jax.checking_leaks():
        (jax.jit(step) if jit else step)(params, tx.init(params), params)
