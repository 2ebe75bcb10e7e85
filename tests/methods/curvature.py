"""Curvature and matrices: Sophia, L-BFGS, Muon."""

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


@paper
def muon(
    learning_rate: Rate,
    beta: float = 0.95,
    ns_steps: int = 5,
    eps: float = 1e-8,
    nesterov: bool = True,
    weight_decay: float = 0.0,
    consistent_rms: float | None = None,
) -> Step:
    """Jordan, 2024: momentum through five steps of Newton-Schulz, by its SVD.

    The mean looks ahead as Dozat's does; the scale is that of 2502.16982 if asked for.
    """
    m = 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m
        m = beta * m + (1 - beta) * g
        mean = m
        if nesterov:
            ahead, now = 1 - beta ** (t + 1), 1 - beta**t
            mean = beta * m / ahead + (1 - beta) * g / now
        left, s, right = np.linalg.svd(mean, full_matrices=False)
        s = s / (np.sqrt(np.sum(s * s)) + eps)
        for _ in range(ns_steps):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        rows, columns = p.shape
        size = max(1, columns / rows) ** 0.5
        if consistent_rms is not None:
            size = max(rows, columns) ** 0.5 * consistent_rms
        u = left * s @ right
        return p - at(learning_rate, t) * (size * u + weight_decay * p)

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
    Row(
        "muon",
        contrib.muon,
        {"learning_rate": 0.05, "consistent_rms": 0.8, "weight_decay": 0.01},
        muon,
        state_bytes=6.5,
        shape=(4, 3),
        tolerance=1e-9,
    ),
]
