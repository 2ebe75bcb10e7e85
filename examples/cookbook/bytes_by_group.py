"""See the bytes of the state by group, and of a step, before anything is allocated."""

import gradtx
import jax
import jax.numpy as jnp
from flax import linen as nn

model = nn.Sequential([nn.Embed(100, 16), nn.Dense(64), nn.relu, nn.Dense(100)])
tokens = jnp.zeros((1, 4), int)
params = jax.eval_shape(model.init, jax.random.key(0), tokens)["params"]  # shapes alone
tx = gradtx.by_path(
    {"layers_0": gradtx.sgd(0.1), "**/kernel": gradtx.adamw8bit(1e-3)},
    default=gradtx.adamw(1e-3),
)
report = gradtx.report(tx, params, compiled=False)
print(report)
for group in report.groups:
    print(group.pattern, sum(group.state.values()), "bytes")
plan = gradtx.plan(params, budget=120e3)
print("fit in 120 kB:", [option.name for option in plan.options if option.fits])
