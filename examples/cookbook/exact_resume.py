"""Save a run, read it back elsewhere, and go on exactly where it was."""

import pickle

import jax
import jax.numpy as jnp

import gradtx

tx = gradtx.lookahead(gradtx.adamw8bit(1e-2), sync_period=5, slow_step_size=0.5)


@jax.jit
def step(params, state):
    grads = jax.grad(lambda p: jnp.sum(jnp.sin(p) ** 2))(params)
    updates, state = tx.update(grads, state, params)
    return gradtx.apply_updates(params, updates), state


run = jnp.linspace(-1, 1, 8192), tx.init(jnp.linspace(-1, 1, 8192))
for i in range(14):
    if i == 7:  # in the middle of lookahead's period
        saved = pickle.dumps(jax.device_get((gradtx.to_config(tx), run)))
    run = step(*run)

config, resumed = pickle.loads(saved)  # noqa: S301
print("the same optimizer:", gradtx.from_config(config) == tx)
for _ in range(7):
    resumed = step(*resumed)
same = jax.tree.map(lambda a, b: bool((a == b).all()), run, resumed)
print("equal bit for bit:", jax.tree.all(same))
