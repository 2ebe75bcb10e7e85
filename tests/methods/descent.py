"""Descent along the gradient: SGD, momentum, optimism, noise."""

from typing import Any

import jax
import jax.numpy as jnp

import gradtx
from gradtx import contrib
from methods.common import Array, Card, Rate, Row, Step, at, paper, size

# --- the papers ---


@paper
def sgd(
    learning_rate: Rate, momentum: float | None = None, nesterov: bool = False
) -> Step:
    """Robbins and Monro, 1951: down the gradient; with a momentum, the next two."""
    if momentum is not None:
        method = globals()["nesterov" if nesterov else "momentum"]
        return method.factory(learning_rate, momentum)
    return lambda t, g, p: p - at(learning_rate, t) * g


@paper
def momentum(learning_rate: Rate, momentum: float = 0.9) -> Step:
    """Polyak, 1964: the heavy ball, the rate outside of the velocity."""
    b: Array = 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal b
        b = momentum * b + g
        return p - at(learning_rate, t) * b

    return step


@paper
def nesterov(learning_rate: Rate, momentum: float = 0.9) -> Step:
    """Nesterov, 1983; Sutskever et al., 2013, in the looked-ahead coordinates."""
    b: Array = 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal b
        b = momentum * b + g
        return p - at(learning_rate, t) * (g + momentum * b)

    return step


@paper
def optimistic(learning_rate: Rate, alpha: float = 1.0, beta: float = 1.0) -> Step:
    """Mokhtari et al., 2020 (1901.08511), equation 9, generalised."""
    last: Array = None

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal last
        before, last = g if last is None else last, g
        return p - at(learning_rate, t) * ((alpha + beta) * g - beta * before)

    return step


@paper
def dpsgd(
    learning_rate: Rate,
    l2_norm_clip: float,
    noise_multiplier: float,
    momentum: float | None = None,
) -> Step:
    """Abadi et al., 2016 (1607.00133), Algorithm 1, with one example and no noise."""
    assert noise_multiplier == 0
    inner = sgd.factory(learning_rate, momentum)  # type: ignore[attr-defined]

    def step(t: int, g: Array, p: Array) -> Array:
        return inner(t, g / max(1, size(g) / l2_norm_clip), p)

    return step


# --- the rows ---


def of_one(updates: Any, params: Any) -> Any:
    """Take a gradient for the gradients of one example."""
    del params
    return jax.tree.map(lambda g: jnp.asarray(g)[None], updates)


def privately(**settings: Any) -> Any:
    """Make DP-SGD for batches of one example."""
    return gradtx.chain(gradtx.stateless(of_one), contrib.dpsgd(**settings))


ROWS = [
    Row(
        "sgd",
        gradtx.sgd,
        {"learning_rate": 0.1},
        sgd,
        state_bytes=0,
        card=Card(
            "SGD",
            "u = -η g",
            "little memory matters most, or a convex problem of one scale",
            "Robbins and Monro, 1951",
        ),
    ),
    Row(
        "momentum",
        gradtx.sgd,
        {"learning_rate": 0.05, "momentum": 0.9},
        sgd,
        state_bytes=4,
        card=Card(
            "Momentum",
            "b ← g + μ b, u = -η b",
            "convolutional networks with a tuned schedule",
            "Polyak, 1964",
        ),
    ),
    Row(
        "nesterov",
        gradtx.sgd,
        {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
        sgd,
        state_bytes=4,
        card=Card(
            "Nesterov",
            "b ← g + μ b, u = -η (g + μ b)",
            "where momentum works, a little steadier at large μ",
            "Nesterov, 1983; Sutskever et al., 2013",
        ),
    ),
    Row(
        "optimistic gradient descent",
        gradtx.optimistic_gradient_descent,
        {"learning_rate": 0.1, "beta": 0.5},
        optimistic,
        state_bytes=4,
    ),
    Row(
        "noisy_sgd",
        gradtx.noisy_sgd,
        {"learning_rate": 0.1, "eta": 1e-4},
        None,
        state_bytes=0,
        oracle="tests/optimizers/test_noisy_sgd.py",
    ),
    Row(
        "dpsgd",
        privately,
        {
            "learning_rate": 0.2,
            "l2_norm_clip": 1.0,
            "noise_multiplier": 0.0,
            "momentum": 0.5,
        },
        dpsgd,
        state_bytes=4,
        leafwise=False,
    ),
]
