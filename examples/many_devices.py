"""Train on eight devices: parameters whole or cut, their state always in parts."""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from sklearn.datasets import load_digits

import gradtx

STEPS, BATCH = 200, 128
SHAPES = {"w1": (64, 512), "w2": (512, 512), "w3": (512, 10)}
LAYOUT = {"w1": P(), "w2": P("data"), "w3": P()}  # the large one is cut itself: FSDP


def logits(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Return the scores of the ten digits."""
    hidden = jax.nn.relu(x @ params["w1"])
    return jax.nn.relu(hidden @ params["w2"]) @ params["w3"]


def loss(params: dict[str, jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean cross-entropy."""
    scores = logits(params, x)
    return gradtx.softmax_cross_entropy_with_integer_labels(scores, y).mean()


def main() -> None:
    """Train; print the accuracy, and what each device holds of the state."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    pixels, labels = load_digits(return_X_y=True)
    x, y = jnp.asarray(pixels / 16, jnp.float32), jnp.asarray(labels)
    params = {
        name: jax.device_put(
            jax.random.normal(jax.random.key(i), shape) / shape[0] ** 0.5,
            NamedSharding(mesh, LAYOUT[name]),
        )
        for i, (name, shape) in enumerate(SHAPES.items())
    }
    rule = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3))
    tx = gradtx.zero1(rule, "data", LAYOUT)
    state = jax.jit(tx.init)(params)

    @jax.jit
    def step(params, state, x, y):  # noqa: ANN001, ANN202
        grads = jax.grad(loss)(params, x, y)
        updates, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, updates), state

    for key in jax.random.split(jax.random.key(9), STEPS):
        rows = jax.random.randint(key, (BATCH,), 0, 1500)
        batch = jax.device_put((x[rows], y[rows]), NamedSharding(mesh, P("data")))
        params, state = step(params, state, *batch)

    for name, m in gradtx.tree.get(state, "mu").items():
        held = m.addressable_shards[0].data.nbytes
        print(f"{name}: parameter {params[name].sharding.spec}, mean {m.sharding.spec}")
        print(f"    {held:,} of the mean's {m.nbytes:,} bytes on each device")
    right = logits(jax.device_get(params), x[1500:]).argmax(axis=-1) == y[1500:]
    print(f"test accuracy after {STEPS} steps: {right.mean():.1%}")


if __name__ == "__main__":
    main()
