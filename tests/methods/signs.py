"""Steps of signs: Lion, Signum, Rprop."""

import numpy as np

import gradtx
from methods.common import Array, Card, Rate, Row, Step, at, paper, sign

# --- the papers ---


@paper
def lion(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.99,
    weight_decay: Rate = 1e-3,
    mask: Array = 1.0,
) -> Step:
    """Chen et al., 2023 (2302.06675): the sign of an interpolation."""
    m: Array = 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m
        c, m = b1 * m + (1 - b1) * g, b2 * m + (1 - b2) * g
        u = sign(c) + at(weight_decay, t) * mask * p
        return p - at(learning_rate, t) * u

    return step


@paper
def signum(learning_rate: Rate, beta: float = 0.0) -> Step:
    """Bernstein et al., 2018 (1802.04434), Algorithm 2; 1 where beta is 0."""
    m: Array = 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m
        m = beta * m + (1 - beta) * g
        return p - at(learning_rate, t) * sign(m)

    return step


@paper
def rprop(
    learning_rate: Rate,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step_size: float = 1e-6,
    max_step_size: float = 50.0,
) -> Step:
    """Igel and Hüsken, 2000, Rprop without backtracking (iRprop-); entry by entry."""
    sizes, last = at(learning_rate, 1), 0.0

    def step(_: int, g: Array, p: Array) -> Array:
        nonlocal sizes, last
        longer = np.minimum(sizes * eta_plus, max_step_size)
        shorter = np.maximum(sizes * eta_minus, min_step_size)
        same = g * last
        sizes = np.where(same > 0, longer, np.where(same < 0, shorter, sizes))
        last = np.where(same < 0, 0, g)
        return p - np.sign(last) * sizes

    return step


# --- the rows ---


ROWS = [
    Row(
        "lion",
        gradtx.lion,
        {"learning_rate": 0.05},
        lion,
        state_bytes=4,
        card=Card(
            "Lion",
            "u = -η (sign(β₁ m + (1-β₁) g) + λ p), m ← β₂ m + (1-β₂) g",
            "large batches, with half of Adam's memory",
            "Chen et al., 2023",
        ),
    ),
    Row(
        "lion8bit",
        gradtx.lion8bit,
        {"learning_rate": 0.05},
        lion,
        state_bytes=4,
    ),
    Row(
        "sign_sgd",
        gradtx.sign_sgd,
        {"learning_rate": 0.05},
        signum,
        state_bytes=0,
    ),
    Row(
        "signum",
        gradtx.signum,
        {"learning_rate": 0.05, "beta": 0.8},
        signum,
        state_bytes=4,
    ),
    Row(
        "rprop",
        gradtx.rprop,
        {"learning_rate": 0.1},
        rprop,
        state_bytes=8,
        complex=False,
        paper_complex=False,
    ),
]
