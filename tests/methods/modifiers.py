"""What goes before or around any method: rows of the catalogue and papers."""

from collections.abc import Callable
from typing import Any

import numpy as np

import gradtx
from methods import adam as adams, descent
from methods.common import Array, Rate, Row, Step, abs_sq, at, paper, size

Change = Callable[[int, Array], Array]


def sgd(learning_rate: Rate) -> Step:
    """Return the step of gradient descent."""
    return descent.sgd.factory(learning_rate)  # type: ignore[attr-defined]


def adam(learning_rate: Rate, **settings: Any) -> Step:
    """Return the step of Adam."""
    return adams.adam.factory(learning_rate, **settings)  # type: ignore[attr-defined]


def before(change: Change, then: Step) -> Step:
    """Change the gradient first."""
    return lambda t, g, p: then(t, change(t, g), p)


# --- before a method ---------------------------------------------------------


@paper
def mars_adamw(
    learning_rate: Rate, gamma: float, b1: float, max_norm: float, **adams: Any
) -> Step:
    """Yuan et al., 2024 (2411.10438), Algorithm 1 with the former gradient kept."""
    last: Array = 0.0

    def change(t: int, g: Array) -> Array:
        nonlocal last
        del t
        c = g + gamma * b1 / (1 - b1) * (g - last)
        last = g
        return c / max(1, size(c) / max_norm)

    return before(change, adam(learning_rate, b1=b1, **adams))


@paper
def grokfast_ema_sgd(learning_rate: Rate, alpha: float, lamb: float) -> Step:
    """Lee et al., 2024 (2405.20233), Algorithm 2, from the first gradient on."""
    e: Array = 0.0

    def change(t: int, g: Array) -> Array:
        nonlocal e
        e = g if t == 1 else alpha * e + (1 - alpha) * g
        return g + lamb * e

    return before(change, sgd(learning_rate))


@paper
def grokfast_ma_sgd(
    learning_rate: Rate, window_size: int, lamb: float, warmup: bool
) -> Step:
    """Lee et al., 2024 (2405.20233), Algorithm 1."""
    kept: list[Array] = []

    def change(t: int, g: Array) -> Array:
        kept[:] = [*kept, g][-window_size:]
        return g + lamb * np.mean(kept, 0) * (t >= window_size or not warmup)

    return before(change, sgd(learning_rate))


@paper
def zclip_sgd(
    learning_rate: Rate,
    alpha: float,
    z_thresh: float,
    max_grad_norm: float,
    warmup_steps: int,
    clip_factor: float,
) -> Step:
    """Kumar et al., 2025 (2504.02507), Algorithm 1, with its first norms all kept."""
    first: list[float] = []
    mean = var = 0.0

    def change(t: int, g: Array) -> Array:
        nonlocal mean, var
        n = size(g)
        if t <= warmup_steps:
            first.append(n)
            mean, var = np.mean(first), np.var(first)
            return g * min(1, max_grad_norm / (n + 1e-6))
        z, bound = (n - mean) / (np.sqrt(var) + 1e-6), n
        if z > z_thresh:
            bound = clip_factor * (mean + z_thresh**2 * np.sqrt(var) / z)
        mean = alpha * mean + (1 - alpha) * bound
        var = alpha * var + (1 - alpha) * (bound - mean) ** 2
        most = min(bound, max_grad_norm)
        return g * most / (n + 1e-6) if n > most else g

    return before(change, sgd(learning_rate))


@paper
def adagc_adamw(
    learning_rate: Rate,
    beta: float,
    lambda_abs: float,
    lambda_rel: float,
    warmup_steps: int,
) -> Step:
    """Wang et al., 2025 (2502.11034), Algorithm 1, for one array."""
    gamma = np.inf

    def change(t: int, g: Array) -> Array:
        nonlocal gamma
        n = size(g)
        if t < warmup_steps:
            h = g * min(1, lambda_abs / (n + 1e-8))
            gamma = min(gamma, size(h))
        else:
            h = g * min(1, lambda_rel * gamma / n)
            gamma = beta * gamma + (1 - beta) * size(h)
        return h

    return before(change, adam(learning_rate, weight_decay=1e-4))


# --- around a method ---------------------------------------------------------


def agree(x: Array, y: Array) -> Array:
    """Return Re(x* y), whose sign tells whether the two point the same way."""
    return np.real(np.conj(x) * y)


