"""One transformation after another: chains, and the chain that is an optimizer.

Which link may follow which is asked here, of what the links declare in
:mod:`gradtx.core.order`. Of transformations from elsewhere nothing is known, nor of
those that touch a part of the leaves only: they are let through.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from gradtx.common import checks
from gradtx.common.spec import Factory, Recipe, is_value
from gradtx.common.types import (
    MaskOrFn,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
    Updates,
)
from gradtx.core import order, state_fit
from gradtx.core.transformation import (
    GradientTransformation,
    TransformInitFn,
    transformation,
    with_extra_args_support,
)
from gradtx.primitives.downhill import downhill
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
    _check_order(args)

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


@transformation
def descend(
    direction: GradientTransformation,
    learning_rate: ScalarOrSchedule | None,
    *,
    weight_decay: ScalarOrSchedule | None = None,
    mask: MaskOrFn | None = None,
    decay_kind: str = "decoupled",
    peak_learning_rate: Scalar | None = None,
) -> GradientTransformation:
    """Go downhill along a direction: make an optimizer of any transformation.

        p ← p - η (u + λ p)           u: what ``direction`` makes of the gradient

    Args:
      direction: the transformation that says where to go, such as ``scale_by_adam()``.
      learning_rate: η, or a schedule of the number of steps taken. A negative one goes
        uphill, to maximize; the weights then grow by λ.
      weight_decay: λ, decoupled from the direction; None leaves the link out.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      decay_kind: "decoupled", "cautious", "corrected" or "independent", as
        :func:`gradtx.add_decayed_weights` tells them apart.
      peak_learning_rate: the largest value of the schedule η, for the last two kinds;
        η itself, if None and η is a number.

    Raises:
      ValueError: if the learning rate is not finite, the decay is negative, the kind
        of decay not known, or the peak missing that it needs.

    Example:
      >>> tx, params = gradtx.descend(gradtx.scale_by_adam(), 0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    decay = (weight_decay, mask, decay_kind, peak_learning_rate)
    return chain(direction, *downhill(learning_rate, *decay))


def _pair(tx: Any) -> GradientTransformation:
    if not (hasattr(tx, "init") and hasattr(tx, "update")):
        raise checks.InvalidArgument(
            f"every link must be a transformation, a pair (init, update), got {tx!r}"
        )
    return tx if is_value(tx) else with_extra_args_support(tx)


def _one_state_each(
    state: OptState, links: Sequence[Any], init: TransformInitFn
) -> None:
    plain = isinstance(state, tuple | list) and not is_named_tuple(state)
    if not plain or len(state) != len(links):
        state_fit.check_fits(init, state)  # names the states of the links, if it can
        state_fit.refuse(state, f"a tuple of {len(links)}, one for each link")


# --- which link may follow which ----------------------------------------------


def _check_order(links: Sequence[Any]) -> None:
    """Refuse links of which one spoils what another needs; both are named."""
    for i, link in enumerate(links):
        for name, need in _needs(link):
            for later in links[i + 1 :]:
                for spoiler in _spoilers(later, need):
                    raise _refused(name, spoiler)


def check_inner(inner: Any, outer: str) -> None:
    """Refuse ``inner`` if it must see the final update, which ``outer`` changes.

    Raises:
      ValueError: if it must; both are named.
    """
    for name, _ in _needs(inner):
        raise _refused(name, outer)


def _refused(name: str, later: str) -> checks.InvalidArgument:
    return checks.InvalidArgument(
        f"{name} must see the final update, but {later} would change it afterwards: "
        f"put {name} last, around all that changes updates"
    )


def _needs(tx: Any) -> Iterator[tuple[str, order.Needs]]:
    """Yield what a transformation and its parts need, with the name of each.

    Nothing within a copy, which was checked when it was made first.
    """
    if checks.is_copying() or not is_value(tx):
        return
    need = _declared(order.NEEDS, tx.recipe)
    if need is not None:
        yield tx.recipe.factory.name, need
        return
    for part in _parts(tx.recipe):
        yield from _needs(part)


def _spoilers(tx: Any, need: order.Needs) -> Iterator[str]:
    """Yield the names of the parts that do not leave what is needed."""
    if not is_value(tx):
        return
    kept = _declared(order.KEEPS, tx.recipe)
    if kept in ("update", "others", need):
        return
    if kept == "parts" or is_value(tx.recipe.product):
        for part in _parts(tx.recipe):
            yield from _spoilers(part, need)
    else:
        yield tx.recipe.factory.name


def _declared(table: dict[Factory, Any], recipe: Recipe) -> Any:
    what, when = table.get(recipe.factory, (None, None))
    return what if when is None or when(recipe.arguments) else None


def _parts(recipe: Recipe) -> list[Any]:
    """Return what a value is made of: what its factory made, or its arguments."""
    return [recipe.product] if is_value(recipe.product) else recipe.parts
