"""Transformations for groups of leaves that patterns of paths choose."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx
from gradtx.groups import paths


def model() -> dict:
    """Return parameters with the names of a small transformer."""
    block = {
        "attention": {"query": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}},
        "norm": {"scale": jnp.ones(2)},
    }
    return {
        "embed": {"embedding": jnp.ones((3, 2))},
        "block_0": block,
        "block_1": block,
        "head": {"kernel": jnp.ones((2, 3))},
    }


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a/b", {"a/b", "a/b/c"}),
        ("*/b", {"a/b", "a/b/c", "x/b"}),
        ("**/b", {"a/b", "a/b/c", "x/b", "x/y/b", "b"}),
        ("x/**/b", {"x/b", "x/y/b"}),
        ("x/**", {"x/b", "x/y/b", "x/y/bc"}),
        ("**/b?", {"x/y/bc"}),
        ("**/b[a-c]", {"x/y/bc"}),
        ("**/b[!a-c]", set()),
        ("[", set()),
        (re.compile("b$"), {"a/b", "x/b", "x/y/b", "b"}),
    ],
)
def test_patterns(pattern: paths.Pattern, found: set[str]) -> None:
    """Stars stop at "/", two do not; what names a module names its leaves."""
    every = ["a/b", "a/b/c", "x/b", "x/y/b", "x/y/bc", "b"]
    assert {path for path in every if paths.finds(pattern, path)} == found


def test_every_leaf_goes_to_its_first_pattern() -> None:
    """Steps are those of each group alone; what is frozen does not move."""
    params = model()
    tx = gradtx.by_path(
        {"**/bias": gradtx.sgd(1.0), "block_*": gradtx.sgd(2.0), "embed": None},
        default=gradtx.sgd(3.0),
    )
    grads = jax.tree.map(jnp.ones_like, params)
    updates, _ = jax.jit(tx.update)(grads, tx.init(params), params)
    got = {
        jax.tree_util.keystr(path, simple=True, separator="/"): -float(u.max())
        for path, u in jax.tree_util.tree_leaves_with_path(updates)
    }
    for path, rate in got.items():
        wanted = {"embed": 0, "head/": 3, "block": 2}[path[:5]]
        assert rate == (1 if path.endswith("bias") else wanted)


def test_the_order_of_patterns_stays() -> None:
    """Through a pytree and through `replace` the first still wins."""
    groups = {"z*": gradtx.sgd(1.0), "*": gradtx.sgd(2.0)}
    tx = gradtx.by_path(groups, default=None)
    params = {"za": jnp.ones(1), "b": jnp.ones(1)}
    others = [jax.tree.map(lambda x: x, tx), tx.replace(groups=groups)]
    for other in (tx, *others):
        assert other == tx
        updates, _ = other.update(params, other.init(params), params)
        assert (updates["za"][0], updates["b"][0]) == (-1, -2)


def test_one_clip_around_groups() -> None:
    """A norm around the groups is that of all leaves."""
    params = {"a": jnp.float32([3.0]), "b": jnp.float32([4.0])}
    groups = gradtx.by_path({"a": gradtx.sgd(1.0)}, default=gradtx.sgd(2.0))
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), groups)
    updates, _ = tx.update(params, tx.init(params), params)
    problems.assert_close(updates, {"a": jnp.float32([-0.6]), "b": jnp.float32([-1.6])})


def test_equinox() -> None:
    """Attributes and positions of a module are names, and stay where they are."""
    mlp = eqx.nn.MLP(2, 2, 4, 1, key=jax.random.key(0))
    params = eqx.filter(mlp, eqx.is_inexact_array)
    groups = {"layers/0": None, "**/bias": gradtx.sgd(2.0)}
    tx = gradtx.by_path(groups, default=gradtx.sgd(1.0))
    grads = jax.tree.map(jnp.ones_like, params)
    updates, _ = tx.update(grads, tx.init(params), params)
    assert not updates.layers[0].weight.any()
    assert (updates.layers[1].bias == -2).all()
    assert (updates.layers[1].weight == -1).all()


def test_names_with_slashes_of_haiku() -> None:
    """A key with "/" in it is as many names."""
    params = {"mlp/~/linear_0": {"w": jnp.ones(2), "b": jnp.ones(2)}}
    flags = gradtx.mask_by_path("**/linear_*/w")(params)
    assert flags == {"mlp/~/linear_0": {"w": True, "b": False}}


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        ({"**/kernal": None}, r"'\*\*/kernal'.*head/kernel"),
        ({"embedding": None}, "embed/embedding"),
        ({"**": None, "head": None}, "before 'head'"),
    ],
)
def test_a_pattern_for_nothing_is_refused(groups: dict, match: str) -> None:
    """The closest paths are named, or that others took them all."""
    tx = gradtx.by_path(groups, default=gradtx.sgd(0.1))
    with pytest.raises(ValueError, match=match):
        tx.init(model())
    with pytest.raises(ValueError, match=r"matches nothing: .* one array"):
        gradtx.by_path({"w": None}, default=None).init(jnp.ones(2))


@pytest.mark.parametrize("wrong", [{"": None}, {"default": None}, {3: None}, [3], "ab"])
def test_what_is_no_pattern_is_refused(wrong: object) -> None:
    """Already when the transformation is made."""
    with pytest.raises(ValueError, match=r"by_path: "):
        gradtx.by_path(wrong, default=None)


def test_a_regular_expression_and_a_glob_of_one_text_are_refused() -> None:
    """As their labels would be the same."""
    with pytest.raises(ValueError, match="must differ"):
        gradtx.by_path({"a": None, re.compile("a"): None}, default=None)


def test_masks_by_path_mask() -> None:
    """Any of the patterns makes it True; each must match; equal masks are equal."""
    mask = gradtx.mask_by_path("**/bias", "head")
    assert mask == gradtx.mask_by_path("**/bias", "head")
    assert repr(mask) == "mask_by_path('**/bias', 'head')"
    flags = mask(model())
    assert sum(jax.tree.leaves(flags)) == 3
    assert flags["head"]["kernel"]
    tx = gradtx.chain(gradtx.sgd(1.0), gradtx.freeze(mask))
    updates, _ = tx.update(model(), tx.init(model()), model())
    assert not updates["head"]["kernel"].any()
    assert updates["embed"]["embedding"].all()
    with pytest.raises(ValueError, match=r"no path.*'tail'"):
        gradtx.mask_by_path("head", "tail")(model())


# --- decay ---------------------------------------------------------------------


def test_what_decays() -> None:
    """Kernels and last layers do; biases, norms, vectors, embeddings do not."""
    params = model()
    flags = gradtx.decay_mask(params)
    decays = {path for path, x in zip(*_named(flags), strict=True) if x}
    kernel = "attention/query/kernel"
    assert decays == {f"block_0/{kernel}", f"block_1/{kernel}", "head/kernel"}
    assert gradtx.decay_mask(params, embeddings=True)["embed"]["embedding"]
    others = {"bias": jnp.ones((4, 8)), "gain": jnp.ones(3), "n": jnp.arange(4)}
    others |= {"temperature": 1.0, "none": None}
    assert not any(jax.tree.leaves(gradtx.decay_mask(others)))


def test_what_decays_in_a_module() -> None:
    """The class of a module tells that its weight is a norm's."""
    keys = jax.random.split(jax.random.key(0))
    layers = [eqx.nn.Linear(2, 2, key=keys[0]), eqx.nn.LayerNorm((3, 2))]
    params = eqx.filter(layers, eqx.is_inexact_array)
    for before in ({}, gradtx.MaskedNode()):  # what holds no array counts for none
        _, *flags = gradtx.decay_mask([before, *params])
        assert (flags[0].weight, flags[0].bias) == (True, False)
        assert (flags[1].weight, flags[1].bias) == (False, False)


