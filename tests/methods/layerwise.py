"""Steps scaled by layer: LARS, LAMB, NovoGrad, Fromage."""

import numpy as np

import gradtx
from methods.common import Array, Rate, Row, Step, abs_sq, at, paper, size

# --- the papers ---


@paper
def fromage(learning_rate: Rate, min_norm: float = 1e-6) -> Step:
    """Bernstein et al., 2020 (2002.03432), Algorithm 1."""

    def step(t: int, g: Array, p: Array) -> Array:
        eta = at(learning_rate, t)
        relative = max(size(p), min_norm) / max(size(g), min_norm)
        return (p - eta * relative * g) / np.sqrt(1 + eta**2)

    return step


@paper
def lamb(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: Rate = 0.0,
) -> Step:
    """You et al., 2020 (1904.00962), Algorithm 2."""
    m, v = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * abs_sq(g)
        r = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        r = r + at(weight_decay, t) * p
        return p - at(learning_rate, t) * size(p) / size(r) * r

    return step


@paper
def lars(
    learning_rate: Rate,
    weight_decay: Rate = 0.0,
    trust_coefficient: float = 0.001,
    eps: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> Step:
    """You et al., 2017 (1708.03888), Algorithm 1."""
    b: Array = 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal b
        decay = at(weight_decay, t)
        local = trust_coefficient * size(p) / (size(g) + decay * size(p) + eps)
        u = at(learning_rate, t) * local * (g + decay * p)
        b = momentum * b + u
        return p - (u + momentum * b if nesterov else b)

    return step


@paper
def novograd(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.25,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> Step:
    """Ginsburg et al., 2019 (1905.11286), Algorithm 1, for one layer."""
    m, v = 0.0, None

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        square = size(g) ** 2
        v = square if v is None else b2 * v + (1 - b2) * square
        m = b1 * m + (g / (np.sqrt(v) + eps) + weight_decay * p)
        return p - at(learning_rate, t) * m

    return step


# --- the rows ---


ROWS = [
    Row(
        "fromage",
        gradtx.fromage,
        {"learning_rate": 0.05},
        fromage,
        state_bytes=0,
    ),
    Row(
        "lamb",
        gradtx.lamb,
        {"learning_rate": 0.05, "weight_decay": 1e-3},
        lamb,
        state_bytes=8,
    ),
    Row(
        "lars",
        gradtx.lars,
        {"learning_rate": 1.0, "trust_coefficient": 0.01, "weight_decay": 1e-3},
        lars,
        state_bytes=4,
    ),
    Row(
        "novograd",
        gradtx.novograd,
        {"learning_rate": 0.02, "weight_decay": 1e-3},
        novograd,
        state_bytes=4,
    ),
]
