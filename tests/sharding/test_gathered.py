"""Methods that see whole arrays, within shard_map over shards of them."""

import warnings
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import gradtx
from gradtx import contrib
from gradtx.sharding import ShardWarning, gathered

AXES, STEPS = ("a", "b"), 2
LAYOUT = {"rows": P("a"), "columns": P(None, "b"), "both": P("b", "a"), "bias": P(AXES)}
SHAPES = {"rows": (8, 4), "columns": (8, 4), "both": (4, 8), "bias": (8,)}
METHODS = {
    "muon": contrib.muon(0.1),
    "soap": gradtx.soap(0.1, precondition_frequency=1),
    "shampoo": gradtx.shampoo(0.1, b2=0.9, eps=1e-2, target_dims=None),
    "psgd_kron": gradtx.psgd_kron(0.1),
    "dion": gradtx.dion(0.1, rank=2),
    "scion": gradtx.scion(0.1),
    "splus": gradtx.splus(0.1),
    "galore": contrib.galore(0.1, rank=2),
    "adafactor": gradtx.adafactor(0.1, min_dim_size_to_factor=2),
}


def mesh() -> Any:
    """Return a mesh of two axes."""
    return jax.make_mesh((4, 2), AXES, axis_types=(AxisType.Auto,) * 2)


def tree(seed: int = 3) -> Any:
    """Return arrays that are to be cut along one axis, along two, and over two axes."""
    return problems.noise({k: jnp.zeros(s) for k, s in SHAPES.items()}, seed)


def steps(tx: Any, grads: list[Any], params: Any, state: Any = None) -> Any:
    """Take steps, from a state or from the first, and return parameters and state."""
    state = tx.init(params) if state is None else state
    for g in grads:
        updates, state = tx.update(g, state, params)
        params = gradtx.apply_updates(params, updates)
    return params, state


def specs_of(state: Any) -> Any:
    """Return how a state is cut: what is shaped as its parameter, as that is."""

    def one(path: Any, x: Any) -> P:
        name = getattr(path[-1], "key", None)
        return LAYOUT[name] if x.shape == SHAPES.get(name) else P()

    return jax.tree_util.tree_map_with_path(one, state)


@pytest.mark.parametrize("tx", METHODS.values(), ids=METHODS)
@pytest.mark.one_in(9)
def test_shards_take_the_steps_of_whole_arrays(tx: Any) -> None:
    """From a state made within `shard_map` or outside; it is in parts, and the same.

    What is not in parts is the same on all devices by its type, so it can be returned.
    """
    whole, grads = tree(), [tree(t) for t in range(STEPS)]
    expected = jax.jit(partial(steps, tx))(grads, whole)
    kept, within = specs_of(expected[1]), gathered(tx, LAYOUT)
    over = partial(jax.shard_map, mesh=mesh(), out_specs=(LAYOUT, kept))
    run, cut = partial(steps, within), [LAYOUT] * STEPS
    first = jax.jit(over(run, in_specs=(cut, LAYOUT)))(grads, whole)
    outside = jax.jit(within.init)(whole)
    second = jax.jit(over(run, in_specs=(cut, LAYOUT, kept)))(grads, whole, outside)
    for found in (first, second):
        problems.assert_close(jax.device_get(found), jax.device_get(expected), 1e-4)


def test_a_slot_is_kept_in_parts_by_the_shape_of_the_whole() -> None:
    """Not by that of a part: a number for a leaf is not taken for its only entry."""
    params, grads = {"bias": jnp.arange(8.0)}, {"bias": jnp.ones(8)}
    layout, tx = {"bias": P(AXES)}, gradtx.adafactor(0.1, momentum=0.9)
    expected = jax.jit(partial(steps, tx, [grads]))(params)
    f = partial(steps, gathered(tx, layout))
    kept = jax.tree.map(lambda x: P(AXES) if x.shape == (8,) else P(), expected[1])
    mapped = jax.shard_map(
        lambda g, p: f([g], p),
        mesh=mesh(),
        in_specs=(layout, layout),
        out_specs=(layout, kept),
    )
    problems.assert_close(jax.device_get(jax.jit(mapped)(grads, params)), expected)


@pytest.mark.parametrize("name", ["muon", "soap", "galore"])
def test_a_method_says_that_it_sees_shards(name: str) -> None:
    """It names a leaf and the axis; not where whole, and not where one has told it."""
    params = {"w": tree()["rows"]}

    def run(tx: Any, spec: P) -> Any:
        step = jax.shard_map(
            lambda p: steps(tx, [p], p)[0], mesh=mesh(), in_specs=spec, out_specs=spec
        )
        return jax.eval_shape(step, params)

    tx = METHODS[name]
    with pytest.warns(ShardWarning, match=r"\['w'\].*'a'.*gathered") as seen:
        run(tx, P("a"))
    assert len(seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(tx, P())
        run(gathered(tx, P("a")), P("a"))
        run(gathered(tx, P()), P("a"))  # matrices of a device's own, as in local SGD
        jax.eval_shape(lambda p: steps(tx, [p], p), params)


def test_an_axis_of_the_compiler_is_left_to_it() -> None:
    """Where only one axis is manual, a layout may name the other one too."""
    over, tx = mesh(), contrib.muon(0.1)
    params = {"both": tree()["both"]}
    laid = jax.device_put(params, NamedSharding(over, P("b", "a")))
    f = partial(steps, gathered(tx, P("b", "a")))
    mapped = jax.shard_map(
        lambda p: f([p], p)[0],
        mesh=over,
        in_specs=P("b"),
        out_specs=P("b"),
        axis_names={"b"},
    )
    expected = jax.jit(lambda p: steps(tx, [p], p)[0])(params)
    problems.assert_close(jax.device_get(jax.jit(mapped)(laid)), expected, 1e-4)


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ({"v": P("a")}, "does not fit"),
        (P("a", None, "b"), r"more axes than the 2 .*\['w'\]"),
        (P("c"), "no axis 'c'"),
    ],
)
def test_it_says_what_does_not_fit(layout: Any, said: str) -> None:
    """A layout for another tree, for more axes, or over an axis that is not there."""
    tx = gathered(contrib.muon(0.1), layout)
    mapped = jax.shard_map(tx.init, mesh=mesh(), in_specs=P("a"), out_specs=P())
    with pytest.raises(ValueError, match=said):
        mapped({"w": jnp.ones((8, 4))})


def test_it_is_a_value() -> None:
    """It prints with its layout, and its parts can be changed."""
    tx = gathered(contrib.muon(0.1), {"w": P("a")})
    assert tx.replace(learning_rate=0.2) == gathered(contrib.muon(0.2), {"w": P("a")})
    assert np.shape(jax.tree.leaves(tx)[0]) == ()
