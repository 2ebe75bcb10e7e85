"""The pair (init, update), and the few things that other packages are made of."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, ParamSpec, Protocol

import jax

from gradtx.common import checks, spec, value_pytree
from gradtx.common.foreign import OptaxTransformation
from gradtx.common.leaves import map_differentiable
from gradtx.common.types import OptState, Params, Updates
from gradtx.core import state_fit
from gradtx.lowering.eager import Update, pass_on

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


def _init(recipe: spec.Recipe, params: Params) -> OptState:
    pair, owners = recipe.built
    with checks.named(*owners):
        return pair.init(params)


class GradientTransformation(spec.Value, OptaxTransformation, _Pair):
    """A pair of pure functions that turns gradients into updates.

        state          = init(params)
        updates, state = update(updates, state, params, **extra)

    For everyone it is a tuple of the two, and for ``isinstance`` an instance of optax's
    ``GradientTransformationExtraArgs`` wherever optax is loaded. Made by a factory of
    this library it is a value besides: it prints as it was written, equals what was
    made alike, hashes, pickles, and is a pytree whose leaves are its numbers;
    ``replace`` changes some. A pair made by hand, ``GradientTransformation(init,
    update)``, has no leaves.

    Example:
      >>> halve = gradtx.GradientTransformation(
      ...     lambda params: gradtx.EmptyState(),
      ...     lambda updates, state, params=None: (updates / 2, state),
      ... )
      >>> updates, _ = halve.update(jnp.ones(2), halve.init(jnp.ones(2)))
      >>> print(updates)
      [0.5 0.5]
    """

    deferred = (partial(partial, _init), partial(Update, explain=state_fit.check_fits))

    def flatten(self) -> tuple[list[Any], Any]:
        """Return the parts of a pair made by hand: no leaves."""
        return [], (self.init, self.update)


# Every update takes extra arguments, so that there is one class.
GradientTransformationExtraArgs = GradientTransformation
value_pytree.register(GradientTransformation)


def transformation(
    make: Callable[P, GradientTransformation],
) -> Callable[P, GradientTransformation]:
    """Make a factory's transformations values; use it as a decorator.

    The numbers among the arguments become the leaves of the transformation. An argument
    annotated with nothing but ``int``, ``bool``, ``str`` or ``None`` is part of the
    structure, and so are functions, types and flags wherever they stand. As a leaf may
    be traced, the factory must not branch on a number.

    Args:
      make: a function that returns a :class:`GradientTransformation`.

    Example::

        @transformation
        def scale_by_sign(strength: Scalar = 1.0) -> GradientTransformation:
            return stateless(
                lambda g, p: jax.tree.map(lambda x: strength * jnp.sign(x), g)
            )

    Example:
      >>> @gradtx.transformation
      ... def fall(rate):
      ...     return gradtx.scale(-rate)
      >>> print(fall(0.1), fall(0.1) == fall(0.1))
      fall(rate=0.1) True
    """
    return spec.remembered(make, GradientTransformation)


class EmptyState(NamedTuple):
    """The state of a transformation that remembers nothing."""


def init_empty_state(params: Params) -> EmptyState:
    """Return :class:`EmptyState`, whatever the parameters.

    Args:
      params: the parameters, which are not looked at.

    Example:
      >>> print(gradtx.init_empty_state({"a": jnp.ones(2)}))
      EmptyState()
    """
    del params
    return EmptyState()


@transformation
def identity() -> GradientTransformation:
    """Pass the updates on as they are.

    Example:
      >>> tx, params = gradtx.identity(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 2. -1.]
    """
    return GradientTransformation(init_empty_state, pass_on)


@transformation
def stateless(
    f: Callable[[Updates, Params | None], Updates],
) -> GradientTransformation:
    """Make a transformation of a function of the updates and the parameters.

    Args:
      f: takes the tree of updates and the tree of parameters (None where the caller
        gave none) and returns the new tree of updates.

    Example:
      >>> tx, params = (
      ...     gradtx.stateless(lambda updates, params: -0.1 * updates),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
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
        parameters) and returns the new update. What is no gradient of floats stays.

    Example:
      >>> tx, params = gradtx.stateless_with_tree_map(lambda g, p: g - p), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -2.]
    """

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **_: Any
    ) -> tuple[Updates, OptState]:
        if params is None:
            return map_differentiable(lambda u: f(u, None), updates), state
        return map_differentiable(f, updates, params), state

    return GradientTransformation(init_empty_state, update)


def with_extra_args_support(tx: Any) -> GradientTransformation:
    """Let any (init, update) pair be given extra arguments.

    Ours take them already and come back as they are. Another library's pair is given
    those that its ``update`` names, or all if it takes ``**extra``.

    Args:
      tx: anything with ``init`` and ``update``.

    Example:
      >>> tx, params = gradtx.with_extra_args_support(gradtx.sgd(0.1)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
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
