"""What in a state is shaped like the parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from gradtx.codecs import is_encoded
from gradtx.common.types import OptState, PyTree
from gradtx.tree import masks
from gradtx.tree.packed import is_packed
from gradtx.tree.placeholders import is_placeholder, known_placeholder


class FastAndSlow(NamedTuple):
    """Two sets of weights that are held together, as Lookahead takes them."""

    fast: PyTree
    slow: PyTree


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

    Small leaves that :func:`gradtx.pack_small_leaves` has put together are one leaf: it
    is given what the trees of ``rest`` hold for all of them.

    Args:
      initable: the transformation that made the state, or its ``init``.
      f: ``f(leaf, *leaves_of_rest)`` gives the new leaf; of an encoded array, it is
        given the codes and the scales.
      state: the state.
      *rest: trees of the structure of the parameters.
      transform_non_params: applied to all other leaves, which else stay as they are.
      is_leaf: says where the trees of parameters end, as :func:`jax.tree.map` takes it.

    Raises:
      ValueError: if a tree of ``rest`` holds different things for small leaves that are
        kept together.

    Example:
      >>> state = gradtx.adam(0.1).init(jnp.ones(2))
      >>> state = gradtx.tree_map_params(gradtx.adam(0.1), lambda x: x + 5, state)
      >>> print(gradtx.tree.get(state, "mu"), gradtx.tree.get(state, "count"))
      [5. 5.] 0
    """

    def is_whole(x: Any) -> bool:
        return is_leaf is not None and is_leaf(x)

    def ends(x: Any) -> bool:
        return x is None or is_encoded(x) or masks.is_masked(x) or is_whole(x)

    def within(x: Any, *others: Any) -> Any:
        if x is None:  # a parameter without state
            return None
        if masks.is_masked(x) and not is_whole(x):
            return x
        if is_encoded(x) and not is_whole(x):
            return jax.tree.map(lambda array: f(array, *others), x)
        return f(x, *others)

    def mapped(mark: Any, value: PyTree) -> PyTree:
        if not is_placeholder(mark):
            other = transform_non_params
            return value if other is None else other(value)
        if is_packed(value):
            return value.map_params(within, *rest, is_leaf=ends)
        return jax.tree.map(within, value, *rest, is_leaf=ends)

    marks = marks_of(initable, state, known_placeholder())
    return jax.tree.map(mapped, marks, state, is_leaf=is_placeholder)


def marks_of(initable: Any, state: OptState, mark: Any) -> Any:
    """Return the state of a placeholder: it marks where parameters have theirs.

    Args:
      initable: the transformation that made the state, or its ``init``.
      state: the state, which tells whether it is that of :class:`FastAndSlow`.
      mark: the placeholder.
    """
    init = getattr(initable, "init", initable)
    marks = init(mark)
    if not fits(marks, state):
        try:
            of_pairs = init(FastAndSlow(mark, mark))
        except ValueError:  # a mask is given as a tree, which pairs do not fit
            return marks
        return of_pairs if fits(of_pairs, state) else marks
    return marks


def fits(marks: Any, state: OptState) -> bool:
    """Whether a state has the structure of what marks the places of parameters."""
    try:
        jax.tree.structure(marks, is_leaf=is_placeholder).flatten_up_to(state)
    except ValueError:
        return False
    return True
