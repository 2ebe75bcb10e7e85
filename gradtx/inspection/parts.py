"""The parts that a transformation was given, and where each one's state lies.

A factory calls ``init`` of each part somewhere and puts what it returns somewhere. So
the parts are replaced by ones whose ``init`` notes what it is given and returns a mark:
the marks in the state tell where the states of the parts are, for every factory alike.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax

from gradtx.common import checks, spec
from gradtx.common.types import OptState, Params
from gradtx.core.transformation import GradientTransformation
from gradtx.tree import keys


class Part(NamedTuple):
    """A transformation that another one was given.

    Args:
      label: its name among the parts of the other.
      tx: the part.
      path: where its state is in the state of the other; None where it has none.
      shown: the parameters that it sees; None where it has no state.
    """

    label: str
    tx: Any
    path: keys.Path | None
    shown: Params

    def state(self, whole: OptState) -> OptState:
        """Return the state of the part, of that of the whole."""
        for key in self.path or ():
            whole = _entered(whole, key)
        return whole


@jax.tree_util.register_pytree_node_class
class Mark:
    """Stands where the state of a part is: a node without leaves."""

    def __init__(self, number: int) -> None:
        self.number = number

    def tree_flatten(self) -> tuple[tuple[()], int]:
        """Return no leaves."""
        return (), self.number

    @classmethod
    def tree_unflatten(cls, number: int, leaves: Any) -> "Mark":
        """Return another one, as good as the first."""
        del leaves
        return cls(number)


def is_part(x: Any) -> bool:
    """Whether this is a transformation, of this library or any."""
    pair = isinstance(x, tuple) and hasattr(x, "init") and hasattr(x, "update")
    return pair or isinstance(x, GradientTransformation)


def is_whole(x: Any) -> bool:
    """Whether an argument is not looked into."""
    return x is None or spec.is_value(x) or is_part(x)


def name_of(tx: Any) -> str:
    """Return the name of the factory of a transformation, or of its class."""
    return tx.recipe.factory.name if spec.is_value(tx) else type(tx).__name__


def parts(tx: Any, params: Params) -> list[Part]:
    """Return the transformations among the arguments of a transformation.

    Args:
      tx: a transformation; without a recipe it has no parts that are known.
      params: the parameters, their shapes, or what stands for them.
    """
    if not spec.is_value(tx):
        return []
    flat = [
        (name, path, x)
        for name, value in tx.recipe.arguments.items()
        for path, x in jax.tree_util.tree_leaves_with_path(value, is_leaf=is_whole)
        if is_part(x)
    ]
    if not flat:
        return []
    places, seen = _found(tx.recipe, params)
    found = [
        Part(label, x, *at)
        for i, (name, path, x) in enumerate(flat)
        for label in [_label(tx.recipe, name, path, x, places.get(i))]
        for at in [(places.get(i), seen.get(i))]
    ]
    return _told_apart(found)


def _found(
    recipe: spec.Recipe, params: Params
) -> tuple[dict[int, keys.Path], dict[int, Params]]:
    """Return where the states of the parts are, and what each part sees."""
    seen: dict[int, Params] = {}

    def mark(number: int, tx: Any, shown: Params) -> Mark:
        del tx
        seen.setdefault(number, jax.tree.map(_shape, shown))
        return Mark(number)

    try:
        state = jax.eval_shape(_with_inits(recipe, mark), params)
    except checks.InvalidArgument:  # the factory looks into the states of its parts
        return _found_by_identity(recipe, params)
    leaves = jax.tree_util.tree_leaves_with_path(state, is_leaf=_is_mark)
    return {x.number: path for path, x in leaves if _is_mark(x)}, seen


def _found_by_identity(
    recipe: spec.Recipe, params: Params
) -> tuple[dict[int, keys.Path], dict[int, Params]]:
    """Do the same with real states, which the factory must keep as they are."""
    seen: dict[int, Params] = {}
    states: dict[int, OptState] = {}

    def note(number: int, tx: Any, shown: Params) -> OptState:
        seen[number], states[number] = shown, tx.init(shown)
        return states[number]

    whole = _with_inits(recipe, note)(params)
    places = {}
    for number, state in states.items():
        leaves = jax.tree_util.tree_leaves_with_path(
            whole, is_leaf=lambda x, state=state: x is state
        )
        places.update((number, path) for path, x in leaves if x is state)
    return places, seen


def _with_inits(recipe: spec.Recipe, made: Callable[[int, Any, Params], Any]) -> Any:
    """Return ``init`` of a recipe with another ``init`` of every part.

    Args:
      recipe: of the transformation.
      made: from the number of a part, the part and its parameters to what to return.
    """
    given, many = {}, 0
    for name, value in recipe.arguments.items():
        leaves, treedef = jax.tree.flatten(value, is_leaf=is_whole)
        for i, x in enumerate(leaves):
            if is_part(x):
                leaves[i], many = _with_init(x, partial(made, many, x)), many + 1
        given[name] = treedef.unflatten(leaves)
    changed = spec.Recipe(recipe.factory, given)
    changed.rejoined = True
    return changed.product.init


def _with_init(tx: Any, init: Callable[[Params], Any]) -> Any:
    kind = type(tx) if spec.is_value(tx) else GradientTransformation
    pair = tuple.__new__(kind, (init, tx.update))
    pair.recipe = tx.recipe if spec.is_value(tx) else None
    return pair


def _shape(x: Any) -> Any:
    is_array = hasattr(x, "shape") and hasattr(x, "dtype")
    return jax.ShapeDtypeStruct(x.shape, x.dtype) if is_array else x


def _label(
    recipe: spec.Recipe, name: str, path: keys.Path, tx: Any, place: keys.Path | None
) -> str:
    """Name a part: by the key it was given with, the factory, or the argument."""
    if name in recipe.factory.ordered:  # pairs of a key and a part
        key = recipe.arguments[name][path[0].idx][0]
        return getattr(key, "pattern", str(key))
    for entries in (path, (place or ())[:1]):
        for entry in entries:
            if isinstance(entry, jax.tree_util.DictKey):
                return str(entry.key)
    kind = recipe.factory.signature.parameters[name].kind
    return name_of(tx) if kind is inspect.Parameter.VAR_POSITIONAL else name


def _told_apart(found: list[Part]) -> list[Part]:
    """Number the parts whose label several have."""
    labels = [x.label for x in found]
    return [
        x._replace(label=f"{x.label}[{i}]") if labels.count(x.label) > 1 else x
        for i, x in enumerate(found)
    ]


def _is_mark(x: Any) -> bool:
    return isinstance(x, Mark)


def _entered(node: Any, key: Any) -> Any:
    entry = keys.plain(key)
    try:
        return getattr(node, key.name) if hasattr(key, "name") else node[entry]
    except (AttributeError, LookupError, TypeError):
        raise checks.InvalidArgument(
            f"the state is not one of this transformation: a {type(node).__name__} has "
            f"no {entry!r}; give the state that its init or update returned"
        ) from None
