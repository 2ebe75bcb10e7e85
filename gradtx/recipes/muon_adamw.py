"""Muon for matrices, AdamW for the rest, with the schedule of a whole run."""

from gradtx.common import checks
from gradtx.common.types import Params, Scalar, Schedule
from gradtx.core.transformation import GradientTransformation
from gradtx.optimizers.muon import muon
from gradtx.optimizers.routing import matrices
from gradtx.schedules.join import join_schedules
from gradtx.schedules.polynomial import linear_schedule
from gradtx.schedules.warmup import warmup_cosine_decay_schedule
from gradtx.wrappers.running_average import average

STEP_SIZE = 0.2
"""The root mean square of AdamW's updates, about: so both methods share one rate."""


def _cosine(peak: Scalar, rise: int, steps: int) -> Schedule:
    return warmup_cosine_decay_schedule(0.0, peak, rise, steps)


def _linear(peak: Scalar, rise: int, steps: int) -> Schedule:
    parts = linear_schedule(0.0, peak, rise), linear_schedule(peak, 0.0, steps - rise)
    return join_schedules(parts, [rise])


FALLS = {"cosine": _cosine, "linear": _linear}


def muon_adamw(
    params: Params,
    peak_learning_rate: Scalar,
    steps: int,
    *,
    warmup_steps: int | None = None,
    weight_decay: Scalar = 0.1,
    beta: Scalar = 0.95,
    b2: Scalar = 0.999,
    averaging: Scalar | None = None,
    fall: str = "cosine",
) -> GradientTransformation:
    """Muon and AdamW with the routing, the schedule and the decay of a whole run.

    It is this composition, which ``repr`` prints::

        routes = matrices(params)
        rate = warmup_cosine_decay_schedule(0, peak_learning_rate, warmup_steps, steps)
        average(                                       where ``averaging`` is given
            muon(rate, beta=beta, adam_b2=b2, consistent_rms=0.2,
                 muon_weight_dimension_numbers=routes,
                 weight_decay=weight_decay, adam_weight_decay=weight_decay),
            averaging,
        )

    Kernels of dense layers, attention and convolutions go to Muon; embeddings, last
    layers, biases and norms to AdamW. A step of Muon's is as large as one of AdamW's,
    so that one learning rate serves both: begin with AdamW's, and try two and four
    times as much. All leaves decay.

    On the small character transformer of ``docs/outcomes.md``, with a beta of 0.9, a b2
    of 0.99 and a fall on a line, Muon so routed took 0.56 of the steps of tuned AdamW
    to end where that does (0.53 to 0.60 over five seeds).

    Args:
      params: the parameters, or their shapes: their paths and shapes decide.
      peak_learning_rate: η, positive, after the warm-up.
      steps: of the whole run, at least 2; the rate is 0 at its end.
      warmup_steps: how many steps the rate rises, from 0 to below ``steps``; a tenth of
        the steps if None.
      weight_decay: λ, at least 0, multiplied by the rate.
      beta: Muon's momentum, in [0, 1).
      b2: AdamW's β₂, in [0, 1).
      averaging: the decay of a running mean of the weights, in [0, 1), for
        :func:`gradtx.eval_params`; None keeps none, which suits a rate that ends at 0.
      fall: how the rate goes to 0 after the warm-up: ``"cosine"``, or ``"linear"`` for
        two linear schedules, joined, in place of the one above.

    Raises:
      ValueError: if a number is outside its range, or there is no such ``fall``.

    Reference: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/;
      Liu et al., 2025, https://arxiv.org/abs/2502.16982 (size of steps, decay)

    Example:
      >>> tx = gradtx.recipes.muon_adamw(
      ...     {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)}, 0.02, steps=100
      ... )
      >>> print(hasattr(tx, "update"))
      True
    """
    checks.positive(peak_learning_rate=peak_learning_rate)
    checks.positive_int(steps=steps)
    rise = steps // 10 if warmup_steps is None else warmup_steps
    if not 0 <= rise < steps:
        raise checks.InvalidArgument(
            f"muon_adamw: warmup_steps must be at least 0 and below the {steps} steps "
            f"of the run, got {rise}"
        )
    if fall not in FALLS:
        raise checks.InvalidArgument(
            f"muon_adamw: fall must be one of {', '.join(FALLS)}, got {fall!r}"
        )
    rate = FALLS[fall](peak_learning_rate, rise, steps)
    tx = muon(
        rate,
        beta=beta,
        weight_decay=weight_decay,
        adam_b2=b2,
        adam_weight_decay=weight_decay,
        muon_weight_dimension_numbers=matrices(params),
        consistent_rms=STEP_SIZE,
    )
    return tx if averaging is None else average(tx, averaging)
