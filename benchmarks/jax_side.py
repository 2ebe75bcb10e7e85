"""A jitted, donated step of gradtx or optax, and what it cost to make."""

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from benchmarks import timing
from benchmarks.methods import Method
from benchmarks.trees import nbytes

ROUNDS, ENOUGH = 3, 5.0  # how often the stages are timed, unless they take seconds


class Stages(NamedTuple):
    """What it takes until the step can run, and what it holds."""

    trace: float  # seconds
    lower: float
    compile: float
    equations: int  # of the jaxpr with all calls written out, as XLA gets it
    distinct: int  # the same, each function that is called counted once
    moved_bytes: float  # per parameter, read and written, by XLA's own count
    state_bytes: float  # per parameter, all that is carried besides the parameters
    temp_bytes: int  # scratch memory that the compiled step asks for
    alias_bytes: int  # memory that the donated arguments share with the results


class Program:
    """One library's step on one tree; called with a number, it makes so many steps."""

    kernel = "jit"

    def __init__(self, lib: Any, method: Method, params: Any, grads: Any) -> None:
        self.lib, self.grads = lib, grads
        self.tx = method.build(lib)
        if method.paired and lib.__name__ == "optax":
            params = lib.LookaheadParams.init_synced(params)
        # Nothing may be donated twice, nor taken from the other programs.
        self.params, self.state = jax.tree.map(jnp.copy, (params, self.tx.init(params)))
        carried = nbytes((self.params, self.state)) - nbytes(grads)
        self.state_bytes = 4 * carried / nbytes(grads)
        self.compiled: Any = None

    def stages(self) -> Stages:
        """Trace, lower and compile from nothing, by the clock."""

        def step(grads: Any, params: Any, state: Any) -> tuple[Any, Any]:
            updates, state = self.tx.update(grads, state, params)
            return self.lib.apply_updates(params, updates), state

        # gradtx has a compiler of steps of its own, which its users are told to use.
        jit = getattr(self.lib, "jit_step", jax.jit)
        arguments = (self.grads, self.params, self.state)
        found = timing.stages(jit(step, donate_argnums=(1, 2)), arguments)
        self.compiled, traced = found.compiled, found.traced
        memory = self.compiled.memory_analysis()
        moved = (self.compiled.cost_analysis() or {}).get("bytes accessed", math.nan)
        return Stages(
            *(found.trace, found.lower, found.compile),
            equations=count_equations(traced.jaxpr.jaxpr),
            distinct=count_distinct(traced.jaxpr.jaxpr, set()),
            moved_bytes=4 * moved / nbytes(self.grads),
            state_bytes=self.state_bytes,
            temp_bytes=getattr(memory, "temp_size_in_bytes", 0),
            alias_bytes=getattr(memory, "alias_size_in_bytes", 0),
        )

    def __call__(self, steps: int) -> None:
        """Make so many steps with the same gradients."""
        for _ in range(steps):
            self.params, self.state = self.compiled(self.grads, self.params, self.state)
        jax.block_until_ready((self.params, self.state))


class Eager(Program):
    """The same without ``jit``: one call of ``update`` after the other, as in a shell.

    The parameters stay; nothing is compiled but what the library compiles by itself.
    """

    kernel = "eager"

    def __call__(self, steps: int) -> None:
        """Make so many updates with the same gradients."""
        for _ in range(steps):
            updates, self.state = self.tx.update(self.grads, self.state, self.params)
        jax.block_until_ready((updates, self.state))


def all_stages(programs: dict[str, Program]) -> dict[str, Stages]:
    """Time the stages of the programs in turn; of each stage the shortest time counts.

    Seconds spent once are not spent again.
    """
    found: dict[str, list[Stages]] = {name: [] for name in programs}
    begun = time.perf_counter()
    for _ in range(ROUNDS):
        for name, program in programs.items():
            found[name].append(program.stages())
        if time.perf_counter() - begun > ENOUGH:
            break
    return {name: _shortest(rounds) for name, rounds in found.items()}


def _shortest(rounds: list[Stages]) -> Stages:
    return rounds[0]._replace(
        trace=min(s.trace for s in rounds),
        lower=min(s.lower for s in rounds),
        compile=min(s.compile for s in rounds),
    )


def count_equations(jaxpr: Jaxpr) -> int:
    """Count the equations of a jaxpr and of those inside it."""
    return sum(
        1 + sum(map(count_equations, _inner(equation.params.values())))
        for equation in jaxpr.eqns
    )


def count_distinct(jaxpr: Jaxpr, seen: set[int]) -> int:
    """Count the equations of a jaxpr and, once each, of the different ones inside."""
    seen.add(id(jaxpr))
    total = len(jaxpr.eqns)
    for equation in jaxpr.eqns:
        for inner in _inner(equation.params.values()):
            if id(inner) not in seen:
                total += count_distinct(inner, seen)
    return total


def _inner(values: Any) -> Iterator[Jaxpr]:
    for value in values:
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value
        elif isinstance(value, tuple | list):
            yield from _inner(value)
