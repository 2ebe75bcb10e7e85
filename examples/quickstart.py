"""Train a classifier of handwritten digits with AdamW, in plain JAX."""

import jax
import jax.numpy as jnp
from sklearn.datasets import load_digits

import gradtx

STEPS = 300
BATCH = 128


def load() -> tuple[jax.Array, jax.Array]:
    """Return 1,797 images of 64 pixels in [0, 1], and their labels."""
    pixels, labels = load_digits(return_X_y=True)
    return jnp.asarray(pixels, jnp.float32) / 16, jnp.asarray(labels)


def init(key: jax.Array) -> dict[str, jax.Array]:
    """Make the parameters of a network with one hidden layer."""
    first, second = jax.random.split(key)
    return {
        "w1": jax.random.normal(first, (64, 64)) / 8,
        "b1": jnp.zeros(64),
        "w2": jax.random.normal(second, (64, 10)) / 8,
        "b2": jnp.zeros(10),
    }


def logits(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Return the scores of the ten digits."""
    hidden = jax.nn.relu(x @ params["w1"] + params["b1"][None])
    return hidden @ params["w2"] + params["b2"][None]


def loss(params: dict[str, jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean cross-entropy."""
    scores = logits(params, x)
    return gradtx.softmax_cross_entropy_with_integer_labels(scores, y).mean()


def main() -> None:
    """Train, and print the accuracy on the images that were held out."""
    x, y = load()

    schedule = gradtx.warmup_cosine_decay_schedule(0.0, 1e-2, 20, STEPS)
    tx = gradtx.chain(
        gradtx.clip_by_global_norm(1.0),
        gradtx.adamw(schedule, weight_decay=1e-2),
    )
    print(tx)

    @jax.jit
    def step(params, state, key):  # noqa: ANN001, ANN202
        batch = jax.random.randint(key, (BATCH,), 0, 1500)
        grads = jax.grad(loss)(params, x[batch], y[batch])
        updates, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, updates), state

    params = init(jax.random.key(0))
    state = tx.init(params)
    for key in jax.random.split(jax.random.key(1), STEPS):
        params, state = step(params, state, key)

    right = logits(params, x[1500:]).argmax(axis=-1) == y[1500:]
    print(f"test accuracy after {STEPS} steps: {right.mean():.1%}")


if __name__ == "__main__":
    main()
