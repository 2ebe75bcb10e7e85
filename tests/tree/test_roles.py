"""What the arrays of a state are: declared where they are made, and read there."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import catalogue
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from catalogue import Row

import gradtx
from gradtx import slots
from gradtx.codecs import int4, int8, is_encoded
from gradtx.common.types import Role
from gradtx.tree.roles import field_roles, parts

if TYPE_CHECKING:
    from collections.abc import Mapping as Unknown

Tree = Any
PARAMS = {"w": jnp.linspace(1, 2, 6).reshape(2, 3), "b": jnp.linspace(3, 4, 5)}


def roles(tx: Any, state: Tree) -> list[tuple[Any, Role | None]]:
    """Return the arrays of a state with their roles."""
    return [(x.leaf, x.role) for x in parts(tx.init, state)]


def codecs_of(tx: Any) -> dict[str, Any]:
    """Return by field how the arrays of a state for one matrix are encoded."""
    state = tx.init({"w": jnp.ones((64, 64))})
    found = jax.tree_util.tree_leaves_with_path(state, is_leaf=is_encoded)
    return {
        next(k.name for k in reversed(path) if hasattr(k, "name")): x.codec
        for path, x in found
        if is_encoded(x)
    }


def stepped(row: Row) -> tuple[Any, list[Tree]]:
    """Return a row's optimizer, and its states before and after three steps."""
    tx, params = row.build(), PARAMS
    states = [tx.init(params)]
    for t in range(3):
        grads = problems.noise(params, t)
        extra = problems.extras(row, params, grads)
        updates, state = tx.update(grads, states[-1], params, **extra)
        params = gradtx.apply_updates(params, updates)
        states.append(state)
    return tx, states


# --- every method --------------------------------------------------------------


@pytest.mark.parametrize("row", catalogue.ROWS, ids=catalogue.NAMES)
@pytest.mark.one_in(32)
def test_what_is_declared_is_so(row: Row) -> None:
    """Second moments are never negative, and what starts as the parameter is weights.

    Whatever is made by `squares` or `totals` is declared, so that the rest of the
    arrays are those that may be negative.
    """
    with jax.disable_jit():
        tx, states = stepped(row)
    for state in states:
        for leaf, role in roles(tx, state):
            assert role is not Role.SECOND_MOMENT or (np.asarray(leaf) >= 0).all()
    starts = jax.tree.leaves(PARAMS)
    for leaf, role in roles(tx, states[0]):
        same = [np.array_equal(leaf, p) for p in starts if leaf.shape == p.shape]
        assert (role is Role.WEIGHTS) >= any(same)


def test_a_mean_of_squares_is_encoded_without_signs() -> None:
    """One signed codec serves all of AdamW: its mean of squares gets the unsigned form.

    In Adafactor, SM3 and Sophia too, whose fields have other names or meanings.
    """

    def found(tx: Any, codec: Any = None) -> dict[str, Any]:
        return codecs_of(gradtx.quantize_state(tx, codec, min_size=0))

    bare = int8(signed=False)
    assert found(gradtx.adamw(1e-3), int4()) == {
        "mu": int4(),
        "nu": int4(signed=False),
    }
    assert found(gradtx.adam(1e-3), {"nu": int4(64)}) == {"nu": int4(64, signed=False)}
    assert found(gradtx.adafactor(1e-3, 1))["v_row"] == bare
    assert found(gradtx.adafactor(1e-3))["v"] == bare
    assert found(gradtx.sm3(1e-3)) == {"mu": bare, "nu": int8()}
    assert found(gradtx.contrib.sophia(1e-3)) == {"mu": int8(), "nu": int8()}
    assert found(gradtx.schedule_free_adamw(1e-3)) == {"nu": bare}  # z stays


# --- the states of users -------------------------------------------------------


class Named(NamedTuple):
    """A state whose fields have names that mean something else elsewhere."""

    mu: gradtx.SecondMoment
    nu: gradtx.Updates
    v: gradtx.Weights
    n: "Annotated[Any, Role.EXACT]"
    other: "Unknown"  # a name that is there for type checkers only


class Undeclared(NamedTuple):
    """A state that declares nothing."""

    count: Any
    nu: Any
    anything: Any
    anchor: Any


def by_hand() -> Any:
    """Return a transformation written by hand, with a declared state."""

    def init(params: Tree) -> Named:
        return Named(*(jax.tree.map(jnp.copy, params) for _ in range(5)))

    def update(updates: Tree, state: Named, params: Tree = None, **_: Any) -> Any:
        del params
        return updates, jax.tree.map(lambda x: 0.5 * x, state)

    return gradtx.GradientTransformation(init, update)


def by_leafwise() -> Any:
    """Return a transformation whose slots say what they are by how they are made."""

    def rule(g: Any, nu: Any, second: Any, anchor: Any, *, t: Any) -> Any:
        return g, 0.9 * nu + g, second + t * g * g, anchor

    return gradtx.leafwise(
        rule,
        Undeclared,
        nu=jnp.zeros_like,
        anything=partial(slots.squares, fill=1.0),
        anchor=slots.weights,
    )


def test_the_names_of_fields_are_free() -> None:
    """What is declared decides; what is not gets the codec that is given."""
    bare = int8(signed=False)
    by_class = codecs_of(gradtx.quantize_state(by_hand()))
    assert by_class == {"mu": bare, "nu": int8(), "other": int8()}
    by_slot = codecs_of(gradtx.quantize_state(by_leafwise()))
    assert by_slot == {"nu": int8(), "anything": bare}
    with pytest.raises(ValueError, match=r"'nu/w' may be negative.*SecondMoment"):
        codecs_of(gradtx.quantize_state(by_leafwise(), bare))
    assert field_roles(Named) == {
        "mu": Role.SECOND_MOMENT,
        "v": Role.WEIGHTS,
        "n": Role.EXACT,
    }


WRAPPERS = {
    "chain": lambda tx: gradtx.chain(gradtx.clip(1.0), tx),
    "masked": lambda tx: gradtx.masked(tx, {"w": True, "b": False}),
    "partition": lambda tx: gradtx.partition(
        {"x": gradtx.sgd(0.1), "y": tx}, {"w": "y", "b": "x"}
    ),
    "accumulate": lambda tx: gradtx.accumulate(tx, 2),
    "lookahead": lambda tx: gradtx.lookahead(tx, 2, 0.5),
    "flatten": gradtx.flatten,
    "pack": lambda tx: gradtx.pack_small_leaves(tx, 6),
    "inject": lambda tx: gradtx.inject_hyperparams(lambda x: tx)(0.1),  # noqa: ARG005
    "compensation": gradtx.with_compensation,
    "optax": lambda tx: optax.chain(tx, optax.scale(1.0)),
    "quantize": lambda tx: gradtx.quantize_state(tx, min_size=0),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("make", [by_leafwise, gradtx.scale_by_adam])
def test_roles_are_seen_through_wrappers(wrap: Any, make: Any) -> None:
    """Whether the class of a state declares it or the slot, it is seen from around."""
    tx = wrap(make())
    assert Role.SECOND_MOMENT in [role for _, role in roles(tx, tx.init(PARAMS))]


def test_optax_maps_over_our_states() -> None:
    """Optax's own way to reach the parameters of a state knows ours."""
    tx = gradtx.adam(0.1)
    state = optax.tree_utils.tree_map_params(tx, lambda x: x + 1, tx.init(PARAMS))
    assert all((x == 1).all() for x in jax.tree.leaves(gradtx.tree.get(state, "nu")))
