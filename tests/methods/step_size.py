"""Methods that find their step size: DoG, D-Adaptation, Prodigy, MoMo, Mechanic."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import gradtx
from gradtx import contrib
from methods import descent
from methods.common import (
    Array,
    Rate,
    Row,
    Step,
    abs_sq,
    at,
    dot,
    paper,
    size,
)

# --- the papers ---


@paper
def mechanic(
    base: Callable[..., Array],
    decay: float = 1e-2,
    eps: float = 1e-8,
    s_init: float = 1e-6,
    num_betas: int = 6,
    **settings: Any,
) -> Step:
    """Cutkosky et al., 2023 (2306.00144), Algorithm 1, as the authors refined it.

    The path follows from the parameters, and h is clipped to what was seen before.
    """
    inner, start = base.factory(**settings), None  # type: ignore[attr-defined]
    beta = 1 - 0.1 ** np.arange(1, num_betas + 1)
    r, m, v = np.zeros((3, num_betas))
    s = np.full(num_betas, s_init)

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal start, r, m, v, s
        start = p if start is None else start
        path = (p - start) / (s.sum() + eps)
        size, length = np.linalg.norm(g), np.linalg.norm(p)
        pull = g + decay * s.sum() * size / (length + eps) * p
        h = -np.vdot(pull, path).real
        r = beta * r + np.clip(h, -m, m) * s
        m = np.maximum(beta * m, abs(h) + eps)
        v = beta**2 * v + h**2
        s = (s_init / num_betas * m + np.maximum(r, 0)) / (np.sqrt(v) + eps)
        return start + s.sum() * (path + inner(t, g, p) - p)

    return step


@paper
def distance_over_gradients(
    learning_rate: Rate, reps_rel: float = 1e-6, eps: float = 1e-8
) -> Step:
    """Ivgi et al., 2023 (2302.12022), the layerwise variant, for one layer."""
    start, far, total = None, 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal start, far, total
        if start is None:
            start, far = p, reps_rel * (1 + size(p))
        far, total = max(far, size(p - start)), total + size(g) ** 2
        return p - at(learning_rate, t) * far / np.sqrt(total + eps) * g

    return step


@paper
def cocob(
    learning_rate: Rate = 1.0,
    alpha: float = 100.0,
    eps: float = 1e-8,
    weight_decay: Rate = 0.0,
) -> Step:
    """Orabona and Tommasi, 2017 (1705.07795), Algorithm 2, of the scaled gradient."""
    x0, largest, total, reward, theta = None, eps, 0.0, 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal x0, largest, total, reward, theta
        x0 = p if x0 is None else x0
        g = at(learning_rate, t) * (g + at(weight_decay, t) * p)
        largest = np.maximum(largest, np.abs(g))
        total = total + np.abs(g)
        reward = np.maximum(reward - (p - x0) * g, 0)
        theta = theta - g
        beta = theta / (largest * np.maximum(total + largest, alpha * largest))
        return x0 + beta * (largest + reward)

    return step


@paper
def dog(
    learning_rate: Rate = 1.0,
    init_step: tuple[str, float] = ("heuristic", 1e-6),
    eps: float = 1e-8,
    weight_decay: Rate = 0.0,
) -> Step:
    """Ivgi et al., 2023 (2302.12022): the distance over the root of the squares."""
    x0, far, total = None, 0.0, eps
    kind, start = init_step

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal x0, far, total
        if x0 is None:
            x0 = p
            firsts = {"distance": start, "heuristic": start * (1 + size(p))}
            far = firsts.get(kind, 0.0)
        g = g + at(weight_decay, t) * p
        far, total = max(far, size(p - x0)), total + size(g) ** 2
        rate = start if kind == "learning_rate" and t == 1 else far / np.sqrt(total)
        return p - at(learning_rate, t) * rate * g

    return step


@paper
def dowg(
    learning_rate: Rate = 1.0,
    init_estim_sq_dist: float | None = None,
    eps: float = 1e-4,
    weight_decay: Rate = 0.0,
) -> Step:
    """Khaled et al., 2023 (2305.16284), Algorithm 1, with the epsilon of its code."""
    x0, v = None, 0.0
    square = eps if init_estim_sq_dist is None else init_estim_sq_dist

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal x0, v, square
        x0 = p if x0 is None else x0
        g = g + at(weight_decay, t) * p
        square = max(square, size(p - x0) ** 2)
        v = v + square * size(g) ** 2
        return p - at(learning_rate, t) * square / (np.sqrt(v) + eps) * g

    return step


@paper
def dadapt_adamw(
    learning_rate: Rate = 1.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    estim_lr0: float = 1e-6,
    weight_decay: Rate = 0.0,
    use_bias_correction: bool = True,
) -> Step:
    """Defazio and Mishchenko, 2023 (2301.07733), D-Adapt Adam as they coded it."""
    (b1, b2), root = betas, betas[1] ** 0.5
    d, r, m, v, s = estim_lr0, 0.0, 0.0, 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal d, r, m, v, s
        rate = d * at(learning_rate, t)
        if use_bias_correction:
            rate *= np.sqrt(1 - b2**t) / (1 - b1**t)
        along = np.sum(np.real(np.conj(g) * s / (np.sqrt(v) + eps)))
        m = b1 * m + (1 - b1) * rate * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        s = root * s + (1 - root) * rate * g
        r = root * r + (1 - root) * rate * along
        length = np.sum(np.abs(s))
        d = max(d, r / ((1 - root) * length)) if length > 0 else d
        return p - m / (np.sqrt(v) + eps) - rate * at(weight_decay, t) * p

    return step


@paper
def prodigy(
    learning_rate: Rate = 1.0,
    betas: tuple[float, float] = (0.9, 0.999),
    beta3: float | None = None,
    eps: float = 1e-8,
    estim_lr0: float = 1e-6,
    estim_lr_coef: float = 1.0,
    weight_decay: Rate = 0.0,
    safeguard_warmup: bool = False,
    use_bias_correction: bool = True,
) -> Step:
    """Mishchenko and Defazio, 2023 (2306.06101), Algorithm 4, and its options."""
    (b1, b2), b3 = betas, betas[1] ** 0.5 if beta3 is None else beta3
    x0, d, r, m, v, s = None, estim_lr0, 0.0, 0.0, 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal x0, d, r, m, v, s
        x0 = p if x0 is None else x0
        rate = at(learning_rate, t)
        if use_bias_correction:
            rate *= np.sqrt(1 - b2**t) / (1 - b1**t)
        m = b1 * m + (1 - b1) * d * g
        v = b2 * v + (1 - b2) * d**2 * abs_sq(g)
        fallen = np.sum(np.real(np.conj(g) * (x0 - p)))
        r = b3 * r + (1 - b3) * rate * d**2 * fallen
        s = b3 * s + (1 - b3) * (1 if safeguard_warmup else rate) * d**2 * g
        u = rate * d * m / (np.sqrt(v) + d * eps)
        decay = rate * d * at(weight_decay, t) * p
        length = np.sum(np.abs(s))
        d = max(d, estim_lr_coef * r / length) if length > 0 else d
        return p - u - decay

    return step


@paper
def momo(
    learning_rate: Rate = 1.0,
    beta: float = 0.9,
    lower_bound: float = 0.0,
    weight_decay: Rate = 0.0,
    adapt_lower_bound: bool = False,
    *,
    values: Sequence[float],
) -> Step:
    """Schaipp et al., 2023 (2305.07583), MoMo, given the losses of all steps."""
    loss, gamma, m, low = 0.0, 0.0, 0.0, lower_bound

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal loss, gamma, m, low
        keep, eta = beta if t > 1 else 0.0, at(learning_rate, t)
        rho = 1 + eta * at(weight_decay, t)
        loss = keep * loss + (1 - keep) * values[t - 1]
        gamma = keep * gamma + (1 - keep) * dot(g, p)
        m = keep * m + (1 - keep) * g
        above, square = rho * (loss - gamma) + dot(m, p), dot(m, m)
        if adapt_lower_bound and above < rho * low:
            low = max(above / (2 * rho), lower_bound)
        tau = min(eta, max(above - rho * low, 0) / square)
        if adapt_lower_bound:
            end = loss - gamma + dot(m, p) - 0.5 * tau * square
            low = max(end, lower_bound)
        return (p - tau * m) / rho

    return step


@paper
def momo_adam(
    learning_rate: Rate = 1e-2,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    lower_bound: float = 0.0,
    weight_decay: Rate = 0.0,
    adapt_lower_bound: bool = False,
    *,
    values: Sequence[float],
) -> Step:
    """Schaipp et al., 2023 (2305.07583), MoMo-Adam, given the losses of all steps."""
    loss, gamma, m, v, low = 0.0, 0.0, 0.0, 0.0, lower_bound

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal loss, gamma, m, v, low
        eta, b = at(learning_rate, t), 1 - b1**t
        rho = 1 + eta * at(weight_decay, t)
        loss = b1 * loss + (1 - b1) * values[t - 1]
        gamma = b1 * gamma + (1 - b1) * dot(g, p)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * abs_sq(g)
        size = eps + np.sqrt(v / (1 - b2**t))
        above, square = rho * (loss - gamma) + dot(m, p), dot(m, m / size)
        if adapt_lower_bound and above < rho * b * low:
            low = max(above / (2 * rho * b), lower_bound)
        tau = min(eta / b, max(above - rho * b * low, 0) / square)
        if adapt_lower_bound:
            end = (loss - gamma + dot(m, p) - 0.5 * tau * square) / b
            low = max(end, lower_bound)
        return (p - tau * m / size) / rho

    return step


# --- the rows ---


def mechanized(learning_rate: Rate, **settings: Any) -> Any:
    """Make a Mechanic around gradient descent."""
    return gradtx.mechanize(gradtx.sgd(learning_rate), **settings)


def make_distance_over_gradients(learning_rate: Rate, **settings: Any) -> Any:
    """Make an optimizer of the part that finds its own step size."""
    direction = gradtx.scale_by_distance_over_gradients(**settings)
    return gradtx.chain(direction, gradtx.scale_by_learning_rate(learning_rate))


def polyak(learning_rate: Rate, **settings: Any) -> Any:
    """Make Polyak's SGD with a rate beside its own."""
    step = gradtx.scale_by_polyak(**settings)
    return gradtx.chain(step, gradtx.scale_by_learning_rate(learning_rate))


