"""A step in few bits, with kernels of our own for what is made entry by entry."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import jax

from gradtx.codecs import Codec, is_encoded
from gradtx.common.types import Count, OptState, Params, Updates
from gradtx.core.apply_updates import fit
from gradtx.core.leafwise import to_compute_dtype
from gradtx.kernels import Coding, Kernels, Program, Var, pieces, written_out
from gradtx.lowering.jaxprs import Literal
from gradtx.quantization.selection import Step
from gradtx.wrappers.step import params_after


def in_kernels(
    step: Step,
    codecs: Callable[[OptState], list[Codec | None]],
    given: tuple[Updates, OptState, Params | None],
    new: tuple[Updates, OptState],
    seed: Count,
    kernels: Kernels,
) -> tuple[Updates, OptState, Params | None]:
    """Return the step and the parameters moved, made by kernels where it is done.

    What a kernel makes replaces what a compiler would make of the same step, which is
    then used by nobody and left out. Of the updates it makes the sums only: where they
    are asked for they are by how much a parameter moves, which cannot be less exact
    than the parameter is.

    Args:
      step: the inner step, of arrays.
      codecs: says how the leaves of a state are encoded.
      given: what the step is given, with the state in few bits.
      new: the updates and the new state in few bits, made without kernels.
      seed: what numbers are rounded by.
      kernels: those of a device.
    """
    leaves, treedef = jax.tree.flatten(given, is_leaf=is_encoded)
    formats: list[Codec | None] = []

    def flat(*arrays: Any) -> list[Any]:
        updates, old, params = treedef.unflatten(arrays)
        updates, state = step(updates, old, params)
        sums = jax.tree.leaves(params_after(params, updates))
        formats[:] = [*codecs(state), *(None for _ in sums)]
        return [*jax.tree.leaves(state), *sums]

    program = written_out(flat, *(x.decode() if is_encoded(x) else x for x in leaves))
    before = len(jax.tree.leaves(given[0]))
    made = _made(program, leaves, formats, before, seed, kernels)
    results = program.jaxpr.outvars
    updates, state = new
    old, structure = jax.tree.flatten(state, is_leaf=is_encoded)
    state = [made.get(v, x) for v, x in zip(results, old, strict=False)]
    moves = results[len(old) :]
    sums = [made.get(v, program.read(v)) for v in moves]
    if fit(given[2], updates):
        rows = zip(moves, sums, *map(jax.tree.leaves, (given[2], updates)), strict=True)
        found = [_distance(p, y, u) if v in made else u for v, y, p, u in rows]
        updates = jax.tree.structure(updates).unflatten(found)
    sums = jax.tree.structure(given[2]).unflatten(sums)
    return updates, structure.unflatten(state), sums


def _distance(p: jax.Array, moved: jax.Array, u: jax.Array) -> jax.Array:
    return (to_compute_dtype(moved) - to_compute_dtype(p)).astype(u.dtype)


def _made(
    program: Program,
    leaves: list[Any],
    formats: list[Codec | None],
    before: int,
    seed: Count,
    kernels: Kernels,
) -> dict[Any, Any]:
    """Return by variable what kernels make of a program.

    Args:
      program: from gradients, state and parameters to state and parameters.
      leaves: what it is given.
      formats: of the leaves of the new state, and None for the parameters.
      before: how many gradients come before the state among the leaves.
      seed: what numbers are rounded by.
      kernels: those of a device.
    """
    inputs: list[Var] = list(program.jaxpr.invars)
    results: list[Var] = list(program.jaxpr.outvars)
    # What comes out twice may be wanted in two formats: that is left to the compiler.
    times = Counter(v for v in results if not isinstance(v, Literal))
    once = {i: v for i, v in enumerate(results) if times[v] == 1}
    codecs = {v: (codec, i) for i, v in once.items() if (codec := formats[i])}
    coding = Coding(
        old={v: x for v, x in zip(inputs, leaves, strict=True) if is_encoded(x)},
        new=codecs,
        replaced={v: inputs[before + i] for i, v in once.items()},
        seed=seed,
    )
    made: dict[Any, Any] = {}
    for piece in pieces(program.jaxpr, once.values()):
        if not coding.new.keys().isdisjoint(piece.results):
            made |= kernels.run(piece, coding, program.values) or {}
    return made
