"""State in few directions, and squares averaged over blocks: APOLLO, Adam-mini."""

import jax
import numpy as np

import gradtx
from methods.common import Array, Card, Rate, Row, Step, abs_sq, at, paper, size

# --- the papers ---


def drawn(change: int, rank: int, side: int) -> Array:
    """Draw P of the only leaf, as its documentation says that it is drawn."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), change), 0)
    return np.asarray(jax.random.normal(key, (rank, side), float)) / np.sqrt(rank)


@paper
def apollo(
    learning_rate: Rate,
    rank: int = 1,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: Rate = 0.0,
    scale_type: str = "channel",
    norm_growth_limit: float = 1.01,
) -> Step:
    """Zhu et al., 2024 (2412.05270), Algorithm 1, for a tall matrix (in, out)."""
    m, v, last = 0.0, 0.0, None

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v, last
        low = g @ drawn((t - 1) // update_proj_gap, rank, g.shape[1]).T
        m, v = b1 * m + (1 - b1) * low, b2 * v + (1 - b2) * abs_sq(low)
        d = m / (np.sqrt(v) + eps)
        over = {"axis": 1, "keepdims": True} if scale_type == "channel" else {}
        lengths = [np.sqrt(np.sum(abs_sq(x), **over)) for x in (d, low)]
        u = g * lengths[0] / (lengths[1] + 1e-8)
        if last is not None:
            most = norm_growth_limit
            u = u / (max(size(u) / (last + 1e-8), most) / most)
        last = size(u)
        u = np.sqrt(scale) * np.sqrt(1 - b2**t) / (1 - b1**t) * u
        return p - at(learning_rate, t) * (u + at(weight_decay, t) * p)

    return step


@paper
def apollo_mini(learning_rate: Rate, scale: float = 128.0) -> Step:
    """Zhu et al., 2024 (2412.05270), section 4.2."""
    return apollo.factory(  # type: ignore[attr-defined]
        learning_rate, scale=scale, scale_type="tensor"
    )


@paper
def adam_mini(
    learning_rate: Rate,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: Rate = 0.0,
) -> Step:
    """Zhang et al., 2024 (2406.16793), Algorithm 1: the outputs of (in, out)."""
    m, v = 0.0, 0.0

    def step(t: int, g: Array, p: Array) -> Array:
        nonlocal m, v
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * abs_sq(g).mean(0)
        u = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        return p - at(learning_rate, t) * (u + at(weight_decay, t) * p)

    return step


# --- the rows ---


ROWS = [
    Row(
        "apollo",
        gradtx.apollo,
        {
            "learning_rate": 0.3,
            "rank": 1,
            "update_proj_gap": 2,
            "scale": 2.0,
            "eps": 1e-3,
            "weight_decay": 1e-2,
        },
        apollo,
        state_bytes=5,
        shape=(4, 3),
        card=Card(
            "APOLLO",
            "m, v of R = P g, u = -η g ‖m̂ / (√v̂ + ε)‖ / ‖R‖ by channel",
            "as Adam, with a state of few directions",
            "Zhu et al., 2024",
        ),
    ),
    Row(
        "apollo_mini",
        gradtx.apollo_mini,
        {"learning_rate": 0.1},
        apollo_mini,
        state_bytes=5,
        shape=(4, 3),
    ),
    Row(
        "adam_mini",
        gradtx.adam_mini,
        {"learning_rate": 0.1, "weight_decay": 1e-2},
        adam_mini,
        state_bytes=6,
        shape=(4, 3),
        card=Card(
            "Adam-mini",
            "v ← β₂ v + (1-β₂) mean(g²) over a head or a neuron, u = -η m̂ / (√v̂ + ε)",
            "as AdamW, with half of its state",
            "Zhang et al., 2024",
        ),
    ),
]
