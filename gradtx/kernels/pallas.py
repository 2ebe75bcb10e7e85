"""Pallas, of which only this folder knows: imported when a kernel is asked for."""

import jax

from gradtx.common import checks

try:
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import tpu, triton
except ImportError as error:
    raise checks.Unavailable(
        "kernel=True needs jax.experimental.pallas, which cannot be imported with JAX "
        f"{jax.__version__} ({error}): leave kernel=False, which makes the same step, "
        "or install another version of JAX"
    ) from error

__all__ = ["pl", "tpu", "triton"]
