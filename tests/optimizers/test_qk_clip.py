"""QK-clip: what it does to the logits of attentions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import gradtx

RNG = np.random.default_rng(5)
X = jnp.float32(RNG.normal(size=(6, 5)))  # what the attention looks at


def normal(*shape: int) -> Any:
    """Return an array of normal numbers."""
    return jnp.float32(3 * RNG.normal(size=shape))


def attention(**extra: Any) -> Any:
    """Return an attention as Flax names it: 4 heads of width 3."""
    heads = {"kernel": normal(5, 4, 3), "bias": normal(4, 3)}
    return {"query": heads, "key": jax.tree.map(lambda x: -x, heads), **extra}


def largest_logits(params: Any) -> Any:
    """Return the largest |logit| of every head; keys may have fewer heads."""
    q, k = (
        jnp.einsum("td,dhw->thw", X, params[name]["kernel"])
        + params[name]["bias"][None]
        for name in ("query", "key")
    )
    k = jnp.repeat(k, q.shape[1] // k.shape[1], axis=1)
    return jnp.abs(jnp.einsum("thw,shw->hts", q, k)).max(axis=(1, 2))


def clipped(params: Any, logits: Any, tx: Any) -> Any:
    """Return the parameters after a step without gradient."""
    still = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(still, tx.init(params), params, attention_max_logits=logits)
    return gradtx.apply_updates(params, updates)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_logits_are_brought_to_the_bound(alpha: float) -> None:
    """Heads above it come down to it, the others stay; biases count too."""
    params = {"block": {"attn": attention(), "mlp": {"kernel": normal(5, 5)}}}
    size = largest_logits(params["block"]["attn"])
    bound = float(jnp.sort(size)[2])
    tx = gradtx.qk_clip(bound, alpha)
    for logits in ({"block": {"attn": size}}, {"block/attn": size}, {"attn": size}):
        new = clipped(params, logits, tx)
        got = largest_logits(new["block"]["attn"])
        np.testing.assert_allclose(got, jnp.minimum(size, bound), rtol=1e-5)
    same = new["block"]["mlp"]["kernel"] == params["block"]["mlp"]["kernel"]
    assert same.all()
    if alpha == 0:
        untouched = new["block"]["attn"]["query"]["kernel"]
        np.testing.assert_array_equal(
            untouched, params["block"]["attn"]["query"]["kernel"]
        )


def test_keys_that_several_queries_share() -> None:
    """A key has the largest logit of its group: no head stays above the bound."""
    params = attention()
    params["key"] = {"kernel": normal(5, 2, 3), "bias": normal(2, 3)}
    params = {"attn": params}
    size = largest_logits(params["attn"])
    bound = float(size.min())
    new = clipped(params, {"attn": size}, gradtx.qk_clip(bound))
    got = largest_logits(new["attn"])
    assert (got <= bound * (1 + 1e-5)).all()


def test_other_layouts() -> None:
    """Blocks of rows, of columns, and stacked layers are scaled as whole heads are."""
    gamma = np.array([0.25, 1.0])
    logits = jnp.float32([400.0, 20.0])
    equinox = {"attn": {"query_proj": {"weight": jnp.ones((6, 5))}}}
    haiku = {"attn/query": {"w": jnp.ones((5, 6)), "b": jnp.ones(6)}}
    direct = {"attn": {"wq": jnp.ones((5, 6)), "q_norm": {"scale": jnp.ones(3)}}}
    tx = gradtx.qk_clip(alpha=1.0)
    rows = np.repeat(gamma, 3)
    new = clipped(equinox, {"attn": logits}, tx)["attn"]["query_proj"]["weight"]
    np.testing.assert_allclose(new, rows[:, None] * np.ones(5), rtol=1e-6)
    new = clipped(direct, {"attn": logits}, tx)["attn"]
    np.testing.assert_allclose(new["wq"], rows * np.ones((5, 1)), rtol=1e-6)
    assert (new["q_norm"]["scale"] == 1).all()
    which = gradtx.QKProjection("query", "a", -1)
    given = jax.tree.map(lambda _: which, haiku)
    new = clipped(haiku, {"a": logits}, gradtx.qk_clip(alpha=1.0, projections=given))
    np.testing.assert_allclose(new["attn/query"]["b"], rows, rtol=1e-6)
    query = {"kernel": jnp.ones((2, 5, 2, 3)), "bias": jnp.ones((2, 2, 3))}
    stacked = {"attn": {"query": query}}
    both = jnp.stack([logits, logits[::-1]])
    new = clipped(stacked, {"attn": both}, tx)["attn"]["query"]
    for got in (new["kernel"][:, 0, :, 0], new["bias"][..., 0]):
        np.testing.assert_allclose(got, [gamma, gamma[::-1]], rtol=1e-6)


def test_what_is_not_said_is_refused() -> None:
    """Logits must be given, name one attention, and fit; rotary keys stay."""
    params = {"a": attention(), "b": attention()}
    tx = gradtx.qk_clip()
    state = tx.init(params)
    with pytest.raises(TypeError, match="attention_max_logits"):
        tx.update(params, state, params)
    with pytest.raises(ValueError, match="'c', which is the name of 0 attentions"):
        tx.update(params, state, params, attention_max_logits={"c": jnp.ones(4)})
    with pytest.raises(ValueError, match=r"3 heads do not fit axis 0 .*\['a'\]"):
        tx.update(params, state, params, attention_max_logits={"a": jnp.ones(3)})
    assert tx.update(params, state, params, attention_max_logits={}) is not None
    rotary = gradtx.qk_clip(projections=gradtx.QKProjection("key_rotary", "a", 0))
    p = jnp.ones((4, 2))
    new = clipped(p, {"a": jnp.full(4, 1e3)}, rotary)
    np.testing.assert_array_equal(new, p)


def test_half_precision_and_jit() -> None:
    """Parameters keep their type; a bound that is traced compiles once."""
    params = {"attn": jax.tree.map(jnp.bfloat16, attention())}
    size = {"attn": jnp.full(4, 400.0)}
    step = jax.jit(clipped)
    new = step(params, size, gradtx.qk_clip(100.0))
    step(params, size, gradtx.qk_clip(50.0))
    assert problems.compiled_at_most_once(step)
    got = new["attn"]["query"]["kernel"]
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        np.float32(got), np.float32(params["attn"]["query"]["kernel"]) / 2, rtol=0.01
    )
