"""Runs of PyTorch and Keras that go on here, from the states that they kept.

``data/record_torch_states.py`` and ``record_keras_states.py`` recorded them in float64,
with weights in the axes of their library.
"""

import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

DATA = Path(__file__).parent.parent / "data"
TORCH = json.loads((DATA / "states_torch.json").read_text())
KERAS = json.loads((DATA / "states_keras.json").read_text())
NAMES = ["dense/kernel", "dense/bias", "conv/kernel"]
TOLERANCE = 1e-13
torch, keras = gradtx.like.torch, gradtx.like.keras


def kept_by_torch(case: Any) -> Any:
    """Return a state_dict as PyTorch has it, with arrays for lists."""
    entries = enumerate(case["kept"]["state"])
    state = {
        i: {k: None if x is None else np.array(x) for k, x in entry.items()}
        for i, entry in entries
    }
    return {"state": state, "param_groups": case["kept"]["param_groups"]}


def turned(x: Any) -> np.ndarray:
    """Turn a weight of PyTorch into a kernel of Flax."""
    x = np.array(x)
    return x.T if x.ndim == 2 else x.transpose(2, 3, 1, 0) if x.ndim == 4 else x


def as_it_is(x: Any) -> np.ndarray:
    """Return an array of lists."""
    return np.array(x)


def tree(rows: Any, layout: Any) -> Any:
    """Make a tree of parameters of what one library has as a list."""
    found: dict[str, dict[str, jax.Array]] = {}
    for name, x in zip(NAMES, rows, strict=False):
        module, leaf = name.split("/")
        found.setdefault(module, {})[leaf] = jnp.asarray(layout(x))
    return found


def go_on(tx: Any, state: Any, case: Any, all_grads: Any, layout: Any) -> None:
    """Make the steps that are left, and compare with what the library came to."""
    params = tree(case["start"], layout)
    for rows in all_grads:
        grads = tree(rows[: len(case["start"])], layout)
        updates, state = tx.update(grads, state, params)
        params = gradtx.apply_updates(params, updates)
    end = tree(case["end"], layout)
    for got, recorded in zip(
        jax.tree.leaves(params), jax.tree.leaves(end), strict=True
    ):
        assert np.max(np.abs(got - recorded)) <= TOLERANCE


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", TORCH["cases"], ids=lambda c: c["name"])
@pytest.mark.one_in(6)
def test_a_run_of_pytorch_goes_on(case: Any) -> None:
    """From the state of an optimizer of PyTorch the next steps are PyTorch's."""
    tx = getattr(torch, case["name"])(**case["kwargs"])
    params = tree(case["start"], turned)
    names = NAMES[: len(case["start"])]
    state = torch.state_from(tx, kept_by_torch(case), params, names)
    with jax.disable_jit():
        go_on(tx, state, case, TORCH["grads"], turned)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["Adam", "Adafactor"])
@pytest.mark.one_in(2)
def test_weights_may_keep_their_axes(name: str) -> None:
    """With a layout of None the weights and all that is kept have PyTorch's axes."""
    case = next(x for x in TORCH["cases"] if x["name"] == name)
    tx = getattr(torch, name)(**case["kwargs"])
    params, names = tree(case["start"], as_it_is), NAMES[: len(case["start"])]
    kept = kept_by_torch(case)
    state = torch.state_from(tx, kept, params, names, layouts={"**/kernel": None})
    with jax.disable_jit():
        go_on(tx, state, case, TORCH["grads"], as_it_is)


@pytest.mark.usefixtures("x64")
def test_parameter_groups_become_patterns() -> None:
    """The groups of a state_dict make the optimizer, and its run goes on."""
    case, names = TORCH["grouped"], [NAMES[0], NAMES[2], NAMES[1]]
    kept, params = kept_by_torch(case), tree(case["start"], turned)
    tx = torch.from_param_groups(torch.AdamW, kept["param_groups"], names)
    assert tx == gradtx.by_path(
        {
            re.compile("^(?:dense/kernel|conv/kernel)$"): torch.AdamW(
                0.05, (0.9, 0.999), weight_decay=0.1
            ),
            re.compile("^(?:dense/bias)$"): torch.AdamW(
                0.05, (0.8, 0.9), weight_decay=0
            ),
        },
        default=None,
    )
    state = torch.state_from(tx, kept, params, names)
    with jax.disable_jit():
        go_on(tx, state, case, TORCH["grads"], turned)


def test_one_group_is_the_optimizer_itself() -> None:
    """Its settings are the group's, and the rate a schedule from where it began."""
    groups = [
        {"params": [0], "lr": 0.1, "initial_lr": 0.2, "momentum": 0.9, "fused": 1}
    ]
    make, schedule = torch.from_param_groups, lambda lr: torch.StepLR(lr, 3)
    assert make(torch.SGD, groups, ["w"]) == torch.SGD(0.1, 0.9)
    falling = torch.SGD(torch.StepLR(0.2, 3), 0.9)
    assert make(torch.SGD, groups, ["w"], schedule=schedule) == falling
    with pytest.raises(ValueError, match="has the index 0, but there are 0"):
        make(torch.SGD, groups, [])


ADAM = {"step": 3.0, "exp_avg": np.ones(2), "exp_avg_sq": np.ones(2)}


