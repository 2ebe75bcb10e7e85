"""Learn the rate and the momentum by the gradient through ten steps."""

import gradtx
import jax
import jax.numpy as jnp


@jax.jit
def after_ten_steps(settings):
    tx = gradtx.sgd(jnp.exp(settings["log_rate"]), jax.nn.sigmoid(settings["momentum"]))
    w = jnp.array([1.0, 1.0])
    state = tx.init(w)
    for _ in range(10):
        updates, state = tx.update(w * jnp.array([1.0, 10.0]), state, w)
        w = gradtx.apply_updates(w, updates)
    return jnp.sum(w**2)


settings = {"log_rate": jnp.log(0.01), "momentum": jnp.float32(0.0)}
outer, slope = gradtx.adam(0.1), jax.jit(jax.grad(after_ten_steps))
state = outer.init(settings)
for _ in range(41):
    updates, state = outer.update(slope(settings), state, settings)
    settings = gradtx.apply_updates(settings, updates)
print(f"loss {after_ten_steps(settings):.4f}, rate {jnp.exp(settings['log_rate']):.3f}")
