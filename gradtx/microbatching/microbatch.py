"""A function of a batch, called for one microbatch after another."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from gradtx.common import checks
from gradtx.common.types import PyTree
from gradtx.microbatching.accumulators import AccumulationType
from gradtx.microbatching.loop import accumulated


def microbatch(
    fun: Callable[..., PyTree],
    argnums: int | Sequence[int],
    microbatch_size: int | None,
    accumulator: PyTree = AccumulationType.SUM,
    *,
    argnames: str | Sequence[str] = (),
    in_axes: int | Sequence[Any] = 0,
    num_real_microbatches: Any = None,
) -> Callable[..., PyTree]:
    """Return a function that takes its batch in small pieces, to need less memory.

        f(x) = f(x₀) + f(x₁) + … + f(xₙ₋₁)       with the sum, the default

    for a function that is a sum over the examples, or a mean, or a result for each of
    them. One microbatch is computed after another, so that only one is held in memory
    at a time; :func:`reshape_batch_axis` says which examples are in it. Sums are kept
    in at least float32.

    Args:
      fun: f, a function to a tree of arrays.
      argnums: the positions of the arguments that have a batch axis.
      microbatch_size: the number of examples in a microbatch, which divides the batch;
        None calls ``fun`` once, with the whole batch.
      accumulator: how the results become one: an :class:`AccumulationType` or an
        :class:`Accumulator`, or a tree of them that is a prefix of the results' tree.
      argnames: the names of the arguments that have a batch axis and are given by name.
      in_axes: the batch axis of these arguments, or one for each, first of ``argnums``,
        then of ``argnames``; it may be a prefix of the argument's tree.
      num_real_microbatches: how many microbatches to run, perhaps traced, so that
        batches padded to one size share one compilation. The others are left out: they
        add nothing, and have zeros in the place of their results.

    Returns:
      A function of the same arguments.

    Raises:
      ValueError: if ``microbatch_size`` is not at least 1; when it is called, if an
        argument is missing, has no such axis, or a batch that is not divisible, if two
        batches differ in size, or the accumulators do not match the results.

    Example:
      >>> mean = gradtx.microbatch(
      ...     lambda x: x.mean(), 0, 2, gradtx.microbatching.AccumulationType.MEAN
      ... )
      >>> print(mean(jnp.arange(4.0)))
      1.5
    """
    places = (*_several(argnums), *_several(argnames))
    with checks.named("microbatch"):
        check_size(microbatch_size, num_real_microbatches)
        axes = _axes(in_axes, places)
    if microbatch_size is None:
        return fun

    @wraps(fun)
    def microbatched(*args: Any, **kwargs: Any) -> PyTree:
        with checks.named("microbatch"):
            return accumulated(
                fun,
                (args, kwargs),
                _placed(axes, places, args, kwargs),
                microbatch_size,
                accumulator,
                num_real_microbatches,
            )

    return microbatched


def check_size(microbatch_size: int | None, num_real_microbatches: Any) -> None:
    """Refuse what is no size, and a part of the microbatches where there are none."""
    if microbatch_size is not None:
        checks.positive_int(microbatch_size=microbatch_size)
    elif num_real_microbatches is not None:
        raise checks.InvalidArgument(
            "num_real_microbatches says how many microbatches to run, but there are "
            "none: give microbatch_size"
        )


def _several(x: Any) -> tuple[Any, ...]:
    return (x,) if isinstance(x, int | str) else tuple(x)


def _axes(in_axes: Any, places: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the axes of every argument that has a batch."""
    if isinstance(in_axes, int):
        return (in_axes,) * len(places)
    if len(in_axes) != len(places):
        raise checks.InvalidArgument(
            f"in_axes must be one axis, or one for each of the arguments {places}, "
            f"got {in_axes!r}"
        )
    return tuple(in_axes)


def _placed(
    axes: tuple[Any, ...],
    places: tuple[Any, ...],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the axes as a prefix of (args, kwargs)."""
    by_position: list[Any] = [None] * len(args)
    by_name: dict[str, Any] = dict.fromkeys(kwargs)
    for place, axis in zip(places, axes, strict=True):
        known = by_name if isinstance(place, str) else range(-len(args), len(args))
        if place not in known:
            how = "name" if isinstance(place, str) else "position"
            raise checks.InvalidArgument(
                f"the function was not given the argument {place!r} by {how}, which "
                "is said to have a batch axis"
            )
        if isinstance(place, str):
            by_name[place] = axis
        else:
            by_position[place] = axis
    return tuple(by_position), by_name
