"""A Keras script's AdamW and its state: go on where it was."""

import gradtx
import jax
import jax.numpy as jnp
from gradtx.like import keras

# schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 20, 0.5, staircase=True)
# optimizer = keras.optimizers.AdamW(schedule, global_clipnorm=1.0, use_ema=True)
# optimizer.exclude_from_weight_decay(var_names=["bias"])
schedule = keras.schedules.ExponentialDecay(0.1, 20, 0.5, staircase=True)
tx = keras.AdamW(
    schedule, global_clipnorm=1.0, use_ema=True, exclude_from_weight_decay=["bias"]
)
params = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}
# ... 10 steps; what [np.asarray(x) for x in optimizer.variables] returns:
w, b = jnp.full((3, 2), 1e-3), jnp.full(2, 1e-3)
kept = [10, params["kernel"], params["bias"], w, w, b, b]
state = keras.state_from(tx, kept, params, names=["kernel", "bias"])
update = jax.jit(tx.update)
for _ in range(50):
    updates, state = update(params, state, params)
    params = gradtx.apply_updates(params, updates)
bias, mean = params["bias"][0], gradtx.eval_params(state, params)["bias"][0]
print(f"trained {abs(bias):.2f}, averaged {abs(mean):.2f}")
