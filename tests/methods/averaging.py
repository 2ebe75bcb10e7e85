"""Averages of the weights and outer loops: rows of the catalogue and papers."""

from collections.abc import Callable
from typing import Any

import numpy as np

import gradtx
from methods.common import Array, Card, Rate, Row, Step, at, paper
from methods.modifiers import adam, made_around

# --- running means -----------------------------------------------------------


class Mean:
    """The weights that a mean is of, and with how much each counts."""

    def __init__(self) -> None:
        """Start with none."""
        self.weights: list[float] = []
        self.points: list[Array] = []

    def add(self, point: Array, decay: float | None) -> None:
        """Add a point, and let the earlier ones count for less."""
        if decay is not None:
            self.weights = [w * decay for w in self.weights]
        self.weights.append(1.0)
        self.points.append(point)

    def value(self) -> Array:
        """Return the mean, by weights that add up to 1."""
        parts = np.asarray(self.weights) / np.sum(self.weights)
        return np.tensordot(parts, np.asarray(self.points), 1)


@paper
def averaged_adam(
    learning_rate: Rate,
    decay: float | None,
    every: int,
    debias: bool = True,
    evaluate: bool = False,
    single_pass: bool = False,  # noqa: ARG001 - changes no number
) -> Step:
    """Polyak and Juditsky, 1992, and its weighted form: the sum, written out.

    Returns the weights, or with ``evaluate`` their mean.
    """
    inner, mean, theta = adam(learning_rate), Mean(), None

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal theta
        if theta is None:
            theta = p
            if not debias:  # the start counts as all that would be before it
                mean.add(p, None)
                mean.weights = [1 / (1 - decay)]  # type: ignore[operator]
        theta = inner(t, g, theta)
        if t % every == 0:
            mean.add(theta, decay)
        shown = mean.value() if t >= every else theta
        return shown if evaluate else theta

    return step


@paper
def tail_averaged_adam(
    learning_rate: Rate,
    start: int,
    decay: float | None,
    weight: float,
    evaluate: bool = False,
) -> Step:
    """Records 45 and 46 of modded-nanogpt's third track: an EMA of the last part."""
    inner, theta, tail = adam(learning_rate), None, None

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal theta, tail
        theta = p if theta is None else theta
        old, theta = theta, inner(t, g, theta)
        if t <= start:
            return theta
        tail = old if tail is None else tail
        share = 1 / (t - start) if decay is None else 1 - decay
        tail = tail + share * (theta - tail)
        return (1 - weight) * theta + weight * tail if evaluate else theta

    return step


# --- ahead of the weights ----------------------------------------------------


@paper
def ema_nesterov_adam(
    learning_rate: Rate, step_size: Rate, decay: float, evaluate: bool = False
) -> Step:
    """EMA-Nesterov, 2026 (2605.25395): x is kept, and y is made of it."""
    inner, x, e = adam(learning_rate), None, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal x, e
        x = p if x is None else x
        y = x + at(step_size, t) * e
        new = inner(t, g, y)
        e = decay * e + (1 - decay) * (new - x)
        x = new
        return x if evaluate else x + at(step_size, t + 1) * e

    return step


@paper
def primal_averaging(
    learning_rate: Rate,
    train_interp: float = 0.7,
    eval_interp: float | None = 0.9967,
    weight_power: float = 0.0,
    weight_lr_power: float = 2.0,
    weight_decay: float = 0.0,
    decay_at: str = "z",
    evaluate: bool = False,
) -> Step:
    """GPA, 2025 (2512.17131), Algorithm 1: x, y and z are all kept, around Adam."""
    inner, total, largest = adam(learning_rate), 0.0, 0.0
    x: Array = None
    z: Array = None

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal x, z, total, largest
        x, z = (p, p) if x is None else (x, z)
        y = train_interp * x + (1 - train_interp) * z
        rate = at(learning_rate, t)
        u = inner(t, g, y) - y
        if decay_at == "z":
            # The program holds y, which stays when z decays.
            z = z - rate * weight_decay * z
        else:
            y = y - rate * weight_decay * y
        x = (y - (1 - train_interp) * z) / train_interp
        z = z + u
        largest = max(largest, rate)
        w = t**weight_power * largest**weight_lr_power
        total += w
        a = w / total if eval_interp is None else 1 - eval_interp
        x = (1 - a) * x + a * z
        return x if evaluate else train_interp * x + (1 - train_interp) * z

    return step


# --- outer loops -------------------------------------------------------------


