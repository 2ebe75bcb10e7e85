"""Small leaves in one vector: the same steps, bit for bit, in a smaller program."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest

import gradtx
from gradtx.wrappers.small_leaves import PackedLeaves

BELOW = 20


def tree() -> Any:
    """Return parameters of several types, small ones and large ones, and gaps."""
    key = iter(jax.random.split(jax.random.key(0), 9))
    normal = jax.random.normal
    return {
        "large": normal(next(key), (5, 6)),
        "bias": [normal(next(key), (n,)) for n in (3, 4, 3)],
        "half": [normal(next(key), (2, 2), jnp.bfloat16) for _ in range(2)],
        "alone": normal(next(key), (3,), jnp.float16),
        "scalar": normal(next(key), ()),
        "empty": jnp.zeros((0, 2)),
        "none": None,
        "masked": gradtx.MaskedNode(),
    }


def same(got: Any, expected: Any) -> None:
    """Compare two trees bit for bit, with their types."""
    assert problems.shapes(got) == problems.shapes(expected)
    jax.tree.map(np.testing.assert_array_equal, got, expected)


@pytest.mark.parametrize(
    "inner",
    [
        gradtx.adamw(0.1, weight_decay=0.1),
        gradtx.lion(gradtx.linear_schedule(0.1, 0.2, 5)),
        gradtx.sgd(0.1, momentum=0.9, nesterov=True),
        gradtx.chain(gradtx.clip(0.5), gradtx.adagrad(0.1)),
    ],
    ids=["adamw", "lion", "sgd", "clipped adagrad"],
)
@pytest.mark.one_in(6)
def test_steps_are_those_of_the_leaves_apart(inner: Any) -> None:
    """What works entry by entry makes the same updates, and state, bit for bit."""
    tx, params = gradtx.pack_small_leaves(inner, BELOW), tree()
    state, plain = tx.init(params), inner.init(params)
    step, expected = jax.jit(tx.update), jax.jit(inner.update)
    for _ in range(3):
        updates, state = step(params, state, params)
        wanted, plain = expected(params, plain, params)
        # Compilers for CPUs join other products with sums where there is one entry.
        np.testing.assert_allclose(updates.pop("scalar"), wanted.pop("scalar"), 1e-6)
        same(updates, wanted)
        updates["scalar"] = params["scalar"]
        params = gradtx.apply_updates(params, updates)
    sizes = [sum(x.size for x in jax.tree.leaves(s)) for s in (state, plain)]
    assert sizes[0] == sizes[1]


def test_state_of_small_leaves_is_kept_together() -> None:
    """A vector for each type that has two small leaves; the others stay as they are."""
    state = gradtx.pack_small_leaves(gradtx.adam(0.1), BELOW).init(tree())
    mu = gradtx.tree.get(state, "mu")
    assert isinstance(mu, PackedLeaves)
    assert {k: x.shape for k, x in mu.small.items()} == {
        "float32": (11,),
        "bfloat16": (8,),
    }
    left = {k for k, x in mu.rest.items() if jax.tree.leaves(x)}
    assert left == {"large", "alone", "empty"}


def test_missing_gradients() -> None:
    """A small leaf without a gradient stands still, the others move."""
    params = {"a": jnp.ones(2), "b": jnp.ones(3), "c": jnp.ones(30)}
    tx = gradtx.pack_small_leaves(gradtx.adam(0.1), BELOW)
    grads = {"a": jnp.ones(2), "b": None, "c": None}
    updates, _ = tx.update(grads, tx.init(params), params)
    assert updates["b"] is updates["c"] is None
    np.testing.assert_allclose(updates["a"], [-0.1, -0.1], rtol=1e-5)


def test_trees_without_small_leaves() -> None:
    """Nothing is packed, and nothing fails."""
    for params in ({}, {"a": jnp.ones(1), "b": jnp.ones(30)}, jnp.ones(3)):
        tx = gradtx.pack_small_leaves(gradtx.sgd(1.0), BELOW)
        updates, _ = tx.update(params, tx.init(params), params)
        jax.tree.map(lambda u: np.testing.assert_array_equal(u, -1), updates)


def test_masks_around_it() -> None:
    """Masked leaves are in no vector and pass as they are."""
    params = tree()
    flags = {**jax.tree.map(lambda _: True, params), "bias": [True, False, True]}
    outer = gradtx.masked(gradtx.pack_small_leaves(gradtx.sgd(1.0), BELOW), flags)
    updates, _ = outer.update(params, outer.init(params), params)
    same(updates["bias"][1], params["bias"][1])
    same(updates["bias"][2], -params["bias"][2])


def test_averaged_weights_are_found() -> None:
    """`eval_params` lays the slow weights out as the parameters are."""
    params = tree()
    tx = gradtx.pack_small_leaves(gradtx.lookahead(gradtx.sgd(0.1), 5, 0.5), BELOW)
    state = tx.init(params)
    updates, state = tx.update(params, state, params)
    moved = gradtx.apply_updates(params, updates)
    same(gradtx.eval_params(state, moved), params)


def test_donated_steps_of_many_models() -> None:
    """Under `vmap` each model takes its own steps; donated state is used again."""
    tx = gradtx.pack_small_leaves(gradtx.adam(0.1), BELOW)
    one = {"a": jnp.ones(2), "b": jnp.arange(3.0)}
    many = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), one)

    def step(params: Any, state: Any) -> Any:
        updates, state = tx.update(params, state, params)
        return gradtx.apply_updates(params, updates), state

    expected = jax.tree.map(lambda x: x[1], many)
    expected, _ = jax.jit(step)(expected, tx.init(expected))
    run = gradtx.jit_step(jax.vmap(step))
    got, state = run(many, jax.vmap(tx.init)(many))
    same(jax.tree.map(lambda x: x[1], got), expected)
    run(got, state)


def test_gradients_pass_through() -> None:
    """The derivative of an update by its gradient is the inner one's."""
    tx = gradtx.pack_small_leaves(gradtx.scale(3.0), BELOW)
    grads = {"a": jnp.ones(2), "b": jnp.ones(3)}

    def total(grads: Any) -> Any:
        return sum(x.sum() for x in jax.tree.leaves(tx.update(grads, tx.init(grads))))

    got = jax.grad(total)(grads)
    jax.tree.map(lambda x: np.testing.assert_array_equal(x, 3), got)


