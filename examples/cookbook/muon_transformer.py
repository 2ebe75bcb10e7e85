"""Train a transformer with Muon on its matrices and AdamW on all else."""

import jax
import jax.numpy as jnp
from flax import linen as nn

import gradtx


class Model(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(8, 16)(tokens)
        x = x + nn.MultiHeadDotProductAttention(num_heads=2)(nn.LayerNorm()(x))
        return nn.Dense(8)(x + nn.Dense(16)(nn.relu(nn.Dense(32)(x))))


tokens = jnp.tile(jnp.arange(8), (4, 2))  # each is followed by the next
params = Model().init(jax.random.key(0), tokens)["params"]
routes = gradtx.matrices(
    params
)  # kernels, of attention too; print it before a long run
tx = gradtx.muon(0.02, muon_weight_dimension_numbers=routes)
state = tx.init(params)


@jax.jit
def step(params, state):
    def loss(p):
        logits = nn.log_softmax(Model().apply({"params": p}, tokens[:, :-1]))
        return -jnp.take_along_axis(logits, tokens[:, 1:, None], axis=-1).mean()

    value, grads = jax.value_and_grad(loss)(params)
    updates, state = tx.update(grads, state, params)
    return gradtx.apply_updates(params, updates), state, value


for i in range(41):
    params, state, loss = step(params, state)
    if i % 20 == 0:
        print(f"{i:3d} loss {loss:.3f}")
