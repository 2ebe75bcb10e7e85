"""Laws that other libraries break, where no part's own tests hold them already."""

from collections.abc import Callable
from functools import partial
from typing import Any

import catalogue
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from configurations import EXHAUSTIVE
from jax.sharding import AxisType

import gradtx
from gradtx import contrib

Tree = Any
PARAMS = {"w": jnp.float32([1, 2]), "b": jnp.float32([3])}
STILL = {"w": False, "b": True}
MOVING = {"w": True, "b": False}


# --- what is frozen ----------------------------------------------------------


def clipped() -> Any:
    """Return plain descent that looks at the norm of all its gradients."""
    return gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.sgd(1.0))


FROZEN: dict[str, Callable[[], Any]] = {
    "freeze": lambda: gradtx.chain(gradtx.freeze(STILL), clipped()),
    "partition": lambda: gradtx.partition(
        {"go": clipped(), "stay": gradtx.set_to_zero()}, {"w": "go", "b": "stay"}
    ),
    "selective_transform": lambda: gradtx.selective_transform(
        clipped(), freeze_mask=STILL
    ),
    "the rest of a mask": lambda: gradtx.chain(
        gradtx.masked(clipped(), MOVING), gradtx.masked(gradtx.set_to_zero(), STILL)
    ),
}


@pytest.mark.parametrize("bad", [1e6, np.nan, np.inf])
@pytest.mark.parametrize("make", FROZEN.values(), ids=FROZEN)
def test_frozen_means_frozen(make: Callable[[], Any], bad: float) -> None:
    """The leaf stands still, and its gradient counts in no norm, whatever it is."""
    tx = make()
    grads = {"w": jnp.float32([3, 4]), "b": jnp.float32([bad])}
    updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["b"], [0])
    np.testing.assert_allclose(updates["w"], [-0.6, -0.8], rtol=1e-6)


def test_masked_by_itself_passes_the_rest_on() -> None:
    """Masks may follow one another: each leaf meets the optimizer of its mask only."""
    grads = {"w": jnp.float32([3, 4]), "b": jnp.float32([5])}
    one = gradtx.masked(gradtx.sgd(0.1), MOVING)
    updates, _ = one.update(grads, one.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["b"], grads["b"])
    two = gradtx.chain(one, gradtx.masked(gradtx.sgd(1.0), STILL))
    updates, _ = two.update(grads, two.init(PARAMS), PARAMS)
    problems.assert_close(
        updates, {"w": jnp.float32([-0.3, -0.4]), "b": jnp.float32([-5])}
    )


# --- buffers and devices -----------------------------------------------------


ADAM = partial(gradtx.adam, 0.1)
WITHOUT_A_ROW: dict[str, Callable[[], Any]] = {
    "galore": lambda: contrib.galore(0.1, rank=2),
    "sam": lambda: contrib.sam(ADAM(), gradtx.sgd(0.1)),
    "plateau": lambda: gradtx.chain(ADAM(), contrib.reduce_on_plateau(patience=1)),
    "backtracking": lambda: gradtx.chain(
        gradtx.sgd(1.0), gradtx.scale_by_backtracking_linesearch(5)
    ),
    "apply_every": lambda: gradtx.chain(ADAM(), gradtx.apply_every(2)),
    "conditionally_mask": lambda: gradtx.conditionally_mask(
        ADAM(), lambda step: step % 2 == 0
    ),
    "monitor": lambda: gradtx.chain(gradtx.monitor({"n": gradtx.tree.norm}), ADAM()),
    "split": lambda: contrib.split_real_and_imaginary(ADAM()),
    "trust ratio": lambda: gradtx.chain(
        gradtx.scale_by_param_block_norm(), gradtx.scale_by_trust_ratio(), ADAM()
    ),
}
every_other = pytest.mark.parametrize("make", WITHOUT_A_ROW.values(), ids=WITHOUT_A_ROW)


def step(tx: Any, grads: Tree, state: Tree, params: Tree) -> Any:
    """Take one step with all that a line search may want."""
    updates, state = tx.update(
        grads,
        state,
        params,
        value=problems.bowl(params),
        grad=grads,
        value_fn=problems.bowl,
    )
    return state, gradtx.apply_updates(params, updates)


@every_other
@pytest.mark.one_in(12)
def test_on_eight_devices(make: Callable[[], Any]) -> None:
    """What has no row in the catalogue keeps its place too, and compiles once.

    Parameters and a fresh state, jitted or not, are donated: they share no buffer.
    """
    tx, whole = make(), problems.small_tree()
    expected, state = whole, tx.init(whole)
    with jax.disable_jit():
        for t in range(2):
            state, expected = step(tx, problems.noise(whole, t), state, expected)
    _keeps_its_place(tx, problems.mesh(AxisType.Auto), expected)
    over = problems.mesh(AxisType.Explicit)
    with jax.set_mesh(over):
        _keeps_its_place(tx, over, expected)


def _keeps_its_place(tx: Any, over: Any, expected: Tree) -> None:
    jitted = jax.jit(partial(step, tx), donate_argnums=(1, 2))
    whole, programs = problems.small_tree(), 0
    for init in (tx.init, jax.jit(tx.init)):
        params = problems.spread(whole, over)
        state = init(params)
        for t in range(2):
            grads = problems.spread(problems.noise(whole, t), over)
            before = problems.compiled()
            state, params = jitted(grads, state, params)
            programs += problems.compiled() - before
        problems.assert_close(jax.device_get(params), jax.device_get(expected))
    assert programs == 1


