"""Programs as equations: all that is taken from ``jax.extend``, and why.

A traced program (a jaxpr) has no public address elsewhere. It is needed where code is
made of a function's equations: to evaluate them with the function's captured arrays as
explicit arguments, which derivatives need (:mod:`gradtx.lowering.conditional`), and to
find elementwise equations (:mod:`gradtx.kernels.elementwise`). JAX keeps ``jax.extend``
for such libraries and may change it between versions; everything else is public.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import (
    ClosedJaxpr as ClosedJaxpr,
    Jaxpr as Jaxpr,
    JaxprEqn as JaxprEqn,
    Literal as Literal,
    jaxpr_as_fun as jaxpr_as_fun,
)


def opened(function: Callable[..., Any], *args: Any) -> tuple[Any, list[Any]]:
    """Trace a function; return its program, and the arrays that it captured.

    Returns:
      A function of those arrays, as one list, and of the arguments, which returns the
      leaves of the results and holds none of the arrays itself; and the arrays.
    """
    traced = jax.make_jaxpr(function)(*args)
    jaxpr, captured = traced.jaxpr, list(traced.consts)
    if hasattr(jaxpr, "with_consts"):  # since JAX 0.12 they are kept within
        jaxpr = jaxpr.with_consts(())

    def run(captured: list[Any], *args: Any) -> list[Any]:
        return jaxpr_as_fun(ClosedJaxpr(jaxpr, captured))(*jax.tree.leaves(args))

    return run, captured
