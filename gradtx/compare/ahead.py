"""Compile what comes next while something runs, on as many cores as there are."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from gradtx.compare.method import Method
from gradtx.compare.plan import Plan
from gradtx.compare.protocol import Build
from gradtx.compare.store import Store
from gradtx.compare.timing import compile_step
from gradtx.compare.training import Points, Program, Trainer


class Request(NamedTuple):
    """A method, with all that its sweep begins from."""

    method: Method
    build: Build
    first: Points
    tx: Any
    """Its optimizer at one of these points."""
    plan: Plan


class Ahead(NamedTuple):
    """What is being made ready, for each method in turn."""

    sweeps: list[Future]
    """The program that trains all points and seeds; None where no run is left to do."""
    steps: list[Future]
    """The program of a single step, to be timed."""
    beside: list[Future]
    """What else was asked for."""


@contextmanager
def ahead(
    trainer: Trainer,
    requests: list[Request],
    store: Store,
    beside: Sequence[Callable[[], Any]],
) -> Iterator[Ahead]:
    """Begin all compilations, those first that are needed first."""
    pool = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1))

    def sweep(request: Request) -> Program | None:
        if store.has(request.first, request.tx):
            return None
        return trainer.compile(request.build, request.first, request.plan)

    def step(request: Request) -> Callable:
        point = {name: float(x[0]) for name, x in request.first.items()}
        return compile_step(trainer, request.build, point)

    try:
        yield Ahead(
            [pool.submit(sweep, request) for request in requests],
            [pool.submit(step, request) for request in requests],
            [pool.submit(other) for other in beside],
        )
    finally:
        pool.shutdown(cancel_futures=True)
