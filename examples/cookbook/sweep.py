"""Try many learning rates in one compiled program."""

import jax
import jax.numpy as jnp

import gradtx


def loss(w):
    return jnp.sum(jnp.array([1.0, 10.0, 100.0]) * w**2)


@jax.jit
@jax.vmap
def train(rate):
    def step(carry, _):
        w, state = carry
        updates, state = tx.update(jax.grad(loss)(w), state, w)
        return (gradtx.apply_updates(w, updates), state), None

    tx = gradtx.adam(rate)  # a traced number is a setting like any other
    start = jnp.ones(3)
    (w, _), _ = jax.lax.scan(step, (start, tx.init(start)), length=100)
    return loss(w)


rates = jnp.logspace(-5, 1, 32)
losses = train(rates)
best, start = losses.argmin(), loss(jnp.ones(3))
print(f"best rate {rates[best]:.2f}: loss {start:.0f} -> {losses[best]:.4f}")
