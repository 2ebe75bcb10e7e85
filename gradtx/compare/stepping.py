"""The loss of a task with its data, and one training step."""

from collections.abc import Callable
from typing import Any

import jax

from gradtx.common.types import OptState, Params, PyTree
from gradtx.compare.task import Task, fetch
from gradtx.core.apply_updates import apply_updates


def loss_of(task: Task, data: PyTree) -> Callable[[Params, PyTree, Any], jax.Array]:
    """Give the loss as a function of parameters, batch and key."""
    return lambda params, batch, key: task.loss(params, fetch(data, batch), key)


def train_step(task: Task) -> Callable:
    """Give the function that takes one step with one batch."""

    def step(
        tx: Any, params: Params, state: OptState, data: PyTree, batch: PyTree, key: Any
    ) -> tuple[Params, OptState, jax.Array]:
        loss, gradients = jax.value_and_grad(loss_of(task, data))(params, batch, key)
        updates, state = tx.update(gradients, state, params)
        return apply_updates(params, updates), state, loss

    return step
