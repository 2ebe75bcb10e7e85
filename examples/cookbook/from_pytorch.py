"""A PyTorch script's parameter groups and state: go on where it was."""

import jax.numpy as jnp
from gradtx.like import torch

# optimizer = torch.optim.AdamW([{"params": [head.weight], "weight_decay": 0.1},
#                                {"params": [head.bias], "weight_decay": 0.0}], lr=1e-2)
# ... 100 steps; what optimizer.state_dict() returns, for torch.nn.Linear(2, 3):
means = [jnp.ones((3, 2)), jnp.ones(3)]
slots = [{"step": 100.0, "exp_avg": x, "exp_avg_sq": x} for x in means]
settings = {"lr": 1e-2, "betas": (0.9, 0.99)}
groups = [
    {"params": [0], "weight_decay": 0.1, **settings},
    {"params": [1], "weight_decay": 0.0, **settings},
]
state_dict = {"state": dict(enumerate(slots)), "param_groups": groups}
params = {"head": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}}
names = ["head/kernel", "head/bias"]
tx = torch.from_param_groups(torch.AdamW, state_dict["param_groups"], names)
state = torch.state_from(tx, state_dict, params, names)
updates, state = tx.update(params, state, params)
for name, u in updates["head"].items():
    print(f"step 101 moves head/{name} by {u.ravel()[0]:.4f}")
