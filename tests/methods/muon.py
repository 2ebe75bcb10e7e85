"""Muon and its family: updates whose singular values are brought near 1."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import gradtx
from gradtx import contrib
from methods.common import Array, Rate, Row, Step, abs_sq, at, paper, sign, size

KELLER = [(3.4445, -4.7750, 2.0315)] * 5
QUINTIC = [
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
]
EXACT = [(2.0, -1.5, 0.5)] * 12

# How they are followed: the papers decompose what the iteration multiplies.
MATRIX: Any = {"shape": (4, 3), "tolerance": 1e-9}

# --- the papers ---


def orthogonal(x: Array, triples: Array, norm: Callable[[Array], Array]) -> Array:
    """Iterate on the singular values alone, divided by a norm of them at first."""
    left, s, right = np.linalg.svd(x, full_matrices=False)
    s = s / norm(s)
    for a, b, c in triples:
        s = a * s + b * s**3 + c * s**5
    return left * s @ right


def frobenius(eps: float) -> Callable[[Array], Array]:
    """Return ‖x‖ + ε as a function of the singular values."""
    return lambda s: np.sqrt(np.sum(s * s)) + eps


def wide_factor(p: Array) -> float:
    """Return √max(1, out / in)."""
    return max(1, p.shape[1] / p.shape[0]) ** 0.5


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


@paper
def normuon(
    learning_rate: Rate,
    beta: float = 0.95,
    b2: float = 0.95,
    weight_decay: float = 0.0,
    consistent_rms: float | None = None,
    nesterov: bool = True,
) -> Step:
    """Li et al., 2025 (2510.05491), Algorithm 1; as the authors' program without r."""
    m, v = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        m = beta * m + (1 - beta) * g
        o = orthogonal(
            beta * m + (1 - beta) * g if nesterov else m, KELLER, frobenius(1e-7)
        )
        v = b2 * v + (1 - b2) * np.mean(abs_sq(o), axis=0)
        u = o / (np.sqrt(v) + 1e-10)
        if consistent_rms is None:
            u = u * size(o) / size(u) * wide_factor(p)
        else:
            u = u * consistent_rms * p.size**0.5 / size(u)
        return p - at(learning_rate, t) * (u + weight_decay * p)

    return step


@paper
def adamuon(
    learning_rate: Rate,
    beta: float = 0.95,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    consistent_rms: float = 0.2,
) -> Step:
    """Si et al., 2025 (2507.11005), Algorithm 1."""
    m, v = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        m = beta * m + (1 - beta) * g
        ahead = beta * m + (1 - beta) * g
        o = orthogonal(sign(ahead), KELLER, frobenius(1e-7))
        v = beta * v + (1 - beta) * abs_sq(o)
        u = o / (np.sqrt(v) + eps)
        u = u * consistent_rms * p.size**0.5 / (size(u) + eps)
        return p - at(learning_rate, t) * (u + weight_decay * p)

    return step


