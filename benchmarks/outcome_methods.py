"""The methods whose outcomes are measured, each of a course of its learning rate."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gradtx
from gradtx.compare.builtin.matrix_methods import routes

DECAYS = (0.1, 0.5)
"""The weight decays that are tried; of Lion, whose rates are smaller, five times."""
WARMUP = 0.1
"""The part of a run in which the rate rises."""


class Course(NamedTuple):
    """A rate that rises, falls to nothing at the end of the run, and stays there.

    So one compiled program trains runs of any length: once the rate is 0 nothing moves.
    """

    peak: Any
    length: Any
    """The steps of the run."""
    linear: Any = 0.0
    """0 to fall like a cosine, 1 to fall on a line."""
    flat: float = 0.0
    """1 to stay at the peak until the run ends."""

    def __call__(self, count: Any) -> jax.Array:
        """Give the rate of a step, the first being number 0."""
        part = (count + 1) / self.length
        rise = jnp.minimum(part / WARMUP, 1.0)
        along = jnp.clip((part - WARMUP) / (1 - WARMUP), 0.0, 1.0)
        cosine = 0.5 * (1 + jnp.cos(jnp.pi * along))
        fall = cosine + self.linear * (1 - along - cosine)
        fall = fall + self.flat * (1 - fall)
        return self.peak * rise * jnp.where(part <= 1, fall, 0.0)


class Candidate(NamedTuple):
    """A method, where its rates are looked for, and what else is tuned of it."""

    title: str
    build: Callable[..., Any]
    """Takes the course of the rate, and what is tuned by name."""
    centre: float
    """Of the first grid of rates."""
    tuned: dict[str, tuple[float, float]]
    """Two values of each of three settings."""


def _tuned(**own: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """Give what is tuned besides the rate: the decay, the form of the course, one more.

    The form is named ``linear``, see :class:`Course`.
    """
    return {"weight_decay": DECAYS, "linear": (0.0, 1.0), **own}


def is_matrix(params: Any) -> Any:
    """Tell of every leaf whether it is a matrix."""
    numbers = routes(params)
    return jax.tree.map(lambda _, axes: axes is not None, params, numbers)


def _adamw(rate: Any, weight_decay: Any, b2: Any = 0.99) -> Any:
    return gradtx.adamw(rate, b2=b2, weight_decay=weight_decay)


def _muon(rate: Course, weight_decay: Any, beta: Any) -> Any:
    return gradtx.muon(
        rate,
        beta=beta,
        weight_decay=weight_decay,
        adam_b2=0.99,
        adam_weight_decay=weight_decay,
        muon_weight_dimension_numbers=routes,
        consistent_rms=0.2,
    )


def _normuon(rate: Course, weight_decay: Any, beta: Any) -> Any:
    return gradtx.normuon(
        rate,
        beta=beta,
        weight_decay=weight_decay,
        weight_dimension_numbers=routes,
        consistent_rms=0.2,
        rest=_adamw(rate, weight_decay),
    )


def _soap_muon(rate: Course, weight_decay: Any, b2: Any) -> Any:
    """Give the rest half the rate: of Muon, a step's norm counts, of AdamW its size."""
    return gradtx.soap_muon(
        rate,
        b2=b2,
        weight_decay=weight_decay,
        weight_dimension_numbers=routes,
        precondition_frequency=5,
        rest=_adamw(rate._replace(peak=0.5 * rate.peak), weight_decay),
    )


def _cautious(rate: Course, weight_decay: Any, b2: Any) -> Any:
    return gradtx.cautious(_adamw(rate, weight_decay, b2))


def _ema_nesterov(rate: Course, weight_decay: Any, decay: Any) -> Any:
    step_size = rate._replace(peak=0.3)
    return gradtx.ema_nesterov(_adamw(rate, weight_decay), step_size, decay)


def _hyperball(rate: Course, b1: Any, b2: Any) -> Any:
    inner = gradtx.adamw(rate, b1=b1, b2=b2, weight_decay=0.0)
    return gradtx.hyperball(inner, mask=is_matrix)


def _mars(rate: Course, weight_decay: Any, gamma: Any) -> Any:
    inner = gradtx.adamw(rate, b1=0.95, b2=0.99, weight_decay=weight_decay)
    return gradtx.chain(gradtx.mars(gamma), inner)