@paper
def outer_nesterov(
    learning_rate: Rate,
    every: int,
    outer_learning_rate: float,
    outer_momentum: float,
    method: Callable[..., Step] = adam,
    single_pass: bool = False,  # noqa: ARG001 - changes no number
) -> Step:
    """Douillard et al., 2023 (2311.08105), Algorithm 1, with one worker."""
    inner, outer, velocity = method(learning_rate), None, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal outer, velocity
        outer = p if outer is None else outer
        p = inner(t, g, p)
        if t % every == 0:
            pseudo = outer - p
            velocity = outer_momentum * velocity + pseudo
            outer = outer - outer_learning_rate * (pseudo + outer_momentum * velocity)
            p = outer
        return p

    return step


# --- rows --------------------------------------------------------------------


def made_primal(learning_rate: Rate, **settings: Any) -> Any:
    """Make primal averaging around Adam, with the rate of its decay and weights."""
    return gradtx.primal_averaging(gradtx.adam(learning_rate), **settings)


AVERAGED = made_around(gradtx.average, gradtx.adam)
CARRIED = made_around(gradtx.outer_nesterov, gradtx.adam)
ROWS: list[Row] = [
    Row(
        "average, adam",
        AVERAGED,
        {"learning_rate": 0.1, "decay": 0.9, "every": 2},
        averaged_adam,
        state_bytes=12,
        card=Card(
            "Average of the weights",
            "every k steps: m ← m + (1-β) / (1-βⁿ) (θ-m)",
            "around any method, to evaluate at m",
            "Polyak and Juditsky, 1992",
        ),
    ),
    Row(
        "average, adam, single pass",
        AVERAGED,
        {"learning_rate": 0.1, "decay": 0.9, "every": 2, "single_pass": True},
        averaged_adam,
        state_bytes=12,
    ),
    Row(
        "tail_average, adam",
        made_around(gradtx.tail_average, gradtx.adam),
        {"learning_rate": 0.1, "start": 2, "decay": 0.9, "weight": 0.6},
        tail_averaged_adam,
        state_bytes=12,
        card=Card(
            "Average of the tail",
            "from step T on: e ← β e + (1-β) θ, evaluate at (1-λ) θ + λ e",
            "a learning rate that comes down, from where it begins to",
            "modded-nanogpt, track 3",
        ),
    ),
    Row(
        "ema_nesterov, adam",
        made_around(gradtx.ema_nesterov, gradtx.adam),
        {"learning_rate": 0.1, "step_size": 0.5, "decay": 0.8},
        ema_nesterov_adam,
        state_bytes=12,
        card=Card(
            "EMA-Nesterov",
            "e ← γ e + (1-γ) (x'-x), p = x + β e",  # noqa: RUF001
            "around Muon or Adam, for the last percents; evaluate with `eval_params`",
            "EMA-Nesterov, 2026",
        ),
    ),
    Row(
        "outer_nesterov, adam",
        CARRIED,
        {
            "learning_rate": 0.1,
            "every": 3,
            "outer_learning_rate": 0.7,
            "outer_momentum": 0.5,
        },
        outer_nesterov,
        state_bytes=16,
        card=Card(
            "Outer Nesterov (DiLoCo, MuLoCo)",
            "every H steps: b ← μ b + η (φ-θ), θ ← φ - μ b - η (φ-θ), φ ← θ",
            "around AdamW or Muon, for large batches and few exchanges",
            "Douillard et al., 2023",
        ),
    ),
    Row(
        "outer_nesterov, adam, single pass",
        CARRIED,
        {
            "learning_rate": 0.1,
            "every": 3,
            "outer_learning_rate": 0.7,
            "outer_momentum": 0.5,
            "single_pass": True,
        },
        outer_nesterov,
        state_bytes=16,
    ),
    Row(
        "primal_averaging, adam",
        made_primal,
        {"learning_rate": 0.1, "train_interp": 0.7, "eval_interp": 0.9},
        primal_averaging,
        state_bytes=12,
        card=Card(
            "Primal averaging (GPA)",
            "z ← z + u, x ← μ_x x + (1-μ_x) z, p = μ_y x + (1-μ_y) z",
            "in place of Lookahead or DiLoCo on one worker; `eval_params` finds x",
            "GPA, 2025",
        ),
    ),
    Row(
        "primal_averaging, weighted",
        made_primal,
        {
            "learning_rate": 0.1,
            "train_interp": 0.9,
            "eval_interp": None,
            "weight_power": 1.0,
            "weight_decay": 1e-2,
        },
        primal_averaging,
        state_bytes=12,
    ),
]
