"""A transformation or a schedule is a value, and a tree of its numbers."""

import copy
import pickle
import textwrap
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx


def nested() -> Any:
    """Return a transformation with parts of every kind of argument."""
    line = gradtx.chain(
        gradtx.clip_by_global_norm(1.0),
        gradtx.adamw(
            gradtx.linear_schedule(1e-3, 0.0, 10),
            mu_dtype=jnp.bfloat16,
            mask={"w": True, "b": False},
            nesterov=True,
        ),
    )
    return gradtx.lookahead(line, sync_period=5, slow_step_size=0.5)


def test_it_prints_as_it_was_written() -> None:
    """What is printed is the call, without defaults, on lines that are short enough."""
    expected = """
    lookahead(
        fast_optimizer=chain(
            clip_by_global_norm(max_norm=1.0),
            adamw(
                learning_rate=linear_schedule(
                    init_value=0.001,
                    end_value=0.0,
                    transition_steps=10,
                ),
                mu_dtype=bfloat16,
                mask={'w': True, 'b': False},
                nesterov=True,
            ),
        ),
        sync_period=5,
        slow_step_size=0.5,
    )
    """
    assert repr(nested()) == textwrap.dedent(expected).strip()
    assert repr(gradtx.adam(np.float32(0.5), 0.9)) == "adam(learning_rate=0.5)"
    assert repr(gradtx.named_chain(("a", gradtx.identity()))) == (
        "named_chain(('a', identity()))"
    )


def test_what_it_prints_makes_it_again() -> None:
    """Evaluated where the names are known, the printed call gives an equal value."""
    tx = nested()
    assert eval(repr(tx), {**vars(jnp), **vars(gradtx)}) == tx  # noqa: S307


def pickled(tx: Any) -> Any:
    """Return what comes out of a pickle."""
    return pickle.loads(pickle.dumps(tx))  # noqa: S301


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_copies_are_equal(copied: Any) -> None:
    """A copy, a deep copy and a pickled value equal the first, and work."""
    tx = nested()
    other = copied(tx)
    assert other == tx
    assert hash(other) == hash(tx)
    assert type(other) is type(tx)
    assert other.init({"w": jnp.ones(2), "b": jnp.ones(2)}) is not None


def test_equality_looks_at_all_parts() -> None:
    """A number, a flag, a mask or a method that differs, at any depth, is seen."""
    make = gradtx.adamw
    tx = gradtx.masked(make(1e-3), {"w": True})
    for other in (
        gradtx.masked(make(2e-3), {"w": True}),
        gradtx.masked(make(1e-3), {"w": False}),
        gradtx.masked(make(1e-3, nesterov=True), {"w": True}),
        gradtx.masked(make(1e-3, mu_dtype=jnp.bfloat16), {"w": True}),
        gradtx.masked(make(1e-3, mask={"w": True}), {"w": True}),
        gradtx.masked(gradtx.nadamw(1e-3), {"w": True}),
        make(1e-3),
        "adamw",
    ):
        assert tx != other
        assert not tx == other  # noqa: SIM201
    assert tx == gradtx.masked(make(np.float64(1e-3)), {"w": True})
    assert make(jnp.float32(0.5)) == make(0.5)
    assert len({make(0.5), make(np.float32(0.5)), make(0.25)}) == 2


def test_its_leaves_are_its_numbers() -> None:
    """Counts, flags, types and masks are structure; numbers are leaves, by name."""
    paths = jax.tree_util.tree_leaves_with_path(nested())
    names = [jax.tree_util.keystr(path[-1:]) for path, _ in paths]
    assert names == [
        *(".max_norm", ".init_value", ".end_value", ".transition_steps"),
        *(
            ".transition_begin",
            ".b1",
            ".b2",
            ".eps",
            ".eps_root",
            ".weight_decay",
            ".slow_step_size",
        ),
    ]
    assert all(isinstance(leaf, float | int) for _, leaf in paths)
    assert jax.tree.structure(nested()) == jax.tree.structure(nested())