def _prodigy(rate: Course, weight_decay: Any, b2: Any) -> Any:
    return gradtx.prodigy(rate, betas=(0.9, b2), weight_decay=weight_decay)


def _schedule_free(rate: Course, weight_decay: Any, b1: Any, b2: Any) -> Any:
    """Stay at the peak: averages take the place of the course's fall."""
    flat = rate._replace(flat=1.0)
    tx = gradtx.schedule_free_adamw(flat, b1=b1, b2=b2, weight_decay=weight_decay)
    return stopping(tx, rate.length)


class Stopping(NamedTuple):
    """The state of :func:`stopping`."""

    step: jax.Array
    inner: Any


def stopping(tx: Any, length: Any) -> Any:
    """Keep updates at 0 and the state as it is once a run has ended.

    An average would go on towards where the weights stand, though these no longer move.
    """

    def update(
        updates: Any, state: Stopping, params: Any = None, **extra: Any
    ) -> tuple[Any, Stopping]:
        goes_on = state.step < length
        new, inner = tx.update(updates, state.inner, params, **extra)
        new = jax.tree.map(lambda x: jnp.where(goes_on, x, 0.0), new)
        kept = jax.tree.map(partial(jnp.where, goes_on), inner, state.inner)
        return new, Stopping(state.step + 1, kept)

    return gradtx.GradientTransformation(
        lambda params: Stopping(jnp.zeros((), jnp.int32), tx.init(params)), update
    )


SHAMPOO = partial(
    gradtx.shampoo,
    eps=1e-8,
    precondition_frequency=10,
    target_dims=None,
    graft=gradtx.graft_by_rms(0.99),
    weight_dimension_numbers=routes,
)
B2 = _tuned(b2=(0.95, 0.99))
BETA = _tuned(beta=(0.9, 0.95))
B1 = _tuned(b1=(0.9, 0.95))
BOTH = {"b1": (0.9, 0.95), "b2": (0.95, 0.99)}
CANDIDATES = {
    "adamw": Candidate("AdamW", _adamw, 0.01, B2),
    "muon": Candidate("Muon", _muon, 0.02, BETA),
    "lion": Candidate(
        "Lion",
        gradtx.lion,
        0.002,
        {**B1, "weight_decay": (5 * DECAYS[0], 5 * DECAYS[1])},
    ),
    "cautious": Candidate("cautious AdamW", _cautious, 0.01, B2),
    "normuon": Candidate("NorMuon", _normuon, 0.02, BETA),
    "mars": Candidate("MARS-AdamW", _mars, 0.01, _tuned(gamma=(0.025, 0.05))),
    "ademamix": Candidate(
        "AdEMAMix",
        partial(gradtx.ademamix, b2=0.99),
        0.005,
        _tuned(b3=(0.99, 0.9999)),
    ),
    "ema_nesterov": Candidate(
        "EMA-Nesterov AdamW", _ema_nesterov, 0.01, _tuned(decay=(0.9, 0.99))
    ),
    "schedule_free": Candidate(
        "schedule-free AdamW", _schedule_free, 0.01, {"weight_decay": DECAYS, **BOTH}
    ),
    "hyperball": Candidate(
        "hyperball AdamW", _hyperball, 0.02, {"linear": (0.0, 1.0), **BOTH}
    ),
    "prodigy": Candidate("Prodigy", _prodigy, 1.0, _tuned(b2=(0.99, 0.999))),
    "soap": Candidate(
        "SOAP", partial(gradtx.soap, weight_dimension_numbers=routes), 0.01, B2
    ),
    "soap_muon": Candidate("SOAP-Muon", _soap_muon, 0.02, _tuned(b2=(0.9, 0.95))),
    "kl_shampoo": Candidate(
        "KL-Shampoo",
        partial(gradtx.kl_shampoo, adam_b2=0.99, weight_dimension_numbers=routes),
        0.01,
        _tuned(shampoo_beta=(0.95, 0.98)),
    ),
    "psgd_kron": Candidate(
        "PSGD Kron",
        partial(gradtx.psgd_kron, key=0, weight_dimension_numbers=routes),
        0.005,
        B1,
    ),
    "shampoo": Candidate("Shampoo", SHAMPOO, 0.01, B2),
}
"""Those that cost little first."""
