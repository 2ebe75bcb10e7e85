"""Fine-tune: slower steps in the lower layers, and an embedding that stays."""

import gradtx
import jax
import jax.numpy as jnp

params = {
    "embed": {"embedding": jnp.ones((8, 4))},
    "block_0": {"kernel": jnp.ones((4, 4))},
    "block_1": {"kernel": jnp.ones((4, 4))},
    "head": {"kernel": jnp.ones((4, 2))},
}
fine = gradtx.layer_decay(gradtx.adamw(1e-2), 0.5)  # half the rate, a layer down
tx = gradtx.by_path({"embed": None}, default=fine)
print(gradtx.describe(tx, params))

grads = jax.tree.map(jnp.ones_like, params)
updates, state = tx.update(grads, tx.init(params), params)
moved = [float(jnp.abs(x).max()) for x in jax.tree.leaves(updates)]
print("moved:", ", ".join(f"{x:.4f}" for x in moved))