@paper
def cautious_adam(learning_rate: Rate, **adams: Any) -> Step:
    """Liang et al., 2024 (2411.16085), Algorithm 1, by the share that is kept."""
    inner = adam(learning_rate, **adams)

    def step(t: int, g: Array, p: Array) -> Array:
        u = inner(t, g, p) - p
        kept = agree(u, g) < 0
        return p + u * kept / max(kept.mean(), 1e-3)

    return step


@paper
def cautious_decay(learning_rate: Rate, weight_decay: float) -> Step:
    """Chen et al., 2025 (2510.12402): no decay of what the step makes larger."""
    inner = adam(learning_rate)

    def step(t: int, g: Array, p: Array) -> Array:
        u = inner(t, g, p) - p
        return p + u - at(learning_rate, t) * weight_decay * p * (agree(u, p) <= 0)

    return step


@paper
def corrected_decay(
    learning_rate: Rate, weight_decay: float, peak_learning_rate: float
) -> Step:
    """Defazio, 2025 (2506.02285): the decay goes with the square of the rate."""

    def decay(count: int) -> float:
        return weight_decay * at(learning_rate, count + 1) / peak_learning_rate

    return adam(learning_rate, weight_decay=decay)


@paper
def sgd_on_a_ball(learning_rate: Rate, radius: float) -> Step:
    """Wen et al., 2026 (2606.16899): normalize the step, then the weights."""

    def step(t: int, g: Array, p: Array) -> Array:
        p = p * radius / size(p)
        p = p - at(learning_rate, t) * radius * g / size(g)
        return p * radius / size(p)

    return step


@paper
def relative_sgd(learning_rate: Rate) -> Step:
    """The same without the second normalization."""

    def step(t: int, g: Array, p: Array) -> Array:
        return p - at(learning_rate, t) * size(p) / size(g) * g

    return step


@paper
def braked_adam(learning_rate: Rate, outward_scale: float, inward_scale: float) -> Step:
    """NVIDIA's RadialBrake: the norm changes by a part of what the step changes."""
    inner = adam(learning_rate)

    def step(t: int, g: Array, p: Array) -> Array:
        moved = inner(t, g, p)
        old, new = size(p), size(moved)
        scale = outward_scale if new > old else inward_scale
        return moved * (old + scale * (new - old)) / new

    return step


@paper
def floored_adam(learning_rate: Rate, floor: float) -> Step:
    """Track 3 of modded-nanogpt: no unit moves less than a part of its weights."""
    inner = adam(learning_rate)

    def step(t: int, g: Array, p: Array) -> Array:
        u, least = inner(t, g, p) - p, at(learning_rate, t) * floor
        for unit in range(p.shape[1]):
            length = size(u[:, unit])
            wanted = least * size(p[:, unit])
            u[:, unit] *= max(1, wanted / length)
        return p + u

    return step


@paper
def spam(
    learning_rate: Rate, every: int, warmup_steps: int, threshold: float, wait: int
) -> Step:
    """Huang et al., 2025 (2501.06842), Algorithm 1."""
    m, v = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        k, w = t % every, 1.0
        if k == 0:
            m, v = 0.0, 0.0
        if t >= every and k < warmup_steps:
            w = 1 - 0.99 * (1 + np.cos(np.pi * k / (warmup_steps + 1))) / 2
        if t >= wait and k >= wait:
            spike = abs_sq(g) > threshold * v
            most = np.sqrt(threshold * v) / np.maximum(np.abs(g), 1e-300)
            g = np.where(spike, g * most, g)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * abs_sq(g)
        u = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return p - at(learning_rate, t) * w * u

    return step


@paper
def scaled_sgd(learning_rate: Rate, initial_scale: float) -> Step:
    """Micikevicius et al., 2018 (1710.03740), on gradients that are given as scaled."""
    return before(lambda _, g: g / initial_scale, sgd(learning_rate))


# --- rows --------------------------------------------------------------------


def made_before(
    change: Callable[..., Any], method: Callable[..., Any]
) -> Callable[..., Any]:
    """Return the function that makes a change of the gradient before a method."""

    def make(learning_rate: Rate, b1: float | None = None, **settings: Any) -> Any:
        shared = {} if b1 is None else {"b1": b1}
        return gradtx.chain(
            change(**settings, **shared), method(learning_rate, **shared)
        )

    return make


def made_around(
    wrap: Callable[..., Any], method: Callable[..., Any]
) -> Callable[..., Any]:
    """Return the function that makes a wrapper around a method."""
    return lambda learning_rate, **settings: wrap(method(learning_rate), **settings)


