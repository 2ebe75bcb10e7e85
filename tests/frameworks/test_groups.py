"""Groups by path in the trees of Flax."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

import gradtx
from gradtx.groups import paths


class Attention(linen.Module):
    """An attention with its norm."""

    @linen.compact
    def __call__(self, x: Any) -> Any:
        """Apply it."""
        return linen.LayerNorm()(linen.MultiHeadDotProductAttention(2)(x))


def test_linen() -> None:
    """Paths are the modules' names; biases of two axes do not decay."""
    x = jnp.ones((1, 3, 4))
    params = jax.eval_shape(Attention().init, jax.random.key(0), x)["params"]
    flags = gradtx.decay_mask(params)
    names, _ = paths.paths_of(flags)
    for name, flag in zip(names, jax.tree.leaves(flags), strict=True):
        assert flag == name.endswith("kernel"), name
    mask = gradtx.mask_by_path("Multi*/**/query/kernel")(params)
    assert sum(jax.tree.leaves(mask)) == 1


@pytest.mark.parametrize("pure", [False, True])
def test_nnx(pure: bool) -> None:
    """What wraps an array has no name in its path, and steps are as told."""
    rngs = nnx.Rngs(0)
    layers = [nnx.Linear(2, 2, rngs=rngs), nnx.LayerNorm(2, rngs=rngs)]
    state = nnx.state(nnx.Sequential(*layers), nnx.Param)
    params: Any = nnx.to_pure_dict(state) if pure else state
    names, _ = paths.paths_of(params)
    assert names == [f"layers/{x}" for x in ("0/bias", "0/kernel", "1/bias", "1/scale")]
    assert jax.tree.leaves(gradtx.decay_mask(params)) == [False, True, False, False]
    groups = {"**/bias": None, "layers/1": gradtx.sgd(2.0)}
    tx = gradtx.by_path(groups, default=gradtx.sgd(1.0))
    grads = jax.tree.map(jnp.ones_like, params)
    updates, _ = jax.jit(tx.update)(grads, tx.init(params), params)
    assert [x.min() for x in jax.tree.leaves(updates)] == [0, -1, 0, -2]


def test_an_optimizer_of_nnx() -> None:
    """Groups and the mask of what decays work in ``nnx.Optimizer``, jitted."""
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    adamw = gradtx.adamw(1e-2, mask=gradtx.decay_mask)
    tx = gradtx.by_path({"bias": None}, default=adamw)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    @nnx.jit
    def step(model: Any, optimizer: Any) -> None:
        grads = nnx.grad(lambda m: jnp.sum(m(jnp.ones((1, 2))) ** 2))(model)
        optimizer.update(model, grads)

    before = jax.tree.map(jnp.copy, nnx.state(model))
    step(model, optimizer)
    assert (model.bias.get_value() == before["bias"].get_value()).all()
    assert (model.kernel.get_value() != before["kernel"].get_value()).all()


def test_the_state_of_an_optimizer_of_nnx_is_carried() -> None:
    """Variables stay variables, and hold what they held."""
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    old, new = (
        gradtx.adam(0.1),
        gradtx.by_path({"bias": gradtx.adam(0.2)}, default=gradtx.adam(0.1)),
    )
    optimizer = nnx.Optimizer(model, old, wrt=nnx.Param)
    params = nnx.state(model, nnx.Param)
    optimizer.update(model, jax.tree.map(jnp.ones_like, params))
    before = optimizer.opt_state[0]
    params = nnx.state(model, nnx.Param)
    state, changes = gradtx.migrate(old, optimizer.opt_state, new, params, strict=True)
    assert not changes.made
    bias = state.inner_states["bias"].inner_state[0]
    assert (bias.mu["bias"].get_value() == before.mu["bias"].get_value()).all()
    assert bias.count == 1
    new.update(jax.tree.map(jnp.ones_like, params), state, params)
