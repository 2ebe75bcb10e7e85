"""Modifiers: they work with every method, in every precision, and may do nothing."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx
from gradtx import contrib

Tree = Any


def before(change: Any) -> Callable[[Any], Any]:
    """Return what puts a change of the gradient before a method."""
    return lambda method: gradtx.chain(change, method)


def around(wrap: Callable[..., Any], **settings: Any) -> Callable[[Any], Any]:
    """Return what puts a wrapper around a method."""
    return lambda method: wrap(method, **settings)


FINAL = {
    "hyperball": around(gradtx.hyperball, radius="initial"),
    "relative_update": around(gradtx.relative_update),
    "radial_brake": around(gradtx.radial_brake),
    "row_floor": around(gradtx.row_floor, floor=2.0),
    "primal_averaging": around(gradtx.primal_averaging),
}
MODIFIERS = {
    "mars": before(gradtx.mars()),
    "grokfast_ema": before(gradtx.grokfast_ema()),
    "grokfast_ma": before(gradtx.grokfast_ma(2)),
    "zclip": before(gradtx.zclip(warmup_steps=2)),
    "adagc": before(gradtx.adagc(warmup_steps=2)),
    "cautious": around(gradtx.cautious),
    "skip_spikes": around(gradtx.skip_spikes, window=4, sigma=20.0, min_steps=2),
    "spike_aware_reset": around(
        gradtx.spike_aware_reset, every=3, warmup_steps=1, threshold=None
    ),
    "dynamic_loss_scale": around(gradtx.dynamic_loss_scale, initial_scale=1.0),
    "average": around(gradtx.average, decay=0.9, every=2),
    "tail_average": around(gradtx.tail_average, start=1, decay=0.9),
    "ema_nesterov": around(gradtx.ema_nesterov, decay=0.9),
    "outer_nesterov": around(gradtx.outer_nesterov, every=2, outer_momentum=0.5),
    **FINAL,
}
BASES = {
    "momentum": gradtx.sgd(0.01, momentum=0.9),
    "adamw": gradtx.adamw(0.01, weight_decay=0.1),
    "lion": gradtx.lion(0.01),
    "muon": contrib.muon(0.01),
    "schedule_free": contrib.schedule_free_adamw(0.01),
}
every_modifier = pytest.mark.parametrize("name", MODIFIERS)


def trained(tx: Any, params: Tree, length: int) -> Tree:
    """Return the parameters and the state after some steps down a bowl."""

    def body(carry: Any, _: None) -> Any:
        params, state = carry
        loss, grads = problems.bowl(params), problems.slope(params)
        updates, state = tx.update(grads, state, params, value=loss)
        return (gradtx.apply_updates(params, updates), state), None

    return jax.lax.scan(body, (params, tx.init(params)), length=length)[0]


@every_modifier
@pytest.mark.one_in(12)
def test_works_with_every_method(name: str) -> None:
    """With five methods: one trace for all numbers, types kept, downhill and finite.

    What must see the final update refuses Schedule-Free, which must itself.
    """
    bases = dict(BASES)
    if name in FINAL:
        with pytest.raises(ValueError, match=r"schedule_free must see .*, but"):
            MODIFIERS[name](bases.pop("schedule_free"))
    made = {key: MODIFIERS[name](base) for key, base in bases.items()}
    start = {"w": jnp.linspace(-1, 2, 16).reshape(8, 2), "h": jnp.bfloat16([1, -2])}
    traces = []

    @jax.jit
    def train(made: Any) -> Any:
        traces.append(name)
        return {key: trained(tx, start, 4) for key, tx in made.items()}

    ends = train(made)
    for params, state in ends.values():
        assert problems.shapes(params) == problems.shapes(start)
        assert problems.all_finite((params, state))
        assert (params["w"] != start["w"]).any()
        if name != "hyperball":  # whose norm stays
            assert problems.bowl(params) < problems.bowl(start)
    train(jax.tree.map(lambda x: 0.9 * x, made))
    assert len(traces) == 1


@every_modifier
@pytest.mark.one_in(12)
def test_half_precision_follows_float32(name: str) -> None:
    """With bfloat16 weights kept as they should be, it goes where float32 goes."""
    start = jnp.linspace(-1, 2, 32).reshape(8, 4).astype(jnp.bfloat16)
    tx = MODIFIERS[name](gradtx.adam(2e-3))
    kept = {
        "master": (gradtx.with_master_weights(tx), 2e-3),
        "compensation": (gradtx.with_compensation(tx), 2e-3),
        "stochastic": (gradtx.with_stochastic_rounding(tx), 2e-2),
        "lost": (tx, None),
    }

    @jax.jit
    def train() -> Any:
        wide = trained(tx, start.astype(jnp.float32), 60)[0]
        return wide, {key: trained(tx, start, 60)[0] for key, (tx, _) in kept.items()}

    wide, narrow = train()
    for key, (_, bound) in kept.items():
        assert narrow[key].dtype == jnp.bfloat16
        apart = np.abs(narrow[key].astype(jnp.float32) - wide).mean()
        assert apart < bound if bound else apart > 2e-2


def decayed(kind: str, decay: float) -> Callable[[float], Any]:
    """Return what makes an AdamW with a kind of decay."""
    return lambda rate: gradtx.adamw(rate, weight_decay=decay, decay_kind=kind)


# Each beside what it is without its effect.
IDENTITIES = {
    "mars": before(gradtx.mars(gamma=0.0, max_norm=None)),
    "grokfast_ema": before(gradtx.grokfast_ema(lamb=0.0)),
    "grokfast_ma": before(gradtx.grokfast_ma(2, lamb=0.0)),
    "zclip": before(gradtx.zclip(z_thresh=1e6, max_grad_norm=None, warmup_steps=1)),
    "adagc": before(gradtx.adagc(lambda_abs=1e9, lambda_rel=1e9, warmup_steps=2)),
    "radial_brake": around(gradtx.radial_brake, outward_scale=1.0),
    "row_floor": around(gradtx.row_floor, floor=0.0),
    "skip_spikes": around(gradtx.skip_spikes, window=2, min_steps=2, sigma=1e9),
    "spike_aware_reset": around(gradtx.spike_aware_reset, every=None, threshold=None),
    "dynamic_loss_scale": around(gradtx.dynamic_loss_scale, initial_scale=1.0),
    "hyperball": around(gradtx.hyperball, mask=False),
    "average": around(gradtx.average),
    "tail_average": around(gradtx.tail_average, start=2),
    "ema_nesterov": around(gradtx.ema_nesterov, step_size=0.0),
    "outer_nesterov": around(
        gradtx.outer_nesterov, every=2, outer_learning_rate=1.0, outer_momentum=0.0
    ),
    "primal_averaging": around(gradtx.primal_averaging, eval_interp=0.0),
    "corrected decay": lambda _: decayed("corrected", 0.1)(0.01),
    "independent decay": lambda _: decayed("independent", 0.1 * 0.01)(0.01),
}


@pytest.mark.parametrize("name", IDENTITIES)
@pytest.mark.one_in(12)
def test_without_its_effect_it_is_the_method(name: str) -> None:
    """With a weight of 0, a bound never met, or a constant rate: AdamW as it is."""
    start = {"w": jnp.linspace(-1, 2, 8).reshape(4, 2), "b": jnp.ones(2)}
    adamw = gradtx.adamw(0.01, weight_decay=0.1)
    with jax.disable_jit():
        expected, _ = stepped(adamw, start)
        got, _ = stepped(IDENTITIES[name](adamw), start)
    problems.assert_close(got, expected, rtol=1e-6)


def stepped(tx: Any, params: Tree) -> Tree:
    """Take four steps down the bowl, one of them with a larger gradient."""
    state = tx.init(params)
    for t in range(4):
        grads = jax.tree.map(lambda g: g * (1 + 9 * (t == 2)), problems.slope(params))  # noqa: B023
        updates, state = tx.update(grads, state, params, value=jnp.ones(()) * t)
        params = gradtx.apply_updates(params, updates)
    return params, state
