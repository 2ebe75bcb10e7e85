"""Adam and its variants."""

from functools import partial
from typing import Any

import numpy as np

import gradtx
from gradtx import contrib
from methods import descent
from methods.common import Array, Card, Rate, Row, Step, abs_sq, at, paper

# --- the papers ---


@paper
def adam(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    nesterov: bool = False,
    weight_decay: Rate = 0.0,
    mask: Array = 1.0,
) -> Step:
    """Kingma and Ba, 2014 (1412.6980), Algorithm 1; Dozat, 2016, with ``nesterov``."""
    m, v = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * abs_sq(g)
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        u = m_hat / (np.sqrt(v_hat + eps_root) + eps)
        return p - at(learning_rate, t) * (u + at(weight_decay, t) * mask * p)

    return step


@paper
def adamw(learning_rate: Rate, *, weight_decay: Rate = 1e-4, **adams: Any) -> Step:
    """Loshchilov and Hutter, 2017 (1711.05101): Adam with decay beside the step."""
    return adam.factory(  # type: ignore[attr-defined]
        learning_rate, weight_decay=weight_decay, **adams
    )


@paper
def nadam(learning_rate: Rate, *, nesterov: bool = True, **adams: Any) -> Step:
    """Dozat, 2016: Adam that looks ahead."""
    return adam.factory(  # type: ignore[attr-defined]
        learning_rate, nesterov=nesterov, **adams
    )


@paper
def nadamw(learning_rate: Rate, *, nesterov: bool = True, **adamws: Any) -> Step:
    """Dozat's NAdam with the decay of AdamW."""
    return adamw.factory(  # type: ignore[attr-defined]
        learning_rate, nesterov=nesterov, **adamws
    )