def test_trees_of_other_things_have_its_shape() -> None:
    """Mapped to None, to objects, to names, to arrays, the structure is kept."""
    tx = nested()
    leaves, treedef = jax.tree.flatten(tx)
    things = [object() for _ in leaves]
    objects = treedef.unflatten(things)
    assert jax.tree.leaves(objects) == things
    names = jax.tree.map(lambda x: f"<{x}>", tx)
    assert jax.tree.structure(names) == treedef
    assert jax.tree.leaves(names)[0] == "<1.0>"
    nothing = jax.tree.map(lambda _: None, tx)
    assert jax.tree.leaves(nothing) == []
    back = jax.tree.map(
        lambda none, x: x if none is None else none,
        nothing,
        tx,
        is_leaf=lambda x: x is None,
    )
    assert back == tx
    assert jax.tree.structure(jax.eval_shape(lambda x: x, tx)) == treedef


def test_equinox_parts_it_and_joins_it() -> None:
    """`partition` and `combine`, `filter_jit` and `tree_at` work at any depth."""
    tx = nested()
    for is_dynamic in (eqx.is_array, eqx.is_inexact_array_like, lambda _: True):
        dynamic, static = eqx.partition(tx, is_dynamic)
        assert eqx.combine(dynamic, static) == tx
    assert eqx.filter_jit(lambda tx: tx)(tx) == tx
    line = tx.recipe.arguments["fast_optimizer"]

    def decay(tx: Any) -> Any:
        _, adamw = tx.recipe.arguments["args"]
        return adamw.recipe.arguments["weight_decay"]

    assert eqx.tree_at(decay, line, 0.5) == line.replace(weight_decay=0.5)


def test_settings_are_traced() -> None:
    """One trace serves other numbers; another structure is traced anew."""
    traces = []

    @jax.jit
    def first_update(tx: Any, grads: Any) -> Any:
        traces.append(tx)
        return tx.update(grads, tx.init(grads), grads)[0]

    grads = jnp.float32([1, -2])
    for rate in (0.1, 0.2, np.float64(0.3), jnp.float32(0.4)):
        got = first_update(gradtx.adam(rate), grads)
        np.testing.assert_allclose(got, -rate * jnp.sign(grads), rtol=1e-5)
    assert len(traces) <= 2  # Python's floats are weakly typed, arrays are not
    first_update(gradtx.adam(0.1, nesterov=True), grads)
    assert len(traces) <= 3


def test_settings_are_mapped_over() -> None:
    """`vmap` takes trees of axes: one setting varies, the rest is shared."""
    tx = gradtx.chain(gradtx.scale(2.0), gradtx.sgd(0.1, momentum=0.9))
    rates = jnp.float32([0.1, 0.2, 0.3])
    several = eqx.tree_at(_rate, tx, rates)
    axes = jax.tree.map(lambda _: None, tx).replace(learning_rate=0)
    grads = jnp.float32([1, 2])

    def move(tx: Any) -> Any:
        return tx.update(grads, tx.init(grads), grads)[0]

    got = jax.vmap(move, in_axes=(axes,))(several)
    np.testing.assert_allclose(got, -2 * rates[:, None] * grads[None], rtol=1e-6)


def _rate(tx: Any) -> Any:
    return tx.recipe.arguments["args"][1].recipe.arguments["learning_rate"]


def test_settings_have_gradients() -> None:
    """The derivative of the first step of SGD in its rate is minus the gradient."""
    grads = jnp.float32([1, 2])

    def moved(tx: Any) -> Any:
        return jnp.sum(tx.update(grads, tx.init(grads), grads)[0])

    slope = jax.grad(moved)(gradtx.sgd(0.1, momentum=0.9))
    assert slope.recipe.arguments["learning_rate"] == -3
    assert slope.recipe.arguments["momentum"] == 0


def test_one_number_in_an_array_is_a_number() -> None:
    """Arrays of one number, of any kind, are kept as that number in its type."""
    for rate in (jnp.bfloat16(0.5), jnp.float32(0.5), np.array(0.5)):
        tx = gradtx.adam(rate)
        leaf = tx.recipe.arguments["learning_rate"]
        assert isinstance(leaf, np.generic)
        assert leaf.dtype == rate.dtype
        assert tx == gradtx.adam(0.5)


@gradtx.transformation
def pulled(anchor: Any, strength: float = 1.0) -> Any:
    """Pull towards an array, which is an argument as any other."""
    return gradtx.stateless(
        lambda g, p: jax.tree.map(lambda g, x, y: g + strength * (x - y), g, p, anchor)
    )


