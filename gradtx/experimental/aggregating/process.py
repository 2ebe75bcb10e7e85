"""Before, while and after the gradients of the examples become one."""

import functools
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from gradtx.common.types import OptState, Params, Updates
from gradtx.core.transformation import GradientTransformation, with_extra_args_support
from gradtx.experimental.aggregating.aggregator import Aggregator, fitting, with_params
from gradtx.lowering.control_flow import either
from gradtx.primitives.scale import zeros_for
from gradtx.wrappers.step import typed_like


@runtime_checkable
class SaysReady(Protocol):
    """A state of an aggregator that does not give an update at every step."""

    ready: jax.Array


@fitting
def process(
    preprocessor: GradientTransformation,
    aggregator: GradientTransformation,
    postprocessor: GradientTransformation,
    aggregator_has_aux: bool = False,
) -> GradientTransformation:
    """Transform the gradients of the examples, make one of them, and transform that.

        u = postprocessor(aggregator(preprocessor(g)))

    If the aggregator's state has an attribute ``ready``, the postprocessor runs, and
    its state moves, only where that is True; else the update is zero. The state is the
    tuple of the three states, and extra arguments of ``update`` reach all three.

    Args:
      preprocessor: transforms the stacked gradients of all examples. Of an aggregator's
        parameters it sees as many copies, where the axes of the examples come first.
      aggregator: an :class:`Aggregator`, which makes this one too; or a transformation
        of gradients that are means already.
      postprocessor: any transformation, such as an optimizer.
      aggregator_has_aux: whether the aggregator returns a pair of its update and a
        dictionary, which are extra arguments for the postprocessor.

    Example:
      >>> aggregating = gradtx.experimental.aggregating
      >>> tx = aggregating.process(
      ...     gradtx.identity(),
      ...     aggregating.average_per_element_updates(),
      ...     gradtx.sgd(0.1),
      ... )
      >>> updates, _ = tx.update(jnp.array([[1.0], [3.0]]), tx.init(jnp.ones(1)))
      >>> print(updates)
      [-0.2]
    """
    parts = [preprocessor, aggregator, postprocessor]
    before, together, after = map(with_extra_args_support, parts)
    over_examples = isinstance(aggregator, Aggregator)

    def init(params: Params) -> OptState:
        return before.init(params), together.init(params), after.init(params)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        first, middle, last = state
        seen = with_params(params, updates) if over_examples else params
        updates, first = before.update(updates, first, seen, **extra)
        updates, middle = together.update(updates, middle, params, **extra)
        updates, more = updates if aggregator_has_aux else (updates, {})
        zeros = zeros_for(updates, params)

        def run() -> tuple[Updates, OptState]:
            new, state = after.update(updates, last, params, **(extra | more))
            return typed_like(zeros, new), typed_like(last, state)

        new, kept = either(_ready(middle), run, lambda: (zeros, last))
        return new, (first, middle, kept)

    return GradientTransformation(init, update)


def _ready(state: OptState) -> Any:
    """Return whether an aggregator gave something: always, if it does not say."""
    parts = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, SaysReady))
    said = [part.ready for part in parts if isinstance(part, SaysReady)]
    return functools.reduce(jnp.logical_and, said) if said else True