@every_other
@pytest.mark.one_in(6)
def test_loops_that_are_not_jitted_compile_once(make: Callable[[], Any]) -> None:
    """From the third step on, when every branch has been met, nothing is compiled."""
    tx, params = make(), problems.small_tree()
    state, counts = tx.init(params), []
    grads = problems.noise(params, 0)
    for _ in range(4):
        before = problems.compiled()
        state, _ = step(tx, grads, state, params)
        counts.append(problems.compiled() - before)
    assert counts[2:] == [0, 0]


# --- types -------------------------------------------------------------------


RATES: dict[str, Callable[[float], Any]] = {
    "NumPy array of float64": np.array,
    "function to float32": lambda rate: lambda _: jnp.float32(rate),
}


@pytest.mark.parametrize(
    ("dtype", "x64", "kind"),
    [
        pytest.param("bfloat16", False, "NumPy array of float64", marks=EXHAUSTIVE),
        ("float32", True, "NumPy array of float64"),
        pytest.param("bfloat16", False, "function to float32", marks=EXHAUSTIVE),
    ],
)
@pytest.mark.exhaustive
def test_no_learning_rate_changes_types(dtype: str, x64: bool, kind: str) -> None:
    """Updates and state keep their types, so that the second step compiles nothing.

    Whatever a rate is made of, for every row; also with 64 bits turned on, which the
    parameters do not have.
    """
    wrong = []
    for row in catalogue.ROWS:
        if not row.schedule and kind == "function to float32":
            continue
        with jax.enable_x64(x64):
            tx = row.build(learning_rate=RATES[kind](row.settings["learning_rate"]))
            params = {"w": jnp.ones((4, 4), dtype), "b": jnp.ones(4, dtype)}
            extra = problems.extras(row, params, params)
            state = jax.eval_shape(tx.init, params)
            update = partial(tx.update, **extra)
            updates, new = jax.eval_shape(update, params, state, params)
        same = problems.shapes(updates) == problems.shapes(params)
        if not same or problems.shapes(new) != problems.shapes(state):
            wrong.append(row.name)
    assert not wrong


def test_the_program_of_many_leaves_is_small() -> None:
    """A leaf costs few equations, as the rule is traced once for all of one shape."""
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3))
    params = {f"p{i}": jnp.ones(8) for i in range(20)}

    def one(params: Tree, state: Tree) -> Any:
        updates, state = tx.update(params, state, params)
        return gradtx.apply_updates(params, updates), state

    jaxpr = jax.make_jaxpr(one)(params, tx.init(params))
    assert len(jaxpr.eqns) < 15 * len(params)


# --- settings and state ------------------------------------------------------


NONSENSE: dict[str, Callable[[], Any]] = {
    "learning_rate": lambda: gradtx.adam(np.inf),
    "b1": lambda: gradtx.adam(1e-3, b1=1.5),
    "b2": lambda: gradtx.adam(1e-3, b2=2.0),
    "eps": lambda: gradtx.adam(1e-3, eps=-1.0),
    "momentum": lambda: gradtx.sgd(0.1, momentum=-3.0),
    "weight_decay": lambda: gradtx.adamw(1e-3, weight_decay=-5.0),
    "max_delta": lambda: gradtx.clip(-1.0),
    "max_norm": lambda: gradtx.clip_by_global_norm(-1.0),
    "every_k_schedule": lambda: gradtx.MultiSteps(gradtx.sgd(0.1), 0),
    "decay": lambda: gradtx.ema(1.5),
    "max_consecutive_errors": lambda: gradtx.apply_if_finite(gradtx.sgd(0.1), -1),
    "accumulation_size": lambda: contrib.reduce_on_plateau(accumulation_size=0),
}


@pytest.mark.parametrize(("name", "make"), NONSENSE.items(), ids=NONSENSE)
def test_nonsense_is_refused(name: str, make: Callable[[], Any]) -> None:
    """A setting outside of its range is refused where it is made, by its name."""
    with pytest.raises(ValueError, match=name):
        make()


def test_a_state_moves_to_another_chain() -> None:
    """By the name of its class a state is found, and put into another structure.

    With a schedule, or one more link, a chain has another structure; what it remembers
    need not be lost.
    """
    old = gradtx.adamw(1e-3)
    _, state = old.update(PARAMS, old.init(PARAMS), PARAMS)
    moments = gradtx.tree.get(state, "ScaleByAdamState")
    for rate in (1e-3, gradtx.constant_schedule(1e-3)):
        new = gradtx.chain(gradtx.clip_by_global_norm(100.0), gradtx.adamw(rate))
        moved = gradtx.tree.set(
            new.init(PARAMS), ScaleByAdamState=moments, count=moments.count
        )
        expected, _ = old.update(PARAMS, state, PARAMS)
        problems.assert_close(new.update(PARAMS, moved, PARAMS)[0], expected)


@pytest.mark.parametrize("make", [optax.adam, gradtx.adam], ids=["optax", "gradtx"])
def test_a_count_is_found_by_its_path(make: Any) -> None:
    """Two counts have one name, and count the same; each has its path."""
    state = make(gradtx.constant_schedule(1e-3)).init(PARAMS)
    assert gradtx.tree.get(state, "mu").keys() == PARAMS.keys()
    for key in ("count", "0/count", (1, "count"), "ScaleByScheduleState.count"):
        assert gradtx.tree.get(state, key) == 0