def test_arrays_and_keys_are_structure() -> None:
    """They are no leaves, compared by what they hold, given on as they came."""
    for same, other in (
        (lambda: pulled(jnp.arange(3.0)), pulled(jnp.zeros(3))),
        (lambda: pulled({"a": np.arange(3.0)}), pulled({"a": np.float32([0, 1, 2])})),
        (lambda: pulled(jax.random.key(1)), pulled(jax.random.key(2))),
        (lambda: pulled(jax.random.PRNGKey(1)), pulled(jax.random.PRNGKey(2))),
    ):
        tx = same()
        assert jax.tree.leaves(tx) == [1.0]
        assert tx == same() != other
        assert hash(tx) == hash(same())
        assert jax.tree.structure(tx) == jax.tree.structure(same())
        assert jax.tree.structure(tx) != jax.tree.structure(other)
        assert pickled(tx) == tx
        back = jax.tree.map(lambda x: x, tx).recipe.arguments["anchor"]
        assert jax.tree.leaves(back)[0] is jax.tree.leaves(tx.recipe.arguments)[0]
    tx = pulled(jnp.arange(3.0))
    p = jnp.ones(3)
    for step in (
        lambda tx: tx.update(p, (), p),
        jax.jit(lambda tx: tx.update(p, (), p)),
    ):
        np.testing.assert_array_equal(step(tx)[0], [2, 1, 0])


def test_traced_arrays_are_leaves() -> None:
    """A sweep over keys or arrays makes its optimizers within `vmap`."""
    p = jnp.ones(3)
    anchors = jnp.arange(6.0).reshape(2, 3)
    got = jax.vmap(lambda x: pulled(x).update(p, (), p)[0])(anchors)
    np.testing.assert_array_equal(got, 2 - anchors)
    keys = jax.random.split(jax.random.key(0), 2)

    def noisy(key: Any) -> Any:
        tx = gradtx.add_noise(1.0, 0.5, key)
        return tx.update(p, tx.init(p))[0]

    got = jax.vmap(noisy)(keys)
    np.testing.assert_allclose(got, [noisy(key) for key in keys], rtol=1e-6)


def test_numbers_within_containers_are_numbers() -> None:
    """Arrays of one number in lists, dictionaries and schedules are such numbers."""
    two = gradtx.constant_schedule(jnp.float32(2))
    tx = gradtx.chain(
        gradtx.scale_by_schedule(gradtx.join_schedules([two, two], [jnp.int32(3)])),
        gradtx.masked(gradtx.sgd(jnp.float32(0.5)), {"w": jnp.array(True)}),  # noqa: FBT003
    )
    assert not any(isinstance(x, jax.Array) for x in jax.tree.leaves(tx))
    assert jax.tree.leaves(tx) == [2, 2, 3, 0.5]
    assert tx == tx.replace(learning_rate=jnp.float32(0.5))
    update = jax.jit(lambda tx, p: tx.update(p, tx.init(p), p)[0])
    np.testing.assert_array_equal(update(tx, {"w": jnp.ones(2)})["w"], [-1, -1])


# --- replace -----------------------------------------------------------------


def test_replace() -> None:
    """An argument is replaced in the value itself, or in the one part that has it."""
    tx = nested()
    assert tx.replace(sync_period=2).recipe.arguments["sync_period"] == 2
    assert tx.replace() == tx
    line = gradtx.chain(gradtx.scale(2.0), gradtx.adam(0.1, b1=0.8))
    other = line.replace(learning_rate=0.2, step_size=3.0)
    assert other == gradtx.chain(gradtx.scale(3.0), gradtx.adam(0.2, b1=0.8))
    assert line == gradtx.chain(gradtx.scale(2.0), gradtx.adam(0.1, b1=0.8))
    named = gradtx.named_chain(("a", gradtx.scale(2.0)))
    assert named.replace(step_size=1.0) == gradtx.named_chain(("a", gradtx.scale(1.0)))
    deeper = gradtx.masked(line, mask=True).replace(b2=0.5)
    assert deeper == gradtx.masked(line.replace(b2=0.5), mask=True)


def test_replace_changes_the_structure_too() -> None:
    """A setting that was None becomes a number and the other way round."""
    assert gradtx.sgd(0.1).replace(momentum=0.9) == gradtx.sgd(0.1, momentum=0.9)
    assert gradtx.sgd(0.1, 0.9).replace(momentum=None) == gradtx.sgd(0.1)
    schedule = gradtx.constant_schedule(0.1)
    tx = gradtx.sgd(0.1).replace(learning_rate=schedule)
    assert tx == gradtx.sgd(schedule)


