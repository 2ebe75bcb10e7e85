"""SOAP, Shampoo and their relatives: rows of the catalogue and papers, side by side."""

from collections.abc import Callable
from typing import Any

import numpy as np

import gradtx
from methods.common import Array, Card, Rate, Row, Step, at, paper


def falling(a: Array) -> Array:
    """Return the eigenvectors of a symmetric matrix, by falling eigenvalue."""
    return np.linalg.eigh(a)[1][:, ::-1]


def normalized(u: Array) -> Array:
    """Return an array with a root mean square of 1."""
    return u / np.sqrt(np.mean(u * u))


@paper
def soap(
    learning_rate: Rate,
    b1: float = 0.95,
    b2: float = 0.95,
    shampoo_beta: float | None = None,
    eps: float = 1e-8,
    precondition_frequency: int = 10,
    weight_decay: float = 0.01,
    normalize_grads: bool = False,
    max_precond_dim: int = 10_000,
) -> Step:
    """Vyas et al., 2024 (2409.11321), Algorithm 3, for a matrix; the mean unrotated."""
    del max_precond_dim
    keep = b2 if shampoo_beta is None else shampoo_beta
    m, v, left, right = 0.0, 0.0, 0.0, 0.0
    ql = qr = np.empty(0)

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v, left, right, ql, qr
        u = np.zeros_like(p)
        if t > 1:
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * (ql.T @ g @ qr) ** 2
            u = ql @ ((ql.T @ m @ qr) / (np.sqrt(v) + eps)) @ qr.T
            u = normalized(u) if normalize_grads else u
            u = u * np.sqrt(1 - b2 ** (t - 1)) / (1 - b1 ** (t - 1))
        left = keep * left + (1 - keep) * g @ g.T
        right = keep * right + (1 - keep) * g.T @ g
        if t == 1:
            ql, qr = falling(left), falling(right)
        elif (t - 1) % precondition_frequency == 0:
            i = np.argsort(-np.diag(ql.T @ left @ ql))
            j = np.argsort(-np.diag(qr.T @ right @ qr))
            v = v[i][:, j]
            ql = np.linalg.qr(left @ ql[:, i])[0]
            qr = np.linalg.qr(right @ qr[:, j])[0]
        return p - at(learning_rate, t) * (u + weight_decay * p)

    return step


def likeliest(
    first: Callable[[Any], Array],
    *,
    shampoo_beta: float,
    precondition_frequency: int,
    init_factor: float,
    clamp: float | None = 4000,
) -> Callable[[int, Array], Array]:
    """Return from the step and the gradient to the direction, of Lin et al., 2025.

    ``first(bases, values)`` gives the function from the gradient to the direction.
    """
    keep, s = shampoo_beta, [0.0, 0.0]
    q: list[Array] = []
    values: list[Array] = []

    def step(t: int, g: Array) -> Array:
        nonlocal q, values
        r, c = g.shape
        if t == 1:
            s[:] = [(1 - keep) * g @ g.T / c, (1 - keep) * g.T @ g / r]
            q = [falling(s[0]), falling(s[1])]
            values = [np.full(r, init_factor), np.full(c, init_factor)]
            return np.zeros_like(g)
        u = first((q, values))(g)
        inverse = [qi / x @ qi.T for qi, x in zip(q, values, strict=True)]
        s[0] = keep * s[0] + (1 - keep) * g @ inverse[1] @ g.T / c
        s[1] = keep * s[1] + (1 - keep) * g.T @ inverse[0] @ g / r
        w = (q[0].T @ g @ q[1]) ** 2
        new = [np.mean(w / values[1], 1), np.mean(w.T / values[0], 1)]
        values = [keep * a + (1 - keep) * b for a, b in zip(values, new, strict=True)]
        if clamp is not None:
            low = [max(10, min(len(x), clamp)) ** -2.0 for x in values]
            values = [np.maximum(x, a) for x, a in zip(values, low, strict=True)]
        if (t - 1) % precondition_frequency == 0:
            q = [np.linalg.qr(si @ qi)[0] for si, qi in zip(s, q, strict=True)]
        return u

    return step


@paper
def kl_shampoo(
    learning_rate: Rate,
    b1: float = 0.9,
    shampoo_beta: float = 0.98,
    eps: float = 1e-8,
    precondition_frequency: int = 10,
    init_factor: float = 0.1,
    weight_decay: float = 0.01,
    max_precond_dim: int = 10_000,
) -> Step:
    """Lin et al., 2025 (2509.03378): KL-Shampoo, for a matrix."""
    del max_precond_dim
    m = 0.0

    def first(kept: Any) -> Callable[[Array], Array]:
        (ql, qr), (x, y) = kept

        def direction(g: Array) -> Array:
            nonlocal m
            m = b1 * m + (1 - b1) * g
            return ql @ ((ql.T @ m @ qr) / (np.sqrt(np.outer(x, y)) + eps)) @ qr.T

        return direction

    walk = likeliest(
        first,
        shampoo_beta=shampoo_beta,
        precondition_frequency=precondition_frequency,
        init_factor=init_factor,
    )
    return lambda t, g, p: p - at(learning_rate, t) * (walk(t, g) + weight_decay * p)