@paper
def muon_squared(
    learning_rate: Rate,
    beta: float = 0.95,
    b2: float = 0.95,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> Step:
    """Muon², 2026 (2604.09967): divided as Adam's mean, then orthogonalized."""
    m, v = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        m = beta * m + (1 - beta) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        x = (beta * m + (1 - beta) * g) / (np.sqrt(v) + eps)
        u = wide_factor(p) * orthogonal(x, KELLER, frobenius(1e-7))
        return p - at(learning_rate, t) * (u + weight_decay * p)

    return step


@paper
def muown(
    learning_rate: Rate,
    beta: float = 0.95,
    b1: float = 0.9,
    b2: float = 0.95,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    scale: float = 1.0,
) -> Step:
    """Muown, 2026 (2605.10797): v and γ are kept themselves, and w made of them."""
    m, gm, gv = 0.0, 0.0, 0.0
    v: Array = None
    gain: Array = None

    def norms(x: Array) -> Array:
        return np.sqrt(np.sum(abs_sq(x), axis=0))

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, gm, gv, v, gain
        if v is None:
            v, gain = p, norms(p)
        unit = v / norms(v)
        by_gain = np.sum(np.real(np.conj(unit) * g), axis=0)
        m = beta * m + (1 - beta) * gain / norms(v) * (g - unit * by_gain)
        rate, factor = at(learning_rate, t), scale * 0.2 * max(p.shape) ** 0.5
        v = v - rate * factor * orthogonal(m, QUINTIC, frobenius(0))
        gm, gv = b1 * gm + (1 - b1) * by_gain, b2 * gv + (1 - b2) * by_gain**2
        adam = gm / (1 - b1**t) / (np.sqrt(gv / (1 - b2**t)) + eps)
        gain = (1 - rate * weight_decay) * (gain - rate * adam)
        return gain * v / norms(v)

    return step


@paper
def dion(
    learning_rate: Rate,
    rank: int,
    beta: float = 0.95,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Step:
    """Ahn et al., 2025 (2504.05295), Algorithm 1, of the transposed matrix."""
    m, q = 0.0, None

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, q
        if q is None:
            key = jax.random.fold_in(jax.random.key(0), 0)
            q = np.asarray(jax.random.normal(key, (p.shape[0], rank), p.dtype))
        b = np.conj(m + g).T
        left, _ = np.linalg.qr(b @ q)
        right = np.conj(b).T @ left
        m = np.conj(b - (1 - beta) * left @ np.conj(right).T).T
        q = right / (np.sqrt(np.sum(abs_sq(right), axis=0)) + eps)
        u = (p.shape[1] / p.shape[0]) ** 0.5 * np.conj(left @ np.conj(q).T).T
        return p - at(learning_rate, t) * (u + weight_decay * p)

    return step


@paper
def dion3(
    learning_rate: Rate,
    fraction: float,
    b2: float,
    beta: float = 0.95,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    ns_coeffs: str = "keller",
) -> Step:
    """Ahn et al., 2025 (2512.16928), Algorithm 1, and NorMuon of what is chosen."""
    m: Array = 0.0
    v: Array = None

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        assert ns_coeffs == "keller"
        v = np.zeros(p.shape[1]) if v is None else v
        m = m + g
        many = int(np.ceil(fraction * p.shape[1]))
        chosen = np.argsort(-np.sum(np.abs(m), axis=0))[:many]
        x = orthogonal(m[:, chosen], KELLER, frobenius(1e-8))
        m[:, chosen] *= beta
        v[chosen] = b2 * v[chosen] + (1 - b2) * np.mean(abs_sq(x), axis=0)
        new = x / (np.sqrt(v[chosen]) + eps)
        u = np.zeros_like(p)
        u[:, chosen] = new * size(x) / size(new)
        u = (p.shape[1] / p.shape[0]) ** 0.5 * u
        return p - at(learning_rate, t) * (u + weight_decay * p)

    return step


@paper
def scion(
    learning_rate: Rate,
    scale: float,
    beta: float = 0.9,
    unconstrained: bool = False,
) -> Step:
    """Pethick et al., 2025 (2502.07529), Algorithm 1, of a matrix."""
    m = 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m
        m = beta * m + (1 - beta) * g
        o = orthogonal(m, KELLER, frobenius(1e-7))
        u = scale * (p.shape[1] / p.shape[0]) ** 0.5 * o
        shrunk = p if unconstrained else (1 - at(learning_rate, t)) * p
        return shrunk - at(learning_rate, t) * u

    return step


@paper
def soap_muon(
    learning_rate: Rate,
    b1: float = 0.95,
    b2: float = 0.9,
    floor: float = 0.3825,
    weight_decay: float = 0.025,
    max_precond_dim: int = 4,
) -> Step:
    """Vyas, 2026, and modded-nanogpt's third track, records 44 to 46."""
    del max_precond_dim  # no axis is longer
    m, v = 0.0, 0.0
    factors: Array = [0.0, 0.0]
    bases: Array = None

    def schatten(s: Array) -> Array:
        return np.sum(s**4) ** 0.25

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v, bases
        m = b1 * m + (1 - b1) * g
        x = b1 * m + (1 - b1) * g
        if bases is not None:
            w = bases[0].T @ x @ bases[1]
            v = b2 * v + (1 - b2) * w * w
            x = bases[0] @ (w / np.sqrt(np.maximum(v, 1e-16))) @ bases[1].T
        o = wide_factor(p) * orthogonal(x, EXACT, schatten)
        radial = np.sum(o * p) * p / np.sum(p * p)
        u = o - 0.5 * radial if np.sum(o * p) < 0 else o
        lengths = np.linalg.norm(u, axis=0)
        u = u * np.maximum(1, floor * np.linalg.norm(p, axis=0) / lengths)
        rate = at(learning_rate, t)
        radius = np.linalg.norm(p) - rate * np.sum(u * p) / np.linalg.norm(p)
        new = p - rate * u
        new = new * radius / np.linalg.norm(new)
        turn(g)
        return np.where(u * p > 0, 1 - rate * weight_decay, 1) * new

    def turn(g: Array) -> None:
        nonlocal v, bases
        for i, gram in enumerate((g @ g.T, g.T @ g)):
            factors[i] = b2 * factors[i] + (1 - b2) * gram
        if bases is None:
            bases = [np.linalg.eigh(x)[1][:, ::-1] for x in factors]
            return
        for i, (a, q) in enumerate(zip(factors, bases, strict=True)):
            order = np.argsort(-np.diag(q.T @ a @ q))
            v = np.take(v, order, axis=i)
            bases[i] = np.linalg.qr(a @ q[:, order])[0]

    return step


# --- the rows ---


ROWS = [
    Row(
        "muon",
        contrib.muon,
        {"learning_rate": 0.05, "consistent_rms": 0.8, "weight_decay": 0.01},
        muon,
        state_bytes=6.5,
        **MATRIX,
    ),
    Row(
        "normuon",
        gradtx.normuon,
        {"learning_rate": 0.05, "consistent_rms": 0.8, "weight_decay": 0.01},
        normuon,
        state_bytes=6,
        **MATRIX,
    ),
    Row(
        "adamuon",
        gradtx.adamuon,
        {"learning_rate": 0.05, "consistent_rms": 0.8, "eps": 1e-3},
        adamuon,
        state_bytes=8,
        **MATRIX,
    ),
    Row(
        "muon_squared",
        gradtx.muon_squared,
        {"learning_rate": 0.1, "weight_decay": 0.01, "eps": 1e-3},
        muon_squared,
        state_bytes=8,
        **MATRIX,
    ),
    Row(
        "muown",
        gradtx.muown,
        {"learning_rate": 0.1, "weight_decay": 0.01, "scale": 3.0},
        muown,
        state_bytes=9,
        **MATRIX,
    ),
    Row(
        "dion",
        gradtx.dion,
        {"learning_rate": 0.1, "rank": 2},
        dion,
        state_bytes=8,
        **MATRIX | {"paper_complex": False},
    ),
    Row(
        "dion2, as Dion3",
        gradtx.dion2,
        {
            "learning_rate": 0.2,
            "fraction": 0.75,
            "b2": 0.9,
            "eps": 1e-3,
            "ns_coeffs": "keller",
        },
        dion3,
        state_bytes=6,
        **MATRIX,
    ),
    Row(
        "scion",
        gradtx.scion,
        {"learning_rate": 0.1, "scale": 1.0, "unconstrained": True},
        scion,
        state_bytes=4,
        **MATRIX,
    ),
    Row(
        "soap_muon",
        gradtx.soap_muon,
        # Of the bowl's matrix the long side has no factor, which would be singular.
        {"learning_rate": 0.2, "max_precond_dim": 4},
        soap_muon,
        state_bytes=21,
        **MATRIX | {"paper_complex": False},
    ),
]
