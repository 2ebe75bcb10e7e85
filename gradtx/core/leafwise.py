"""From a rule for one array to a transformation of any tree.

This is where all that an optimizer has to remember besides its equations is settled,
once: the walk over the tree, leaves that are None, the precision of the arithmetic, the
types in which state and updates are kept, the step count, and what is refused.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx.common import checks, numerics
from gradtx.common.leaves import frozen_update, gradient_fits, gradient_known
from gradtx.common.numerics import is_differentiable
from gradtx.common.types import AxisName, OptState, Params, PyTree, Updates
from gradtx.core import rules, state_fit
from gradtx.core.slots import Slot, make_slots
from gradtx.core.transformation import GradientTransformation
from gradtx.lowering.collective import shared_along
from gradtx.tree.packed import unpacked_only

Rule = Callable[..., Any]


def leafwise(
    rule: Rule,
    state_type: Any,
    *,
    elementwise: bool = True,
    axis_name: AxisName = None,
    shared: tuple[str, ...] = (),
    **slots: Slot,
) -> GradientTransformation:
    """Make a transformation of a rule for one array.

        u, *new_slots = rule(g, *old_slots, t=step, p=param)

    The rule is given the gradient of one leaf and the leaf's slots of state, in the
    order of ``slots``, and returns the update and the new slots (a rule without slots
    returns the update alone). It names by keyword what else it wants: ``t``, the step
    counted from 1; ``p``, the parameter, which then must be given to ``update`` unless
    it has a default; any extra argument of ``update``.

    The rule computes in float32 or wider, whatever the types of the leaves. Each slot
    is kept in the type it was made in, and the update leaves in the type of its
    parameter (of its gradient, where ``update`` is given no parameters). A leaf whose
    gradient is None is passed over, and so is one that cannot have a gradient: see
    :mod:`gradtx.common.leaves`. The count saturates.

    Args:
      rule: the equations of the method for one array.
      state_type: a NamedTuple with a field for every slot, and with ``count`` (or
        ``t``) if the rule wants ``t``. Other fields are left to the caller: ``init``
        makes them None, ``update`` keeps them.
      elementwise: whether each entry of the results depends on no other entry of the
        gradient, the slots and the parameter, nor on their shape. If not, the rule
        cannot be shown small leaves put together, and
        :func:`gradtx.pack_small_leaves` around it is refused.
      axis_name: within ``jax.shard_map``, the axis, or a tuple of them, along which the
        ``shared`` slots are the same; None: each device has its own.
      shared: the names of slots that the rule makes of sums over those axes, as
        :func:`gradtx.tree.norm` takes them.
      **slots: for each slot, how it is made from a parameter; it may be a tree of
        arrays.

    Raises:
      ValueError: for a slot that the state has no field for; from ``update`` for trees
        or shapes that do not match, for missing parameters, for a gradient of a
        parameter that cannot have one, for the state of another transformation, and for
        a rule that does not return what it must. The leaf's path is named.

    Example:
      >>> from typing import Any, NamedTuple
      >>> class State(NamedTuple):
      ...     mu: Any
      >>> def rule(g, mu):
      ...     mu = 0.9 * mu + g
      ...     return -0.1 * mu, mu
      >>> tx, params = gradtx.leafwise(rule, State, mu=jnp.zeros_like), jnp.ones(2)
      >>> updates, state = tx.update(params, tx.init(params), params)
      >>> print(updates, state.mu)
      [-0.1 -0.1] [1. 1.]
    """
    wants = Wants(rule, list(slots))
    fields = getattr(state_type, "_fields", None)
    if fields is None or not slots.keys() <= set(fields):
        rules.refuse_state(state_type, slots)
    counter = next((x for x in ("count", "t") if x in fields and x not in slots), None)
    kept = [*slots, counter] if counter else list(slots)

    @cache
    def shapes(name: str, shape: Any, dtype: Any) -> PyTree:
        return jax.eval_shape(slots[name], jax.ShapeDtypeStruct(shape, dtype))

    def init(params: Params) -> OptState:
        if not elementwise:
            unpacked_only(params)
        made = make_slots(slots, params, counter)
        made |= {name: shared_along(made[name], axis_name) for name in shared}
        return state_type(**(dict.fromkeys(fields) | made))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        if wants.params:
            checks.require_params(params)
        if kept and type(state) is not state_type:
            state_fit.of_class(state, state_type, kept)
        leaves, treedef = flatten_updates(updates)
        parameters = matching_params(params, leaves, treedef)
        columns = [
            matching_slots(getattr(state, x), leaves, treedef, x, partial(shapes, x))
            for x in slots
        ]
        given = wants.chosen(extra)
        if counter:
            given["t"] = numerics.safe_increment(getattr(state, counter))
        settle = partial(_apply_rule, rule, tuple(slots))
        settle = _traced_once(settle, (updates, state, params, given))
        results = [
            _one_leaf(settle, wants, given, leaf, p, *old)
            for leaf, p, *old in zip(leaves, parameters, *columns, strict=True)
        ]
        changed = {
            name: treedef.unflatten([result[1 + i] for result in results])
            for i, name in enumerate(slots)
        }
        if counter:
            changed[counter] = given["t"]
        u = treedef.unflatten([result[0] for result in results])
        # Without state, whatever the caller holds in its place goes through.
        return u, state._replace(**changed) if changed else state

    return GradientTransformation(init, update)


# --- the walk ----------------------------------------------------------------

Leaf = tuple[Any, Any]  # the path, and the gradient or what stands in its place


def flatten_updates(updates: Updates) -> tuple[list[Leaf], Any]:
    """Return the leaves with their paths, None being a leaf, and the structure.

    What is a gradient is an array, and :func:`.is_differentiable` says so; all else is
    as it came, and nothing is done to its parameter.
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(
        updates, is_leaf=checks.is_none
    )
    return [(path, _array(g)) for path, g in leaves], treedef


