"""Relatives of Adam: LaProp, StableAdamW, CAME, and those rectified as RAdam is."""

import numpy as np

import gradtx
from methods.common import Array, Card, Rate, Row, Step, abs_sq, at, paper

# --- the papers ---


@paper
def laprop(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-15,
    weight_decay: Rate = 0.0,
    amsgrad: bool = False,
    centered_after: int | None = None,
) -> Step:
    """Ziyin et al., 2020 (2002.04839), Algorithm 1; the rest as coded by them."""
    m, v, a, w = 0.0, 0.0, 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v, a, w
        v, a = b2 * v + (1 - b2) * abs_sq(g), b2 * a + (1 - b2) * g
        early = centered_after is not None and t <= centered_after
        below = v if centered_after is None or early else v - abs_sq(a)
        if amsgrad and not early:
            below = w = np.maximum(w, below)
        scaled = g / (np.sqrt(below / (1 - b2**t)) + eps)
        m = b1 * m + (1 - b1) * scaled
        u = m / (1 - b1**t) + at(weight_decay, t) * p
        return p - at(learning_rate, t) * u

    return step


@paper
def stable_adamw(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.99,
    eps: float = 1e-6,
    weight_decay: Rate = 1e-2,
) -> Step:
    """Wortsman et al., 2023 (2304.13013), Algorithm 2: decays that debias."""
    m, v = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        beta1, beta2 = ((b**t - b) / (b**t - 1) for b in (b1, b2))
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * abs_sq(g)
        rms = np.sqrt(np.mean(abs_sq(g) / np.maximum(v, eps**2)))
        rate = at(learning_rate, t) / max(1, rms)
        p = p * (1 - rate * (at(weight_decay, t) or 0))
        return p - rate * m / (np.sqrt(v) + eps)

    return step


@paper
def came(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    b3: float = 0.9999,
    eps: float = 1e-30,
    eps_distance: float = 1e-16,
    clipping_threshold: float = 1.0,
    weight_decay: Rate = 0.0,
) -> Step:
    """Luo et al., 2023 (2307.02047), Algorithm 2, for a matrix."""
    m, squares, distances = 0.0, (0.0, 0.0), (0.0, 0.0)

    def averaged(old: tuple[Array, Array], y: Array, beta: float) -> tuple[Array, ...]:
        return tuple(
            beta * x + (1 - beta) * y.mean(axis)
            for x, axis in zip(old, (1, 0), strict=True)
        )

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, squares, distances
        squares = averaged(squares, abs_sq(g) + eps, b2)
        u = g / np.sqrt(np.outer(*squares) / squares[0].mean())
        u = u / max(1, np.sqrt(np.mean(abs_sq(u))) / clipping_threshold)
        m = b1 * m + (1 - b1) * u
        distances = averaged(distances, abs_sq(u - m) + eps_distance, b3)
        u = m / np.sqrt(np.outer(*distances) / distances[0].mean())
        return p - at(learning_rate, t) * (u + at(weight_decay, t) * p)

    return step


def rectification(b2: float, t: int, least: float) -> float | None:
    """Liu et al., 2020 (1908.03265), Algorithm 2: r, or None where it is not known."""
    last = 2 / (1 - b2) - 1
    rho = last - 2 * t * b2**t / (1 - b2**t)
    if rho < least:
        return None
    above = (rho - 4) * (rho - 2) * last
    return np.sqrt(above / ((last - 4) * (last - 2) * rho))


@paper
def rectified_adabelief(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
    rectify: bool = True,
    threshold: float = 5.0,
) -> Step:
    """Zhuang et al., 2020 (2010.07468), rectified as in 1908.03265, Algorithm 2."""
    assert rectify
    m, s = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, s
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * abs_sq(g - m) + eps_root
        u, r = m / (1 - b1**t), rectification(b2, t, threshold)
        if r is not None:
            u = r * u / (np.sqrt(s / (1 - b2**t)) + eps)
        return p - at(learning_rate, t) * u

    return step


@paper
def schedule_free_radam(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    weight_lr_power: float = 2.0,
    weight_step_power: float = 0.0,
    silent_sgd_phase: bool = True,
) -> Step:
    """Defazio et al., 2024 (2405.15682), eqs. 3-5, with the steps of 1908.03265."""
    x, z, v, total, largest = None, None, 0.0, 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal x, z, v, total, largest
        x, z = (p, p) if x is None else (x, z)
        v = b2 * v + (1 - b2) * abs_sq(g)
        r = rectification(b2, t, np.nextafter(4, 5))
        u = g if r is None else g / (np.sqrt(v / (1 - b2**t)) + eps)
        rate = at(learning_rate, t) * ((not silent_sgd_phase) if r is None else r)
        z = z - rate * (u + weight_decay * p)
        largest = max(largest, rate)
        weight = t**weight_step_power * largest**weight_lr_power
        total = total + weight
        c = weight / total if total else 0
        x = (1 - c) * x + c * z
        return (1 - b1) * z + b1 * x

    return step


# --- the rows ---


ROWS = [
    Row(
        "laprop",
        gradtx.laprop,
        {"learning_rate": 0.1},
        laprop,
        state_bytes=8,
        card=Card(
            "LaProp",
            "v ← β₂ v + (1-β₂) g², m ← β₁ m + (1-β₁) g / (√v̂ + ε), u = -η m̂",
            "as Adam, where β₂ has to be small",
            "Ziyin et al., 2020",
        ),
    ),
    Row(
        "laprop, centered, amsgrad",
        gradtx.laprop,
        {
            "learning_rate": 0.05,
            "b2": 0.9,
            "eps": 1e-2,
            "weight_decay": 1e-2,
            "amsgrad": True,
            "centered_after": 3,
        },
        laprop,
        state_bytes=16,
    ),
    Row(
        "stable_adamw",
        gradtx.stable_adamw,
        {"learning_rate": 0.1},
        stable_adamw,
        state_bytes=8,
        card=Card(
            "StableAdamW",
            "u = AdamW's / max(1, √mean(g² / max(v̂, ε²)))",
            "in place of clipping, where losses spike",
            "Wortsman et al., 2023",
        ),
    ),
    Row(
        "stable_adamw, no decay",
        gradtx.stable_adamw,
        {"learning_rate": 0.1, "b2": 0.95, "eps": 1e-3, "weight_decay": None},
        stable_adamw,
        state_bytes=8,
    ),
    Row(
        "came",
        gradtx.came,
        {"learning_rate": 0.03, "b3": 0.99, "weight_decay": 1e-2},
        came,
        state_bytes=12.5,
        shape=(4, 3),
        card=Card(
            "CAME",
            "x = clipped g / √(R C), m ← β₁ m + (1-β₁) x, u = -η m / √(that of (x-m)²)",
            "as Adafactor, with a momentum and a warmup",
            "Luo et al., 2023",
        ),
    ),
    Row(
        "adabelief, rectified",
        gradtx.adabelief,
        {"learning_rate": 0.1, "b2": 0.99, "rectify": True},
        rectified_adabelief,
        state_bytes=8,
    ),
    Row(
        "schedule_free_radam",
        gradtx.schedule_free_radam,
        {
            "learning_rate": 0.1,
            "b2": 0.99,
            "weight_decay": 1e-2,
            "weight_lr_power": 1.0,
            "weight_step_power": 0.5,
            "silent_sgd_phase": False,
        },
        schedule_free_radam,
        state_bytes=8,
    ),
]
