"""What a comparison trains: a user's problem, in the four things that it is made of."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.common.checks import InvalidArgument
from gradtx.common.types import Params, PyTree


class Task(NamedTuple):
    """A problem to train on.

    Args:
      init: takes a random key and returns the initial parameters, a pytree of arrays of
        real or complex numbers. It is traced, once for all seeds.
      loss: takes the parameters, a batch and a random key (another one at each step)
        and returns one real number, to be minimized.
      batches: a pytree of arrays whose first axis counts the examples: batches are then
        drawn on the device, each example once before any comes again. Or an iterable of
        batches that is not a pytree of arrays alone, such as a generator or a loader:
        all seeds then see the same batches. Or a function that takes the number of a
        seed and returns an iterable. What is iterated is read before anything is
        trained, as every method gets the same batches, and must fit into memory.
      evaluate: takes the parameters and returns a dict of real numbers, for what the
        training loss does not say: it is traced, and called once after the last step.
        By its ``"loss"``, where it has one, runs are judged; the others are shown.
        Without, runs are judged by the mean training loss of the last steps.
      batch_size: how many examples a batch has, at least 1, where ``batches`` is a
        pytree of arrays.
      name: what the task is called in tables and reports.

    Example::

        task = gradtx.compare.Task(
            init=lambda key: {"w": jax.random.normal(key, (3,))},
            loss=lambda params, batch, key: ((batch["x"] @ params["w"]) ** 2).mean(),
            batches={"x": x},
        )

    Example:
      >>> task = gradtx.compare.Task(
      ...     init=lambda key: jax.random.normal(key, (2,)),
      ...     loss=lambda params, batch, key: jnp.mean((params - batch) ** 2),
      ...     batches=jnp.ones((8, 2)),
      ... )
      >>> print(task.loss(jnp.zeros(2), task.batches, None))
      1.0
    """

    init: Callable[[jax.Array], Params]
    loss: Callable[[Params, PyTree, jax.Array], jax.Array]
    batches: Any
    evaluate: Callable[[Params], dict[str, Any]] | None = None
    batch_size: int = 32
    name: str = "the task"


class Start(NamedTuple):
    """What all methods share, each leaf with a leading axis of seeds."""

    params: Params
    batches: PyTree
    """Of every step, (seeds, steps, ...): batches, or the numbers of their examples."""
    keys: jax.Array
    """A random key for every step, (seeds, steps)."""
    data: PyTree
    """The examples that the numbers count; None where batches are given whole."""


def start(task: Task, steps: int, seeds: int) -> Start:
    """Draw the initial weights and the order of the data, once for all methods.

    Args:
      task: what is trained.
      steps: how many batches each seed needs.
      seeds: how many there are.

    Raises:
      ValueError: if there are fewer batches than steps, or fewer examples than a batch
        has.
    """
    keys = jax.random.split(jax.random.key(0), seeds)
    params = jax.jit(jax.vmap(task.init))(keys)
    each = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, 1), steps))
    if not sampled(task):
        return Start(params, _read(task, steps, seeds), each(keys), None)
    data = jax.tree.map(jnp.asarray, task.batches)
    examples = _examples(task)
    rows = [epochs(seed, examples, steps, task.batch_size) for seed in range(seeds)]
    return Start(params, np.stack(rows), each(keys), data)


def sampled(task: Task) -> bool:
    """Whether batches are drawn from arrays, and not given one after the other."""
    if callable(task.batches) or isinstance(task.batches, Iterator):
        return False
    leaves = jax.tree.leaves(task.batches)
    return bool(leaves) and all(
        np.ndim(leaf) and hasattr(leaf, "dtype") for leaf in leaves
    )


def fetch(data: PyTree, batch: PyTree) -> PyTree:
    """Give the batch that goes into the loss."""
    return batch if data is None else jax.tree.map(lambda x: x[batch], data)


def epochs(seed: int, examples: int, steps: int, batch_size: int) -> np.ndarray:
    """Shuffle the data anew each time it has been seen, and cut it into batches."""
    random = np.random.default_rng(seed)
    needed = steps * batch_size
    rounds = [random.permutation(examples) for _ in range(-(-needed // examples))]
    return np.concatenate(rounds)[:needed].reshape(steps, batch_size).astype(np.int32)


def _examples(task: Task) -> int:
    counts = {len(leaf) for leaf in jax.tree.leaves(task.batches)}
    if len(counts) > 1:
        raise InvalidArgument(
            f"batches: the arrays have first axes of lengths {sorted(counts)}, but "
            "each must count the same examples"
        )
    (count,) = counts
    if not 1 <= task.batch_size <= count:
        raise InvalidArgument(
            f"batch_size: must be from 1 to the {count} examples of the task's arrays, "
            f"got {task.batch_size}"
        )
    return count


def _read(task: Task, steps: int, seeds: int) -> PyTree:
    """Read the batches of every seed, with a leading axis of seeds and one of steps."""
    if callable(task.batches):
        each = [_take(task.batches(seed), steps) for seed in range(seeds)]
        return jax.tree.map(lambda *parts: np.stack(parts), *each)
    shared = _take(task.batches, steps)
    return jax.tree.map(lambda x: np.broadcast_to(x, (seeds, *x.shape)), shared)


def _take(batches: Any, steps: int) -> PyTree:
    """Read as many batches as there are steps into one tree of arrays."""
    try:
        taken = list(islice(iter(batches), steps))
    except TypeError:
        raise InvalidArgument(
            "batches: must be a pytree of arrays, an iterable of batches, or a "
            f"function of a seed that returns one, got {type(batches).__name__}"
        ) from None
    if len(taken) < steps:
        raise InvalidArgument(
            f"batches: they end after {len(taken)}, and {steps} steps were asked for: "
            "give an iterator that goes on, or ask for fewer steps"
        )
    try:
        return jax.tree.map(lambda *leaves: np.stack(leaves), *taken)
    except ValueError as error:
        raise InvalidArgument(
            f"batches: must all have the same shapes: {error}"
        ) from error