ROWS = [
    Row(
        "mechanize",
        mechanized,
        {"learning_rate": 1.0, "s_init": 0.1},
        partial(mechanic, base=descent.sgd),
        state_bytes=16,  # the start, and four vectors of six numbers
        leafwise=False,
    ),
    Row(
        "distance over gradients",
        make_distance_over_gradients,
        {"learning_rate": 1.0, "reps_rel": 1e-2},
        distance_over_gradients,
        state_bytes=5,
    ),
    Row(
        "cocob",
        contrib.cocob,
        {"learning_rate": 1.0, "alpha": 10.0, "weight_decay": 1e-3},
        cocob,
        state_bytes=20,
        complex=False,
        paper_complex=False,
    ),
    Row(
        "dog",
        contrib.dog,
        {"learning_rate": 1.0, "init_step": ("heuristic", 1e-2)},
        dog,
        state_bytes=4,
        leafwise=False,
    ),
    Row(
        "dog, learning rate",
        contrib.dog,
        {
            "learning_rate": 1.0,
            "init_step": ("learning_rate", 0.1),
            "weight_decay": 1e-3,
        },
        dog,
        state_bytes=4,
        leafwise=False,
    ),
    Row(
        "dowg",
        contrib.dowg,
        {"learning_rate": 1.0, "init_estim_sq_dist": 0.1, "weight_decay": 1e-3},
        dowg,
        state_bytes=4,
        leafwise=False,
    ),
    Row(
        "dadapt_adamw",
        contrib.dadapt_adamw,
        {
            "learning_rate": 1.0,
            "betas": (0.8, 0.99),
            "estim_lr0": 1e-2,
            "weight_decay": 1e-2,
        },
        dadapt_adamw,
        state_bytes=12,
        leafwise=False,
    ),
    Row(
        "prodigy",
        contrib.prodigy,
        {"learning_rate": 1.0, "estim_lr0": 1e-2},
        prodigy,
        state_bytes=16,
        leafwise=False,
    ),
    Row(
        "prodigy, as in the paper",
        contrib.prodigy,
        {
            "learning_rate": 0.5,
            "beta3": 0.9,
            "estim_lr0": 1e-2,
            "estim_lr_coef": 0.5,
            "weight_decay": 1e-2,
            "safeguard_warmup": True,
            "use_bias_correction": False,
        },
        prodigy,
        state_bytes=16,
        leafwise=False,
    ),
    Row(
        "momo",
        contrib.momo,
        {"learning_rate": 1.0, "weight_decay": 1e-3},
        None,
        state_bytes=4,
        oracle="tests/optimizers/test_momo.py",
        needs=("value",),
        leafwise=False,
    ),
    Row(
        "momo, adapted",
        contrib.momo,
        {"learning_rate": 0.1, "lower_bound": -1.0, "adapt_lower_bound": True},
        None,
        state_bytes=4,
        oracle="tests/optimizers/test_momo.py",
        needs=("value",),
        steps=300,
        leafwise=False,
    ),
    Row(
        "momo_adam",
        contrib.momo_adam,
        {"learning_rate": 0.2, "weight_decay": 1e-3},
        None,
        state_bytes=8,
        oracle="tests/optimizers/test_momo.py",
        needs=("value",),
        leafwise=False,
    ),
    Row(
        "momo_adam, adapted",
        contrib.momo_adam,
        {"learning_rate": 0.1, "lower_bound": -1.0, "adapt_lower_bound": True},
        None,
        state_bytes=8,
        oracle="tests/optimizers/test_momo.py",
        needs=("value",),
        steps=300,
        leafwise=False,
    ),
    Row(
        "polyak_sgd",
        polyak,
        {"learning_rate": 1.0},
        None,
        state_bytes=0,
        oracle="tests/optimizers/test_polyak.py",
        needs=("value",),
        leafwise=False,
    ),
]
