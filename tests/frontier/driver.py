"""What all families of recorded cases share: arrays in, trajectories out."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx

Trajectory = dict[str, list[np.ndarray]]


def arrays(case: dict[str, Any], tree: dict[str, Any]) -> dict[str, jax.Array]:
    """Return the arrays of a case as float64."""
    return {name: jnp.asarray(tree[name], jnp.float64) for name in case["arrays"]}


def run(
    tx: Any,
    case: dict[str, Any],
    p0: dict[str, Any],
    grads: list[dict[str, Any]],
    *,
    extra: Callable[[int], dict[str, Any]] = lambda _: {},
    shown: dict[str, Callable[[Any, Any], Any]] | None = None,
) -> dict[str, Any]:
    """Take every step of a case with a transformation, and return the trajectories.

    Args:
      tx: the transformation.
      case: the case.
      p0: the parameters to start from.
      grads: the gradients of each step.
      extra: the extra arguments of ``update`` at a step, counted from 0.
      shown: other parameters that the case records, by name: functions of the state
        and the parameters.
    """
    shown = shown or {}
    params = arrays(case, p0)
    state = jax.jit(tx.init)(params)

    @jax.jit
    def step(params: Any, state: Any, g: Any, extra: Any) -> Any:
        updates, state = tx.update(g, state, params, **extra)
        return gradtx.apply_updates(params, updates), state

    taken, others = [], {name: [] for name in shown}
    for i, g in enumerate(grads):
        params, state = step(params, state, arrays(case, g), extra(i))
        taken.append(params)
        for name, function in shown.items():
            others[name].append(function(state, params))
    return columns(taken) | {name: columns(rows) for name, rows in others.items()}


def columns(rows: list[dict[str, Any]]) -> Trajectory:
    """Return for each array its values of all steps."""
    return {name: [np.asarray(row[name]) for row in rows] for name in rows[0]}
