"""Train float16 weights with a loss scale that finds itself."""

import gradtx
import jax
import jax.numpy as jnp

x = jax.random.normal(jax.random.key(0), (64, 8), jnp.float16)
y, params = x.sum(axis=1), jnp.zeros(8, jnp.float16)
loss = jax.jit(lambda p: jnp.mean((x @ p - y) ** 2, dtype=jnp.float32))
tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(0.05))
tx = gradtx.dynamic_loss_scale(tx, initial_scale=2.0**16, growth_interval=20)
state = tx.init(params)


@jax.jit
def step(params, state):
    grads = jax.grad(lambda p: state.loss_scale * loss(p))(params)
    updates, state = tx.update(grads, state, params)
    return gradtx.apply_updates(params, updates), state


for _ in range(100):
    params, state = step(params, state)
print(f"loss {loss(params):.4f}, {state.skipped} steps left out")
print(f"the scale is {state.loss_scale:.0f}")
