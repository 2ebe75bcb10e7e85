"""Try many learning rates at once, in one compiled step."""

import gradtx
import jax
import jax.numpy as jnp

loss = jax.jit(lambda w: w**2 @ jnp.array([1.0, 10.0, 100.0]))


@jax.jit
@jax.vmap
def step(rate, w, state):
    tx = gradtx.adam(rate)  # a traced number is a setting like any other
    updates, state = tx.update(jax.grad(loss)(w), state, w)
    return gradtx.apply_updates(w, updates), state


rates, w = jnp.logspace(-5, 1, 32), jnp.ones((32, 3))
state = jax.vmap(gradtx.adam(0.0).init)(w)
for _ in range(100):
    w, state = step(rates, w, state)
best = loss(w).argmin()
print(f"best rate {rates[best]:.2f}: loss 111 -> {loss(w)[best]:.4f}")
