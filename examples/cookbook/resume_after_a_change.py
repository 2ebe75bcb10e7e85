"""Go on with another chain: a clip added, a schedule, and means kept in 8 bits."""

import gradtx
import jax.numpy as jnp

params = {"kernel": jnp.ones((4, 64)), "bias": jnp.ones(4)}
old = gradtx.adamw(1e-2)
state = old.init(params)
for _ in range(3):
    updates, state = old.update(params, state, params)
    params = gradtx.apply_updates(params, updates)

new = gradtx.chain(
    gradtx.clip_by_global_norm(1.0),
    gradtx.adamw8bit(gradtx.cosine_decay_schedule(1e-2, 100)),
)
state, changes = gradtx.migrate(old, state, new, params, strict=True)
print(changes)
print(f"the schedule goes on at {gradtx.learning_rate(new, state):.6f}")
updates, state = new.update(params, state, params)
params = gradtx.apply_updates(params, updates)
