"""Which parameters are matrices: on models as the frameworks make them."""

import pickle
import warnings
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gradtx
from gradtx import MatrixAxes

KEY = jax.random.key(0)
IN, OUT = MatrixAxes(0, (1, 2)), MatrixAxes((0, 1), 2)  # of attention
DENSE, ROWS = MatrixAxes(0, 1), MatrixAxes(1, 0)


def chosen(routes: Any) -> dict[str, Any]:
    """Return the leaves that are matrices."""
    return {path: which for path, which in routes.items() if which is not None}


# --- Flax Linen ---


class Block(nn.Module):
    """A block of a transformer, fit for a scan."""

    @nn.compact
    def __call__(self, x: Any, _: Any = None) -> Any:
        """Attend, and transform."""
        y = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(num_heads=2)(y, y)
        return x + nn.Dense(8)(nn.Dense(16)(x)), None


class LanguageModel(nn.Module):
    """A transformer with a last layer that no name tells of."""

    scan: bool

    @nn.compact
    def __call__(self, tokens: Any) -> Any:
        """Return the logits."""
        x = nn.Embed(11, 8, name="tokens")(tokens)
        x = x + self.param("position", nn.initializers.normal(), (5, 8))
        if self.scan:
            rolled = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
            x, _ = nn.scan(Block, **rolled, length=3)(name="layers")(x, None)
        else:
            x, _ = Block(name="block")(x)
        return nn.Dense(11)(nn.LayerNorm()(x))


def linen(scan: bool) -> Any:
    """Return the shapes of its parameters."""
    with jax.numpy_rank_promotion("allow"):
        return jax.eval_shape(LanguageModel(scan).init, KEY, jnp.zeros((1, 5), int))


def test_linen() -> None:
    """Attention of three axes and dense kernels; no bias, embedding or head."""
    routes = gradtx.matrices(linen(scan=False))
    attention = "params/block/MultiHeadDotProductAttention_0"
    assert chosen(routes) == {
        f"{attention}/query/kernel": IN,
        f"{attention}/key/kernel": IN,
        f"{attention}/value/kernel": IN,
        f"{attention}/out/kernel": OUT,
        "params/block/Dense_0/kernel": DENSE,
        "params/block/Dense_1/kernel": DENSE,
    }
    reasons = {route.path: route.reason for route in routes.routes}
    assert reasons[f"{attention}/query/bias"] == "bias"
    assert reasons["params/tokens/embedding"] == "embedding"
    assert reasons["params/position"] == "input"
    assert reasons["params/Dense_0/kernel"].startswith("head")


def test_stacked_layers() -> None:
    """A scan's first axis counts matrices; its norms and biases are none."""
    routes = gradtx.matrices(linen(scan=True))
    attention = "params/layers/MultiHeadDotProductAttention_0"
    found = chosen(routes)
    assert found == {
        f"{attention}/query/kernel": MatrixAxes(1, (2, 3)),
        f"{attention}/key/kernel": MatrixAxes(1, (2, 3)),
        f"{attention}/value/kernel": MatrixAxes(1, (2, 3)),
        f"{attention}/out/kernel": MatrixAxes((1, 2), 3),
        "params/layers/Dense_0/kernel": MatrixAxes(1, 2),
        "params/layers/Dense_1/kernel": MatrixAxes(1, 2),
    }
    assert "3 of 8 -> 16" in repr(routes)


# --- Flax NNX ---