def test_replace_refuses() -> None:
    """No such argument, several parts that have it, a wrong value: refused by name."""
    pair = gradtx.chain(gradtx.adam(0.1), gradtx.scale(2.0), gradtx.sgd(0.1))
    with pytest.raises(ValueError, match=r"2 parts have an argument 'learning_rate'"):
        pair.replace(learning_rate=0.2)
    with pytest.raises(ValueError, match=r"no part has an argument 'rate'.*step_size"):
        pair.replace(rate=0.2)
    with pytest.raises(ValueError, match=r"adam.*b1 must be in \[0, 1\), got 1.5"):
        pair.replace(b1=1.5)
    by_hand = gradtx.GradientTransformation(*pair)
    with pytest.raises(ValueError, match="not made by a factory"):
        by_hand.replace(b1=0.5)


# --- others' pairs and pairs made by hand ------------------------------------


def test_foreign_parts() -> None:
    """A part of another library is structure: kept, compared by its functions."""
    other = optax.adam(0.1)
    tx = gradtx.chain(other, gradtx.scale(2.0))
    assert jax.tree.leaves(tx) == [2.0]
    assert tx == gradtx.chain(other, gradtx.scale(2.0))
    assert tx != gradtx.chain(optax.adam(0.1), gradtx.scale(2.0))
    assert hash(tx) == hash(gradtx.chain(other, gradtx.scale(2.0)))
    assert tx.replace(step_size=3.0).recipe.arguments["args"][0] == other
    params = jnp.ones(2)
    updates, _ = jax.jit(lambda tx, p: tx.update(p, tx.init(p), p))(tx, params)
    np.testing.assert_allclose(updates, -0.2, rtol=1e-5)


def test_made_by_hand() -> None:
    """A pair made by hand has no leaves, equals itself, and goes through trees."""
    tx = gradtx.GradientTransformation(
        lambda params: (),  # noqa: ARG005
        lambda updates, state, params=None: (updates, state),  # noqa: ARG005
    )
    leaves, treedef = jax.tree.flatten(tx)
    assert leaves == []
    assert treedef.unflatten([]) == tx == copy.deepcopy(tx)
    assert hash(treedef.unflatten([])) == hash(tx)
    assert tx != gradtx.identity()
    assert repr(tx).startswith("GradientTransformation(init=")
    line = gradtx.chain(tx, gradtx.scale(2.0))
    assert line.update(1.0, line.init(1.0), unknown=1)[0] == 2


def test_it_is_a_pair_for_everyone() -> None:
    """It unpacks, has two fields, and makes an optax transformation."""
    tx = nested()
    init, update = tx
    assert isinstance(tx, tuple)
    assert len(tx) == 2
    assert tx._fields == ("init", "update")
    assert optax.GradientTransformation(init, update).init is tx.init
    assert gradtx.with_extra_args_support(tx) is tx
    assert gradtx.GradientTransformationExtraArgs is gradtx.GradientTransformation


def test_it_is_a_static_argument_too() -> None:
    """Hashed and equal, it may be a static argument: an equal one traces nothing."""
    traces = []

    def init(tx: Any, params: Any) -> Any:
        traces.append(tx)
        return tx.init(params)

    jitted = jax.jit(init, static_argnums=0)
    jitted(gradtx.adam(0.1), jnp.ones(2))
    jitted(gradtx.adam(0.1), jnp.ones(2))
    assert len(traces) == 1


def test_own_factories() -> None:
    """A decorated factory makes values, whatever kinds of arguments it has."""

    @gradtx.transformation
    def odd(
        *scales: float,
        flag: bool = False,
        count: int = 2,
        f: Any = jnp.sign,
        **more: float,
    ) -> Any:
        """Multiply by all of it."""
        total = count * (-1 if flag else 1)
        for number in (*scales, *more.values()):
            total = total * number
        return gradtx.stateless(lambda g, _: jax.tree.map(lambda x: total * f(x), g))

    tx = odd(2.0, 3.0, flag=True, extra=0.5)
    assert jax.tree.leaves(tx) == [2.0, 3.0, 0.5]
    assert repr(tx) == "odd(2.0, 3.0, flag=True, extra=0.5)"
    assert tx.update(jnp.float32(7), ())[0] == -6
    assert jax.tree.unflatten(jax.tree.structure(tx), [1.0, 2.0, 3.0]) == odd(
        1.0, 2.0, flag=True, extra=3.0
    )
    assert odd.__doc__ == "Multiply by all of it."
    assert odd.__name__ == "odd"
