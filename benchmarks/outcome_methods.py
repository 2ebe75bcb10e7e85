"""The methods whose outcomes are measured, each of a course of its learning rate."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gradtx
from gradtx.compare.builtin.matrix_methods import MATRIX_METHODS, routes

DECAY = 0.1
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
    """A method, and where its rates lie."""

    title: str
    build: Callable[[Course], Any]
    centre: float
    """Of the first grid of rates."""


def is_matrix(params: Any) -> Any:
    """Tell of every leaf whether it is a matrix."""
    numbers = routes(params)
    return jax.tree.map(lambda _, axes: axes is not None, params, numbers)


def _adamw(rate: Any, weight_decay: float = DECAY, b2: float = 0.99) -> Any:
    return gradtx.adamw(rate, b2=b2, weight_decay=weight_decay)


def _compared(name: str) -> Callable[[Course], Any]:
    """Return a method as the comparison has it, but for its decay."""
    return partial(MATRIX_METHODS[name].build, weight_decay=DECAY)


def _normuon(rate: Course) -> Any:
    return gradtx.normuon(
        rate,
        weight_decay=DECAY,
        weight_dimension_numbers=routes,
        consistent_rms=0.2,
        rest=_adamw(rate),
    )


def _soap_muon(rate: Course) -> Any:
    """Give the rest half the rate: of Muon, a step's norm counts, of AdamW its size."""
    return gradtx.soap_muon(
        rate,
        weight_dimension_numbers=routes,
        precondition_frequency=5,
        rest=_adamw(rate._replace(peak=0.5 * rate.peak)),
    )


def _shampoo(rate: Course) -> Any:
    return gradtx.shampoo(
        rate,
        b2=0.95,
        eps=1e-8,
        weight_decay=DECAY,
        precondition_frequency=10,
        target_dims=None,
        graft=gradtx.graft_by_rms(0.99),
        weight_dimension_numbers=routes,
    )


def _ema_nesterov(rate: Course) -> Any:
    return gradtx.ema_nesterov(_adamw(rate), step_size=rate._replace(peak=0.3))


def _mars(rate: Course) -> Any:
    inner = gradtx.adamw(rate, b1=0.95, b2=0.99, weight_decay=DECAY)
    return gradtx.chain(gradtx.mars(), inner)


def _schedule_free(rate: Course) -> Any:
    return gradtx.schedule_free_adamw(
        rate._replace(flat=1.0), b2=0.99, weight_decay=DECAY
    )


def _hyperball(rate: Course) -> Any:
    inner = gradtx.adamw(rate, b2=0.99, weight_decay=0.0)
    return gradtx.hyperball(inner, mask=is_matrix)


CANDIDATES = {
    "adamw": Candidate("AdamW", _adamw, 0.01),
    "muon": Candidate("Muon", _compared("muon"), 0.02),
    "soap": Candidate("SOAP", _compared("soap"), 0.01),
    "normuon": Candidate("NorMuon", _normuon, 0.02),
    "soap_muon": Candidate("SOAP-Muon", _soap_muon, 0.02),
    "psgd_kron": Candidate("PSGD Kron", _compared("psgd_kron"), 0.005),
    "kl_shampoo": Candidate("KL-Shampoo", _compared("kl_shampoo"), 0.01),
    "shampoo": Candidate("Shampoo", _shampoo, 0.01),
    "cautious": Candidate("cautious AdamW", lambda r: gradtx.cautious(_adamw(r)), 0.01),
    "ema_nesterov": Candidate("EMA-Nesterov AdamW", _ema_nesterov, 0.01),
    "hyperball": Candidate("hyperball AdamW", _hyperball, 0.02),
    "mars": Candidate("MARS-AdamW", _mars, 0.01),
    "lion": Candidate("Lion", lambda r: gradtx.lion(r, weight_decay=10 * DECAY), 0.001),
    "ademamix": Candidate(
        "AdEMAMix", lambda r: gradtx.ademamix(r, b2=0.99, weight_decay=DECAY), 0.005
    ),
    "prodigy": Candidate(
        "Prodigy", lambda r: gradtx.prodigy(r, weight_decay=DECAY), 1.0
    ),
    "schedule_free": Candidate("schedule-free AdamW", _schedule_free, 0.01),
}
