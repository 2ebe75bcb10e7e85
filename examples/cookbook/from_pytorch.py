"""A PyTorch script's parameter groups and state: go on where it was."""

import jax.numpy as jnp
import numpy as np

import gradtx

# optimizer = torch.optim.AdamW([{"params": [head.weight], "weight_decay": 0.1},
#                                {"params": [head.bias], "weight_decay": 0.0}], lr=1e-2)
# ... 100 steps; what optimizer.state_dict() returns, for torch.nn.Linear(2, 3):
means = [np.ones((3, 2)), np.ones(3)]
state_dict = {
    "state": {
        i: {"step": 100.0, "exp_avg": x, "exp_avg_sq": x} for i, x in enumerate(means)
    },
    "param_groups": [
        {"params": [0], "lr": 1e-2, "betas": (0.9, 0.99), "weight_decay": 0.1},
        {"params": [1], "lr": 1e-2, "betas": (0.9, 0.99), "weight_decay": 0.0},
    ],
}
params = {"head": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}}
names, torch = ["head/kernel", "head/bias"], gradtx.like.torch
tx = torch.from_param_groups(torch.AdamW, state_dict["param_groups"], names)
state = torch.state_from(tx, state_dict, params, names)
updates, state = tx.update(params, state, params)
for name, u in updates["head"].items():
    print(f"step 101 moves head/{name} by {u.ravel()[0]:.4f}")
