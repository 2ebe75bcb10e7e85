"""Train on eight devices: FSDP, ZeRO-1, and Muon with its matrices shared out."""

import os
from functools import partial

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from sklearn.datasets import load_digits

import gradtx

STEPS, WIDTH, DEPTH = 100, 256, 8
# Layers lie in parts (FSDP); the first and the last whole, their state in parts.
LAYOUT = {"in": P(), "layers": [P("data")] * DEPTH, "out": P()}
MEAN = "inner_states/muon/inner_state/0/mu"


def logits(params: dict, x: jax.Array) -> jax.Array:
    """Return the scores of the ten digits."""
    x = x @ params["in"]
    for w in params["layers"]:
        x = x + jax.nn.relu(x @ w)
    return x @ params["out"]


def loss(params: dict, x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean cross-entropy."""
    scores = logits(params, x)
    return gradtx.softmax_cross_entropy_with_integer_labels(scores, y).mean()


mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
pixels, labels = load_digits(return_X_y=True)
x, y = jnp.asarray(pixels / 16, jnp.float32), jnp.asarray(labels)
draw, keys = jax.nn.initializers.normal(0.02), jax.random.split(jax.random.key(0), 9)
params = {"in": draw(keys[0], (64, WIDTH)), "out": jnp.zeros((WIDTH, 10))}
params["layers"] = [draw(key, (WIDTH, WIDTH)) for key in keys[1:]]
params = jax.device_put(params, jax.tree.map(partial(NamedSharding, mesh), LAYOUT))
tx = gradtx.zero1(gradtx.muon(0.01, split="data"), "data", LAYOUT)
state = jax.jit(tx.init)(params)


@jax.jit
def step(params, state, x, y):  # noqa: ANN001, ANN201, D103
    updates, state = tx.update(jax.grad(loss)(params, x, y), state, params)
    return gradtx.apply_updates(params, updates), state


for key in jax.random.split(jax.random.key(9), STEPS):
    rows = jax.random.randint(key, (128,), 0, 1500)
    batch = jax.device_put((x[rows], y[rows]), NamedSharding(mesh, P("data")))
    params, state = step(params, state, *batch)
for path, m in jax.tree.leaves_with_path(gradtx.tree.get(state, MEAN)):
    print(f"mean{jax.tree_util.keystr(path)}: {m.sharding.spec},", end=" ")
    print(f"{m.addressable_data(0).nbytes:,} of {m.nbytes:,} bytes on each device")
right = logits(jax.device_get(params), x[1500:]).argmax(axis=-1) == y[1500:]
print(f"test accuracy after {STEPS} steps: {right.mean():.1%}")
