"""Find a learning rate in one short run, and train with it."""

import gradtx
import jax
import jax.numpy as jnp

x = jax.random.normal(jax.random.key(0), (256, 8))
data = {"x": x, "y": x.sum(axis=1)}
loss = jax.jit(lambda w, batch: jnp.mean((batch["x"] @ w - batch["y"]) ** 2))
task = gradtx.compare.Task(
    lambda key: jax.random.normal(key, (8,)) / 8,
    lambda w, batch, _: loss(w, batch),
    data,
)
found = gradtx.compare.find_learning_rate(gradtx.adam(1.0), task, steps=100)
print(found.reason)

w, tx = jnp.zeros(8), gradtx.adam(found.suggestion)
state = tx.init(w)
for _ in range(100):
    updates, state = tx.update(jax.grad(loss)(w, data), state)
    w = gradtx.apply_updates(w, updates)
print(f"with {found.suggestion:.3f} the loss ends at {loss(w, data):.4f}")
