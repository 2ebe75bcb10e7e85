"""Every optimizer of optax beside ours, and ``like.optax``, which has its numbers."""

import inspect
from typing import Any

import jax
import optax
import optax_differences as differences
import pytest
from optax_differences import DIFFERENCES, STEPS, distance, falling, made, steps

import gradtx
from gradtx import like

# Some of optax's constants are rounded to float32, whatever the parameters are.
ROUNDED = 1e-6
LIKE = sorted(x for x in vars(like.optax) if hasattr(vars(like.optax)[x], "factory"))
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "adan": [{"weight_decay": 0.1}],
    "amsgrad": [{"bias_correction_nu": False}, {"learning_rate": falling}],
    "momo": [{"learning_rate": falling, "weight_decay": 0.1}],
    "momo_adam": [{"learning_rate": falling, "weight_decay": 0.1}],
    "schedule_free_sgd": [{"learning_rate": falling, "weight_decay": 0.1}],
    "schedule_free_adamw": [{"learning_rate": falling, "weight_decay": 0.1}],
}
CASES = [
    (name, settings)
    for name, listed in DIFFERENCES.items()
    for settings in (listed.settings, *SETTINGS.get(name, ()))
]


def theirs(name: str) -> Any:
    """Return optax's function."""
    return getattr(optax, name, None) or getattr(optax.contrib, name)


@pytest.mark.usefixtures("x64")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Specifying a key")
@pytest.mark.parametrize("name", sorted(set(differences.optimizers())))
@pytest.mark.one_in(16)
def test_only_the_listed_differ(name: str) -> None:
    """An optimizer of optax has its numbers here by default, unless it is listed."""
    listed = DIFFERENCES.get(name)
    expected = bool(listed and not listed.settings)
    with jax.disable_jit():
        apart = distance(made("gradtx", name, {}), made("optax", name, {}))
    assert (apart > ROUNDED) == expected, apart


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", DIFFERENCES)
@pytest.mark.one_in(2)
def test_the_listed_differ(name: str) -> None:
    """What is listed differs with the settings that are listed."""
    settings = DIFFERENCES[name].settings
    with jax.disable_jit():
        apart = distance(made("gradtx", name, settings), made("optax", name, settings))
    assert apart > ROUNDED


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("name", "settings"), CASES)
@pytest.mark.one_in(6)
def test_like_optax_has_its_numbers(name: str, settings: Any) -> None:
    """So it does not in ``like.optax``, where a state of optax's goes on as there."""
    ours, other = made("like", name, settings), made("optax", name, settings)
    with jax.disable_jit():
        assert distance(ours, other) <= ROUNDED
        params, state = steps(
            other, differences.start(), other.init(differences.start()), 0, 2
        )
        structure = jax.tree.structure(ours.init(params))
        taken = structure.unflatten(jax.tree.leaves(state))
        p, _ = steps(ours, params, taken, 2, STEPS)
        q, _ = steps(other, params, state, 2, STEPS)
    for leaf in p:
        assert abs(p[leaf] - q[leaf]).max() <= ROUNDED


@pytest.mark.usefixtures("x64")
def test_schedule_free_around_an_optimizer() -> None:
    """The wrapper has optax's numbers too, and its average is found."""
    ours = like.optax.schedule_free(gradtx.sgd(falling), falling)
    other = optax.contrib.schedule_free(optax.sgd(falling), falling)
    with jax.disable_jit():
        assert distance(ours, other) <= ROUNDED
        params, state = steps(
            ours, differences.start(), ours.init(differences.start()), 0, 2
        )
    average = gradtx.eval_params(state, params)
    expected = optax.contrib.schedule_free_eval_params(state, params)
    for name in params:
        assert abs(average[name] - expected[name]).max() <= ROUNDED


@pytest.mark.parametrize("name", LIKE)
def test_the_signatures_are_optax(name: str) -> None:
    """Names, order and defaults of the arguments are optax's; all are described."""
    ours, other = (
        [(k, p.default) for k, p in inspect.signature(f).parameters.items()]
        for f in (getattr(like.optax, name), theirs(name))
    )
    assert ours == other
    arguments = getattr(like.optax, name).__doc__.split("Args:")[1]
    assert all(f"{k}: " in arguments for k, _ in ours)


def test_the_table_is_not_stale() -> None:
    """The page shows the table as it would be written now."""
    assert differences.table() in differences.PAGE.read_text(), (
        "run `PYTHONPATH=.:tests python tests/optax_differences.py`"
    )
