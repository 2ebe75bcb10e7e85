"""Save a run, read it back elsewhere, and go on exactly where it was."""

import pickle

import gradtx
import jax
import jax.numpy as jnp


def seven_steps(tx, params, state):
    update = jax.jit(tx.update)
    for _ in range(7):
        gradient = jnp.sin(2 * params)  # of the sum of sin(params)**2
        updates, state = update(gradient, state, params)
        params = gradtx.apply_updates(params, updates)
    return params, state


tx = gradtx.lookahead(gradtx.adamw8bit(1e-2), sync_period=5, slow_step_size=0.5)
params = jnp.linspace(-1, 1, 8192)
run = seven_steps(tx, params, tx.init(params))  # in the middle of lookahead's period
saved = pickle.dumps(jax.device_get((gradtx.to_config(tx), run)))
config, resumed = pickle.loads(saved)  # noqa: S301
pair = seven_steps(tx, *run), seven_steps(gradtx.from_config(config), *resumed)
print("equal bit for bit:", jax.tree.all(jax.tree.map(jnp.array_equal, *pair)))
