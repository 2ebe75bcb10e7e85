"""Train a transformer with Muon on its matrices and AdamW on all else."""

import jax
import jax.numpy as jnp
from flax import linen as nn

import gradtx


class Model(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(8, 16)(tokens)
        x += nn.MultiHeadAttention(2)(x, mask=nn.make_causal_mask(tokens))
        return nn.Dense(8, name="head")(x + nn.Dense(16)(nn.relu(nn.Dense(32)(x))))


@jax.jit
@jax.value_and_grad
def loss(params):
    scores, then = Model().apply(params, tokens[:, :-1]), tokens[:, 1:]
    return gradtx.softmax_cross_entropy_with_integer_labels(scores, then).mean()


tokens = jnp.tile(jnp.arange(8), (4, 2))  # each is followed by the next
params = jax.jit(Model().init)(jax.random.key(0), tokens)
print(routes := gradtx.matrices(params))  # no bias, no embedding, no head
tx = gradtx.muon(0.02, muon_weight_dimension_numbers=routes, adam_learning_rate=0.01)
state, update = tx.init(params), jax.jit(tx.update)
for _ in range(41):
    updates, state = update(loss(params)[1], state, params)
    params = gradtx.apply_updates(params, updates)
print(f"the loss is {loss(params)[0]:.3f}, and that of a guess {jnp.log(8):.3f}")
