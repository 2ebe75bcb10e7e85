"""From a rule for one array to a transformation of any tree.

This is where all that an optimizer has to remember besides its equations is settled,
once: the walk over the tree, leaves that are None, the precision of the arithmetic, the
types in which state and updates are kept, the step count, and what is refused.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.codecs import is_encoded
from gradtx.common import checks, numerics
from gradtx.common.types import OptState, Params, PyTree, Updates
from gradtx.core import state_fit
from gradtx.core.rules import Rule as Rule, Wants, counter_of, parted
from gradtx.core.slots import Slot, make_slot
from gradtx.core.transformation import GradientTransformation
from gradtx.lowering.eager import at_once
from gradtx.lowering.sharding import zero_count
from gradtx.tree.packed import unpacked_only


def leafwise(
    rule: Rule, state_type: Any, *, elementwise: bool = True, **slots: Slot
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
    gradient is None is passed over. The count saturates.

    Args:
      rule: the equations of the method for one array.
      state_type: a NamedTuple with a field for every slot, and with ``count`` (or
        ``t``) if the rule wants ``t``. Other fields are left to the caller: ``init``
        makes them None, ``update`` keeps them.
      elementwise: whether each entry of the results depends on no other entry of the
        gradient, the slots and the parameter, nor on their shape. If not, the rule
        cannot be shown small leaves put together, and
        :func:`gradtx.pack_small_leaves` around it is refused.
      **slots: for each slot, how it is made from a parameter; it may be a tree of
        arrays.

    Raises:
      ValueError: for a slot that the state has no field for; from ``init`` for integer
        parameters; from ``update`` for trees or shapes that do not match, for missing
        parameters, for the state of another transformation, and for a rule that does
        not return what it must. The leaf's path is named.
    """
    wants = Wants(rule, list(slots))
    counter = counter_of(state_type, slots)
    # Compiled apart, the rule is traced once for all leaves of one shape and type.
    settle = jax.jit(partial(_settled, rule, tuple(slots)), static_argnames="target")

    kept = [*slots, counter] if counter else list(slots)

    def init(params: Params) -> OptState:
        checks.float_leaves(params, "the parameter")
        if not elementwise:
            unpacked_only(params)
        made = {name: make_slot(make, params) for name, make in slots.items()}
        if counter:
            made[counter] = zero_count(params)
        return state_type(**(dict.fromkeys(state_type._fields) | made))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        if wants.params:
            checks.params_given(params)
        if kept:
            state_fit.of_class(state, state_type, kept)
        leaves, treedef = flatten_updates(updates)
        parameters = matching_params(params, leaves, treedef)
        columns = [
            matching_slots(getattr(state, name), leaves, treedef, name, make)
            for name, make in slots.items()
        ]
        given = wants.chosen(extra)
        if counter:
            given["t"] = numerics.safe_increment(getattr(state, counter))
        results = [
            _one_leaf(settle, wants, given, leaf, p, *old)
            for leaf, p, *old in zip(leaves, parameters, *columns, strict=True)
        ]
        new = [
            treedef.unflatten([result[1 + i] for result in results])
            for i in range(len(slots))
        ]
        fields = dict(zip(slots, new, strict=True))
        if counter:
            fields[counter] = given["t"]
        u = treedef.unflatten([result[0] for result in results])
        # Without state, whatever the caller holds in its place goes through.
        return u, state._replace(**fields) if fields else state

    return GradientTransformation(init, at_once(update))


# --- the walk ----------------------------------------------------------------

Leaf = tuple[Any, Any]  # the path and the array, or None


def flatten_updates(updates: Updates) -> tuple[list[Leaf], Any]:
    """Return the leaves with their paths, None being a leaf, and the structure."""
    leaves, treedef = jax.tree_util.tree_flatten_with_path(
        updates, is_leaf=checks.is_none
    )
    checks.float_leaves(updates, "the gradient")
    return [(path, _array(g)) for path, g in leaves], treedef


def _array(g: Any) -> Any:
    return g if g is None or isinstance(g, jax.ShapeDtypeStruct) else jnp.asarray(g)


def matching_params(params: Params | None, leaves: list[Leaf], treedef: Any) -> Any:
    """Return the parameter of every leaf, or None for each where none are given."""
    if params is None:
        return [None] * len(leaves)
    found = checks.leaves_like(params, treedef, "parameters", "updates")
    for (path, g), p in zip(leaves, found, strict=True):
        if g is not None:
            shape = jnp.shape(p)
            checks.same_shape(g.shape, shape, path, "the gradient", "the parameter")
    return found


def matching_slots(
    slot: PyTree, leaves: list[Leaf], treedef: Any, name: str, make: Slot | None = None
) -> list[PyTree]:
    """Return the slot of every leaf; one array of state must have the leaf's shape.

    It may have another shape if ``make`` gives it that shape.
    """
    found = checks.leaves_like(slot, treedef, f"the state {name!r}", "updates")
    for (path, g), s in zip(leaves, found, strict=True):
        if is_encoded(s):
            raise checks.Misuse(
                f"the state {name!r} at {checks.path_name(path)} is quantized: give it "
                "to `quantize_state` of this transformation, or decode it first by "
                "gradtx.codecs.decoded(state)"
            )
        shape = getattr(s, "shape", ())
        if g is None or len(shape) != g.ndim:  # another kind of slot, or masked
            continue
        if shape != g.shape and (make is None or shape != _shape_of(make, g)):
            like = f"the parameter that its state {name!r} was made for"
            checks.same_shape(g.shape, shape, path, "the gradient", like)
    return found


def _shape_of(make: Slot, g: jax.Array) -> Any:
    return getattr(jax.eval_shape(make, g), "shape", None)


def _one_leaf(
    settle: Rule, wants: Wants, given: dict[str, Any], leaf: Leaf, p: Any, *old: Any
) -> tuple[Any, ...]:
    path, g = leaf
    if g is None:
        return (None, *old)
    p = None if p is None else jnp.asarray(p)
    target = g.dtype if p is None else p.dtype
    if jnp.iscomplexobj(g) and not jnp.issubdtype(target, jnp.complexfloating):
        raise checks.Misuse(
            f"the gradient at {checks.path_name(path)} is complex, its parameter real"
        )
    return settle(g, old, wants.named(given, p), target=target)


def _settled(
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
        named = {**named, "p": widened(named["p"])}
    results = rule(widened(g), *jax.tree.map(widened, old), **named)
    u, new = parted(results, g, slots, old)
    kept = jax.tree.map(_stored, list(old), new)
    return (u.astype(target), *kept)


def _stored(old: jax.Array, new: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(new) and not jnp.iscomplexobj(old):
        raise checks.Misuse(
            f"state of complex parameters cannot be kept as {old.dtype}: name none"
        )
    return new.astype(old.dtype)


def widened(x: jax.Array) -> jax.Array:
    """Return a half-precision array in float32, and any other as it is."""
    return x.astype(numerics.wide(x.dtype))
