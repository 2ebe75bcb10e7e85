"""Programs as equations: all that is taken from ``jax.extend``, and why.

A traced program (a jaxpr) has no public address elsewhere. It is needed where code is
made of a function's equations: to evaluate them with the function's captured arrays as
explicit arguments, which derivatives need (:mod:`gradtx.lowering.conditional`), and to
find elementwise equations (:mod:`gradtx.kernels.elementwise`). JAX keeps ``jax.extend``
for such libraries and may change it between versions; everything else is public.
"""

from jax.extend.core import (
    ClosedJaxpr as ClosedJaxpr,
    Jaxpr as Jaxpr,
    JaxprEqn as JaxprEqn,
    Literal as Literal,
    jaxpr_as_fun as jaxpr_as_fun,
)
