"""Find a learning rate in one short run, and train with it."""

import jax
import jax.numpy as jnp

import gradtx

x = jax.random.normal(jax.random.key(0), (256, 8))
task = gradtx.compare.Task(
    init=lambda key: jax.random.normal(key, (8,)) / 8,
    loss=lambda w, batch, _: jnp.mean((batch["x"] @ w - batch["y"]) ** 2),
    batches={"x": x, "y": x.sum(axis=1)},
)
found = gradtx.compare.find_learning_rate(gradtx.adam(1.0), task, steps=100)
print(found.reason)

w, tx = jnp.zeros(8), gradtx.adam(found.suggestion)
state = tx.init(w)
for _ in range(100):
    updates, state = tx.update(
        jax.grad(lambda w: jnp.mean((x @ (w - 1)) ** 2))(w), state
    )
    w = gradtx.apply_updates(w, updates)
print(
    f"with {found.suggestion:.3f} the loss ends at {jnp.mean((x @ (w - 1)) ** 2):.4f}"
)