@paper
def kl_soap(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.98,
    eps: float = 1e-8,
    precondition_frequency: int = 10,
    init_factor: float = 0.1,
    weight_decay: float = 0.01,
    normalize_grads: bool = False,
    max_precond_dim: int = 10_000,
) -> Step:
    """Lin et al., 2025 (2509.03378): KL-SOAP, for a matrix; the mean unrotated."""
    del max_precond_dim
    m, v = 0.0, 0.0

    def first(kept: Any) -> Callable[[Array], Array]:
        (ql, qr), _ = kept

        def direction(g: Array) -> Array:
            nonlocal m, v
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * (ql.T @ g @ qr) ** 2
            u = ql @ ((ql.T @ m @ qr) / (np.sqrt(v) + eps)) @ qr.T
            return normalized(u) if normalize_grads else u

        return direction

    walk = likeliest(
        first,
        shampoo_beta=b2,
        precondition_frequency=precondition_frequency,
        init_factor=init_factor,
    )
    return lambda t, g, p: p - at(learning_rate, t) * (walk(t, g) + weight_decay * p)


def power(a: Array, exponent: float) -> Array:
    """Return a power of a symmetric matrix."""
    values, vectors = np.linalg.eigh(a)
    return vectors * values**exponent @ vectors.T


@paper
def shampoo(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 1.0,
    eps: float = 1e-12,
    precondition_frequency: int = 1,
    start_preconditioning_step: int | None = None,
    weight_decay: float = 0.0,
    target_dims: int | None = None,
    graft: Any = None,
    whiten_others: bool = False,
    exponents: Any = None,
) -> Step:
    """Gupta et al., 2018 (1802.09568), Algorithm 2; 2309.06497, Algorithm 1.

    For a matrix of one block. A graft is RMSProp's with the root and ε of the row.
    """
    assert target_dims is None
    p0 = 0.25 if exponents is None else exponents[2]
    start = start_preconditioning_step or precondition_frequency
    m, v, left, right = 0.0, 0.0, 0.0, 0.0
    roots: list[Any] = [1.0, 1.0]

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v, left, right
        if t == 1:
            roots[:] = [np.eye(len(g)), np.eye(len(g.T))]
        w = 1 if b2 == 1 else 1 - b2
        x, y = (g @ roots[1], roots[0] @ g) if whiten_others else (g, g)
        left, right = b2 * left + w * x @ x.T, b2 * right + w * y.T @ y
        if t == start or (t > start and t % precondition_frequency == 0):
            c = 1 if b2 == 1 else 1 - b2**t
            eye = np.eye(len(left)), np.eye(len(right))
            roots[0] = power(left / c + eps * eye[0], -p0)
            roots[1] = power(right / c + eps * eye[1], -p0)
        m = b1 * m + (1 - b1) * g
        mean = m / (1 - b1**t)
        u = roots[0] @ mean @ roots[1]
        if graft is not None:
            v = 0.9 * v + 0.1 * g * g
            a = mean / (np.sqrt(v) + 1e-8)
            size = np.linalg.norm(a) / (np.linalg.norm(u) + 1e-16)
            u = a if t < start else u * size
        return p - at(learning_rate, t) * (u + weight_decay * p)

    return step


@paper
def corrected_shampoo(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    precondition_frequency: int = 1,
    weight_decay: float = 0.0,
    target_dims: int | None = None,
    ignored_dims: Any = None,
) -> Step:
    """Eschenhagen et al., 2025 (2506.03595): eigenvalue-corrected Shampoo."""
    alone = () if ignored_dims is None else ignored_dims[2]
    assert target_dims is None
    m, v, left, right = 0.0, 0.0, 0.0, 0.0
    ql = qr = np.empty(0)

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v, left, right, ql, qr
        if t == 1:
            ql, qr = np.eye(len(g)), np.eye(len(g.T))
        left = b2 * left + (1 - b2) * g @ g.T
        right = b2 * right + (1 - b2) * g.T @ g
        if t % precondition_frequency == 0:
            ql = ql if 0 in alone else falling(left)
            qr = qr if 1 in alone else falling(right)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * (ql.T @ g @ qr) ** 2
        below = np.sqrt(v / (1 - b2**t)) + eps
        u = ql @ ((ql.T @ m @ qr) / (1 - b1**t) / below) @ qr.T
        return p - at(learning_rate, t) * (u + weight_decay * p)

    return step


@paper
def splus(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    ema_rate: float = 0.999,
    inverse_every: int = 100,
    weight_decay: float = 0.01,
    max_dim: int = 10_000,
    nonstandard_constant: float = 0.001,
) -> Step:
    """Frans et al., 2025 (2506.07254), for a matrix that is short enough."""
    del ema_rate, max_dim, nonstandard_constant
    m, left, right = 0.0, 0.0, 0.0
    ql = qr = np.empty(0)

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, left, right, ql, qr
        if t == 1:
            ql, qr = np.eye(len(g)), np.eye(len(g.T))
        m = b1 * m + (1 - b1) * g
        u = ql @ np.sign(ql.T @ m @ qr) @ qr.T
        left = b2 * left + (1 - b2) * g @ g.T
        right = b2 * right + (1 - b2) * g.T @ g
        if t == 1 or t % inverse_every == 0:
            ql, qr = falling(left), falling(right)
        rate = at(learning_rate, t) * 2 / sum(g.shape)
        return (p - rate * u) * (1 - rate * weight_decay)

    return step


