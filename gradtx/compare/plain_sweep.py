"""Train with many learning rates at once, and nothing besides."""

from collections.abc import Callable, Sequence
from typing import Any

from gradtx.compare.method import Settings, methods
from gradtx.compare.protocol import Course, protocol
from gradtx.compare.running import ask, requests
from gradtx.compare.task import Task
from gradtx.compare.training import Outcome


def sweep(
    build: Callable[..., Any],
    task: Task,
    rates: Sequence[float],
    *,
    steps: int,
    seeds: int = 1,
    settings: Settings | None = None,
    schedule: str | Course = "constant",
    memory: int | None = None,
) -> Outcome:
    """Train with many learning rates in one compiled program, and give what each did.

    Args:
      build: makes the optimizer from a (traced) learning rate, and from what else is
        swept.
      task: what is trained.
      rates: the learning rates, positive; none is tried besides.
      steps: training steps of each run, at least 1.
      seeds: how many seeds each point has, at least 1.
      settings: values of other settings, every combination with every rate, by the
        names of arguments of ``build``.
      schedule: the course of the rate: see :func:`run`.
      memory: the bytes that runs trained at once may take: see :func:`run`.

    Returns:
      ``points``, an array of values for each name swept, with all rates, rising, for
      each combination of settings; ``rates``, the one of them; ``train``, the loss of
      each step's batch, of shape (points, seeds, steps); ``final``, the loss after the
      last step, (points, seeds); and ``measures``, what else the task evaluates. What
      diverged is not finite.

    Raises:
      ValueError: as :func:`run`.

    Example:
      >>> task = gradtx.compare.Task(
      ...     init=lambda key: jnp.ones(2),
      ...     loss=lambda params, batch, key: jnp.mean((params - batch) ** 2),
      ...     batches=jnp.zeros((8, 2)),
      ...     batch_size=4,
      ... )
      >>> found = gradtx.compare.sweep(gradtx.sgd, task, [0.01, 0.1], steps=20)
      >>> print(type(found).__name__)
      Outcome
    """
    fixed = protocol(steps, seeds, schedule, "grid")
    chosen = methods({"the optimizer": build})
    asked = ask(task, chosen, fixed, rates=rates, settings=settings, memory=memory)
    (request,) = requests(asked)
    program = asked.trainer.compile(request.build, request.first, request.plan)
    return asked.trainer.run(program, request.first, lambda: None)
