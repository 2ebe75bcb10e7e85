"""Adam-mini: which entries share a second moment, and what follows from it."""

from typing import Any

import jax
import jax.numpy as jnp
import problems
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import gradtx
from gradtx import MiniBlocks


def model() -> Any:
    """Return the shapes of a small transformer in the layout of Flax."""
    attention = {"query": (8, 2, 4), "key": (8, 2, 4), "value": (8, 2, 4)}
    shapes = {
        "embed": {"embedding": (11, 8)},
        "attention": {
            **{name: {"kernel": shape} for name, shape in attention.items()},
            "out": {"kernel": (2, 4, 8)},
        },
        "mlp": {"up": {"kernel": (8, 16), "bias": (16,)}},
        "norm": {"scale": (8,)},
        "conv": {"kernel": (3, 3, 2, 5)},
        "head": {"kernel": (8, 11)},
    }
    return jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32),
        shapes,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def test_blocks_by_path() -> None:
    """Rows of embeddings, heads of queries and keys, outputs of others, whole norms."""
    found = gradtx.mini_blocks(model())
    assert found["embed"]["embedding"] == MiniBlocks((0,))
    attention = found["attention"]
    assert (
        attention["query"]["kernel"] == attention["key"]["kernel"] == MiniBlocks((1,))
    )
    assert attention["value"]["kernel"] == MiniBlocks((1, 2))
    assert attention["out"]["kernel"] == MiniBlocks((2,))
    assert found["mlp"]["up"] == {"kernel": MiniBlocks((1,)), "bias": MiniBlocks((0,))}
    assert found["norm"]["scale"] == MiniBlocks()
    assert found["conv"]["kernel"] == MiniBlocks((3,))
    assert found["head"]["kernel"] == MiniBlocks((1,))


def test_heads_of_two_axes() -> None:
    """They are as many as one says, for queries and keys apart, and asked for."""
    layer = {name: {"kernel": jnp.ones((8, 8))} for name in ("q_proj", "k_proj")}
    params = {"attn": layer}
    with pytest.raises(ValueError, match=r"key at attn/k_proj/kernel.*num_heads"):
        gradtx.adam_mini(0.1).init(params)
    tx = gradtx.scale_by_adam_mini(num_heads=4, num_kv_heads=2)
    nu = tx.init(params).nu["attn"]
    assert nu["q_proj"]["kernel"].shape == (1, 4)
    assert nu["k_proj"]["kernel"].shape == (1, 2)


def test_overrides_and_what_is_refused() -> None:
    """An expression replaces what paths say; what cannot be cut so is refused."""
    found = gradtx.mini_blocks(model(), overrides={"mlp/up": MiniBlocks()})
    assert found["mlp"]["up"]["kernel"] == MiniBlocks()
    with pytest.raises(ValueError, match=r"no path.*'lacking'"):
        gradtx.mini_blocks(model(), overrides={"lacking": MiniBlocks()})
    params = {"w": jnp.ones((4, 6))}
    for wrong in (MiniBlocks(2), MiniBlocks(0, 3), MiniBlocks((0, 1), 2)):
        with pytest.raises(ValueError, match=r"\['w'\] of shape \(4, 6\)"):
            gradtx.adam_mini(0.1, blocks=wrong).init(params)
    with pytest.raises(ValueError, match="MiniBlocks, got 3"):
        gradtx.adam_mini(0.1, blocks={"w": 3}).init(params)


def test_blocks_of_one_entry_are_adam() -> None:
    """The updates are then Adam's."""
    params = {"w": jnp.ones((4, 6), jnp.bfloat16), "s": jnp.ones(())}
    blocks = {"w": MiniBlocks((0, 1)), "s": MiniBlocks()}
    mini, adam = gradtx.scale_by_adam_mini(blocks=blocks), gradtx.scale_by_adam()
    states = mini.init(params), adam.init(params)
    for t in range(2):
        grads = problems.noise(params, t)
        u, mine = mini.update(grads, states[0], params)
        v, other = adam.update(grads, states[1], params)
        problems.assert_close(u, v)
        problems.assert_close(tuple(mine), tuple(other))
        states = mine, other


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.one_in(2)
def test_heads_that_are_spread_over_devices(kind: AxisType) -> None:
    """Means over heads whose axis is sharded are those of the whole array."""
    over = problems.mesh(kind)
    (axis, *_) = over.axis_names
    whole = {"w": problems.noise({"w": jnp.ones((4, 16))}, 0)["w"]}
    tx = gradtx.scale_by_adam_mini(blocks=MiniBlocks(1, 8))
    expected, _ = tx.update(whole, tx.init(whole), whole)
    place = NamedSharding(over, PartitionSpec(None, axis))
    with jax.set_mesh(over):
        params = jax.device_put(whole, place)
        state = jax.jit(tx.init)(params)
        u, _ = jax.jit(tx.update)(params, state, params)
    problems.assert_close(jax.device_get(u), expected)