def _array(g: Any) -> Any:
    if isinstance(g, jax.ShapeDtypeStruct) or not is_differentiable(g):
        return g
    return jnp.asarray(g)


def matching_params(params: Params | None, leaves: list[Leaf], treedef: Any) -> Any:
    """Return the parameter of every leaf, or None for each where none are given."""
    if params is None:
        for path, g in leaves:
            gradient_known(path, g)
        return [None] * len(leaves)
    found = checks.leaves_like(params, treedef, "parameters", "updates")
    for (path, g), p in zip(leaves, found, strict=True):
        both = is_differentiable(g) and is_differentiable(p)
        if not (both and jnp.shape(g) == jnp.shape(p)):
            gradient_fits(path, g, p)
    return found


def matching_slots(
    slot: PyTree,
    leaves: list[Leaf],
    treedef: Any,
    name: str,
    made: Callable[[Any, Any], PyTree] = jax.ShapeDtypeStruct,
) -> list[PyTree]:
    """Return the slot of every leaf; refuse one of other shapes than ``made`` makes."""
    found = checks.leaves_like(slot, treedef, f"the state {name!r}", "updates")
    for (path, g), s in zip(leaves, found, strict=True):
        if isinstance(s, jax.Array) and s.shape == getattr(g, "shape", None):
            continue
        state_fit.check_slot(path, g, s, name, made)
    return found


# --- the rule ----------------------------------------------------------------


class Wants:
    """What a rule names by keyword."""

    def __init__(self, rule: Rule, slots: Sequence[str]) -> None:
        signature = inspect.signature(rule)
        named = [x for x in signature.parameters.values() if x.kind is x.KEYWORD_ONLY]
        keywords = {x.name: x for x in named}
        try:
            signature.bind("g", *slots, **dict.fromkeys(keywords))
        except TypeError as error:
            raise rules.wrong_arguments(signature, slots) from error
        p = keywords.pop("p", None)
        self.takes_p = p is not None
        self.params = p is not None and p.default is p.empty
        self.takes_t = keywords.pop("t", None) is not None
        self._extra = keywords

    def chosen(self, extra: dict[str, Any]) -> dict[str, Any]:
        """Return the extra arguments that the rule wants; refuse if one is missing."""
        for name, parameter in self._extra.items():
            if name not in extra and parameter.default is parameter.empty:
                checks.require_extra_arg(name, None)
        return {name: extra[name] for name in self._extra if name in extra}

    def named(self, given: dict[str, Any], p: Any) -> dict[str, Any]:
        """Return what the rule names, of what there is for one leaf."""
        named = {k: x for k, x in given.items() if k != "t" or self.takes_t}
        return {**named, "p": p} if self.takes_p else named


def _traced_once(settle: Rule, given: PyTree) -> Rule:
    """Return a rule that is traced once for all leaves of one shape and type.

    Where anything is traced it is compiled apart, and made anew in each step, as the
    rule's surroundings may have changed.
    """
    if any(isinstance(x, Tracer) for x in jax.tree.leaves(given)):
        return jax.jit(settle, static_argnames="target")
    return settle


def _one_leaf(
    settle: Rule, wants: Wants, given: dict[str, Any], leaf: Leaf, p: Any, *old: Any
) -> tuple[Any, ...]:
    path, g = leaf
    if not is_differentiable(g):
        return (frozen_update(g, p), *old)
    p = None if p is None else jnp.asarray(p)
    target = g.dtype if p is None else p.dtype
    if jnp.iscomplexobj(g) and not jnp.issubdtype(target, jnp.complexfloating):
        raise checks.InvalidArgument(
            f"the gradient at {checks.path_name(path)} is complex, its parameter real"
        )
    return settle(g, old, wants.named(given, p), target=target)


def _apply_rule(
    rule: Rule,
    slots: tuple[str, ...],
    g: jax.Array,
    old: PyTree,
    named: dict[str, Any],
    *,
    target: Any,
) -> tuple[Any, ...]:
    """Apply the rule in enough precision, and put the results into their types."""
    # A gradient of fewer bits than its parameter is computed with in the parameter's.
    g = g.astype(jnp.promote_types(g.dtype, target))
    if named.get("p") is not None:
        named = {**named, "p": to_compute_dtype(named["p"])}
    results = rule(to_compute_dtype(g), *jax.tree.map(to_compute_dtype, old), **named)
    u, *new = _arrays(results, g, slots, old)
    kept = jax.tree.map(_stored, list(old), new)
    return (numerics.cast(u, target), *kept)


def _arrays(
    results: Any, g: jax.Array, slots: Sequence[str], old: Sequence[PyTree]
) -> list[PyTree]:
    """Return the update and the new slots, all of the shapes that they must have."""
    found = list(results) if isinstance(results, tuple) else [results]
    (new, treedef), (like, structure) = map(jax.tree.flatten, (found, [g, *old]))
    if treedef == structure and all(
        isinstance(x, jax.Array) and x.shape == y.shape
        for x, y in zip(new, like, strict=True)
    ):
        return found
    return rules.explained(found, g, slots, old)


def _stored(old: jax.Array, new: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(new) and not jnp.iscomplexobj(old):
        raise checks.InvalidArgument(
            f"a state of {old.dtype} cannot hold that of complex parameters: leave "
            "its dtype None"
        )
    return new.astype(old.dtype)


def to_compute_dtype(x: jax.Array) -> jax.Array:
    """Return a half-precision array in float32, and any other as it is."""
    return x.astype(numerics.compute_dtype(x.dtype))
