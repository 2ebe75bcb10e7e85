"""From a rule for one array to a transformation of any tree.

This is where all that an optimizer has to remember besides its equations is settled,
once: the walk over the tree, leaves that are None, the precision of the arithmetic, the
types in which state and updates are kept, the step count, and what is refused.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx import checks, numerics
from gradtx.base import GradientTransformation
from gradtx.compiled import at_once
from gradtx.rules import Rule, Wants
from gradtx.typing import Count, DTypeLike, OptState, Params, PyTree, Updates

Slot = Callable[[jax.Array], PyTree]


def leafwise(rule: Rule, state_type: Any, **slots: Slot) -> GradientTransformation:
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
      **slots: for each slot, how it is made from a parameter; it may be a tree of
        arrays.

    Raises:
      ValueError: from ``init`` for integer parameters; from ``update`` for trees or
        shapes that do not match, and for missing parameters. The leaf's path is named.
    """
    wants = Wants(rule)
    counter = next((x for x in ("count", "t") if x in state_type._fields), None)
    # Compiled apart, the rule is traced once for all leaves of one shape and type.
    settle = jax.jit(partial(_settled, rule), static_argnames="target")

    def init(params: Params) -> OptState:
        checks.float_leaves(params, "the parameter")
        made = {name: make_slot(make, params) for name, make in slots.items()}
        if counter:
            made[counter] = zero_count(params)
        return state_type(**(dict.fromkeys(state_type._fields) | made))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        if wants.params:
            checks.params_given(params)
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


# --- slots -------------------------------------------------------------------


def zeros(p: jax.Array, *, dtype: DTypeLike | None = None) -> jax.Array:
    """Make a slot of zeros like the parameter, for a mean of gradients."""
    return jnp.zeros_like(p, dtype=dtype)


def wide_zeros(p: jax.Array) -> jax.Array:
    """Make a slot of zeros in at least float32, for a sum that must not be rounded."""
    return zeros(p, dtype=numerics.wide(p.dtype))


def squares(
    p: jax.Array, *, fill: Any = 0.0, dtype: DTypeLike | None = None
) -> jax.Array:
    """Make a slot for a mean of squares: real, and in at least float32.

    Raises:
      ValueError: for a type of fewer bits, in which a slow mean stands still: in
        bfloat16 the factor 0.999 rounds to 1.
    """
    dtype = jnp.dtype(dtype or numerics.wide(numerics.real(p.dtype)))
    if numerics.wide(dtype) != dtype:
        raise checks.Misuse(
            f"a mean of squares kept in {dtype} would stand still, as 0.999 times a "
            "number rounds to that number: leave it in float32, or keep it in few bits "
            "by quantize_state"
        )
    return jnp.full_like(p, fill, dtype=dtype)


def totals(p: jax.Array, *, axis: Any = None) -> jax.Array:
    """Make a slot of zeros like the parameter's sums over some axes, or over all.

    For squares taken together: real, in at least float32, and laid out over devices as
    the sums would be.
    """
    if isinstance(p, jax.ShapeDtypeStruct):
        return jnp.zeros_like(jax.eval_shape(partial(totals, axis=axis), p))
    dtype = numerics.wide(numerics.real(p.dtype))
    sums = jnp.sum(p.real.astype(dtype), axis=axis)
    slot = jnp.zeros_like(sums)
    return sharded_like(sums, slot) if isinstance(p, Tracer) else slot


def make_slot(make: Slot, params: Params) -> PyTree:
    """Make one slot for every parameter, laid out over devices as the parameter is.

    Of a parameter the shape and the type suffice (a ``jax.ShapeDtypeStruct``), unless
    the slot is made from its entries.
    """

    def one(p: Any) -> PyTree:
        p = p if isinstance(p, jax.ShapeDtypeStruct) else jnp.asarray(p)
        return jax.tree.map(partial(_placed_like, p), make(p))

    return jax.tree.map(one, params)


def _placed_like(p: jax.Array, slot: jax.Array) -> jax.Array:
    """Keep the parameter's layout, which jit would forget: zeros depend on nothing.

    A slot of another shape that lies on one device is put on all of the parameter's.
    """
    alike = slot.shape == p.shape and p.ndim
    if isinstance(p, Tracer):
        return sharded_like(p, slot) if alike else slot
    mesh = _mesh_of(p)
    if mesh is None or isinstance(slot, Tracer) or slot.sharding.num_devices > 1:
        return slot
    return jax.device_put(slot, p.sharding if alike else mesh)


def sharded_like(x: jax.Array, made: jax.Array) -> jax.Array:
    """Return ``made``, an array of the shape of ``x``, sharded as ``x`` is.

    Under ``jit`` on an automatic mesh the compiler chooses the sharding of each array
    from what it is computed from. Zeros depend on nothing and would come out whole on
    every device. So each entry is made to depend on that of ``x`` by a condition that
    never holds, but that no compiler simplifies: no absolute value, NaN included, is
    below -1. This costs one read of ``x``.
    """
    if not made.ndim or not jnp.issubdtype(x.dtype, jnp.inexact):
        return made
    return jnp.where(jnp.abs(x) < -1, jnp.zeros_like(made), made)


def zero_count(params: Params) -> Count:
    """Make a step count that lies on the devices of the parameters."""
    return beside(params, 0, jnp.int32)


def beside(params: Params, value: Any, dtype: DTypeLike | None = None) -> jax.Array:
    """Make a number of state, or a few, that lie on the devices of the parameters.

    Left on one device they would come back from the first jitted step on all of them,
    and the second step would be compiled anew.
    """
    array = jnp.array(value, dtype)
    for leaf in jax.tree.leaves(params):
        if isinstance(leaf, Tracer):
            # What depends on nothing, jit would place on one device.
            return jax.lax.optimization_barrier((array, leaf))[0]
        sharding = _mesh_of(leaf)
        if sharding is not None and not isinstance(array, Tracer):
            return jax.device_put(array, sharding)
    return array


def _mesh_of(leaf: Any) -> Any:
    sharding = getattr(leaf, "sharding", None)
    if isinstance(sharding, jax.sharding.NamedSharding) and sharding.num_devices > 1:
        return jax.sharding.NamedSharding(sharding.mesh, jax.sharding.PartitionSpec())
    return None


# --- the walk ----------------------------------------------------------------

Leaf = tuple[Any, Any]  # the path and the array, or None


def flatten_updates(updates: Updates) -> tuple[list[Leaf], Any]:
    """Return the leaves with their paths, None being a leaf, and the structure."""
    leaves, treedef = jax.tree_util.tree_flatten_with_path(
        updates, is_leaf=checks.is_none
    )
    checks.float_leaves(updates, "the gradient")
    return [(path, g if g is None else jnp.asarray(g)) for path, g in leaves], treedef


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
    rule: Rule, g: jax.Array, old: PyTree, named: dict[str, Any], *, target: Any
) -> tuple[Any, ...]:
    """Apply the rule in enough precision, and put the results into their types."""
    # A gradient of fewer bits than its parameter is computed with in the parameter's.
    g = g.astype(jnp.promote_types(g.dtype, target))
    if named.get("p") is not None:
        named = {**named, "p": widened(named["p"])}
    results = rule(widened(g), *jax.tree.map(widened, old), **named)
    u, *new = results if isinstance(results, tuple) else (results,)
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