def decayed(kind: str) -> Callable[..., Any]:
    """Return the function that makes an AdamW with a kind of decay."""
    return lambda learning_rate, **settings: gradtx.adamw(
        learning_rate, decay_kind=kind, **settings
    )


ROWS: list[Row] = [
    Row(
        "mars, adam",
        made_before(gradtx.mars, gradtx.adam),
        {"learning_rate": 0.1, "gamma": 0.05, "b1": 0.9, "max_norm": 2.0},
        mars_adamw,
        state_bytes=12,
    ),
    Row(
        "grokfast_ema, sgd",
        made_before(gradtx.grokfast_ema, gradtx.sgd),
        {"learning_rate": 0.05, "alpha": 0.8, "lamb": 1.0},
        grokfast_ema_sgd,
        state_bytes=4,
    ),
    Row(
        "grokfast_ma, sgd",
        made_before(gradtx.grokfast_ma, gradtx.sgd),
        {"learning_rate": 0.05, "window_size": 3, "lamb": 1.0, "warmup": True},
        grokfast_ma_sgd,
        state_bytes=12,
    ),
    Row(
        "zclip, sgd",
        made_before(gradtx.zclip, gradtx.sgd),
        {
            "learning_rate": 0.2,
            "alpha": 0.9,
            "z_thresh": 1.0,
            "max_grad_norm": 4.0,
            "warmup_steps": 3,
            "clip_factor": 0.9,
        },
        zclip_sgd,
        state_bytes=0,
        leafwise=False,
    ),
    Row(
        "adagc, adamw",
        made_before(gradtx.adagc, gradtx.adamw),
        {
            "learning_rate": 0.1,
            "beta": 0.9,
            "lambda_abs": 1.0,
            "lambda_rel": 1.05,
            "warmup_steps": 3,
        },
        adagc_adamw,
        state_bytes=8,
        leafwise=False,
    ),
    Row(
        "cautious, adam",
        made_around(gradtx.cautious, gradtx.adam),
        {"learning_rate": 0.1},
        cautious_adam,
        state_bytes=8,
    ),
    Row(
        "adamw, cautious decay",
        decayed("cautious"),
        {"learning_rate": 0.1, "weight_decay": 0.05},
        cautious_decay,
        state_bytes=8,
    ),
    Row(
        "adamw, corrected decay",
        decayed("corrected"),
        {"learning_rate": 0.1, "weight_decay": 0.02, "peak_learning_rate": 0.2},
        corrected_decay,
        state_bytes=8,
    ),
    Row(
        "hyperball, sgd",
        made_around(gradtx.hyperball, gradtx.sgd),
        # The bowl's lowest point has this norm.
        {"learning_rate": 0.02, "radius": 2.0},
        sgd_on_a_ball,
        state_bytes=0,
        shape=(4, 3),
    ),
    Row(
        "relative_update, sgd",
        made_around(gradtx.relative_update, gradtx.sgd),
        {"learning_rate": 0.03},
        relative_sgd,
        state_bytes=0,
        shape=(4, 3),
    ),
    Row(
        "radial_brake, adam",
        made_around(gradtx.radial_brake, gradtx.adam),
        {"learning_rate": 0.1, "outward_scale": 0.5, "inward_scale": 0.9},
        braked_adam,
        state_bytes=8,
        shape=(4, 3),
    ),
    Row(
        "row_floor, adam",
        made_around(gradtx.row_floor, gradtx.adam),
        {"learning_rate": 0.1, "floor": 0.5},
        floored_adam,
        state_bytes=8,
        shape=(4, 3),
    ),
    Row(
        "skip_spikes, adam",
        made_around(gradtx.skip_spikes, gradtx.adam),
        {"learning_rate": 0.1, "window": 8, "sigma": 20.0, "min_steps": 6},
        None,
        state_bytes=16,
        oracle="tests/wrappers/test_skip_spikes.py",
        needs=("value",),
        leafwise=False,
    ),
    Row(
        "spike_aware_reset, adam",
        made_around(gradtx.spike_aware_reset, gradtx.adam),
        {
            "learning_rate": 0.1,
            "every": 4,
            "warmup_steps": 2,
            "threshold": 20.0,
            "wait": 2,
        },
        spam,
        state_bytes=8,
    ),
    Row(
        "dynamic_loss_scale, sgd",
        made_around(gradtx.dynamic_loss_scale, gradtx.sgd),
        {"learning_rate": 0.4, "initial_scale": 4.0},
        scaled_sgd,
        state_bytes=0,
        leafwise=False,
    ),
]
