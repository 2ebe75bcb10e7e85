"""What is wrong with a task or a method is said before anything long runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.common import leaves
from gradtx.common.checks import InvalidArgument
from gradtx.compare.method import Method
from gradtx.compare.protocol import Build
from gradtx.compare.stepping import loss_of, train_step
from gradtx.compare.task import Start, Task

DEFAULT_RATES = tuple(np.geomspace(1e-4, 1.0, 9).tolist())
Rates = Sequence[float] | Mapping[str, Sequence[float]] | None


def check_init(task: Task) -> None:
    """Refuse initial parameters that cannot be trained, from their shapes alone."""
    params = jax.eval_shape(task.init, jax.random.key(0))
    if not jax.tree.leaves(params):
        raise InvalidArgument("init: gives no parameters")
    leaves.float_leaves(params, "the parameter that init gives")


def opening_loss(task: Task, start: Start) -> np.ndarray:
    """Give the loss of each seed's first batch, before any step.

    Raises:
      ValueError: if it is not one finite real number.
    """
    first = jax.tree.map(lambda x: x[:, 0], (start.batches, start.keys))
    loss = loss_of(task, start.data)
    one = jax.tree.map(lambda x: x[0], (start.params, *first))
    shape = jax.eval_shape(loss, *one)
    if not leaves.is_array(shape) or shape.shape or not _real(shape.dtype):
        raise InvalidArgument(f"loss: must return one real number, got {_shown(shape)}")
    losses = np.asarray(jax.jit(jax.vmap(loss))(start.params, *first))
    if not np.isfinite(losses).all():
        raise InvalidArgument(
            f"loss: is {losses.tolist()} for the initial parameters and first batches "
            "of the seeds, before any step: look for a logarithm or a root of 0, a "
            "division by 0, or data that is not finite"
        )
    return losses


def check_evaluate(task: Task, start: Start) -> None:
    """Refuse an ``evaluate`` that does not give real numbers by name."""
    if task.evaluate is None:
        return
    found = jax.eval_shape(task.evaluate, jax.tree.map(lambda x: x[0], start.params))
    if not isinstance(found, Mapping):
        raise InvalidArgument(
            f"evaluate: must return a dict of numbers, got {_shown(found)}"
        )
    for name, value in found.items():
        if not leaves.is_array(value) or value.shape or not _real(value.dtype):
            raise InvalidArgument(
                f"evaluate: {name!r} must be one real number, got {_shown(value)}"
            )


def check_method(
    task: Task, start: Start, build: Build, method: Method, point: dict[str, float]
) -> Any:
    """Trace one step of a method, and give its optimizer at one point.

    Raises:
      ValueError: if it cannot be built, or take a step; what it said is told.
    """
    one = jax.tree.map(lambda x: x[0], start.params)
    batch, key = jax.tree.map(lambda x: x[0, 0], (start.batches, start.keys))
    step = train_step(task)

    def first_step(point: dict[str, Any], params: Any, batch: Any, key: Any) -> Any:
        tx = build(point)
        return step(tx, params, tx.init(params), start.data, batch, key)[:2]

    try:
        tx = build(point)
        traced = {name: jnp.float32(value) for name, value in point.items()}
        jax.eval_shape(first_step, traced, one, batch, key)
    except Exception as error:
        raise InvalidArgument(
            f"optimizers: {method.name} cannot train {task.name}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return tx


def learning_rates(rates: Rates, chosen: list[Method]) -> list[np.ndarray]:
    """Give the first learning rates of each method, rising.

    Raises:
      ValueError: if there is none, one is not a positive number or stands twice, or
        there are rates for a method that is not there.
    """
    if not isinstance(rates, Mapping):
        given = DEFAULT_RATES if rates is None else rates
        return [_rates(given, "rates")] * len(chosen)
    if unknown := sorted(set(rates) - {method.name for method in chosen}):
        raise InvalidArgument(f"rates: there is no optimizer {', '.join(unknown)}")
    return [
        _rates(rates.get(method.name, DEFAULT_RATES), f"rates of {method.name}")
        for method in chosen
    ]


def _rates(given: Sequence[float], name: str) -> np.ndarray:
    found = np.sort(np.asarray(given, np.float64))
    if found.ndim != 1 or not len(found):
        raise InvalidArgument(
            f"{name}: there is none to try: give a sequence of numbers"
        )
    if not (np.isfinite(found).all() and found[0] > 0):
        raise InvalidArgument(
            f"{name}: must be positive and finite, got {found.tolist()}"
        )
    if len(np.unique(found)) < len(found):
        raise InvalidArgument(f"{name}: one stands twice in {found.tolist()}")
    return found


def _real(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating)


def _shown(value: Any) -> str:
    if leaves.is_array(value):
        return f"an array of shape {value.shape} and type {value.dtype}"
    return f"a {type(value).__name__}"
