"""A user's own classes are trees like any other, whatever their fields are called."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx
from gradtx import contrib


class Ways(NamedTuple):
    """Parameters under names that mean something in states."""

    fast: Any
    slow: Any


class Layer(NamedTuple):
    """More of them."""

    z: Any
    b1: Any
    trace: Any
    mu: Any
    nu: Any
    ready: Any


def params_of(kind: type) -> Any:
    """Return parameters of a class: in every field an array."""
    return kind(*(jnp.arange(1.0, 3.0) + i for i in range(len(kind._fields))))


METHODS = {
    "lookahead": lambda: gradtx.lookahead(gradtx.sgd(0.1, momentum=0.9), 2, 0.5),
    "pullback": lambda: gradtx.like.authors.Lookahead(
        gradtx.sgd(0.1, momentum=0.9), 2, 0.5, pullback_momentum="pullback"
    ),
    "schedule_free": lambda: gradtx.schedule_free(gradtx.sgd(0.1), 0.1),
    "quantized": lambda: gradtx.quantize_state(gradtx.adam(0.1), min_size=0),
    "muon": lambda: contrib.muon(0.1),
    "sam": lambda: contrib.sam(gradtx.sgd(0.1), gradtx.sgd(0.1)),
    "packed": lambda: gradtx.pack_small_leaves(gradtx.lookahead(gradtx.sgd(1), 2, 0.5)),
}


@pytest.mark.parametrize("kind", [Ways, Layer])
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.one_in(12)
def test_the_names_of_fields_do_not_matter(name: str, kind: type) -> None:
    """Steps, averages and maps over the state are those of the same tree as a list."""
    ends = []
    for params in (params_of(kind), list(params_of(kind))):
        tx, p = METHODS[name](), params
        state = tx.init(p)
        for t in range(3):
            grads = jax.tree.unflatten(
                jax.tree.structure(p), problems.noise(jax.tree.leaves(p), t)
            )
            u, state = tx.update(grads, state, p)
            p = gradtx.apply_updates(p, u)
        found = gradtx.eval_params(state, p)
        assert jax.tree.structure(found) == jax.tree.structure(params)
        if name == "schedule_free":
            found = gradtx.schedule_free_eval_params(state, p)
        names = jax.tree.map(lambda _: "name", p)
        mapped = gradtx.tree.map_params(tx, lambda x, _: x + 1, state, names)
        ends.append(jax.tree.leaves((p, found, state, mapped)))
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)


def test_pairs_are_told_by_their_class() -> None:
    """`LookaheadParams` may be parameters of parameters that have such names."""
    ways = params_of(Ways)
    pair = gradtx.LookaheadParams.init_synced(ways)
    tx = gradtx.lookahead(gradtx.sgd(0.5), 1, 0.5)
    u, _ = tx.update(ways, tx.init(pair), pair)
    moved = gradtx.apply_updates(pair, u)
    assert type(moved) is gradtx.LookaheadParams
    assert type(moved.fast) is Ways
    np.testing.assert_allclose(moved.slow.slow, 0.75 * ways.slow)
    assert pair == gradtx.LookaheadParams(*pair)
    assert repr(pair).startswith("LookaheadParams(fast=Ways(")