def test_the_mask_of_what_decays_is_given_as_it_is() -> None:
    """An optimizer takes the function."""
    tx = gradtx.adamw(1.0, weight_decay=0.5, mask=gradtx.decay_mask)
    params = model()
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(zero, tx.init(params), params)
    assert (updates["head"]["kernel"] == -0.5).all()
    assert not updates["embed"]["embedding"].any()


def _named(tree: object) -> tuple[list[str], list[object]]:
    return paths.paths_of(tree)[0], jax.tree.leaves(tree)


# --- layers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "depth",
    [
        None,
        {"embed": 0, "block_0": 1, "block_1": 2, "**": 3},
        lambda path: {"embed": 0, "block_0": 1, "block_1": 2}.get(
            path.split("/")[0], 3
        ),
    ],
)
def test_layers_learn_the_slower_the_lower(depth: object) -> None:
    """Updates are multiplied by powers of the rate, whichever way depths are told."""
    params = model()
    tx = gradtx.layer_decay(gradtx.sgd(1.0), 0.5, depth=depth)
    step = jax.jit(lambda tx: tx.update(params, tx.init(params), params)[0])
    updates = step(tx)
    for name, power in {"embed": 3, "block_0": 2, "block_1": 1, "head": 0}.items():
        for u in jax.tree.leaves(updates[name]):
            np.testing.assert_allclose(u, -(0.5**power))


