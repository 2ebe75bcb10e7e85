"""A PyTorch script's parameter groups, with PyTorch's names and defaults."""

import jax
import jax.numpy as jnp

import gradtx

# torch.optim.AdamW([
#     {"params": decayed, "weight_decay": 0.1},
#     {"params": biases, "weight_decay": 0.0},
#     {"params": model.head.parameters(), "lr": 1e-2, "betas": (0.9, 0.99)},
# ], lr=1e-3)
AdamW = gradtx.like.torch.AdamW
tx = gradtx.by_path(
    {
        "head": AdamW(lr=1e-2, betas=(0.9, 0.99)),
        "**/bias": AdamW(lr=1e-3, weight_decay=0.0),
    },
    default=AdamW(lr=1e-3, weight_decay=0.1),
)
layer = {"kernel": jnp.full((2, 2), 2.0), "bias": jnp.full(2, 2.0)}
params = {"body": layer, "head": layer}
updates, _ = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)
for path, u in jax.tree.leaves_with_path(updates):
    print(jax.tree_util.keystr(path, simple=True, separator="/"), f"{u.ravel()[0]:.4f}")
