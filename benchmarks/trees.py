"""The parameter trees that optimizers are timed on and compiled for."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Shapes = dict[str, tuple[int, ...]]


class Size(NamedTuple):
    """How large the trees are: one big leaf, a transformer, and many small leaves."""

    leaf: int
    width: int
    vocabulary: int
    leaves: int


FULL = Size(leaf=2**24, width=768, vocabulary=50257, leaves=1000)
QUICK = Size(leaf=2**20, width=64, vocabulary=2048, leaves=100)


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


CASES: dict[str, Callable[[Size], Shapes]] = {
    "leaf": lambda size: {"w": (size.leaf,)},
    "gpt2": lambda size: gpt2(size.width, size.vocabulary),
    "small": lambda size: {f"w{i:04}": (256,) for i in range(size.leaves)},
}
# Those that steps of many leaves are compiled for.
TREES: dict[str, Callable[[], Shapes]] = {
    "gpt2": lambda: CASES["gpt2"](FULL),
    "narrow": lambda: CASES["gpt2"](QUICK),
    "1000": lambda: CASES["small"](FULL),
    "2000": lambda: CASES["small"](FULL._replace(leaves=2000)),
}


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


def nbytes(tree: Any) -> int:
    """Count the bytes of a tree's arrays."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))
