"""The loop over microbatches."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.common import checks
from gradtx.common.types import PyTree
from gradtx.lowering.control_flow import cond, fori_loop
from gradtx.microbatching import batches
from gradtx.microbatching.accumulators import Accumulator, for_results

# The positional and the named ones.
Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def accumulated(
    fun: Callable[..., PyTree],
    arguments: Arguments,
    axes: PyTree,
    microbatch_size: int,
    accumulator: PyTree,
    num_real_microbatches: Any,
) -> PyTree:
    """Call ``fun`` for one microbatch after another, and accumulate its results."""
    one, count = _cut(fun, arguments, axes, microbatch_size)
    kinds = jax.eval_shape(one, 0)
    each = for_results(accumulator, kinds, count)
    leaves, treedef = jax.tree.flatten(kinds)

    def body(i: Any, carry: list[PyTree]) -> list[PyTree]:
        results = jax.tree.leaves(one(i))
        return [a.update(c, x, i) for a, c, x in zip(each, carry, results, strict=True)]

    carry = [a.init(kind) for a, kind in zip(each, leaves, strict=True)]
    _same_shapes(jax.eval_shape(body, 0, carry), carry)
    carry = _loop(body, carry, count, num_real_microbatches)
    return treedef.unflatten(_finished(each, carry))


def _finished(each: list[Accumulator], carry: list[PyTree]) -> list[Any]:
    return [a.finalize(c) for a, c in zip(each, carry, strict=True)]


def _cut(
    fun: Callable[..., PyTree], arguments: Arguments, axes: PyTree, size: int
) -> tuple[Callable[[Any], PyTree], int]:
    """Return the function of a microbatch's number, and how many there are."""
    paths, treedef = jax.tree_util.tree_flatten_with_path(arguments)
    leaves: list[Any] = [x for _, x in paths]
    found = {
        i: batches.batch_of(x, axis, batches.argument_name(path))
        for i, (axis, (path, x)) in enumerate(
            zip(batches.axes_of(axes, arguments), paths, strict=True)
        )
        if axis is not None
    }
    count = batches.same_size(list(found.values())) // size
    for i, batch in found.items():
        leaves[i] = jnp.asarray(batch.cut(size))
    moves = [isinstance(x, jax.Array) for x in leaves]

    # Jitted, it is traced once for its results' types and for the loop. What is no
    # JAX array stays what it is, as the function may look at it.
    @jax.jit
    def one(i: Any, moving: list[jax.Array]) -> PyTree:
        rest = iter(moving)
        given = [next(rest) if m else x for x, m in zip(leaves, moves, strict=True)]
        for k, batch in found.items():
            axis = batch.axis + 1
            given[k] = jax.lax.dynamic_index_in_dim(given[k], i, axis, keepdims=False)
        args, kwargs = treedef.unflatten(given)
        return fun(*args, **kwargs)

    moving = [x for x, m in zip(leaves, moves, strict=True) if m]
    return lambda i: one(jnp.asarray(i, jnp.int32), moving), count


def _loop(
    body: Callable[[Any, list[PyTree]], list[PyTree]],
    carry: list[PyTree],
    count: int,
    num_real: Any,
) -> list[PyTree]:
    if not isinstance(num_real, Tracer):
        return fori_loop(0, _checked(num_real, count), body, carry)

    # A loop whose length is traced would have no derivative in reverse; one that passes
    # over what is left out has.
    def maybe(i: Any, carry: list[PyTree]) -> list[PyTree]:
        return cond(i < num_real, body, lambda _, carry: carry, i, carry)

    return fori_loop(0, count, maybe, carry)


def _checked(num_real: Any, count: int) -> int:
    if num_real is None:
        return count
    number = np.asarray(num_real)
    if number.shape or number.dtype.kind not in "iu" or not 0 <= number <= count:
        raise checks.InvalidArgument(
            f"num_real_microbatches must be a whole number from 0 to {count}, the "
            f"number of microbatches, got {num_real!r}"
        )
    return int(number)


def _same_shapes(new: PyTree, carry: PyTree) -> None:
    if jax.tree.map(_shape, new) != jax.tree.map(_shape, carry):
        raise checks.InvalidArgument(
            "the update of an accumulator must keep the shapes and types of its carry, "
            f"got {jax.tree.map(_shape, new)} for {jax.tree.map(_shape, carry)}"
        )


def _shape(x: Any) -> tuple[Any, Any]:
    return jnp.shape(x), jax.dtypes.result_type(x)
