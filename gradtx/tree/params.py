"""What in a state is shaped like the parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from gradtx.codecs import is_encoded
from gradtx.common import foreign
from gradtx.common.types import OptState, PyTree


@jax.tree_util.register_pytree_node_class
class ParamsPlaceholder:
    """Stands for all parameters: a tree without leaves, so that it comes out as it is.

    What ``init`` makes for every parameter it makes of this too, in the same places.
    """

    def tree_flatten(self) -> tuple[tuple[()], None]:
        """Return no leaves."""
        return (), None

    @classmethod
    def tree_unflatten(cls, aux: None, leaves: Any) -> "ParamsPlaceholder":
        """Return another one, as good as the first."""
        del aux, leaves
        return cls()


def is_placeholder(x: Any) -> bool:
    """Whether ``x`` stands for all parameters, here or in optax."""
    return type(x).__name__ in ("ParamsPlaceholder", "_ParamsPlaceholder")


def map_params(
    initable: Any,
    f: Callable[..., Any],
    state: OptState,
    /,
    *rest: Any,
    transform_non_params: Callable[..., Any] | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> OptState:
    """Apply a function to all leaves of a state that belong to a parameter.

    Example::

        # the layout of a state from the layout of the parameters
        map_params(tx, lambda _, spec: spec, state, specs)

    Args:
      initable: the transformation that made the state, or its ``init``.
      f: ``f(leaf, *leaves_of_rest)`` gives the new leaf; of an encoded array, it is
        given the codes and the scales.
      state: the state.
      *rest: trees of the structure of the parameters.
      transform_non_params: applied to all other leaves, which else stay as they are.
      is_leaf: says where the trees of parameters end, as :func:`jax.tree.map` takes it.
    """
    init = getattr(initable, "init", initable)

    def ends(x: Any) -> bool:
        return x is None or is_encoded(x) or (is_leaf is not None and is_leaf(x))

    def within(x: Any, *others: Any) -> Any:
        if x is None:  # a parameter without state
            return None
        if is_encoded(x) and not (is_leaf is not None and is_leaf(x)):
            return jax.tree.map(lambda array: f(array, *others), x)
        return f(x, *others)

    def mapped(mark: Any, value: PyTree) -> PyTree:
        if is_placeholder(mark):
            return jax.tree.map(within, value, *rest, is_leaf=ends)
        return value if transform_non_params is None else transform_non_params(value)

    return jax.tree.map(mapped, _marks(init, state), state, is_leaf=is_placeholder)


class _Pair(NamedTuple):
    """What stands for parameters that are held in pairs, as Lookahead knows them."""

    fast: Any
    slow: Any


def _marks(init: Any, state: OptState) -> Any:
    """Return the state of a placeholder: it marks where parameters have theirs."""
    mark = _placeholder()
    marks = init(mark)
    if not _fits(marks, state):
        of_pairs = init(_Pair(mark, mark))
        return of_pairs if _fits(of_pairs, state) else marks
    return marks


def _fits(marks: Any, state: OptState) -> bool:
    try:
        jax.tree.structure(marks, is_leaf=is_placeholder).flatten_up_to(state)
    except ValueError:
        return False
    return True


def _placeholder() -> Any:
    """Return a placeholder that every ``init`` knows, also one made by optax.

    There a mask given as a tree would not fit any placeholder but optax's own.
    """
    return (foreign.optax_placeholder() or ParamsPlaceholder)()