class NNXModel(nnx.Module):
    """An attention, a convolution, an embedding, a head."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        """Make the layers."""
        self.embed = nnx.Embed(11, 8, rngs=rngs)
        self.attn = nnx.MultiHeadAttention(2, 8, rngs=rngs, decode=False)
        self.conv = nnx.Conv(8, 4, (3,), rngs=rngs)
        self.head = nnx.Linear(8, 8, rngs=rngs)


def test_nnx() -> None:
    """What wraps an array is no part of its path; a step is taken with the state."""
    params = nnx.state(NNXModel(nnx.Rngs(0)), nnx.Param)
    routes = gradtx.matrices(params)
    assert chosen(routes) == {
        "attn/query/kernel": IN,
        "attn/key/kernel": IN,
        "attn/value/kernel": IN,
        "attn/out/kernel": OUT,
        "conv/kernel": MatrixAxes((0, 1), 2, (0,)),
    }
    tx = gradtx.muon(0.1, muon_weight_dimension_numbers=routes)
    updates, _ = jax.jit(lambda p: tx.update(p, tx.init(p), p))(params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)


# --- Equinox ---


class EquinoxModel(eqx.Module):
    """One layer of each kind."""

    attn: eqx.nn.MultiheadAttention
    norm: eqx.nn.LayerNorm
    mlp: eqx.nn.MLP
    conv: eqx.nn.Conv2d
    words: eqx.nn.Embedding

    def __init__(self) -> None:
        """Make the layers."""
        self.attn = eqx.nn.MultiheadAttention(2, 8, key=KEY)
        self.norm = eqx.nn.LayerNorm((4, 4))
        self.mlp = eqx.nn.MLP(8, 8, 16, 1, key=KEY)
        self.conv = eqx.nn.Conv2d(3, 4, 5, key=KEY)
        self.words = eqx.nn.Embedding(11, 8, key=KEY)


def test_equinox() -> None:
    """Weights have their output first; the class of a module tells what it holds."""
    params = eqx.filter(EquinoxModel(), eqx.is_array)
    routes = gradtx.matrices(params)
    assert chosen(routes) == {
        "attn/query_proj/weight": ROWS,
        "attn/key_proj/weight": ROWS,
        "attn/value_proj/weight": ROWS,
        "attn/output_proj/weight": ROWS,
        "mlp/layers/0/weight": ROWS,
        "mlp/layers/1/weight": ROWS,
        "conv/weight": MatrixAxes((2, 3, 1), 0, (2, 3)),
    }
    tx = gradtx.muon(0.1, muon_weight_dimension_numbers=routes)
    updates, _ = jax.jit(lambda p: tx.update(p, tx.init(p), p))(params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)


def test_equinox_stacked() -> None:
    """Layers made by `filter_vmap` have one axis more in front."""
    keys = jax.random.split(KEY, 3)
    layers = eqx.filter_vmap(lambda key: eqx.nn.MLP(8, 8, 16, 1, key=key))(keys)
    routes = gradtx.matrices(eqx.filter(layers, eqx.is_array))
    assert set(chosen(routes).values()) == {MatrixAxes(2, 1)}
    assert len(chosen(routes)) == 2


# --- by hand, as Haiku and others have it ---


def test_haiku_and_others() -> None:
    """`b` beside `w` is a bias; experts and heads by einsum are batches."""
    shapes = {
        "transformer/~/h0/multi_head_attention/query": {"w": (8, 8), "b": (2, 4)},
        "transformer/~/h0/mlp/conv2_d": {"w": (3, 3, 4, 8), "b": (8,)},
        "layer_norm": {"scale": (2, 8), "offset": (2, 8)},
        "embed": {"embeddings": (11, 8)},
        "moe/experts": {"wi": (4, 8, 16), "wo": (4, 16, 8)},
        "attn": {"q_einsum": {"w": (2, 8, 4)}, "lone": (8, 1), "none": (0, 3)},
        "lm_head": {"w": (8, 9)},
        "patches": {"kernel": (4, 4, 3, 8)},
    }
    params = jax.tree.map(jnp.zeros, shapes, is_leaf=lambda x: isinstance(x, tuple))
    assert chosen(gradtx.matrices(params)) == {
        "attn/q_einsum/w": MatrixAxes(1, 2),
        "moe/experts/wi": MatrixAxes(1, 2),
        "moe/experts/wo": MatrixAxes(1, 2),
        "patches/kernel": MatrixAxes((0, 1, 2), 3, (0, 1)),
        "transformer/~/h0/mlp/conv2_d/w": MatrixAxes((0, 1, 2), 3, (0, 1)),
        "transformer/~/h0/multi_head_attention/query/w": DENSE,
    }


PLAIN = {"attn": {"qkv": jnp.ones((4, 12))}, "up": jnp.ones((4, 8)), "s": jnp.ones(())}


def test_what_is_given_goes_first() -> None:
    """Overrides, heads and splits by expressions; one that finds nothing is refused."""
    routes = gradtx.matrices(
        PLAIN,
        {"^up$": None, "^s$": gradtx.MuonDimensionNumbers()},
        splits={"qkv": (4, 4, 4)},
    )
    assert routes["up"] is None
    assert routes["s"] == MatrixAxes()
    assert routes["attn/qkv"] == MatrixAxes(0, 1, splits=(4, 4, 4))
    heads = gradtx.matrices(PLAIN, heads={"up": 2})
    assert heads["up"].heads == 2
    with pytest.raises(ValueError, match="no path of the parameters has 'down'"):
        gradtx.matrices(PLAIN, {"down": None})


def test_it_is_a_table_and_a_value() -> None:
    """It prints by leaf, is a mapping, equals and hashes by what it says, pickles."""
    routes = gradtx.matrices(PLAIN, splits={"qkv": (6, 6)})
    lines = repr(routes).splitlines()
    assert lines[0].split("  ")[0] == "parameter"
    assert lines[1] == "attn/qkv   (4, 12)  2 of 4 -> 6  matrix"
    assert lines[2] == "s          ()       -            scalar"
    assert list(routes) == ["attn/qkv", "s", "up"]
    assert len(routes) == 3
    same = pickle.loads(pickle.dumps(routes))  # noqa: S301
    assert same == routes
    assert hash(same) == hash(routes)
    assert routes != gradtx.matrices(PLAIN)
    tx = gradtx.muon(0.1, muon_weight_dimension_numbers=routes)
    assert tx == gradtx.muon(0.1, muon_weight_dimension_numbers=same)
    assert routes(PLAIN)["up"] == MatrixAxes()


METHODS = [
    gradtx.normuon,
    gradtx.adamuon,
    gradtx.muon_squared,
    gradtx.muown,
    gradtx.dion,
    gradtx.dion2,
    gradtx.scion,
    gradtx.soap_muon,
]


@pytest.mark.parametrize("make", METHODS)
@pytest.mark.one_in(12)
def test_every_method_takes_it(make: Any) -> None:
    """The matrices of a Linen model step by the method, all other leaves otherwise."""
    params = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), linen(scan=True))
    tx = make(0.1, weight_dimension_numbers=gradtx.matrices(params))
    state = jax.eval_shape(tx.init, params)
    updates, after = jax.eval_shape(tx.update, params, state, params)
    assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, params)
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_a_silent_mistake_is_named_once() -> None:
    """By default a head, an embedding, a bias of two axes warn at `init`, once."""
    params = {
        "head": {"kernel": jnp.ones((2, 3))},
        "tok": {"embedding": jnp.ones((3, 2))},
        "attn": {"bias": jnp.ones((2, 2)), "kernel": jnp.ones((2, 2))},
        "multi_head": {"w": jnp.ones((2, 2))},
    }
    tx = gradtx.muon(0.1)
    with pytest.warns(UserWarning, match="matrices") as caught:
        state = tx.init(params)
    (one,) = caught
    words = str(one.message)
    assert "['head']['kernel'] (by its path: head)" in words
    assert "['tok']['embedding'] (by its path: embedding)" in words
    assert "['attn']['bias'] (by its path: bias)" in words
    assert "['attn']['kernel']" not in words
    assert "multi_head" not in words
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tx.init(params)
        jax.eval_shape(tx.update, params, state, params)
        routed = gradtx.matrices(params)
        gradtx.muon(0.1, muon_weight_dimension_numbers=routed).init(params)
        gradtx.muon(0.1).init({"w": jnp.ones((2, 2)), "b": jnp.ones((2, 2))})


def test_attention_steps_as_one_matrix() -> None:
    """The kernel of a query is orthogonalized from its input to all its heads."""
    params = {"attn": {"query": {"kernel": jnp.ones((4, 2, 3))}}}
    rng = np.random.default_rng(0)
    grads = jax.tree.map(lambda x: jnp.float32(rng.normal(size=x.shape)), params)
    tx = gradtx.muon(
        1.0, "exact", muon_weight_dimension_numbers=gradtx.matrices(params)
    )
    with jax.disable_jit():
        updates, _ = tx.update(grads, tx.init(params), params)
    matrix = np.asarray(updates["attn"]["query"]["kernel"]).reshape(4, 6)
    s = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(s, 1.5**0.5, rtol=0.01)