@paper
def adabelief(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
    nesterov: bool = False,
    weight_decay: Rate = 0.0,
    mask: Array = 1.0,
) -> Step:
    """Zhuang et al., 2020 (2010.07468), Algorithm 2; the inner epsilon is stored."""
    m, s = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, s
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * abs_sq(g - m) + eps_root
        m_hat, s_hat = m / (1 - b1**t), s / (1 - b2**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        u = m_hat / (np.sqrt(s_hat) + eps)
        return p - at(learning_rate, t) * (u + at(weight_decay, t) * mask * p)

    return step


@paper
def adamax(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: Rate = 0.0,
) -> Step:
    """Kingma and Ba, 2014 (1412.6980), Algorithm 2, with epsilon in the maximum."""
    m, v = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        m, v = b1 * m + (1 - b1) * g, np.maximum(b2 * v, np.abs(g) + eps)
        u = m / (1 - b1**t) / v + at(weight_decay, t) * p
        return p - at(learning_rate, t) * u

    return step


@paper
def adan(
    learning_rate: Rate,
    b1: float = 0.98,
    b2: float = 0.92,
    b3: float = 0.99,
    eps: float = 1e-8,
    eps_root: float = 1e-8,
    weight_decay: Rate = 0.0,
) -> Step:
    """Xie et al., 2022 (2208.06677), Algorithm 1, its betas written as 1 - beta."""
    m, v, n, last = 0.0, 0.0, 0.0, None

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v, n, last
        d = 0 * g if last is None else g - last
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * d
        n, last = b3 * n + (1 - b3) * abs_sq(g + b2 * d), g
        n_hat = n / (1 - b3**t)
        eta = at(learning_rate, t) / (np.sqrt(n_hat + eps_root) + eps)
        ahead = m / (1 - b1**t) + b2 * v / (1 - b2**t)
        return (p - eta * ahead) / (1 + at(weight_decay, t) * at(learning_rate, t))

    return step


@paper
def amsgrad(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> Step:
    """Reddi et al., 2018, Algorithm 2; with the corrections, PyTorch's."""
    m, v, w = 0.0, 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v, w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * abs_sq(g)
        w = np.maximum(w, v)
        m_hat = m / (1 - b1**t) if bias_correction_mu else m
        w_hat = w / (1 - b2**t) if bias_correction_nu else w
        below = np.sqrt(w_hat + eps_root) + eps
        return p - at(learning_rate, t) * m_hat / np.where(below > 0, below, np.inf)

    return step


@paper
def optimistic_adam(
    learning_rate: Rate, alpha: float = 1.0, beta: float = 1.0, **adams: Any
) -> Step:
    """Daskalakis et al., 2018 (1711.00141), Algorithm 1."""
    direction = adam.factory(1.0, **adams)  # type: ignore[attr-defined]
    step = descent.optimistic.factory(learning_rate, alpha, beta)  # type: ignore[attr-defined]
    return lambda t, g, p: step(t, -direction(t, g, 0 * p), p)


@paper
def radam(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    threshold: float = 5.0,
) -> Step:
    """Liu et al., 2020 (1908.03265), Algorithm 2."""
    m, v, longest = 0.0, 0.0, 2 / (1 - b2) - 1

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * abs_sq(g)
        m_hat, rho = m / (1 - b1**t), longest - 2 * t * b2**t / (1 - b2**t)
        if rho < threshold:
            return p - at(learning_rate, t) * m_hat
        r = (rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho)
        u = np.sqrt(r) * m_hat / (np.sqrt(v / (1 - b2**t)) + eps)
        return p - at(learning_rate, t) * u

    return step


@paper
def yogi(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-3,
    bias_correction: bool = True,
    start: float = 1e-6,
) -> Step:
    """Zaheer et al., 2018, Algorithm 2; the corrections and the start are optax's."""
    m: Array = start
    v: Array = start

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        m = b1 * m + (1 - b1) * g
        v = v - (1 - b2) * np.sign(v - abs_sq(g)) * abs_sq(g)
        c1, c2 = (1 - b1**t, 1 - b2**t) if bias_correction else (1.0, 1.0)
        return p - at(learning_rate, t) * (m / c1) / (np.sqrt(v / c2) + eps)

    return step


@paper
def ademamix(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    b3: Rate = 0.9999,
    alpha: Rate = 5.0,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: Rate = 0.0,
    mask: Array = 1.0,
) -> Step:
    """Pagliardini et al., 2024 (2409.03137), Algorithm 1."""
    fast, slow, v = 0.0, 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal fast, slow, v
        fast = b1 * fast + (1 - b1) * g
        slow = at(b3, t) * slow + (1 - at(b3, t)) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        mean = fast / (1 - b1**t) + at(alpha, t) * slow
        u = mean / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        return p - at(learning_rate, t) * (u + at(weight_decay, t) * mask * p)

    return step


@paper
def simplified_ademamix(
    learning_rate: Rate,
    b1: float = 0.99,
    b2: float = 0.95,
    alpha: Rate = 0.0,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: Rate = 0.0,
) -> Step:
    """Morwani et al., 2025 (2502.02431): the sum of all gradients, and some of one."""
    total, n = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal total, n
        total = g + b1 * total
        n = b2 * n + (1 - b2) * abs_sq(g)
        size = np.sqrt(n / (1 - b2**t) + eps_root) + eps
        u = (total + at(alpha, t) * g) / size
        return p - at(learning_rate, t) * (u + at(weight_decay, t) * p)

    return step


@paper
def adopt(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.9999,
    eps: float = 1e-6,
    nesterov: bool = False,
    use_clipping: bool = True,
) -> Step:
    """Taniguchi et al., 2024 (2411.02853), with the clipping of its later version."""
    m, v = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        if t == 1:
            v = abs_sq(g)
            return p
        c = g / np.maximum(np.sqrt(v), eps)
        if use_clipping:
            c = c * np.minimum(1, (t - 1) ** 0.25 / np.maximum(np.abs(c), 1e-300))
        m = b1 * m + (1 - b1) * c
        v = b2 * v + (1 - b2) * abs_sq(g)
        u = b1 * m + (1 - b1) * c if nesterov else m
        return p - at(learning_rate, t) * u

    return step


@paper
def acprop(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
    weight_decay: Rate = 0.0,
    centre_on_new_mean: bool = False,
) -> Step:
    """Zhuang et al., 2021 (2110.05454): numerator of now, denominator of before."""
    m, s = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, s
        before = np.sqrt(s / (1 - b2 ** (t - 1))) if t > 1 else 1.0
        old, m = m, b1 * m + (1 - b1) * g
        surprise = abs_sq(g - (m if centre_on_new_mean else old))
        s = b2 * s + (1 - b2) * surprise + eps_root
        u = g / (before + eps) + at(weight_decay, t) * p
        return p - at(learning_rate, t) * u

    return step


# --- the rows ---


ROWS = [
    Row(
        "adam",
        gradtx.adam,
        {"learning_rate": 0.1},
        adam,
        state_bytes=8,
        card=Card(
            "Adam",
            "m ← β₁ m + (1-β₁) g, v ← β₂ v + (1-β₂) g², u = -η m̂ / (√v̂ + ε)",
            "the first thing to try, without weight decay",
            "Kingma and Ba, 2015",
        ),
    ),
    Row(
        "adam, eps_root",
        gradtx.adam,
        {"learning_rate": 0.1, "b1": 0.8, "b2": 0.99, "eps": 1e-3, "eps_root": 1e-4},
        adam,
        state_bytes=8,
    ),
    Row(
        "adamw",
        gradtx.adamw,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        adamw,
        state_bytes=8,
        card=Card(
            "AdamW",
            "u = Adam's - η λ p",
            "transformers, and most else: the default choice",
            "Loshchilov and Hutter, 2019",
        ),
    ),
    # In the tests their states are small, and so stay as they are: what few bits do to
    # them, and to every row, is seen in tests/wrappers/test_quantize.py.
    Row(
        "adamw8bit",
        gradtx.adamw8bit,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        adamw,
        state_bytes=8,
    ),
    Row(
        "adamw4bit",
        gradtx.adamw4bit,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        adamw,
        state_bytes=8,
    ),
    Row("nadam", gradtx.nadam, {"learning_rate": 0.1}, nadam, state_bytes=8),
    Row(
        "nadamw",
        gradtx.nadamw,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        nadamw,
        state_bytes=8,
    ),
    Row(
        "adabelief",
        gradtx.adabelief,
        {"learning_rate": 0.1},
        adabelief,
        state_bytes=8,
        card=Card(
            "AdaBelief",
            "s ← β₂ s + (1-β₂) (g-m)² + ε, u = -η m̂ / (√ŝ + ε)",
            "where Adam is too cautious on steady gradients",
            "Zhuang et al., 2020",
        ),
    ),
    Row(
        "adabelief, decay",
        gradtx.adabelief,
        {
            "learning_rate": 0.1,
            "weight_decay": 1e-2,
            "eps": 1e-8,
            "eps_root": 1e-4,
            "nesterov": True,
        },
        adabelief,
        state_bytes=8,
    ),
    Row("adamax", gradtx.adamax, {"learning_rate": 0.1}, adamax, state_bytes=8),
    Row(
        "adamaxw",
        gradtx.adamaxw,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        adamax,
        state_bytes=8,
    ),
    Row(
        "adan",
        gradtx.adan,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        adan,
        state_bytes=16,
    ),
    Row(
        "amsgrad",
        gradtx.amsgrad,
        {"learning_rate": 0.1},
        amsgrad,
        state_bytes=12,
    ),
    Row(
        "amsgrad, not corrected",
        gradtx.amsgrad,
        {
            "learning_rate": 0.05,
            "b2": 0.99,
            "bias_correction_mu": False,
            "bias_correction_nu": False,
        },
        amsgrad,
        state_bytes=12,
    ),
    Row(
        "optimistic adam",
        gradtx.optimistic_adam_v2,
        {"learning_rate": 0.05},
        partial(optimistic_adam, nesterov=True),
        state_bytes=12,
    ),
    Row("radam", gradtx.radam, {"learning_rate": 0.1}, radam, state_bytes=8),
    Row("yogi", gradtx.yogi, {"learning_rate": 0.1}, yogi, state_bytes=8),
    Row(
        "ademamix",
        contrib.ademamix,
        {"learning_rate": 0.1, "b3": 0.99, "weight_decay": 1e-2},
        ademamix,
        state_bytes=12,
    ),
    Row(
        "ademamix, eps_root",
        contrib.ademamix,
        {"learning_rate": 0.05, "b3": 0.9, "alpha": 2.0, "eps_root": 1e-4},
        ademamix,
        state_bytes=12,
    ),
    Row(
        "simplified_ademamix",
        contrib.simplified_ademamix,
        {"learning_rate": 0.02, "b1": 0.9, "alpha": 2.0, "weight_decay": 1e-2},
        simplified_ademamix,
        state_bytes=8,
    ),
    Row(
        "adopt",
        contrib.adopt,
        {"learning_rate": 0.1},
        adopt,
        state_bytes=8,
        waits=True,
    ),
    Row(
        "adopt, unclipped",
        contrib.adopt,
        {"learning_rate": 0.1, "eps": 1e-2, "nesterov": True, "use_clipping": False},
        adopt,
        state_bytes=8,
        waits=True,
    ),
    Row(
        "acprop",
        contrib.acprop,
        {"learning_rate": 0.1, "eps": 1e-2, "weight_decay": 1e-2},
        acprop,
        state_bytes=8,
    ),
    Row(
        "acprop, new mean",
        contrib.acprop,
        {"learning_rate": 0.1, "eps": 1e-2, "centre_on_new_mean": True},
        acprop,
        state_bytes=8,
    ),
]
