"""Norms over all devices within shard_map, where each sees its own part."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import gradtx

KINDS = [AxisType.Auto, AxisType.Explicit]
WHOLE = P()
SPECS = {"cut": P("a"), "twice": P(("a", "b")), "whole": P(), "other": P("b")}


def tree(size: float = 1.0) -> Any:
    """Return leaves that are to lie over one axis, over both, and over none."""
    shapes = {"cut": (4, 3), "twice": (8,), "whole": (5,), "other": (6, 2)}
    return problems.noise({k: jnp.zeros(s) for k, s in shapes.items()}, 3, size)


def within(f: Any, over: Any, out_specs: Any = WHOLE) -> Any:
    """Return f, called by every device with its own part of the tree."""
    mapped = jax.shard_map(f, mesh=over, in_specs=(SPECS,), out_specs=out_specs)
    return jax.jit(mapped)


def mesh(kind: AxisType = AxisType.Auto) -> Any:
    """Return a mesh of two axes."""
    return jax.make_mesh((4, 2), ("a", "b"), axis_types=(kind,) * 2)


@pytest.mark.parametrize("ord", [None, 1, "inf"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.one_in(2)
def test_a_norm_is_that_of_the_whole_tree(kind: AxisType, ord: Any) -> None:  # noqa: A002
    """What is in parts is summed over devices, and what each has whole counts once."""
    whole = tree()
    flat = np.concatenate([np.ravel(x) for x in jax.tree.leaves(whole)])
    expected = np.linalg.norm(flat.astype(np.float64), {"inf": np.inf}.get(ord, ord))
    f = partial(gradtx.tree.norm, ord=ord, axis_name=("a", "b"))
    over = mesh(kind)
    with jax.set_mesh(over):
        laid = {
            k: jax.device_put(x, NamedSharding(over, SPECS[k]))
            for k, x in whole.items()
        }
        found = within(f, over)(laid)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_no_square_overflows_or_vanishes(size: float) -> None:
    """Also where some devices hold zeros, and the others what squares cannot hold."""
    over, whole = mesh(), tree(size)
    whole["cut"] = whole["cut"].at[1:].set(0)
    whole["other"] = 0 * whole["other"]
    flat = np.concatenate([np.ravel(x) for x in jax.tree.leaves(whole)])
    found = within(partial(gradtx.tree.norm, axis_name=("a", "b")), over)(whole)
    np.testing.assert_allclose(
        found, np.linalg.norm(flat.astype(np.float64)), rtol=1e-6
    )


@pytest.mark.parametrize(("entry", "norm"), [(jnp.inf, np.inf), (jnp.nan, np.nan)])
def test_what_is_not_finite_stays(entry: float, norm: float) -> None:
    """Infinity on one device, beside a number too large to square, is infinity."""
    over, whole = mesh(), tree(1e30)
    whole["cut"] = whole["cut"].at[0, 0].set(entry)
    found = within(partial(gradtx.tree.norm, axis_name=("a", "b")), over)(whole)
    np.testing.assert_array_equal(found, norm)


def test_a_norm_along_one_axis_is_each_row_s_own() -> None:
    """What varies along another axis too is summed over the named one only."""
    over, whole = mesh(), tree()
    f = partial(gradtx.tree.norm, axis_name="a", squared=True)
    found = within(lambda t: f(t)[None], over, P("b"))(whole)
    square = {k: np.square(np.asarray(x, np.float64)) for k, x in whole.items()}
    both = square["cut"].sum() + square["whole"].sum()
    rows = [
        both
        + square["twice"].reshape(4, 2)[:, i].sum()
        + square["other"].reshape(2, 3, 2)[i].sum()
        for i in range(2)
    ]
    np.testing.assert_allclose(found, rows, rtol=1e-6)


def test_the_slope_is_that_of_the_whole_tree() -> None:
    """The derivative of the norm is x / ‖x‖ on every device."""
    over, whole = mesh(), tree()
    f = within(jax.grad(partial(gradtx.tree.norm, axis_name=("a", "b"))), over, SPECS)
    length = gradtx.tree.norm(whole)
    problems.assert_close(
        jax.device_get(f(whole)), jax.tree.map(lambda x: x / length, whole)
    )


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_sum_and_a_product_are_those_of_the_whole_trees(kind: AxisType) -> None:
    """What is in parts is summed over devices, and what each has whole counts once."""
    over, whole = mesh(kind), tree()
    names = ("a", "b")

    def numbers(x: Any, axis_name: Any = None) -> Any:
        total = gradtx.tree.sum(x, axis_name=axis_name)
        pairs = gradtx.tree.sum(x, associative_reduction=True, axis_name=axis_name)
        return total, pairs, gradtx.tree.vdot(x, x, axis_name=axis_name)

    with jax.set_mesh(over):
        laid = {
            k: jax.device_put(x, NamedSharding(over, SPECS[k]))
            for k, x in whole.items()
        }
        found = within(partial(numbers, axis_name=names), over)(laid)
    np.testing.assert_allclose(found, numbers(whole), rtol=1e-5)


@pytest.mark.parametrize("size", [1.0, 1e30])
@pytest.mark.one_in(2)
def test_clipping_bounds_the_norm_of_all(size: float) -> None:
    """Every device scales its part by the one norm, as one device clips them all."""
    over, whole = mesh(), tree(size)
    tx = gradtx.clip_by_global_norm(0.7, axis_name=("a", "b"))
    clipped = within(lambda g: tx.update(g, tx.init(g))[0], over, SPECS)(whole)
    alone = gradtx.clip_by_global_norm(0.7)
    expected, _ = alone.update(whole, alone.init(whole))
    problems.assert_close(jax.device_get(clipped), jax.device_get(expected))
    assert not np.allclose(clipped["whole"], whole["whole"])


EXAMPLES = {k: P(None, *spec) for k, spec in SPECS.items()}


def examples(size: float) -> Any:
    """Return the gradients of three examples, of different lengths."""
    found = [jax.tree.map(lambda x, i=i: i * x, tree(size)) for i in (1, 2, 3)]
    return jax.tree.map(lambda *x: jnp.stack(x), *found)


@pytest.mark.parametrize("size", [1.0, 1e30])
@pytest.mark.parametrize(
    "clip",
    [
        gradtx.per_example_global_norm_clip,
        gradtx.per_example_layer_norm_clip,
        partial(gradtx.per_example_layer_norm_clip, uniform=False),
    ],
)
@pytest.mark.one_in(6)
def test_every_example_is_bounded_by_its_norm_on_all_devices(
    clip: Any, size: float
) -> None:
    """Sums over the examples, and how many were bounded, are those of one device."""
    whole, bound = examples(size), 1.5 * float(gradtx.tree.norm(tree(size)))
    sums, counts = clip(whole, bound)
    lay = (SPECS, jax.tree.map(lambda _: WHOLE, counts))
    shared = jax.shard_map(
        lambda g: clip(g, bound, axis_name=("a", "b")),
        mesh=mesh(),
        in_specs=(EXAMPLES,),
        out_specs=lay,
    )
    found = jax.device_get(jax.jit(shared)(whole))
    problems.assert_close(found, jax.device_get((sums, counts)), 1e-5)


@pytest.mark.exhaustive
def test_private_steps_are_those_of_whole_arrays_and_no_noise_is_there_twice() -> None:
    """Without noise they are the same; with it every part of an array has its own."""
    whole, bound = examples(1.0), 1.5 * float(gradtx.tree.norm(tree()))

    def run(sigma: float, g: Any) -> Any:
        tx = gradtx.contrib.dpsgd(1.0, bound, sigma, axis_name=("a", "b"))
        return tx.update(g, tx.init(g))[0]

    def parts(sigma: float, g: Any) -> Any:
        mapped = jax.shard_map(
            partial(run, sigma), mesh=mesh(), in_specs=(EXAMPLES,), out_specs=SPECS
        )
        return jax.device_get(jax.jit(mapped)(g))

    alone = gradtx.contrib.dpsgd(1.0, bound, 0.0)
    expected, _ = alone.update(whole, alone.init(whole))
    problems.assert_close(parts(0.0, whole), jax.device_get(expected))
    noise = parts(1.0, jax.tree.map(jnp.zeros_like, whole))
    for x in jax.tree.leaves(noise):
        assert len(np.unique(x)) == x.size


def test_noise_of_parts_differs() -> None:
    """A leaf in parts has noise of its own on every device, one that is whole one."""
    tx, zero = gradtx.add_noise(1.0, 0.5), jax.tree.map(jnp.zeros_like, tree())
    found = within(lambda g: tx.update(g, tx.init(g))[0], mesh(), SPECS)(zero)
    for x in jax.tree.leaves(jax.device_get(found)):
        assert len(np.unique(x)) == x.size


def test_metrics_count_the_clipping_of_all() -> None:
    """A watched clipping link judges by the norm over devices."""
    over, whole = mesh(), tree()
    length = float(gradtx.tree.norm(whole))
    for bound, happens in ((0.99 * length, True), (1.01 * length, False)):
        tx = gradtx.with_metrics(gradtx.clip_by_global_norm(bound, ("a", "b")))

        def run(g: Any, tx: Any = tx) -> Any:
            state = tx.update(g, tx.init(g), g)[1]
            return jax.lax.pmax(
                jnp.asarray(gradtx.metrics(state)["clipped_share"], jnp.float32),
                ("a", "b"),
            )

        assert bool(within(run, over)(whole)) is happens


def test_it_says_where_it_cannot_tell() -> None:
    """Without such an axis, and without types that tell what varies, it is refused."""
    over, tx = mesh(), gradtx.clip_by_global_norm(1.0, axis_name="a")
    with pytest.raises(ValueError, match=r"clip_by_global_norm.*no axis 'a' here"):
        tx.update({"w": jnp.ones(3)}, tx.init({}))
    unchecked = jax.shard_map(
        lambda g: tx.update(g, tx.init(g))[0],
        mesh=over,
        in_specs=P("a"),
        out_specs=P("a"),
        check_vma=False,
    )
    with pytest.raises(ValueError, match="check_vma=True"):
        unchecked(jnp.ones(8))
