"""One compiled program that trains every learning rate and every seed at once."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.common.types import Params, PyTree
from gradtx.compare.checking import check_evaluate, check_init, opening_loss
from gradtx.compare.plan import Plan, groups, padded, plan, run_bytes
from gradtx.compare.protocol import Build, Protocol
from gradtx.compare.stepping import loss_of, train_step
from gradtx.compare.task import Task, start
from gradtx.wrappers.evaluation import eval_params

Points = dict[str, np.ndarray]
"""What is swept: ``learning_rate`` and other settings, each an array of one length."""


class Outcome(NamedTuple):
    """What one method reached, by point (first axis) and seed (second)."""

    points: Points
    train: np.ndarray
    """Loss of each step's batch, (points, seeds, steps)."""
    final: np.ndarray
    """The loss by which runs are judged, after the last step."""
    measures: dict[str, np.ndarray]
    """What else the task evaluates; no choice is ever made by it."""

    @property
    def rates(self) -> np.ndarray:
        """The learning rate of each point."""
        return self.points["learning_rate"]


class Program(NamedTuple):
    """The training of one method, compiled for points of any values."""

    begin: Callable
    advance: Callable
    plan: Plan


def parts(steps: int) -> int:
    """Give into how many equal parts to cut the training, so as to show progress."""
    return max(count for count in range(1, 13) if steps % count == 0)


def window(steps: int) -> int:
    """Give over how many steps a training loss is averaged."""
    return max(1, steps // 20)


class Trainer:
    """A task made ready; each method is compiled once and run on any points."""

    def __init__(self, task: Task, protocol: Protocol) -> None:
        check_init(task)
        self.task = task
        self.protocol = protocol
        self.start = start(task, protocol.steps, protocol.seeds)
        self.opening = opening_loss(task, self.start)
        check_evaluate(task, self.start)
        self.parts = parts(protocol.steps)
        self._judge = jax.jit(partial(_evaluate, task))

    def build(self, method: Callable) -> Build:
        """Give the function that makes a method's optimizer of one point."""
        return partial(self.protocol.build, method)

    def plan(self, tx: Any, points: int, limit: int) -> Plan:
        """Plan how many of so many points are trained at once with an optimizer."""
        params, batch, key = self.first
        state = jax.eval_shape(tx.init, params)
        each = run_bytes(loss_of(self.task, self.start.data), params, state, batch, key)
        return plan(points, self.protocol.seeds, each, limit)

    @property
    def first(self) -> tuple[Params, PyTree, jax.Array]:
        """The first seed's parameters, and the batch and the key of its first step."""
        params = jax.tree.map(lambda x: x[0].copy(), self.start.params)
        at = (self.start.batches, self.start.keys)
        return params, *jax.tree.map(lambda x: jnp.asarray(x[0, 0]), at)

    def compile(self, build: Build, points: Points, plan: Plan) -> Program:
        """Compile the training of as many points and seeds at once as was planned."""
        some = {name: values[: plan.points] for name, values in points.items()}
        some = {name: padded(x, plan.points) for name, x in some.items()}
        seeds = slice(0, plan.seeds)
        params = jax.tree.map(lambda x: x[seeds], self.start.params)
        begin = jax.jit(partial(_begin, build)).lower(some, params).compile()
        carry = jax.eval_shape(partial(_begin, build), some, params)
        advance = jax.jit(_advance(self.task, build), donate_argnums=1)
        part = self._part(seeds, 0)
        lowered = advance.lower(some, carry, self.start.data, *part)
        return Program(begin, lowered.compile(), plan)

    def run(self, program: Program, points: Points, tick: Callable) -> Outcome:
        """Train at each point with each seed, then judge the weights."""
        plan, count = program.plan, len(points["learning_rate"])
        rows = []
        for some in groups(count, plan.points):
            chunk = {name: values[some] for name, values in points.items()}
            across = [
                self._run_chunk(program, chunk, seeds, tick)
                for seeds in groups(self.protocol.seeds, plan.seeds)
            ]
            rows.append(_joined(across, 1, self.protocol.seeds))
        train, measures = _joined(rows, 0, count)
        final = measures.pop("loss")
        return Outcome(points, train, final, measures)

    def _run_chunk(
        self, program: Program, points: Points, seeds: np.ndarray, tick: Callable
    ) -> tuple[np.ndarray, dict]:
        params = jax.tree.map(lambda x: x[seeds], self.start.params)
        carry, losses = program.begin(points, params), []
        for place in range(self.parts):
            batches, keys = self._part(seeds, place)
            carry, part = program.advance(points, carry, self.start.data, batches, keys)
            losses.append(np.asarray(part))
            tick()
        params, state = carry
        slow = jax.vmap(jax.vmap(eval_params))(state, params)
        train = np.concatenate(losses, axis=-1)
        measures = {name: np.asarray(x) for name, x in self._judge(slow).items()}
        last = train[..., -window(self.protocol.steps) :].mean(axis=-1)
        return train, {"loss": last, **measures}

    def _part(self, seeds: Any, place: int) -> tuple[PyTree, jax.Array]:
        length = self.protocol.steps // self.parts
        steps = slice(place * length, (place + 1) * length)
        batches = jax.tree.map(
            lambda x: jnp.asarray(x[seeds, steps]), self.start.batches
        )
        return batches, self.start.keys[seeds, steps]


def _joined(chunks: list[tuple], axis: int, count: int) -> tuple[np.ndarray, dict]:
    """Join what chunks gave along an axis, without what only filled the last one."""

    def join(*each: np.ndarray) -> np.ndarray:
        whole = np.concatenate(each, axis=axis)
        return whole[:count] if axis == 0 else whole[:, :count]

    return jax.tree.map(join, *chunks)


def _evaluate(task: Task, params: Params) -> dict[str, jax.Array]:
    """Evaluate one set of weights after the other: each alone fills the machine."""
    if task.evaluate is None:
        return {}
    return jax.lax.map(lambda seeds: jax.lax.map(task.evaluate, seeds), params)


def _begin(build: Build, points: Points, params: Params) -> tuple[Params, Any]:
    """Give the parameters and the state of every point and seed."""

    def one(point: dict[str, Any], params: Params) -> tuple[Params, Any]:
        return params, build(point).init(params)

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(points, params)


def _advance(task: Task, build: Build) -> Callable:
    step = train_step(task)

    def advance(
        point: dict[str, Any], carry: tuple, data: PyTree, batches: PyTree, keys: Any
    ) -> tuple:
        tx = build(point)

        def body(carry: tuple, at: tuple) -> tuple:
            params, state, loss = step(tx, *carry, data, *at)
            return (params, state), loss

        return jax.lax.scan(body, carry, (batches, keys))

    seeds = jax.vmap(advance, in_axes=(None, 0, None, 0, 0))
    return jax.vmap(seeds, in_axes=(0, 0, None, None, None))
