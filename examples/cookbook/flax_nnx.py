"""Flax NNX with warm-up, a clip, decay of kernels, averaged weights and a log."""

import jax
import jax.numpy as jnp
from flax import nnx

import gradtx

x = jax.random.normal(jax.random.key(0), (64, 4))
model = nnx.Linear(4, 1, rngs=nnx.Rngs(0))
rate = gradtx.warmup_cosine_decay_schedule(0.0, 0.1, warmup_steps=5, decay_steps=60)
adamw = gradtx.adamw(rate, weight_decay=1e-3, mask=gradtx.decay_mask)
tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.average(adamw, 0.9))
tx = gradtx.with_metrics(tx)
optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)


def error(model):
    return jnp.mean((model(x) - x.sum(axis=1)[:, None]) ** 2)


@nnx.jit
def step(model, optimizer):
    loss, grads = nnx.value_and_grad(error)(model)
    optimizer.update(model, grads)
    return loss, gradtx.metrics(optimizer.opt_state)


for i in range(60):
    loss, log = step(model, optimizer)
    if i % 20 == 0:
        print(f"{i:3d} loss {loss:.3f} rate {log['learning_rate']:.3f}")
nnx.update(model, gradtx.eval_params(optimizer.opt_state, nnx.state(model, nnx.Param)))
print(f"averaged weights: loss {error(model):.3f}")
