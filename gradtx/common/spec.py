"""Values: what a factory returns remembers how it was made.

A transformation or a schedule is a pair of a factory and its arguments, a
:class:`Recipe`. From that it prints, compares, hashes, pickles, is changed by
``replace``, and is a pytree whose leaves are its numbers, so that ``jit``, ``vmap`` and
``grad`` reach them. The functions behind it are made from the recipe when they are
first called, as the numbers may by then be tracers.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cached_property, partial
from typing import Any, Self

import jax
import numpy as np
from jax.core import Tracer

from gradtx.common import arguments, checks, lines
from gradtx.common.numerics import holds_numbers, is_constant
from gradtx.common.replacing import replaced

# The leaves of an argument, its structure, and which of the leaves are dynamic.
Split = tuple[list[Any], Any, tuple[bool, ...]]


class Factory:
    """A function that makes the working parts, with what its signature tells."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make
        self.name: str = getattr(make, "__name__", type(make).__name__)
        # Whether it is this library's own, so that all that it does is known.
        self.ours = arguments.is_ours(make)
        # Whether it makes the inner half of another factory's product, which also makes
        # the state: no one else calls its `init`.
        self.is_inner = self.ours and self.name.startswith("_")
        self.signature = inspect.signature(make)
        parameters = self.signature.parameters.values()
        self.fixed = frozenset(p.name for p in parameters if arguments.is_static(p))
        self.counts = frozenset(p.name for p in parameters if arguments.may_be_count(p))
        self.ordered = frozenset(p.name for p in parameters if arguments.is_in_order(p))
        self.public: Callable[..., Any] = make  # what pickle finds by its name

    def is_static(self, name: str, value: Any) -> bool:
        """Whether the structure depends on an argument."""
        return name in self.fixed or (name in self.counts and type(value) is int)

    def recipe(self, *args: Any, **kwargs: Any) -> "Recipe":
        """Bind the arguments, with the defaults filled in."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        if not checks.is_copying():
            given = {k: self.settled(k, x) for k, x in given.items()}
        return Recipe(self, given)

    def settled(self, name: str, value: Any) -> Any:
        """Return an argument as it is kept: with numbers for arrays of one number."""
        if name in self.ordered:
            value = arguments.in_order(value)
        return _settled(value)


class Recipe:
    """A factory and its arguments."""

    def __init__(self, factory: Factory, arguments: dict[str, Any]) -> None:
        self.factory, self.arguments = factory, arguments
        # Whether it was put together from another's parts, which has been checked.
        self.rejoined = checks.is_copying()

    @cached_property
    def product(self) -> Any:
        """What the factory makes; made once."""
        bound = inspect.BoundArguments(self.factory.signature, self.arguments)  # type: ignore[arg-type]
        again = checks.copying() if self.rejoined else nullcontext()
        with checks.named(self.factory.name), again:
            return self.factory.make(*bound.args, **bound.kwargs)

    @cached_property
    def built(self) -> tuple[Any, tuple[str, ...]]:
        """The working parts in the end, and the factories behind them, innermost first.

        A factory may return what another one makes: ``adamw`` a ``descend``, that a
        ``chain``. Whoever calls the parts goes straight to the last of them.
        """
        made, owners = self.product, (self.factory.name,)
        while is_value(made):
            with checks.named(*owners):
                owners = (made.recipe.factory.name, *owners)
                made = made.recipe.product
        return made, owners

    @property
    def parts(self) -> list[Any]:
        """The values among the arguments."""
        found = jax.tree.leaves(self.arguments, is_leaf=is_value)
        return [x for x in found if is_value(x)]

    # --- as a pytree ---------------------------------------------------------

    @cached_property
    def split(self) -> dict[str, Split]:
        """Part every argument; a value among them is a leaf, and a tree of its own."""
        split = {}
        for name, value in self.arguments.items():
            leaves, treedef = jax.tree.flatten(value, is_leaf=_is_whole)
            free = not self.factory.is_static(name, value)
            dynamic = tuple(free and _is_dynamic(x) for x in leaves)
            split[name] = leaves, treedef, dynamic
        return split

    @cached_property
    def flat(self) -> tuple[list[Any], Any]:
        """The numbers, by argument, and all that is fixed."""
        children, fixed = [], []
        for name, (leaves, treedef, dynamic) in self.split.items():
            pairs = list(zip(leaves, dynamic, strict=True))
            child = treedef.unflatten([x if free else None for x, free in pairs])
            # Containers without a leaf are none of a framework's business.
            children.append(child if any(dynamic) else None)
            static = (x for x, free in pairs if not free)
            held = (arguments.Constant(x) if is_constant(x) else x for x in static)
            fixed.append((name, treedef, dynamic, tuple(held)))
        return children, (self.factory, tuple(fixed))

    @classmethod
    def unflatten(cls, aux: Any, children: Any) -> Self:
        """Put the parts together again, whatever the leaves have become."""
        factory, fixed = aux
        split: dict[str, Split] = {}
        for (name, treedef, dynamic, kept), child in zip(fixed, children, strict=True):
            given = treedef.flatten_up_to(child) if any(dynamic) else dynamic
            static = (x.array if isinstance(x, arguments.Constant) else x for x in kept)
            pairs = zip(given, dynamic, strict=True)
            leaves = [x if free else next(static) for x, free in pairs]
            split[name] = leaves, treedef, dynamic
        recipe = cls(factory, {}).joined(split)
        recipe.rejoined = True
        return recipe

    def joined(self, split: dict[str, Split]) -> Self:
        """Return the recipe with some arguments, and those as they have been parted.

        What is dynamic stays so, also where it is no number for a while, as in a tree
        of None that stands for this one.
        """
        given = {name: treedef.unflatten(x) for name, (x, treedef, _) in split.items()}
        recipe = type(self)(self.factory, {**self.arguments, **given})
        recipe.split = {**recipe.split, **split}
        return recipe

    # --- as a value ----------------------------------------------------------

    @property
    def _identity(self) -> tuple[Any, ...]:
        children, aux = self.flat
        leaves, treedef = jax.tree.flatten(children)
        return (aux, treedef, *map(arguments.key, leaves))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        shown = partial(arguments.shown, self.factory.signature, self.arguments)
        return lines.enclosed(f"{self.factory.name}(", shown, ")")


def is_value(x: Any) -> bool:
    """Whether ``x`` remembers how it was made."""
    return isinstance(getattr(x, "recipe", None), Recipe)


def _is_whole(x: Any) -> bool:
    """Whether an argument is not looked into: None, and other values."""
    return x is None or is_value(x)


def _is_dynamic(x: Any) -> bool:
    """Whether this is a value, or a number that is no array of its own, or traced."""
    return is_value(x) or (holds_numbers(x) and not is_constant(x))


def _settled(value: Any) -> Any:
    """Return an argument with every array of one known number as that number.

    What can be read once only, such as a generator, becomes a list.
    """
    if _is_whole(value):
        return value
    if isinstance(value, Iterator):
        value = list(value)
    leaves, treedef = jax.tree.flatten(value, is_leaf=_is_whole)
    numbers = [x if _is_whole(x) else _as_number(x) for x in leaves]
    same = all(x is y for x, y in zip(numbers, leaves, strict=True))
    return value if same else treedef.unflatten(numbers)


def _as_number(x: Any) -> Any:
    if isinstance(x, Tracer) or not isinstance(x, np.ndarray | jax.Array):
        return x
    stays = is_constant(x) or not getattr(x, "is_fully_addressable", True)
    return x if stays else np.asarray(x)[()]


class Value:
    """What every remembered thing can do; the class that inherits says what it is.

    Without a recipe it was made by hand, and is what its other base classes make of it.
    """

    recipe: Recipe | None = None
    # For a class of tuples: what makes each item of a recipe, not looking at it yet.
    deferred: tuple[Callable[[Recipe], Any], ...] = ()

    def __eq__(self, other: object) -> bool:
        recipe = getattr(other, "recipe", None)
        if self.recipe is None or recipe is None:
            return super().__eq__(other)
        return self.recipe == recipe

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return super().__hash__() if self.recipe is None else hash(self.recipe)

    def __repr__(self) -> str:
        return super().__repr__() if self.recipe is None else repr(self.recipe)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.recipe is None:
            return super().__reduce_ex__(protocol)
        return revive, (self.recipe.factory.public, self.recipe.arguments)

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Make the value that a recipe describes, without making its parts."""
        self = cls(*(make(recipe) for make in cls.deferred))
        self.recipe = recipe
        return self

    def replace(self, **changes: Any) -> Self:
        """Return this value with other arguments: ``tx.replace(learning_rate=1e-4)``.

        A name that the factory lacks is looked for in the parts that it was given, and
        must be in one of them only.
        """
        if self.recipe is None:
            raise checks.InvalidArgument(
                "replace: this was not made by a factory, so nothing is known"
            )
        recipe = self.recipe
        for name, value in changes.items():
            recipe = replaced(recipe, name, value)
        return self.from_recipe(recipe).checked()

    def checked(self) -> Self:
        """Refuse wrong settings immediately; traced ones cannot be looked at."""
        recipe: Any = self.recipe
        given = recipe.arguments.values()
        traced = any(isinstance(x, Tracer) for x in given if not is_value(x))
        if not traced and not recipe.rejoined:
            _ = recipe.product
        return self


def revive(public: Any, arguments: dict[str, Any]) -> Any:
    """Make a value again from what pickle kept."""
    return public.value_type.from_recipe(Recipe(public.factory, arguments))


def remembered(make: Callable[..., Any], value_type: type[Value]) -> Any:
    """Return the public face of a factory: its product remembers the arguments."""
    factory = Factory(make)

    def public(*args: Any, **kwargs: Any) -> Any:
        return value_type.from_recipe(factory.recipe(*args, **kwargs)).checked()

    for name in ("__module__", "__name__", "__qualname__", "__doc__", "__wrapped__"):
        setattr(public, name, getattr(make, name, make))
    public.__signature__ = factory.signature  # type: ignore[attr-defined]
    public.__annotations__ = make.__annotations__
    public.factory, public.value_type = factory, value_type  # type: ignore[attr-defined]
    factory.public = public
    return public


# Without its value too, it goes into compiled programs.
jax.tree_util.register_pytree_node(Recipe, lambda x: x.flat, Recipe.unflatten)
