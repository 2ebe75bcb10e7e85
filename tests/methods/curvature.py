"""Curvature: Sophia, L-BFGS."""

import numpy as np

import gradtx
from gradtx import contrib
from methods.common import Array, Rate, Row, Step, at, paper

# --- the papers ---


@paper
def sophia(
    learning_rate: Rate,
    b1: float = 0.965,
    b2: float = 0.99,
    eps: float = 1e-8,
    weight_decay: Rate = 1e-4,
    gamma: float = 0.01,
    clip_threshold: float | None = 1.0,
    update_interval: int = 10,
    bias_correction: bool = True,
    curvature_first: bool = False,
    *,
    curvature: Array,
) -> Step:
    """Liu et al., 2023 (2305.14342), Algorithm 3, given the Hessian's diagonal."""
    m, h = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, h
        m, old = b1 * m + (1 - b1) * g, h
        if (t - 1) % update_interval == 0:
            h = b2 * h + (1 - b2) * curvature
        below = np.maximum(gamma * (h if curvature_first else old), eps)
        u = (m / (1 - b1**t) if bias_correction else m) / below
        if clip_threshold is not None:
            u = np.clip(u, -clip_threshold, clip_threshold)
        return p - at(learning_rate, t) * (u + at(weight_decay, t) * p)

    return step


# --- the rows ---


ROWS = [
    Row(
        "sophia",
        contrib.sophia,
        {"learning_rate": 0.1, "gamma": 0.5},
        None,
        state_bytes=8,
        oracle="tests/optimizers/test_sophia.py",
        needs=("obj_fn",),
    ),
    Row(
        "sophia, as in the paper",
        contrib.sophia,
        {
            "learning_rate": 0.1,
            "gamma": 0.5,
            "update_interval": 3,
            "bias_correction": False,
            "curvature_first": True,
        },
        None,
        state_bytes=8,
        oracle="tests/optimizers/test_sophia.py",
        needs=("obj_fn",),
    ),
    Row(
        "lbfgs",
        gradtx.lbfgs,
        {"learning_rate": 0.5, "memory_size": 3, "linesearch": None},
        None,
        state_bytes=33.5,
        oracle="tests/test_programs.py",
        leafwise=False,
    ),
]
