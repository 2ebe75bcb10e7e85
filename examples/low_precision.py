"""Train a bfloat16 model with 8-bit states: 6 bytes a weight, where AdamW takes 12."""

import jax
import jax.numpy as jnp
from sklearn.datasets import load_digits

import gradtx

STEPS, BATCH = 300, 64


def init(key: jax.Array) -> dict[str, jax.Array]:
    """Make a network with two hidden layers, in bfloat16."""
    shapes = {"w1": (64, 512), "w2": (512, 512), "w3": (512, 10)}
    keys = dict(zip(shapes, jax.random.split(key, 3), strict=True))
    return {
        name: jax.random.normal(keys[name], shape, jnp.bfloat16) / shape[0] ** 0.5
        for name, shape in shapes.items()
    }


def logits(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Return the scores of the ten digits."""
    hidden = jax.nn.relu(x @ params["w1"])
    return jax.nn.relu(hidden @ params["w2"]) @ params["w3"]


def loss(params: dict[str, jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean cross-entropy."""
    scores = logits(params, x).astype(jnp.float32)
    return gradtx.softmax_cross_entropy_with_integer_labels(scores, y).mean()


def report(what: str, params: dict[str, jax.Array], state: gradtx.OptState) -> None:
    """Print the bytes of each weight, with all that is kept for it."""
    count = sum(p.size for p in jax.tree.leaves(params))
    held = sum(x.nbytes for x in jax.tree.leaves((params, state)))
    print(f"{what}: {held / 1e6:.2f} MB, {held / count:.2f} bytes a weight")


def main() -> None:
    """Train, and print the memory and the accuracy on images that were held out."""
    pixels, labels = load_digits(return_X_y=True)
    x, y = jnp.asarray(pixels / 16, jnp.bfloat16), jnp.asarray(labels)
    params = init(jax.random.key(0))

    wide = jax.tree.map(lambda p: p.astype(jnp.float32), params)
    report("before, float32 and AdamW", wide, gradtx.adamw(1e-3).init(wide))

    # Ten lines: the optimizer, the step, the loop.
    tx = gradtx.with_compensation(gradtx.adamw8bit(1e-3))
    state = tx.init(params)

    @jax.jit
    def step(params, state, key):  # noqa: ANN001, ANN202
        batch = jax.random.randint(key, (BATCH,), 0, 1500)
        grads = jax.grad(loss)(params, x[batch], y[batch])
        updates, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, updates), state

    for key in jax.random.split(jax.random.key(1), STEPS):
        params, state = step(params, state, key)

    report("after, bfloat16, compensation and 8-bit states", params, state)
    right = logits(params, x[1500:]).argmax(axis=-1) == y[1500:]
    print(f"test accuracy after {STEPS} steps: {right.mean():.1%}")


if __name__ == "__main__":
    main()
