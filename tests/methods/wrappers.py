"""Wrappers: Lookahead, Schedule-Free, masks and conditions around a method."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import gradtx
from methods import adam, descent
from methods.common import (
    Array,
    Card,
    Rate,
    Row,
    Step,
    abs_sq,
    at,
    paper,
)

# --- the papers ---


@paper
def lookahead(
    fast: Callable[..., Array],
    sync_period: int,
    slow_step_size: float,
    reset_state: bool = False,
    **settings: Any,
) -> Step:
    """Zhang et al., 2019 (1907.08610), Algorithm 1, around any method of this file."""
    inner, slow, start = fast.factory(**settings), None, 0  # type: ignore[attr-defined]

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal inner, slow, start
        slow = p if slow is None else slow
        p = inner(t - start, g, p)
        if t % sync_period:
            return p
        slow = slow + slow_step_size * (p - slow)
        if reset_state:
            inner, start = fast.factory(**settings), t  # type: ignore[attr-defined]
        return slow

    return step


@paper
def schedule_free(
    learning_rate: Rate,
    warmup_steps: int | None = None,
    b1: float = 0.9,
    b2: float | None = None,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    weight_lr_power: float = 2.0,
    evaluate: bool = False,
) -> Step:
    """Defazio et al., 2024 (2405.15682), eqs. 3-5, and Algorithm 1 with ``b2``.

    Returns y, where gradients are taken, or x, the average, to evaluate with.
    """
    x, z, v, total, largest = None, None, 0.0, 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal x, z, v, total, largest
        x, z = (p, p) if x is None else (x, z)
        y = (1 - b1) * z + b1 * x
        rate = at(learning_rate, t) * (min(1, t / warmup_steps) if warmup_steps else 1)
        u = g
        if b2 is not None:
            v = b2 * v + (1 - b2) * abs_sq(g)
            u = g / (np.sqrt(v / (1 - b2**t)) + eps)
        z = z - rate * (u + weight_decay * y)
        largest = max(largest, rate)
        total = total + largest**weight_lr_power
        c = largest**weight_lr_power / total
        x = (1 - c) * x + c * z
        return x if evaluate else (1 - b1) * z + b1 * x

    return step


@paper
def clipped_adamw(*, max_norm: float, **adamws: Any) -> Step:
    """Pascanu et al., 2013 (1211.5063), Algorithm 1, and then AdamW."""
    inner = adam.adamw.factory(**adamws)  # type: ignore[attr-defined]

    def step(t: int, g: Array, p: Array) -> Array:
        size = np.sqrt(np.sum(abs_sq(g)))
        return inner(t, g * max_norm / size if size > max_norm else g, p)

    return step


# --- the rows ---


def lookahead_around(
    fast: Callable[..., Any], learning_rate: Rate, **settings: Any
) -> Any:
    """Make a Lookahead around a method."""
    inner = {k: settings.pop(k) for k in ("momentum",) if k in settings}
    return gradtx.lookahead(fast(learning_rate, **inner), **settings)


def make_clipped_adamw(learning_rate: Rate, max_norm: float, **settings: Any) -> Any:
    """Make the line that most programs begin with."""
    clip = gradtx.clip_by_global_norm(max_norm)
    return gradtx.chain(clip, gradtx.adamw(learning_rate, **settings))


def masked_adamw(learning_rate: Rate) -> Any:
    """Make an optimizer whose parts are masked, by a prefix of the tree."""
    return gradtx.chain(
        gradtx.masked(gradtx.scale_by_adam(), mask=True),
        gradtx.masked(gradtx.scale(2.0), mask=False),
        gradtx.add_decayed_weights(1e-2, mask=True),
        gradtx.scale_by_learning_rate(learning_rate),
    )


def wrapped(wrap: Callable[[Any], Any], **inner: Any) -> Any:
    """Make a wrapper around Adam."""
    return wrap(gradtx.adam(**inner))


ROWS = [
    Row(
        "lookahead, adam",
        partial(lookahead_around, gradtx.adam),
        {"learning_rate": 0.1, "sync_period": 3, "slow_step_size": 0.5},
        partial(lookahead, fast=adam.adam),
        state_bytes=12,
        card=Card(
            "Lookahead",
            "every k steps: φ ← φ + α (θ-φ), θ ← φ",  # noqa: RUF001
            "around another method, to steady it and to evaluate at φ",
            "Zhang et al., 2019",
        ),
    ),
    Row(
        "lookahead, reset",
        partial(lookahead_around, gradtx.sgd),
        {
            "learning_rate": 0.1,
            "momentum": 0.9,
            "sync_period": 4,
            "slow_step_size": 0.8,
            "reset_state": True,
        },
        partial(lookahead, fast=descent.sgd),
        state_bytes=8,
    ),
    Row(
        "schedule_free_sgd",
        gradtx.schedule_free_sgd,
        {"learning_rate": 0.5, "warmup_steps": 3, "weight_decay": 1e-2},
        schedule_free,
        state_bytes=4,
        card=Card(
            "Schedule-Free SGD",
            "z ← z - η g, x ← (1-c) x + c z, p = (1-β) z + β x",
            "the number of steps is not known; evaluate with `eval_params`",
            "Defazio et al., 2024",
        ),
    ),
    Row(
        "schedule_free_adamw",
        gradtx.schedule_free_adamw,
        {"learning_rate": 0.1, "warmup_steps": 3, "b2": 0.99, "weight_decay": 1e-2},
        schedule_free,
        state_bytes=8,
        card=Card(
            "Schedule-Free AdamW",
            "z ← z - η (g / (√v̂ + ε) + λ p), x ← (1-c) x + c z, p = (1-β) z + β x",
            "AdamW without a schedule; evaluate with `eval_params`",
            "Defazio et al., 2024",
        ),
    ),
    Row(
        "chain",
        make_clipped_adamw,
        {"learning_rate": 0.1, "max_norm": 1.0, "weight_decay": 1e-2},
        clipped_adamw,
        state_bytes=8,
        leafwise=False,
    ),
    Row(
        "masked",
        masked_adamw,
        {"learning_rate": 0.1},
        partial(adam.adamw, weight_decay=1e-2),
        state_bytes=8,
    ),
    Row(
        "accumulate",
        partial(wrapped, lambda tx: gradtx.accumulate(tx, 1)),
        {"learning_rate": 0.1},
        adam.adam,
        state_bytes=12,
    ),
    Row(
        "apply_if_finite",
        partial(wrapped, lambda tx: gradtx.apply_if_finite(tx, 3)),
        {"learning_rate": 0.1},
        adam.adam,
        state_bytes=8,
        leafwise=False,
    ),
    Row(
        "partition",
        partial(wrapped, lambda tx: gradtx.partition({"all": tx}, "all")),
        {"learning_rate": 0.1},
        adam.adam,
        state_bytes=8,
    ),
    Row(
        "inject_hyperparams",
        gradtx.inject_hyperparams(gradtx.adam),
        {"learning_rate": 0.1},
        adam.adam,
        state_bytes=8,
    ),
    Row(
        "with_metrics",
        partial(wrapped, gradtx.with_metrics),
        {"learning_rate": 0.1},
        adam.adam,
        state_bytes=8,
    ),
    Row(
        "flatten",
        partial(wrapped, gradtx.flatten),
        {"learning_rate": 0.1},
        adam.adam,
        state_bytes=8,
    ),
]
