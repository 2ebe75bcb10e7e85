"""Read the current rate, and change it mid-way without compiling again."""

import gradtx
import jax
import jax.numpy as jnp

params = jnp.ones(3)
schedule = gradtx.cosine_decay_schedule(0.1, 100)
tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(schedule))
state = tx.init(params)
for _ in range(50):
    _, state = tx.update(2 * params, state, params)
print(f"the schedule is at {gradtx.learning_rate(tx, state):.3f}")

tx = gradtx.inject_hyperparams(gradtx.adam)(0.1)  # a rate that is set by hand
update = jax.jit(tx.update)
state = tx.init(params)
before, state = update(2 * params, state, params)
state = gradtx.tree.set(state, learning_rate=jnp.float32(0.01))
after, state = update(2 * params, state, params)
print(f"the rate is {gradtx.learning_rate(tx, state):.3f}")
print(f"a step went {-before[0]:.3f}, and now {-after[0]:.3f}")
print(f"compiled {update._cache_size()} time")
