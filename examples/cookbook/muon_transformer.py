"""Train a transformer with Muon on its matrices and AdamW on all else."""

import gradtx
import jax
from flax import linen as nn


class Loss(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(8, 16)(tokens[:, :-1])
        x += nn.MultiHeadAttention(2)(x, mask=nn.make_causal_mask(tokens[:, :-1]))
        x = nn.Dense(8, name="head")(x + nn.Dense(16)(nn.relu(nn.Dense(32)(x))))
        return gradtx.softmax_cross_entropy_with_integer_labels(x, tokens[:, 1:]).mean()


tokens = jax.numpy.tile(jax.numpy.arange(8), (4, 2))  # each is followed by the next
params = jax.jit(Loss().init)(jax.random.key(0), tokens)
print(routes := gradtx.matrices(params))  # no bias, no embedding, no head
tx = gradtx.muon(0.02, muon_weight_dimension_numbers=routes, adam_learning_rate=0.01)
loss, state = jax.jit(Loss().apply), tx.init(params)
for _ in range(41):
    updates, state = tx.update(jax.grad(loss)(params, tokens), state, params)
    params = gradtx.apply_updates(params, updates)
print(f"the loss is {loss(params, tokens):.3f}, that of a guess 2.079")
