"""Muon and its family, Dion and Scion: how recorded cases are run with gradtx.

The recordings are of shape (out, in): their axis 0 is the output.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from frontier.driver import run

import gradtx
from gradtx import MatrixAxes, like

ROWS = MatrixAxes(-1, -2)  # rows are outputs; axes before them count matrices
POLAR_MARGIN = 1.02  # of Polar Express, which in the programs stands before ε too


def constant(tx: Any) -> Callable[..., Any]:
    """Run a case with a transformation that is made of its settings."""

    def follow(case: dict[str, Any], p0: Any, grads: Any) -> dict[str, Any]:
        return run(tx(case), case, p0, grads)

    return follow


def along_rows(case: dict[str, Any], **cuts: Any) -> dict[str, MatrixAxes]:
    """Return dimension numbers of (out, in) for every array of a case."""
    return {
        name: ROWS._replace(**{kind: x[name] for kind, x in cuts.items() if name in x})
        for name in case["arrays"]
    }


def cautious(tx: Any, rate: float, decay: float) -> Any:
    """Step along a direction, and let decay what the step makes smaller."""

    def rule(u: jax.Array, *, p: jax.Array) -> jax.Array:
        return u + decay * jnp.where(u * p >= 0, p, 0)

    shrink = gradtx.leafwise(rule, gradtx.EmptyState)
    return gradtx.chain(tx, shrink, gradtx.scale_by_learning_rate(rate))


# --- Muon ---


def muon_torch(case: dict[str, Any]) -> Any:
    """Return ``torch.optim.Muon``."""
    return like.torch.Muon(**case["settings"])


def muon_keller(case: dict[str, Any]) -> Any:
    """Return Keller Jordan's Muon."""
    return like.authors.Muon(**case["settings"], weight_dimension_numbers=ROWS)