# The longer axis of the trees that the contract knows has no factor in these rows: of
# a gradient with eight rows and two columns that of the rows has a null space, in which
# eigenvectors are arbitrary.
SHORT = {"max_precond_dim": 4, "precondition_frequency": 2}

ROWS: list[Row] = [
    Row(
        "soap",
        gradtx.soap,
        {"learning_rate": 0.05, **SHORT},
        soap,
        state_bytes=21,
        complex=False,
        paper_complex=False,
        waits=True,
        shape=(4, 4),
        tolerance=1e-9,
        card=Card(
            "SOAP",
            "G' = Q_Lᵀ G Q_R, Adam on G', u = -η Q_L (m / (√v + ε)) Q_Rᵀ",
            "transformers and large batches, where steps count more than their time",
            "Vyas et al., 2024",
        ),
    ),
    Row(
        "kl_shampoo",
        gradtx.kl_shampoo,
        {"learning_rate": 0.05, "shampoo_beta": 0.9, **SHORT},
        kl_shampoo,
        state_bytes=20.5,
        complex=True,  # as AdamW, which vectors go to
        paper_complex=False,
        waits=True,
        shape=(4, 4),
        tolerance=1e-9,
        card=Card(
            "KL-Shampoo",
            "S_L averages G S_R⁻¹ Gᵀ, u = -η S_L^(-1/2) m S_R^(-1/2)",
            "as SOAP, with less state and no second moment",
            "Lin et al., 2025",
        ),
    ),
    Row(
        "kl_soap",
        gradtx.kl_soap,
        {"learning_rate": 0.05, "b1": 0.8, "b2": 0.9, **SHORT},
        kl_soap,
        state_bytes=23.5,
        complex=True,  # as AdamW, which vectors go to
        paper_complex=False,
        waits=True,
        shape=(4, 4),
        tolerance=1e-9,
        card=Card(
            "KL-SOAP",
            "SOAP in the bases of KL-Shampoo's factors",
            "as SOAP",
            "Lin et al., 2025",
        ),
    ),
    Row(
        "shampoo",
        gradtx.shampoo,
        {"learning_rate": 0.3, "eps": 1e-3, "target_dims": None},
        shampoo,
        state_bytes=21,
        complex=False,
        paper_complex=False,
        shape=(4, 3),
        tolerance=1e-9,
        card=Card(
            "Shampoo",
            "L ← L + G Gᵀ, R ← R + Gᵀ G, u = -η L^(-1/4) m̄ R^(-1/4)",
            "in place of a tuned Adam, grafted onto it",
            "Gupta et al., 2018; Shi et al., 2023",
        ),
    ),
    Row(
        "shampoo, grafted",
        gradtx.shampoo,
        {
            "learning_rate": 0.1,
            "b2": 0.9,
            "eps": 1e-3,
            "precondition_frequency": 2,
            "start_preconditioning_step": 3,
            "target_dims": None,
            "weight_decay": 0.01,
            "graft": gradtx.graft_by_rms(0.9, 1e-8, bias_correction=False),
        },
        shampoo,
        state_bytes=25,
        complex=False,
        paper_complex=False,
        shape=(4, 3),
        tolerance=1e-9,
    ),
    Row(
        "corrected_shampoo",
        gradtx.corrected_shampoo,
        {
            "learning_rate": 0.05,
            "b2": 0.95,
            "target_dims": None,
            "ignored_dims": {1: (0,), 2: (0,)},
        },
        corrected_shampoo,
        state_bytes=12,
        complex=False,
        paper_complex=False,
        shape=(4, 4),
        tolerance=1e-9,
    ),
    Row(
        "psgd_kron",
        gradtx.psgd_kron,
        {"learning_rate": 0.05, "weight_decay": 0.01},
        None,  # tests/optimizers/test_psgd_kron.py
        state_bytes=11.5,
        complex=False,
        card=Card(
            "PSGD Kron",
            "Q fitted so that Q m̂ is white, u = -η QᵀQ m̂",
            "as SOAP, without any eigendecomposition",
            "Li, 2015; Pooladzandi and Li, 2024",
        ),
    ),
    Row(
        "splus",
        gradtx.splus,
        {"learning_rate": 1.0, "max_dim": 5, "nonstandard_constant": 0.1},
        splus,
        state_bytes=21,
        complex=False,
        paper_complex=False,
        shape=(4, 4),
        tolerance=1e-9,
        card=Card(
            "SPlus",
            "u = -η 2/(r+c) Q_L sign(Q_Lᵀ m Q_R) Q_Rᵀ, evaluate at the mean of p",
            "one learning rate for models of all widths",
            "Frans et al., 2025",
        ),
    ),
]
