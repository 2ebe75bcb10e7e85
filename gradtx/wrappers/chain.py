"""One transformation after another."""

from collections.abc import Sequence
from typing import Any

from gradtx.common import checks
from gradtx.common.types import OptState, Params, Updates
from gradtx.core import order, state_fit
from gradtx.core.transformation import (
    GradientTransformation,
    TransformInitFn,
    transformation,
    with_extra_args_support,
)
from gradtx.tree.keys import is_named_tuple


@order.keeps("parts")
@transformation
def chain(*args: GradientTransformation) -> GradientTransformation:
    """Apply transformations one after another.

        u₁ = tx₁(g),  u₂ = tx₂(u₁),  …

    The state is the tuple of their states. Extra arguments of ``update`` reach all.

    Args:
      *args: transformations, of this library or any (init, update) pairs.

    Raises:
      ValueError: if an argument is no such pair, or if one that must see the final
        update, such as :func:`gradtx.hyperball`, is followed by one that changes it;
        from ``update``, if the state does not have one entry for each.

    Example:
      >>> tx, params = gradtx.chain(gradtx.clip(0.5), gradtx.scale(-0.1)), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.05  0.05]
    """
    links = [_pair(tx) for tx in args]
    order.check(args)

    def init(params: Params) -> OptState:
        return tuple(tx.init(params) for tx in links)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        if type(state) is not tuple or len(state) != len(links):
            _one_state_each(state, links, init)
        new_state = []
        for tx, old in zip(links, state, strict=True):
            updates, new = tx.update(updates, old, params, **extra)
            new_state.append(new)
        return updates, tuple(new_state)

    return GradientTransformation(init, update)


@order.keeps("parts")
@transformation
def named_chain(*args: tuple[str, GradientTransformation]) -> GradientTransformation:
    """Apply named transformations one after another.

    Like :func:`chain`, but the state is a dictionary by name.

    Args:
      *args: pairs of a name and a transformation.

    Raises:
      ValueError: if two names are the same.

    Example:
      >>> tx, params = (
      ...     gradtx.named_chain(
      ...         ("clip", gradtx.clip(0.5)), ("scale", gradtx.scale(-0.1))
      ...     ),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.05  0.05]
    """
    names = [name for name, _ in args]
    if len(set(names)) != len(names):
        raise checks.InvalidArgument(f"the names must differ, got {names}")
    line = chain(*(tx for _, tx in args))

    def init(params: Params) -> OptState:
        return dict(zip(names, line.init(params), strict=True))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        states = tuple(state[name] for name in names)
        updates, new = line.update(updates, states, params, **extra)
        return updates, dict(zip(names, new, strict=True))

    return GradientTransformation(init, update)


def _pair(tx: Any) -> GradientTransformation:
    if not (hasattr(tx, "init") and hasattr(tx, "update")):
        raise checks.InvalidArgument(
            f"every link must be a transformation, a pair (init, update), got {tx!r}"
        )
    return with_extra_args_support(tx)


def _one_state_each(
    state: OptState, links: Sequence[Any], init: TransformInitFn
) -> None:
    plain = isinstance(state, tuple | list) and not is_named_tuple(state)
    if not plain or len(state) != len(links):
        state_fit.check_fits(init, state)  # names the states of the links, if it can
        state_fit.refuse(state, f"a tuple of {len(links)}, one for each link")
