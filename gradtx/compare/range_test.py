"""The learning-rate range test: one short run while the rate rises."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.common.checks import InvalidArgument
from gradtx.compare.checking import check_init, opening_loss
from gradtx.compare.protocol import protocol
from gradtx.compare.stepping import train_step
from gradtx.compare.task import Task, start

BEFORE_THE_LOWEST = 10.0
LEAST_FALL = 0.01


class RangeTest(NamedTuple):
    """The curve of a range test, and what follows from it.

    Example:
      >>> task = gradtx.compare.Task(
      ...     init=lambda key: jax.random.normal(key, (2,)),
      ...     loss=lambda params, batch, key: jnp.mean((params - batch) ** 2),
      ...     batches=jnp.ones((32, 2)),
      ... )
      >>> found = gradtx.compare.find_learning_rate(gradtx.sgd(1.0), task, steps=20)
      >>> found.rates.shape, found.suggestion > 0
      ((20,), True)
    """

    rates: np.ndarray
    """The learning rate of each step, rising."""
    losses: np.ndarray
    """The loss of each step's batch, averaged over the steps around it; infinite from
    the step on at which the run diverged."""
    suggestion: float
    """A learning rate to begin with."""
    reason: str
    """Why this one, in a sentence."""

    def plot(self, path: str | Path) -> Path:
        """Draw the curve and the suggestion as a PNG.

        Args:
          path: of the file to write.

        Returns:
          The path.

        Raises:
          ImportError: if matplotlib is missing.
        """
        from gradtx.compare.pictures import draw_range  # noqa: PLC0415 -- matplotlib

        return draw_range(self.rates, self.losses, self.suggestion, Path(path))


def find_learning_rate(
    tx: Any,
    task: Task,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 200,
) -> RangeTest:
    """Look for a learning rate in one run, while the rate rises by a factor each step.

        η_t = low (high / low)^(t / (steps - 1))

    The state of the optimizer is kept from step to step. The suggestion is a tenth of
    the rate at which the averaged loss is lowest: below it every step still helped. It
    is a place to begin, not a tuned rate: for that, use :func:`run`.

    Args:
      tx: an optimizer made by gradtx, whose argument ``learning_rate`` is replaced; or
        a function that makes one from a traced learning rate.
      task: what is trained. Its first seed is.
      low: the rate of the first step, positive.
      high: the rate of the last step, above ``low``.
      steps: how many steps are taken, at least 10.

    Raises:
      ValueError: if a setting is out of range, the task cannot be trained, ``tx`` has
        no learning rate to replace, or the loss fell at no rate.

    Reference: Smith, 2015, Cyclical Learning Rates for Training Neural Networks,
      https://arxiv.org/abs/1506.01186

    Example:
      >>> task = gradtx.compare.Task(
      ...     init=lambda key: jnp.ones(2),
      ...     loss=lambda params, batch, key: jnp.mean((params - batch) ** 2),
      ...     batches=jnp.zeros((8, 2)),
      ...     batch_size=4,
      ... )
      >>> found = gradtx.compare.find_learning_rate(gradtx.sgd(1.0), task, steps=50)
      >>> print(0 < found.suggestion < 1)
      True
    """
    if not 0 < low < high < np.inf:
        raise InvalidArgument(
            f"low, high: must be 0 < low < high, got {low} and {high}"
        )
    protocol(steps, 1, "constant", "grid")
    if steps < 10:  # noqa: PLR2004
        raise InvalidArgument(f"steps: must be at least 10, got {steps}")
    check_init(task)
    rates = np.geomspace(low, high, steps)
    losses = _smoothed(_rise(_builder(tx), task, rates))
    return RangeTest(rates, losses, *_suggestion(rates, losses))


def _builder(tx: Any) -> Callable[[Any], Any]:
    if hasattr(tx, "replace") and hasattr(tx, "update"):
        return lambda rate: tx.replace(learning_rate=rate)
    if callable(tx):
        return tx
    raise InvalidArgument(
        "tx: must be made by gradtx, so that its learning rate can be replaced, or be "
        f"a function of the learning rate, got a {type(tx).__name__}"
    )


def _rise(build: Callable[[Any], Any], task: Task, rates: np.ndarray) -> np.ndarray:
    """Train once with these rates and give the loss of each step's batch."""
    begin = start(task, len(rates), 1)
    opening_loss(task, begin)
    step, seeds = train_step(task), (begin.params, begin.batches, begin.keys)
    params, batches, keys = jax.tree.map(lambda x: x[0], seeds)

    def train(params: Any, data: Any, *each: Any) -> jax.Array:
        def body(carry: Any, at: Any) -> Any:
            rate, batch, key = at
            params, state, loss = step(build(rate), *carry, data, batch, key)
            return (params, state), loss

        begun = (params, build(each[0][0]).init(params))
        return jax.lax.scan(body, begun, each)[1]

    rising = jnp.asarray(rates, jnp.float32)
    return np.asarray(jax.jit(train)(params, begin.data, rising, batches, keys))


def _smoothed(losses: np.ndarray) -> np.ndarray:
    """Average over a twentieth of the steps around each; infinite once diverged."""
    half = max(1, len(losses) // 40)
    finite = np.isfinite(losses)
    end = len(losses) if finite.all() else int(finite.argmin())
    means = [
        np.mean(losses[max(0, at - half) : min(end, at + half + 1)], dtype=np.float64)
        for at in range(end)
    ]
    return np.concatenate([means, np.full(len(losses) - end, np.inf)])


def _suggestion(rates: np.ndarray, losses: np.ndarray) -> tuple[float, str]:
    lowest = int(losses.argmin())
    if lowest == 0 or losses[lowest] > losses[0] - LEAST_FALL * abs(losses[0]):
        raise InvalidArgument(
            f"the loss fell at no rate from {rates[0]:.2g} to {rates[-1]:.2g}: it "
            f"began at {losses[0]:.4g} and was lowest at {losses[lowest]:.4g}; look "
            "elsewhere, or take more steps"
        )
    found = float(rates[lowest] / BEFORE_THE_LOWEST)
    end = "diverged" if np.isinf(losses[-1]) else f"ended at {losses[-1]:.3g}"
    reason = (
        f"the averaged loss fell from {losses[0]:.3g} to its lowest, "
        f"{losses[lowest]:.3g}, at a rate of {rates[lowest]:.2g}, and {end} beyond: a "
        "tenth of that rate is a place to begin"
    )
    if lowest == len(rates) - 1:
        reason += "; the loss was still falling at the last rate, so look higher too"
    return found, reason
