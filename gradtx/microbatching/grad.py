"""The gradient of every example, and what becomes of them."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.types import PyTree
from gradtx.microbatching.accumulators import AccumulationType
from gradtx.microbatching.microbatch import check_size
from gradtx.microbatching.vmap import micro_vmap


class Aux(NamedTuple):
    """What :func:`micro_grad` returns for every example, beside the gradients."""

    values: jax.Array
    metrics: PyTree
    aux: PyTree


def _unchanged(gradient: PyTree) -> PyTree:
    return gradient


def _nothing(gradient: PyTree) -> None:
    del gradient


def micro_grad(
    fun: Callable[..., Any],
    has_aux: bool = False,
    argnums: int | Sequence[int] = 0,
    *,
    batch_argnums: int | Sequence[int] = 1,
    keep_batch_dim: bool = True,
    microbatch_size: int | None = None,
    accumulator: PyTree = AccumulationType.SUM,
    transform_fn: Callable[[PyTree], PyTree] = _unchanged,
    metrics_fn: Callable[[PyTree], PyTree] = _nothing,
    num_real_microbatches: Any = None,
) -> Callable[..., tuple[PyTree, Aux]]:
    """Differentiate for every example, transform the gradients, and add them up.

        gᵢ = ∇f(θ, xᵢ),          Σᵢ transform(gᵢ)  with the sum, the default

    Transformations of single gradients bound the weight of outliers, make gradients
    private, or return moments. One microbatch is computed after another, and its
    gradients are added up at once, so that a batch may be as large as one likes.

    Args:
      fun: f, a function to a number.
      has_aux: whether it returns a pair of the number and something more.
      argnums: the positions of the arguments to differentiate for.
      batch_argnums: the positions of the arguments that have a batch, along axis 0.
        Arguments given by name have one too.
      keep_batch_dim: whether ``fun`` takes an example as a batch of one; what is given
        by name comes to it without the axis in any case.
      microbatch_size: the number of examples in a microbatch, which divides the batch;
        None makes one of all.
      accumulator: how the transformed gradients become one: an
        :class:`AccumulationType` or an :class:`Accumulator`, or a tree of them that is
        a prefix of what ``transform_fn`` returns.
      transform_fn: from the gradient of one example to a tree of arrays.
      metrics_fn: from the gradient of one example, before it is transformed, to a tree
        of arrays that is kept for every example: let them be small.
      num_real_microbatches: how many microbatches to run; see :func:`microbatch`.

    Returns:
      A function of the same arguments to a pair: the accumulated gradients, and a
      named tuple ``(values, metrics, aux)`` of what there is for every example.

    Raises:
      ValueError: for what :func:`microbatch` refuses.

    Reference: https://arxiv.org/abs/2510.00236

    Example:
      >>> def loss(w, x):
      ...     return jnp.sum((w * x) ** 2)
      >>> grad, _ = gradtx.microbatching.micro_grad(loss, microbatch_size=2)(
      ...     1.0, jnp.ones(4)
      ... )
      >>> print(grad)
      8.0
    """
    over = (batch_argnums,) if isinstance(batch_argnums, int) else tuple(batch_argnums)
    differentiated = jax.value_and_grad(fun, argnums, has_aux=has_aux)
    with checks.named("micro_grad"):
        check_size(microbatch_size, num_real_microbatches)

    @wraps(fun)
    def of_batch(*args: Any, **kwargs: Any) -> tuple[PyTree, Aux]:
        with checks.named("micro_grad"):
            axes = _axes(over, len(args))

            def of_example(*args: Any, **kwargs: Any) -> tuple[PyTree, Aux]:
                given = _as_batches(axes, args) if keep_batch_dim else args
                value, gradient = differentiated(*given, **kwargs)
                value, aux = value if has_aux else (value, None)
                return transform_fn(gradient), Aux(value, metrics_fn(gradient), aux)

            return micro_vmap(
                of_example,
                axes,
                microbatch_size=microbatch_size,
                accumulator=(accumulator, AccumulationType.CONCAT),
                num_real_microbatches=num_real_microbatches,
            )(*args, **kwargs)

    return of_batch


def _axes(over: tuple[int, ...], number: int) -> tuple[int | None, ...]:
    """Return the batch axis of each of the positional arguments."""
    for place in over:
        if not -number <= place < number:
            raise checks.InvalidArgument(
                f"batch_argnums says that argument {place} has a batch, but "
                f"{number} arguments were given by position"
            )
    batched = {place % number for place in over}
    return tuple(0 if place in batched else None for place in range(number))


def _as_batches(axes: tuple[int | None, ...], args: tuple[Any, ...]) -> list[Any]:
    """Give an example the axis of a batch of one."""
    return [
        x if axis is None else jax.tree.map(lambda leaf: jnp.expand_dims(leaf, 0), x)
        for axis, x in zip(axes, args, strict=True)
    ]