def test_layers_of_haiku() -> None:
    """The first of several has no number, and is the lowest."""
    names = ("net/linear", "net/linear_1", "net/linear_2", "net/out")
    params = {name: {"w": jnp.ones(1)} for name in names}
    tx = gradtx.layer_decay(gradtx.sgd(1.0), 0.5)
    updates, _ = tx.update(params, tx.init(params), params)
    assert [-float(updates[k]["w"][0]) for k in names] == [0.125, 0.25, 0.5, 1]


def test_layer_decay_keeps_types_and_none() -> None:
    """Half precision stays, and a gradient of None stays None."""
    params = {"h0": jnp.ones(2, jnp.bfloat16), "h1": jnp.ones(2), "h2": jnp.ones(1)}
    tx = gradtx.layer_decay(gradtx.sgd(1.0), 0.5)
    updates, _ = tx.update({**params, "h2": None}, tx.init(params), params)
    assert updates["h0"].dtype == jnp.bfloat16
    assert updates["h2"] is None
    assert updates["h1"][0] == -0.5


@pytest.mark.parametrize(
    ("depth", "match"),
    [
        (None, "no numbered layers"),
        ({"a": 0}, "no pattern of depth matches 'b'"),
        (lambda _: 0.5, "whole number"),
    ],
)
def test_depths_that_cannot_be_told_are_refused(depth: object, match: str) -> None:
    """With what to give."""
    params = {"a": jnp.ones(1), "b": jnp.ones(1)}
    tx = gradtx.layer_decay(gradtx.sgd(1.0), 0.5, depth=depth)
    with pytest.raises(ValueError, match=match):
        tx.update(params, tx.init(params), params)


def test_two_stacks_of_layers_are_refused() -> None:
    """An encoder and a decoder of as many layers need depths that are given."""
    stack = {f"h{i}": jnp.ones(1) for i in range(2)}
    params = {"encoder": stack, "decoder": stack}
    tx = gradtx.layer_decay(gradtx.sgd(1.0), 0.5)
    with pytest.raises(ValueError, match="'decoder/h', 'encoder/h'"):
        tx.update(params, tx.init(params), params)


def test_layer_decay_refuses_what_must_see_the_final_update() -> None:
    """And goes within Schedule-Free, to the optimizer that makes the steps."""
    fast = gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5)
    with pytest.raises(ValueError, match="lookahead"):
        gradtx.layer_decay(fast, 0.5)
    params = {"h0": jnp.ones(1), "h1": jnp.ones(1), "head": jnp.ones(1)}
    tx = gradtx.layer_decay(gradtx.schedule_free_sgd(0.5), 0.5)
    _, state = tx.update(params, tx.init(params), params)
    z = gradtx.tree.get(state, "z")
    problems.assert_close(
        z,
        {
            "h0": jnp.float32([0.875]),
            "h1": jnp.float32([0.75]),
            "head": jnp.float32([0.5]),
        },
    )
