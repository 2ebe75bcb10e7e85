"""The parameter trees that optimizers are timed on and compiled for."""

from typing import Any

import jax.numpy as jnp
import numpy as np

Shapes = dict[str, tuple[int, ...]]


def gpt2(
    width: int, vocabulary: int, layers: int = 12, positions: int = 1024
) -> Shapes:
    """Return the shapes of GPT-2's parameters, the output sharing the embedding."""
    linear = {"attn.c_attn": (1, 3), "attn.c_proj": (1, 1)}
    linear |= {"mlp.c_fc": (1, 4), "mlp.c_proj": (4, 1)}
    block: Shapes = {}
    for name, (rows, columns) in linear.items():
        block[f"{name}.weight"] = (rows * width, columns * width)
        block[f"{name}.bias"] = (columns * width,)
    norm = {"weight": (width,), "bias": (width,)}
    block |= {f"{name}.{k}": x for name in ("ln_1", "ln_2") for k, x in norm.items()}
    shapes: Shapes = {"wte": (vocabulary, width), "wpe": (positions, width)}
    shapes |= {f"h{i}.{name}": x for i in range(layers) for name, x in block.items()}
    return shapes | {f"ln_f.{name}": x for name, x in norm.items()}


def small(leaves: int) -> Shapes:
    """Return the shapes of many small leaves."""
    return {f"w{i:04}": (256,) for i in range(leaves)}


FULL = {"leaf": {"w": (2**24,)}, "gpt2": gpt2(768, 50257), "small": small(1000)}
QUICK = {"leaf": {"w": (2**20,)}, "gpt2": gpt2(64, 2048), "small": small(100)}
# Those that steps of many leaves are compiled for.
TREES = {"gpt2": FULL["gpt2"], "narrow": QUICK["gpt2"]}
TREES |= {"1000": FULL["small"], "2000": small(2000)}


def parameters(shapes: Shapes) -> int:
    """Count the numbers in a tree."""
    return sum(int(np.prod(shape)) for shape in shapes.values())


def random_tree(shapes: Shapes, seed: int, scale: float) -> dict[str, Any]:
    """Fill a tree with normal numbers."""
    rng = np.random.default_rng(seed)
    return {
        name: jnp.asarray(scale * rng.standard_normal(shape, np.float32))
        for name, shape in shapes.items()
    }
