"""Learn the rate and the momentum by the gradient through ten steps."""

import jax
import jax.numpy as jnp

import gradtx


@jax.jit
@jax.value_and_grad
def after_ten_steps(settings):
    w = jnp.array([1.0, 1.0])
    tx = gradtx.sgd(jnp.exp(settings["log_rate"]), jax.nn.sigmoid(settings["momentum"]))
    state = tx.init(w)
    for _ in range(10):
        updates, state = tx.update(w * jnp.array([1.0, 10.0]), state, w)
        w = gradtx.apply_updates(w, updates)
    return jnp.sum(w**2)


settings = {"log_rate": jnp.log(0.01), "momentum": jnp.float32(0.0)}
outer = gradtx.adam(0.1)
memory = outer.init(settings)
for i in range(41):
    loss, slope = after_ten_steps(settings)
    if i % 20 == 0:
        print(f"loss {loss:.4f} with rate {jnp.exp(settings['log_rate']):.3f}")
    updates, memory = outer.update(slope, memory, settings)
    settings = gradtx.apply_updates(settings, updates)
