"""Matrices that are stored row by row, whatever a compiler would rather have."""

import jax
from jax.experimental.layout import Layout, with_layout_constraint

from gradtx.lowering.control_flow import platform_dependent


def decomposed_by_rows(x: jax.Array) -> jax.Array:
    """Return what comes of a decomposition as it is, as a product's result is stored.

    LAPACK stores by columns. A loop that carried its result would do so too, and what
    is in state would be transposed before and after it in every step.

    Args:
      x: of shape (n, d, d).
    """
    return platform_dependent(x, tpu=_constrained, default=_flattened)


def stacked_by_rows(x: jax.Array) -> jax.Array:
    """Return a stack of matrices as it is, for a TPU to store it row by row.

    For products it would rather have columns, and transpose every matrix that is put
    into the stack, in a kernel for each.

    Args:
      x: of shape (n, d, d).
    """
    return platform_dependent(x, tpu=_constrained, default=lambda x: x)


def _constrained(x: jax.Array) -> jax.Array:
    return with_layout_constraint(x, Layout(major_to_minor=tuple(range(x.ndim))))


def _flattened(x: jax.Array) -> jax.Array:
    # A shape that can only be read in one order: to ask for that order is for TPUs.
    flat = jax.lax.optimization_barrier(x.reshape(len(x), -1))
    return flat.reshape(x.shape)
