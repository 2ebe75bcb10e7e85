"""A Keras script: compile(optimizer=AdamW(...)) with its names and defaults."""

import jax
import jax.numpy as jnp

import gradtx

# schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 20, 0.5, staircase=True)
# optimizer = keras.optimizers.AdamW(schedule, global_clipnorm=1.0, use_ema=True)
# optimizer.exclude_from_weight_decay(var_names=["bias"])
keras = gradtx.like.keras
tx = keras.AdamW(
    keras.schedules.ExponentialDecay(0.1, 20, 0.5, staircase=True),
    global_clipnorm=1.0,
    use_ema=True,
    exclude_from_weight_decay=["bias"],
)
params = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}
state, update = tx.init(params), jax.jit(tx.update)
for _ in range(60):
    updates, state = update(params, state, params)
    params = gradtx.apply_updates(params, updates)
averaged = gradtx.eval_params(state, params)
print(f"trained {abs(params['bias'][0]):.2f}, averaged {abs(averaged['bias'][0]):.2f}")