@pytest.mark.parametrize(
    ("tx", "entries", "names", "message"),
    [
        (torch.Adam(), [ADAM], ["u", "w"], r"names\[0\] is 'u', .* are 'v', 'w'"),
        (torch.Adam(), [ADAM], ["v", "v"], "names has 'v' twice"),
        (torch.Adam(), [ADAM] * 2, ["v"], "the index 1, but there are 1 names"),
        (torch.Adam(), [ADAM], ["v"], "ScaleByAdamState.count differs .* 0, 3"),
        (
            torch.Adam(amsgrad=True),
            [ADAM] * 2,
            ["v", "w"],
            "nothing was kept for .*max",
        ),
        (torch.SGD(), [ADAM] * 2, ["v", "w"], "no place for 'exp_avg' of 'v'"),
        (
            torch.Adam(),
            [ADAM | {"exp_avg": np.ones(3)}] * 2,
            ["v", "w"],
            r"'exp_avg' of 'v' has shape \(3,\)",
        ),
        (
            torch.SGD(gradtx.linear_schedule(1.0, 0.0, 10), momentum=0.9),
            [{"momentum_buffer": np.ones(2)}] * 2,
            ["v", "w"],
            "the number of steps for ScaleByScheduleState.count was not kept",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    tx: Any, entries: Any, names: Any, message: str
) -> None:
    """What is unknown, missing, too much, of another shape or count is named."""
    params = {"v": jnp.ones(2), "w": jnp.ones(2)}
    with pytest.raises(ValueError, match=message):
        torch.state_from(tx, {"state": dict(enumerate(entries))}, params, names)


def test_schedules_count_from_the_steps_that_are_told() -> None:
    """PyTorch's SGD keeps no number of steps, so ``steps`` is what schedules read."""
    tx = torch.SGD(gradtx.linear_schedule(1.0, 0.0, 10), momentum=0.9, dampening=0.5)
    params = {"w": jnp.ones(2)}
    kept = {"state": {0: {"momentum_buffer": np.ones(2)}}}
    state = torch.state_from(tx, kept, params, ["w"], steps=4)
    assert gradtx.learning_rate(tx, state) == pytest.approx(0.6)
    updates, _ = tx.update(params, state, params)
    assert updates["w"][0] == pytest.approx(-0.6 * (0.9 + 0.5))


@pytest.mark.usefixtures("x64")
def test_complex_parameters_come_as_two_parts() -> None:
    """The real and the imaginary part of what was kept go to their own places."""
    mean = np.array([1 + 2j])
    kept = {"state": {0: {"step": 1, "exp_avg": mean, "exp_avg_sq": mean}}}
    params, tx = {"w": jnp.array(mean)}, torch.Adam()
    state = torch.state_from(tx, kept, params, ["w"])
    assert [x.item() for x in jax.tree.leaves(state)] == [1, 1, 2, 1, 2]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", KERAS["cases"], ids=lambda c: c["name"])
@pytest.mark.one_in(3)
def test_a_run_of_keras_goes_on(case: Any) -> None:
    """From the variables of an optimizer of Keras the next steps are Keras's."""
    tx = getattr(keras, case["name"])(0.05, **case["kwargs"])
    params = tree(case["start"], as_it_is)
    kept = [np.array(x) for x in case["kept"]]
    state = keras.state_from(tx, kept, params, NAMES)
    with jax.disable_jit():
        go_on(tx, state, case, KERAS["grads"], as_it_is)


def test_variables_of_keras_are_counted() -> None:
    """A number of variables that does not fit is refused, and files' keys are read."""
    tx, params = keras.SGD(0.1, momentum=0.9), {"w": jnp.ones(2)}
    with pytest.raises(ValueError, match=r"there are 4 variables, .* names have 1"):
        keras.state_from(tx, [1, 0.1, np.ones(2), np.ones(2)], params, ["w"])
    kept = {"1": np.full(2, 0.5), "0": 7}
    state = keras.state_from(tx, kept, params, ["w"])
    assert jax.tree.leaves(state)[0].tolist() == [0.5, 0.5]


def test_keras_in_a_model_of_equinox() -> None:
    """A leaf called "weight" has Keras's kernel turned, factored moments with it."""
    params = {"conv": {"weight": jnp.ones((4, 3, 2))}, "weight": jnp.ones((3, 2))}
    params["embed"] = {"weight": jnp.ones((5, 2))}  # whose axes are the same there
    names = ["conv/weight", "weight", "embed/weight"]
    conv, dense = np.arange(24.0).reshape(2, 3, 4), np.arange(6.0).reshape(2, 3)
    rows = np.arange(10.0).reshape(5, 2)
    kept = [1, 0.1, conv, conv, dense, dense, rows, rows]
    state = keras.state_from(keras.Adam(0.1), kept, params, names)
    found = {x.shape: x for x in jax.tree.leaves(state) if x.ndim}
    assert (found[4, 3, 2] == conv.transpose(2, 1, 0)).all()
    assert (found[3, 2] == dense.T).all()
    assert (found[5, 2] == rows).all()
    kept = [1, 0.1, np.arange(2.0), np.arange(3.0), dense]
    tx, params = keras.Adafactor(0.1), {"weight": params["weight"]}
    state = keras.state_from(tx, kept, params, ["weight"])
    assert [x.tolist() for x in jax.tree.leaves(state)[1:3]] == [[0, 1, 2], [0, 1]]
