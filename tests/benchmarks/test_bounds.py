"""The lower bound of a step, which the library finds, counted in another way."""

from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import Var

import gradtx
from benchmarks.audit import cases

# Bytes per parameter beyond each array once in, once out, and what they are.
AGAIN = """
4 | the gradient, after its norm or its mean squares
  | chain; novograd; polyak_sgd; dpsgd; zclip, sgd; adagc, adamw; clip_by_global_norm*
  | clip_by_block_rms*; pack_small_leaves(clipped adamw); adam_mini
4 | the gradient, after looking whether it is finite, or low enough
  | apply_if_finite*; skip_spikes, adam; dynamic_loss_scale*
4 | the gradient, after its projection
  | apollo; apollo_mini
8 | two arrays, after norms, distances, inner products or shares
  | distance over gradients; dog*; dowg; fromage; lars; hyperball, sgd; momo*; mars, *
  | relative_update, sgd; stable_adamw*; cautious, adam
12 | both means and the parameters, after the norm of the update
  | lamb; radial_brake, adam; row_floor, adam; cautious(adamw); hyperball(adamw)
12 | three arrays, after inner products or mean squares
  | momo_adam*; adafactor*; came; mechanize
4 | what products of matrices are scaled by: v after the update's norm, or p
  | adamuon; soap_muon
16 | the gradient, and the parameters thrice, after inner products and for lengths
  | muown
20 | m thrice and Q twice, after what is found of them
  | psgd_kron
2 | which entries of the mean are finite, out and in
  | dion2, as Dion3
-4 | the bases are found anew, or only read
  | corrected_shampoo
-8 | the roots are found anew, or only read
  | shampoo*
-12 | one gradient of three is replaced, and not read
  | grokfast_ma, sgd
"""


def again(name: str) -> float:
    """Return the bytes of the table; of two lines the last, as momo_adam is no momo."""
    found = heading = 0.0
    for line in AGAIN.strip().splitlines():
        first, rest = map(str.strip, line.split("|"))
        heading = float(first) if first else heading
        if not first and any(fnmatchcase(name, x) for x in rest.split("; ")):
            found = heading
    return found


@pytest.mark.parametrize("name", sorted(cases.cases()))
@pytest.mark.one_in(12)
def test_bytes_of_the_audit(name: str) -> None:
    """The library's bound of every audited step is what its arrays add up to."""
    case = cases.cases()[name]
    shape = (1024, 1024) if case.matrix else (2**20,)
    params = {"w": jax.ShapeDtypeStruct(shape, case.weights)}
    extra: Any = {x: jax.ShapeDtypeStruct((), jnp.float32) for x in case.needs}
    if "obj_fn" in extra:
        extra["obj_fn"] = lambda p: jnp.sum(p["w"] ** 2)
    found = gradtx.report(case.build(gradtx), params, extra=extra, compiled=False)
    least = once(case, params, extra) + again(name) * 2**20
    assert found.moved_bytes == pytest.approx(least, abs=0.1 * 2**20)


def once(case: Any, params: Any, extra: Any) -> float:
    """Return the bytes of all arrays that a step needs, and of all that it changes."""
    tx = case.build(gradtx)
    functions = {k: x for k, x in extra.items() if callable(x)}
    arrays = {k: x for k, x in extra.items() if k not in functions}

    def step(params: Any, state: Any, grads: Any, arrays: Any) -> Any:
        updates, state = tx.update(grads, state, params, **arrays, **functions)
        return gradtx.apply_updates(params, updates), state

    args = (params, jax.eval_shape(tx.init, params), params, arrays)
    jaxpr = jax.jit(step).trace(*args).jaxpr.jaxpr
    needed = {id(v) for equation in jaxpr.eqns for v in equation.invars}
    # Results are parameters and state, in the order in which they were given.
    pairs = zip(jaxpr.invars, origins(jaxpr), strict=False)
    changed = [old for old, new in pairs if new is not old]
    used = [v for v in jaxpr.invars if id(v) in needed]
    return sum(v.aval.size * v.aval.dtype.itemsize for v in (*used, *changed))


def origins(jaxpr: Any) -> list[Any]:
    """Return for the results of a jaxpr the arguments that they are, if they are any.

    A function that is called may hand an argument back as it is.
    """
    origin = {v: v for v in jaxpr.invars}
    for equation in jaxpr.eqns:
        inner = equation.params.get("jaxpr")
        if not hasattr(inner, "jaxpr"):
            continue
        given = dict(zip(inner.jaxpr.invars, equation.invars, strict=True))
        for result, source in zip(equation.outvars, origins(inner.jaxpr), strict=True):
            value = given.get(source)
            if isinstance(value, Var):
                origin[result] = origin.get(value)
    return [origin.get(v) if isinstance(v, Var) else None for v in jaxpr.outvars]
