"""Schedules of PyTorch and Keras against the rates that the libraries had."""

import inspect
import json
import pickle
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx import like

DATA = Path(__file__).parent.parent / "data"
FILES = {
    room: json.loads(
        (DATA / f"like_{room.__name__.rpartition('.')[2]}.json").read_text()
    )
    for room in (like.torch, like.keras)
}
ROOMS = {like.torch: like.torch, like.keras: like.keras.schedules}
CASES = [(room, case) for room, file in FILES.items() for case in file["schedules"]]
TOLERANCE = 1e-10
# A function of one int32 count may answer in float32.
ROUGH = 2e-7


def halves(t: Any) -> Any:
    """Return 1, 1/1.5, 1/2 and so on."""
    return 1 / (1 + t / 2)


def made(room: Any, name: str, kwargs: Any) -> Any:
    """Make the schedule of a case."""
    rate = FILES[room]["rate"]
    settings = {k: halves if v == "halves" else v for k, v in kwargs.items()}
    if "schedulers" in kwargs:
        settings["schedulers"] = [made(room, *x) for x in kwargs["schedulers"]]
        if name == "ChainedScheduler":
            settings["lr"] = rate
        return getattr(ROOMS[room], name)(**settings)
    first = next(iter(inspect.signature(getattr(ROOMS[room], name)).parameters))
    if first in ("lr", "base_lr", "initial_learning_rate"):
        settings = {first: rate, **settings}
    return getattr(ROOMS[room], name)(**settings)


every_case = pytest.mark.parametrize(
    ("room", "case"), CASES, ids=[f"{c['name']}-{c['kwargs']}" for _, c in CASES]
)


@pytest.mark.usefixtures("x64")
@every_case
@pytest.mark.one_in(16)
def test_rates(room: Any, case: Any) -> None:
    """The rates are those of the library, for one count after another and for all."""
    rate, expected = made(room, case["name"], case["kwargs"]), case["rates"]
    with jax.disable_jit(case["name"] != "MultiplicativeLR"):
        together = rate(jnp.arange(len(expected)))
        np.testing.assert_allclose(together, expected, rtol=0, atol=TOLERANCE)
        alone = rate(jnp.int32(5))
    assert alone.shape == ()
    atol = ROUGH if "halves" in str(case["kwargs"]) else TOLERANCE
    np.testing.assert_allclose(alone, expected[5], rtol=0, atol=atol)


@every_case
@pytest.mark.one_in(4)
def test_is_a_value(room: Any, case: Any) -> None:
    """It equals what was made alike, pickles, and its numbers may be traced."""
    rate, same = (made(room, case["name"], case["kwargs"]) for _ in range(2))
    assert rate == same
    assert hash(rate) == hash(same)
    assert pickle.loads(pickle.dumps(rate)) == rate  # noqa: S301
    traced = jax.jit(lambda rate: rate(jnp.int32(7)))(rate)
    np.testing.assert_allclose(traced, case["rates"][7], rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize(
    "make",
    [
        x
        for room in ROOMS.values()
        for x in vars(room).values()
        if hasattr(x, "factory")
    ],
)
def test_all_arguments_are_described(make: Any) -> None:
    """A docstring says what each argument means."""
    arguments = make.__doc__.split("Args:")[1]
    assert all(f"{name}: " in arguments for name in inspect.signature(make).parameters)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: like.torch.StepLR(0.1, 0), "StepLR: step_size must be"),
        (lambda: like.torch.LinearLR(0.1, 0.0), "LinearLR: start_factor must be"),
        (lambda: like.torch.MultiStepLR(0.1, [5, 3]), "in ascending order"),
        (lambda: like.torch.CyclicLR(0.1, 1.0, mode="square"), "mode must be one of"),
        (lambda: like.torch.OneCycleLR(0.1), "give total_steps, or epochs"),
        (lambda: like.torch.OneCycleLR(0.1, 9, pct_start=2.0), "pct_start must be"),
        (lambda: like.torch.ChainedScheduler([], 0.1), "at least one"),
        (lambda: like.torch.SequentialLR([], [3]), "boundaries"),
        (
            lambda: like.keras.schedules.PiecewiseConstantDecay([3], [0.1]),
            "need 2 values",
        ),
        (lambda: like.keras.schedules.CosineDecay(0.1, 0), "decay_steps must be"),
    ],
)
def test_wrong_settings(make: Any, words: str) -> None:
    """A wrong setting is refused with its name."""
    with pytest.raises(ValueError, match=words):
        make()