def test_shapes_suffice_and_checkpoints_fit() -> None:
    """A state made of shapes has the structure that a saved one comes back into."""
    params = tree()
    tx = gradtx.pack_small_leaves(gradtx.adam(0.1), BELOW)
    state = tx.init(params)
    shapes = tx.init(jax.eval_shape(lambda: params))
    assert jax.tree.structure(shapes) == jax.tree.structure(state)
    assert problems.shapes(shapes) == problems.shapes(state)


def test_inside_of_optax() -> None:
    """It is a link of optax's chain, and holds optax's transformations."""
    params = {"a": jnp.ones(2), "b": jnp.ones(3), "c": jnp.ones(30)}
    tx = optax.chain(gradtx.pack_small_leaves(optax.adam(0.1), BELOW), optax.scale(1.0))
    updates, _ = tx.update(params, tx.init(params), params)
    expected, _ = optax.adam(0.1).update(params, optax.adam(0.1).init(params), params)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, 1e-6), updates, expected)


def test_refusals() -> None:
    """A threshold that is no count, and other shapes are refused."""
    with pytest.raises(ValueError, match="below must be a whole number"):
        gradtx.pack_small_leaves(gradtx.sgd(0.1), 0)
    tx = gradtx.pack_small_leaves(gradtx.sgd(0.1), BELOW)
    params = {"a": jnp.ones(2), "b": jnp.ones(3)}
    with pytest.raises(ValueError, match=r"\['a'\] has shape \(3,\)"):
        tx.update({"a": jnp.ones(3), "b": jnp.ones(3)}, tx.init(params), params)


def test_leaves_spread_by_their_type_stay_apart() -> None:
    """On a mesh with explicit axes only leaves that lie whole everywhere are packed."""
    over = problems.mesh(jax.sharding.AxisType.Explicit)
    spec = jax.sharding.PartitionSpec

    def on(x: jax.Array, *axes: Any) -> jax.Array:
        return jax.device_put(x, jax.NamedSharding(over, spec(*axes)))

    params = {
        "a": on(jnp.ones(2)),
        "b": on(jnp.ones(3)),
        "spread": on(jnp.ones(8), over.axis_names[0]),
    }
    tx = gradtx.pack_small_leaves(gradtx.adam(0.1), BELOW)
    with jax.set_mesh(over):
        state = jax.jit(tx.init)(params)
        assert state.inner_state[0].mu.small["float32"].shape == (5,)
        updates, state = jax.jit(tx.update)(params, state, params)
    for u, p in zip(jax.tree.leaves(updates), jax.tree.leaves(params), strict=True):
        assert u.sharding.is_equivalent_to(p.sharding, u.ndim)
        np.testing.assert_allclose(u, -0.1, rtol=1e-5)
