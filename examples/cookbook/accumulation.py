"""Add up gradients over k small batches, with a k that grows during the run."""

import gradtx
import jax
import jax.numpy as jnp

# Two batches at first, four after three real steps.
tx = gradtx.accumulate(gradtx.adam(0.1), lambda steps: jnp.where(steps < 3, 2, 4))


@jax.jit
def step(params, state, batch):
    grads = jax.grad(lambda p: jnp.mean((p - batch) ** 2))(params)
    updates, state = tx.update(grads, state, params)
    return gradtx.apply_updates(params, updates), state


params = jnp.float32(0)
state, moved = tx.init(params), []
for i, batch in enumerate(jax.random.normal(jax.random.key(0), (14, 8)) + 5):
    new, state = step(params, state, batch)
    moved += [i + 1] if new != params else []
    params = new
print("moved after batches", moved)
