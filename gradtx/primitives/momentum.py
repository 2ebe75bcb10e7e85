"""Running sums and means of the updates."""

from functools import partial
from typing import NamedTuple

import jax

from gradtx.common import checks, numerics
from gradtx.common.types import Count, DTypeLike, Params, Scalar
from gradtx.core.leafwise import leafwise
from gradtx.core.slots import zeros
from gradtx.core.transformation import GradientTransformation, transformation


class TraceState(NamedTuple):
    """What :func:`trace` remembers."""

    trace: Params  # b, the decaying sum of the gradients


@transformation
def trace(
    decay: Scalar, nesterov: bool = False, accumulator_dtype: DTypeLike | None = None
) -> GradientTransformation:
    """Add up the updates, forgetting the old ones: momentum.

        b ← g + μ b
        u = b                   or, with Nesterov's look ahead, g + μ b

    Args:
      decay: μ, in [0, 1]: how much of the sum is kept at each step.
      nesterov: return what the next step's sum would be if the gradient stayed.
      accumulator_dtype: the type to keep the sum in; the parameter's if None.

    Raises:
      ValueError: if ``decay`` is outside [0, 1].

    Reference: Polyak, 1964, https://doi.org/10.1016/0041-5553(64)90137-5; Sutskever et
      al., 2013, https://proceedings.mlr.press/v28/sutskever13.html

    Example:
      >>> tx, params = gradtx.trace(0.9, nesterov=True), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 3.8000002 -1.9000001]
    """
    checks.unit_interval(decay=decay)

    def rule(g: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
        b = g + decay * b
        return (g + decay * b if nesterov else b), b

    return leafwise(rule, TraceState, trace=partial(zeros, dtype=accumulator_dtype))


class EmaState(NamedTuple):
    """What :func:`ema` remembers."""

    count: Count
    ema: Params  # m, the running mean of the updates


@transformation
def ema(
    decay: Scalar, debias: bool = True, accumulator_dtype: DTypeLike | None = None
) -> GradientTransformation:
    """Replace the updates by their exponential running mean.

        m ← β m + (1 - β) g
        u = m / (1 - βᵗ)        or m itself, without debiasing

    Args:
      decay: β, in [0, 1): how much of the mean is kept at each step.
      debias: whether to make up for the start at zero.
      accumulator_dtype: the type to keep the mean in; the parameter's if None.

    Raises:
      ValueError: if ``decay`` is outside [0, 1).

    Example:
      >>> tx, params = gradtx.ema(0.9), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2. -1.]
    """
    checks.decay_rates(decay=decay)

    def rule(g: jax.Array, m: jax.Array, *, t: Count) -> tuple[jax.Array, jax.Array]:
        m = numerics.ema(m, g, decay)
        return (numerics.debias(m, decay, t) if debias else m), m

    return leafwise(rule, EmaState, ema=partial(zeros, dtype=accumulator_dtype))
