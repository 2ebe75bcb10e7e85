"""Steps divided by the size of the gradients: RMSProp, Adagrad, Adafactor, SM3."""

from typing import Any

import numpy as np

import gradtx
from gradtx import contrib
from methods.common import Array, Card, Rate, Row, Step, abs_sq, at, paper

# --- the papers ---


@paper
def rmsprop(
    learning_rate: Rate,
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: float | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> Step:
    """Hinton, 2012, lecture 6e; Graves, 2013 (1308.0850), eqs. 38-45, centered."""
    m, v, b = 0.0, initial_scale, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v, b
        m, v = decay * m + (1 - decay) * g, decay * v + (1 - decay) * abs_sq(g)
        c = 1 - decay**t if bias_correction else 1.0
        variance = np.maximum(v / c - abs_sq(m / c), 0) if centered else v / c
        below = np.sqrt(variance + eps) if eps_in_sqrt else np.sqrt(variance) + eps
        u = at(learning_rate, t) * g / below
        if momentum is None:
            return p - u
        b = momentum * b + u
        return p - (momentum * b + u if nesterov else b)

    return step


@paper
def adagrad(
    learning_rate: Rate, initial_accumulator_value: float = 0.1, eps: float = 1e-7
) -> Step:
    """Duchi et al., JMLR 2011, with epsilon in the root and no step where G is 0."""
    total: Array = initial_accumulator_value

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal total
        total = total + abs_sq(g)
        below = np.where(total > 0, np.sqrt(total + eps), np.inf)
        return p - at(learning_rate, t) * g / below

    return step


@paper
def adadelta(
    learning_rate: Rate, rho: float = 0.9, eps: float = 1e-6, weight_decay: Rate = 0.0
) -> Step:
    """Zeiler, 2012 (1212.5701), Algorithm 1, with an L2 penalty."""
    grads, moves = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal grads, moves
        g = g + at(weight_decay, t) * p
        grads = rho * grads + (1 - rho) * abs_sq(g)
        u = np.sqrt(moves + eps) / np.sqrt(grads + eps) * g
        moves = rho * moves + (1 - rho) * abs_sq(u)
        return p - at(learning_rate, t) * u

    return step


@paper
def adafactor(
    learning_rate: Rate,
    decay_rate: float = 0.8,
    eps: float = 1e-30,
    clipping_threshold: float = 1.0,
    momentum: float | None = None,
    weight_decay_rate: float = 0.0,
    factored: bool = True,
    **_: Any,
) -> Step:
    """Shazeer and Stern, 2018 (1804.04235), Algorithms 4 and 5, for a tall matrix."""
    v, m = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal v, m
        beta = 1 - t**-decay_rate
        square = abs_sq(g) + eps
        sums = (square.sum(1), square.sum(0)) if factored else (square,)
        v = tuple(beta * a + (1 - beta) * b for a, b in zip(v or (0, 0), sums))  # noqa: B905
        v_hat = np.outer(v[0], v[1]) / v[0].sum() if factored else v[0]
        u = g / np.sqrt(v_hat)
        u = u / max(1.0, np.sqrt(np.mean(abs_sq(u))) / clipping_threshold)
        u = at(learning_rate, t) * max(1e-3, np.sqrt(np.mean(abs_sq(p)))) * u
        if momentum is not None:
            u = m = momentum * m + (1 - momentum) * u
        return p - u - weight_decay_rate * p

    return step


@paper
def sm3(learning_rate: Rate, momentum: float = 0.9) -> Step:
    """Anil et al., 2019 (1901.11150), SM3-II with momentum: rows and columns."""
    rows, columns, m = None, None, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal rows, columns, m
        rows = np.zeros(g.shape[0]) if rows is None else rows
        columns = np.zeros(g.shape[1]) if columns is None else columns
        nu = np.minimum.outer(rows, columns) + g**2
        rows, columns = nu.max(axis=1), nu.max(axis=0)
        u = np.where(nu > 0, g / np.sqrt(nu + 1e-8), 0)
        m = momentum * m + (1 - momentum) * u
        return p - at(learning_rate, t) * m

    return step


@paper
def madgrad(
    learning_rate: Rate,
    momentum: float = 0.9,
    weight_decay: Rate = 0.0,
    eps: float = 1e-6,
) -> Step:
    """Defazio and Jelassi, 2021 (2101.11075), Algorithm 1; eps in the rate as coded."""
    x0, s, v = None, 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal x0, s, v
        x0 = p if x0 is None else x0
        g = g + at(weight_decay, t) * p
        weight = (at(learning_rate, t) + eps) * np.sqrt(t)
        s, v = s + weight * g, v + weight * abs_sq(g)
        z = x0 - s / (np.cbrt(v) + eps)
        return momentum * p + (1 - momentum) * z

    return step


# --- the rows ---


ROWS = [
    Row(
        "rmsprop",
        gradtx.rmsprop,
        {"learning_rate": 0.05},
        rmsprop,
        state_bytes=4,
        card=Card(
            "RMSProp",
            "v ← β v + (1-β) g², u = -η g / √(v + ε)",
            "recurrent networks, and targets that move",
            "Hinton, 2012",
        ),
    ),
    Row(
        "rmsprop, momentum",
        gradtx.rmsprop,
        {"learning_rate": 0.01, "momentum": 0.9},
        rmsprop,
        state_bytes=8,
    ),
    Row(
        "rmsprop, centered",
        gradtx.rmsprop,
        {
            "learning_rate": 0.05,
            "centered": True,
            "eps": 1e-2,
            "eps_in_sqrt": False,
            "momentum": 0.5,
        },
        rmsprop,
        state_bytes=12,
    ),
    Row(
        "rmsprop, eps outside",
        gradtx.rmsprop,
        {"learning_rate": 0.05, "eps_in_sqrt": False, "initial_scale": 1.0},
        rmsprop,
        state_bytes=4,
    ),
    Row(
        "rmsprop, unbiased",
        gradtx.rmsprop,
        {
            "learning_rate": 0.02,
            "bias_correction": True,
            "momentum": 0.8,
            "nesterov": True,
        },
        rmsprop,
        state_bytes=8,
    ),
    Row(
        "rmsprop, centered, unbiased",
        gradtx.rmsprop,
        {
            "learning_rate": 0.02,
            "bias_correction": True,
            "centered": True,
            "eps": 1e-2,
        },
        rmsprop,
        state_bytes=8,
    ),
    Row(
        "adagrad",
        gradtx.adagrad,
        {"learning_rate": 0.5},
        adagrad,
        state_bytes=4,
        card=Card(
            "Adagrad",
            "G ← G + g², u = -η g / √(G + ε)",
            "sparse features, and convex problems",
            "Duchi et al., 2011",
        ),
    ),
    Row(
        "adadelta",
        gradtx.adadelta,
        {"learning_rate": 20.0, "weight_decay": 1e-3},
        adadelta,
        state_bytes=8,
    ),
    Row(
        "adafactor",
        gradtx.adafactor,
        {"learning_rate": 0.1, "min_dim_size_to_factor": 2},
        adafactor,
        state_bytes=5,
        shape=(4, 3),
    ),
    Row(
        "adafactor, momentum",
        gradtx.adafactor,
        {
            "learning_rate": 0.1,
            "factored": False,
            "momentum": 0.9,
            "dtype_momentum": None,
            "weight_decay_rate": 1e-4,
        },
        adafactor,
        state_bytes=10,
    ),
    Row(
        "sm3",
        gradtx.sm3,
        {"learning_rate": 0.5},
        sm3,
        state_bytes=7.5,
        shape=(4, 3),
        complex=False,
        paper_complex=False,
    ),
    Row(
        "madgrad",
        contrib.madgrad,
        {"learning_rate": 0.3, "weight_decay": 1e-3},
        madgrad,
        state_bytes=12,
    ),
    Row(
        "madgrad, steady",
        contrib.scale_by_madgrad,
        {"learning_rate": 0.3, "momentum": 0.5, "eps": 1e-4},
        madgrad,
        state_bytes=12,
    ),
]
