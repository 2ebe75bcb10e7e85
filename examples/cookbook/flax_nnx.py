"""Flax NNX with warm-up, a clip, decay of kernels, averaged weights and a log."""

import gradtx
import jax
from flax import nnx

x = jax.random.normal(jax.random.key(0), (64, 4))
model = nnx.Linear(4, 1, rngs=nnx.Rngs(0))
rate = gradtx.warmup_cosine_decay_schedule(0.0, 0.1, warmup_steps=5, decay_steps=60)
adamw = gradtx.adamw(rate, weight_decay=1e-3, mask=gradtx.decay_mask)
tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.average(adamw, 0.9))
optimizer = nnx.Optimizer(model, gradtx.with_metrics(tx), wrt=nnx.Param)

error = nnx.jit(lambda model: ((model(x)[:, 0] - x.sum(axis=1)) ** 2).mean())
gradient = nnx.jit(nnx.grad(error))
update = nnx.jit(nnx.Optimizer.update)
for i in range(60):
    update(optimizer, model, gradient(model))
    if i % 20 == 0:
        log = gradtx.metrics(optimizer.opt_state)
        print(f"{i:3d} loss {error(model):.3f} rate {log['learning_rate']:.3f}")

nnx.update(model, gradtx.eval_params(optimizer.opt_state, nnx.state(model, nnx.Param)))
print(f"averaged weights: loss {error(model):.3f}")
