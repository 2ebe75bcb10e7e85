"""The pair (init, update), and the few things every other room is made of."""

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, ParamSpec, Protocol, Self

import jax
import jax.numpy as jnp

from gradtx import applied, checks, values
from gradtx.compiled import at_once, is_traceable
from gradtx.typing import OptState, Params, Updates

P = ParamSpec("P")


class TransformInitFn(Protocol):
    """``state = init(params)``."""

    def __call__(self, params: Params, /) -> OptState:
        """Make the state of a transformation from the parameters, before any step."""
        ...


class TransformUpdateExtraArgsFn(Protocol):
    """``updates, state = update(updates, state, params, **extra)``."""

    def __call__(
        self,
        updates: Updates,
        state: OptState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, OptState]:
        """Transform the updates of one step and the state with them."""
        ...


TransformUpdateFn = TransformUpdateExtraArgsFn


class _Pair(NamedTuple):
    init: TransformInitFn
    update: TransformUpdateExtraArgsFn


class GradientTransformation(values.Value, _Pair):
    """A pair of pure functions that turns gradients into updates.

        state          = init(params)
        updates, state = update(updates, state, params, **extra)

    For everyone it is a tuple of the two. Made by a factory of this library it is a
    value besides: it prints as it was written, equals what was made alike, hashes,
    pickles, and is a pytree whose leaves are its numbers; ``replace`` changes some.
    A pair made by hand, ``GradientTransformation(init, update)``, has no leaves.
    """

    @classmethod
    def from_recipe(cls, recipe: values.Recipe) -> Self:
        """Make the transformation that ``recipe`` describes, when it is first used."""
        self = cls(_Init(recipe), _Update(recipe))
        self.recipe = recipe
        return self

    def flatten(self) -> tuple[list[Any], Any]:
        """Return the parts of a pair made by hand: no leaves."""
        return [], (self.init, self.update)


# Every update takes extra arguments, so that there is one class.
GradientTransformationExtraArgs = GradientTransformation
values.register(GradientTransformation)


class _Init:
    """``init`` of a value: asks its recipe for the working pair."""

    def __init__(self, recipe: values.Recipe) -> None:
        self._recipe = recipe

    def __call__(self, params: Params) -> OptState:
        return self._recipe.within(self._recipe.product.init, params)


class _Update:
    """``update`` of a value: asks its recipe for the working pair."""

    def __init__(self, recipe: values.Recipe) -> None:
        self._recipe = recipe

    @cached_property
    def _update(self) -> TransformUpdateFn:
        pair = self._recipe.product
        if values.is_value(pair) or not is_traceable(self._recipe):
            return pair.update
        return at_once(pair.update)

    def __call__(
        self,
        updates: Updates,
        state: OptState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, OptState]:
        return self._recipe.within(self._update, updates, state, params, **extra)


def transformation(
    make: Callable[P, GradientTransformation],
) -> Callable[P, GradientTransformation]:
    """Make a factory's transformations values; use it as a decorator.

    The numbers among the arguments become the leaves of the transformation. An argument
    annotated with nothing but ``int``, ``bool``, ``str`` or ``None`` is part of the
    structure, and so are functions, types and flags wherever they stand. As a leaf may
    be traced, the factory must not branch on a number.

    Example::

        @transformation
        def scale_by_sign(strength: Scalar = 1.0) -> GradientTransformation:
            return stateless(
                lambda g, p: jax.tree.map(lambda x: strength * jnp.sign(x), g)
            )
    """
    return values.remembered(make, GradientTransformation)


class EmptyState(NamedTuple):
    """The state of a transformation that remembers nothing."""


def init_empty_state(params: Params) -> EmptyState:
    """Return :class:`EmptyState`, whatever the parameters."""
    del params
    return EmptyState()


@transformation
def identity() -> GradientTransformation:
    """Pass the updates on as they are."""
    return stateless(lambda updates, params: updates)  # noqa: ARG005


@transformation
def stateless(
    f: Callable[[Updates, Params | None], Updates],
) -> GradientTransformation:
    """Make a transformation of a function of the updates and the parameters.

    Args:
      f: takes the tree of updates and the tree of parameters (None where the caller
        gave none) and returns the new tree of updates.
    """
    return GradientTransformation(
        init_empty_state,
        lambda updates, state, params=None, **_: (f(updates, params), state),
    )


@transformation
def stateless_with_tree_map(
    f: Callable[[jax.Array, jax.Array | None], jax.Array],
) -> GradientTransformation:
    """Make a transformation of a function of one update and its parameter.

    Args:
      f: takes the update of one leaf and its parameter (None where the caller gave no
        parameters) and returns the new update.
    """

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        if params is None:
            return jax.tree.map(lambda u: f(u, None), updates), state
        return jax.tree.map(f, updates, params), state

    return GradientTransformation(init_empty_state, update)


def with_extra_args_support(tx: Any) -> GradientTransformation:
    """Let any (init, update) pair be given extra arguments.

    Ours take them already and come back as they are. Another library's pair is given
    those that its ``update`` names, or all if it takes ``**extra``.
    """
    if isinstance(tx, GradientTransformation) and tx.recipe is not None:
        return tx
    parameters = inspect.signature(tx.update).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return tx

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        known = {name: x for name, x in extra.items() if name in parameters}
        return tx.update(updates, state, params, **known)

    return GradientTransformation(tx.init, update)


@at_once
def apply_updates(params: Params, updates: Updates) -> Params:
    """Return params + updates, leaf by leaf, in the parameters' types.

    A leaf whose update is None stays as it is.

    Args:
      params: a tree of arrays.
      updates: a tree of the same structure, with leaves of the same shapes.

    Raises:
      ValueError: if the trees or the shapes of two leaves differ, or if a float would
        be added to an integer: nothing is broadcast or cut off.
    """
    paths, treedef = jax.tree_util.tree_flatten_with_path(
        updates, is_leaf=checks.is_none
    )
    targets = checks.leaves_like(params, treedef, "parameters", "updates")
    return treedef.unflatten(
        [_moved(path, p, u) for (path, u), p in zip(paths, targets, strict=True)]
    )


def _moved(path: Any, p: Any, u: Any) -> Any:
    # An integer parameter has no gradient, which JAX says by the type float0.
    if u is None or p is None or getattr(u, "dtype", None) == jax.dtypes.float0:
        return p
    moved = applied.known(p, u)
    if moved is not None:
        return moved
    p, u = jnp.asarray(p), jnp.asarray(u)
    checks.same_shape(u.shape, p.shape, path, "the update", "the parameter")
    if jnp.issubdtype(u.dtype, jnp.inexact) and not jnp.issubdtype(
        p.dtype, jnp.inexact
    ):
        raise checks.Misuse(
            f"apply_updates: the parameter at {checks.path_name(path)} is of type "
            f"{p.dtype} and cannot take an update of type {u.dtype}: freeze it, or "
            "keep it out of the parameters"
        )
    if jnp.iscomplexobj(u) and not jnp.iscomplexobj(p):
        raise checks.Misuse(
            f"apply_updates: a complex update for the real parameter at "
            f"{checks.path_name(path)}"
        )
    # In the wider of the two types, so that the parameter is rounded only once.
    dtype = jnp.promote_types(p.dtype, u.dtype)
    return (p.astype(dtype) + u.astype(dtype)).astype(p.dtype)
