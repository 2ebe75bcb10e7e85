"""What an aggregator is, and along which axes it aggregates."""

import math
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, Protocol, TypeAlias

import jax
import jax.numpy as jnp

from gradtx.common import checks, spec, value_pytree
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core.transformation import GradientTransformation

P = ParamSpec("P")

PerElementUpdates: TypeAlias = Updates  # leaves with axes of examples besides their own
AggregatedUpdates: TypeAlias = Updates
MaybeAxis: TypeAlias = int | Sequence[int] | None


class AggregatorUpdateFn(Protocol):
    """``updates, state = update(per_elt_updates, state, params, **extra)``."""

    def __call__(
        self,
        updates: PerElementUpdates,
        state: OptState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Any, OptState]:
        """Make one update of the gradients of many examples, and the next state."""
        ...


class Aggregator(GradientTransformation):
    """A pair (init, update) that is given the gradient of every example.

        gradients = jax.vmap(jax.grad(loss), (None, 0))(params, batch)
        updates, state = aggregator.update(gradients, state, params)

    Leaves of the gradients have axes of examples besides those of the parameter; leaves
    of the updates do not. In all else it is a transformation; the class tells the
    training loop what to give it.

    Example:
      >>> mean = gradtx.experimental.aggregating.average_per_element_updates()
      >>> updates, _ = mean.update(jnp.array([[1.0], [3.0]]), mean.init(jnp.ones(1)))
      >>> print(isinstance(mean, gradtx.experimental.aggregating.Aggregator), updates)
      True [2.]
    """


value_pytree.register(Aggregator)


class _Fitting(spec.Value):
    """Makes an aggregator, or a transformation if there are no examples to aggregate.

    That is so if the axis is None, or the part that aggregates is no aggregator.
    """

    @classmethod
    def from_recipe(cls, recipe: spec.Recipe) -> Any:
        given = recipe.arguments
        if "aggregator" in given:
            over_examples = isinstance(given["aggregator"], Aggregator)
        else:
            over_examples = given["per_elt_axis"] is not None
        kind = Aggregator if over_examples else GradientTransformation
        return kind.from_recipe(recipe)


def aggregation(make: Callable[P, GradientTransformation]) -> Callable[P, Aggregator]:
    """Make a factory's aggregators values; use it as a decorator."""
    return spec.remembered(make, Aggregator)


def fitting(
    make: Callable[P, GradientTransformation],
) -> Callable[P, GradientTransformation]:
    """Make a factory's products values, of the class that their arguments tell."""
    return spec.remembered(make, _Fitting)


def axes_of(per_elt_axis: int | Sequence[int]) -> tuple[int, ...]:
    """Return the axes of the examples.

    Raises:
      InvalidArgument: if they are no whole numbers.
    """
    several = isinstance(per_elt_axis, Sequence)
    axes = tuple(per_elt_axis) if several else (per_elt_axis,)
    if not axes or not all(isinstance(x, int) for x in axes):
        raise checks.InvalidArgument(
            f"per_elt_axis must be an axis or several, got {per_elt_axis!r}"
        )
    return axes


def get_batch_size_from_per_elt_updates(
    per_elt_updates: PerElementUpdates, per_elt_axis: int | Sequence[int]
) -> int:
    """Return the number of examples, which all leaves share.

    Args:
      per_elt_updates: a tree of arrays with axes of examples.
      per_elt_axis: which axes these are.

    Raises:
      ValueError: if there is no leaf, a leaf lacks the axes, or two differ.

    Example:
      >>> aggregating = gradtx.experimental.aggregating
      >>> print(
      ...     aggregating.get_batch_size_from_per_elt_updates(
      ...         {"a": jnp.ones((5, 2))}, 0
      ...     )
      ... )
      5
    """
    axes = axes_of(per_elt_axis)
    leaves = jax.tree_util.tree_leaves_with_path(per_elt_updates)
    sizes = {_size(path, x, axes): path for path, x in reversed(leaves)}
    if len(sizes) != 1 or 0 in sizes:
        found = [f"{n} at {checks.path_name(path)}" for n, path in sizes.items()]
        raise checks.InvalidArgument(
            f"all leaves must have one number of examples along {axes}, and at least "
            f"one, got {' and '.join(found) or 'no leaves'}"
        )
    return next(iter(sizes))


def _size(path: Any, x: Any, axes: tuple[int, ...]) -> int:
    shape = jnp.shape(x)
    if not all(-len(shape) <= axis < len(shape) for axis in axes):
        raise checks.InvalidArgument(
            f"the gradient at {checks.path_name(path)} has shape {shape}, so no axes "
            f"{axes} of examples: take the gradient of each with jax.vmap"
        )
    return math.prod(shape[axis] for axis in axes)


def with_params(params: Params | None, updates: PyTree) -> Params | None:
    """Return for every example the parameters, where its axes come first."""
    if params is None:
        return None
    leaves, treedef = jax.tree.flatten(updates, is_leaf=checks.is_none)
    found = checks.leaves_like(params, treedef, "parameters", "updates")
    return treedef.unflatten(list(map(_spread, leaves, found)))


def _spread(g: Any, p: Any) -> Any:
    if g is None or jnp.shape(g)[jnp.ndim(g) - jnp.ndim(p) :] != jnp.shape(p):
        return p
    return jnp.broadcast_to(p, jnp.shape(g))
