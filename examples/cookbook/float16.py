"""Train float16 weights with a loss scale that finds itself."""

import jax
import jax.numpy as jnp

import gradtx

x = jax.random.normal(jax.random.key(0), (64, 8), jnp.float16)
y = x.sum(axis=1)
params = jnp.zeros(8, jnp.float16)
tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(0.05))
tx = gradtx.dynamic_loss_scale(tx, initial_scale=2.0**16, growth_interval=20)


@jax.jit
def step(params, state):
    scale = gradtx.tree.get(state, "loss_scale")
    loss = lambda p: jnp.mean((x @ p - y) ** 2, dtype=jnp.float32)  # noqa: E731
    grads = jax.grad(lambda p: scale * loss(p))(params)
    updates, state = tx.update(grads, state, params)
    return gradtx.apply_updates(params, updates), state, loss(params)


state = tx.init(params)
for _ in range(100):
    params, state, loss = step(params, state)
print(f"loss {loss:.4f}, {state.skipped} steps left out, scale {state.loss_scale:.0f}")
