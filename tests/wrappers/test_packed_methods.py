"""Methods within pack_small_leaves: elementwise ones are the same, others refused."""

from typing import Any, NamedTuple

import catalogue
import jax
import jax.numpy as jnp
import problems
import pytest
from catalogue import Row

import gradtx
from gradtx import contrib

ROWS = [row for row in catalogue.ROWS if row.name != "noisy_sgd"]  # noise by leaf


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.one_in(32)
def test_a_method_is_elementwise_or_refused(row: Row) -> None:
    """Steps on small leaves put together are those apart, or `init` refuses them."""
    params = {
        "w": jnp.linspace(1, 2, 8).reshape(2, 4),
        "v": jnp.linspace(-3, 1, 6).reshape(3, 2),
        "b": jnp.linspace(0.1, 0.3, 5),
    }
    tx, plain = gradtx.pack_small_leaves(row.build(), 20), row.build()
    with jax.disable_jit():
        try:
            state = tx.init(params)
        except ValueError as error:
            refused = "not elementwise", "put together"
            assert any(why in str(error) for why in refused)  # noqa: PT017
            return
        ends = []
        for one, start in ((tx, state), (plain, plain.init(params))):
            p, kept = params, start
            for t in range(3):
                grads = problems.noise(params, t)
                extra = problems.extras(row, p, grads)
                u, kept = one.update(grads, kept, p, **extra)
                p = gradtx.apply_updates(p, u)
            ends.append(p)
        problems.assert_close(*ends)


class Sizes(NamedTuple):
    """The state of a rule of a user's."""

    size: Any


REFUSED = {
    "adafactor": lambda: gradtx.adafactor(0.1),
    "lamb": lambda: gradtx.lamb(0.1),
    "muon": contrib.scale_by_muon,
    "galore": lambda: contrib.galore(0.1),
    "centralize": gradtx.centralize,
    "adaptive clip": lambda: gradtx.adaptive_grad_clip(0.1),
    "line search": lambda: gradtx.scale_by_backtracking_linesearch(5),
    "zoom": gradtx.lbfgs,
    "sophia": lambda: contrib.sophia(0.1),
    "keras": lambda: gradtx.like.keras.SGD(0.1, clipnorm=1.0),
    "own": lambda: gradtx.leafwise(
        lambda g, size: (g / jnp.linalg.norm(g), size),
        Sizes,
        elementwise=False,
        size=jnp.zeros_like,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_elementwise_is_refused(name: str) -> None:
    """The error names the method and says what to do; around `masked` too."""
    params = {"a": jnp.ones((2, 2)), "b": jnp.ones((2, 2))}
    inner = gradtx.chain(gradtx.clip_by_global_norm(1.0), REFUSED[name]())
    for tx in (inner, gradtx.masked(inner, mask=True), gradtx.lookahead(inner, 2, 0.5)):
        with pytest.raises(ValueError, match=r"not elementwise.*leave that out"):
            gradtx.pack_small_leaves(tx).init(params)
    with pytest.raises(ValueError, match=r"pack_small_leaves \(in scale_by_novograd"):
        gradtx.pack_small_leaves(gradtx.novograd(0.1)).init(params)


def test_masks_within_are_refused() -> None:
    """A mask would take a vector for a leaf; one boolean for all leaves is none."""
    params = {"a": jnp.ones((2, 2)), "b": jnp.ones((2, 2))}
    for mask in ({"a": True, "b": False}, lambda p: jax.tree.map(lambda _: True, p)):
        tx = gradtx.pack_small_leaves(gradtx.adamw(0.1, mask=mask))
        with pytest.raises(ValueError, match=r"masked\(pack_small_leaves\(tx\), mask"):
            tx.update(params, tx.init(params), params)
    tx = gradtx.pack_small_leaves(gradtx.adamw(0.1, mask=True))
    tx.update(params, tx.init(params), params)


def test_what_belongs_to_packed_parameters_is_mapped() -> None:
    """`tree.map_params` reaches the vectors, with what their members share.

    Where that is different things, it is refused.
    """
    params = {"a": jnp.ones(2), "b": jnp.ones(3), "large": jnp.ones(30)}
    tx = gradtx.pack_small_leaves(gradtx.adam(0.1), 20)
    state = tx.init(params)
    names = {"a": "small", "b": "small", "large": "large"}
    mapped = gradtx.tree.map_params(tx, lambda x, name: (name, x.size), state, names)
    mu = mapped.inner_state[0].mu
    assert mu.small == {"float32": ("small", 5)}
    assert mu.rest["large"] == ("large", 30)
    assert mapped.inner_state[0].count == 0
    added = gradtx.tree.map_params(tx, lambda x: x + 1, state)
    assert problems.shapes(added) == problems.shapes(state)
    with pytest.raises(ValueError, match="must be given the same"):
        gradtx.tree.map_params(tx, lambda x, _: x, state, {**names, "b": "other"})
    outer = gradtx.masked(tx, {"a": True, "b": True, "large": False})
    again = gradtx.tree.map_params(outer, lambda _, x: x, outer.init(params), names)
    assert again.inner_state.inner_state[0].mu.small == {"float32": "small"}


def test_averages_of_masked_leaves() -> None:
    """What is masked around it is in no vector, and is not averaged."""
    params = {"a": jnp.ones(2), "b": jnp.ones(3), "c": jnp.ones(4)}
    look = gradtx.pack_small_leaves(gradtx.lookahead(gradtx.sgd(0.1), 5, 0.5), 20)
    tx = gradtx.masked(look, {"a": True, "b": True, "c": False})
    updates, state = tx.update(params, tx.init(params), params)
    moved = gradtx.apply_updates(params, updates)
    found = gradtx.eval_params(state, moved)
    problems.assert_close(found, {**params, "c": moved["c"]})
