"""What the methods of Muon's family have in common: their momentum, their iteration."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from gradtx.common import checks
from gradtx.common.numerics import debias, ema
from gradtx.common.types import Count, DTypeLike, Scalar
from gradtx.linalg import newton_schulz, presets
from gradtx.linalg.orthogonal import coefficients, known_preconditioning
from gradtx.optimizers.adam import nesterov_mean

MOMENTUM = ("mean", "sum")

# From the gradient, m and the step to what is orthogonalized and m anew.
Momentum = Callable[[jax.Array, jax.Array, Count], tuple[jax.Array, jax.Array]]


class Iteration(NamedTuple):
    """How matrices are orthogonalized, as :func:`newton_schulz` takes it."""

    coeffs: Any
    steps: int
    eps: Scalar
    preconditioning: str = "frobenius"
    dtype: DTypeLike | None = None
    min_norm: Scalar = 0.0

    def check(self, eps: str = "ns_eps") -> None:
        """Refuse settings that are out of their range or not known.

        Args:
          eps: what ε is called outside.
        """
        checks.non_negative(**{eps: self.eps}, min_norm=self.min_norm)
        checks.positive_int(ns_steps=self.steps)
        known_preconditioning(self.preconditioning)
        presets.are_triples(self.table)

    @property
    def table(self) -> Any:
        """The coefficients as numbers."""
        return presets.named(self.coeffs)

    def __call__(self, x: jax.Array, coeffs: Any = None) -> jax.Array:
        """Bring the singular values of a batch of matrices near 1."""
        table = self.table if coeffs is None else coeffs
        return newton_schulz(
            x,
            coeffs=coefficients(table, self.steps),
            preconditioning=self.preconditioning,
            eps=self.eps,
            min_norm=self.min_norm,
            dtype=self.dtype,
        )


def momentum_of(
    beta: Scalar,
    nesterov: bool,
    bias_correction: bool = False,
    momentum: str = "mean",
) -> Momentum:
    """Return the rule of a mean or a sum of gradients, which may look ahead.

        m ← β m + w g                         w: 1 - β for a mean, 1 for a sum
        x = β m + w g                         with ``nesterov``, else m

    and with ``bias_correction`` as in :func:`gradtx.scale_by_muon`.

    Raises:
      ValueError: if β is outside [0, 1) or the kind not known.
    """
    checks.decay_rates(beta=beta)
    if momentum not in MOMENTUM:
        raise checks.InvalidArgument(
            f"momentum must be one of {', '.join(MOMENTUM)}, got {momentum!r}"
        )

    def of_mean(g: jax.Array, m: jax.Array, t: Count) -> tuple[jax.Array, jax.Array]:
        m = ema(m, g, beta)
        if bias_correction:
            return nesterov_mean(g, m, beta, t) if nesterov else debias(m, beta, t), m
        return ema(m, g, beta) if nesterov else m, m

    def of_sum(g: jax.Array, m: jax.Array, t: Count) -> tuple[jax.Array, jax.Array]:
        m = beta * m + g
        now, ahead = g, m
        if bias_correction:
            now = debias(g, beta, t)
            ahead = debias(m, beta, t + 1 if nesterov else t)
        return beta * ahead + now if nesterov else ahead, m

    return of_mean if momentum == "mean" else of_sum
