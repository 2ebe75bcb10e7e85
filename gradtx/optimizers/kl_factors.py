"""Kronecker factors of largest likelihood: each averaged after whitening the others.

For every axis there is a factor S, a basis Q, and the inverse roots e = λ^(-1/2) of
the eigenvalues that S has in that basis, of shape (n, d).
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.common import checks
from gradtx.common.numerics import ema, largest_square
from gradtx.common.types import MaskOrFn, PyTree, Scalar, ScalarOrSchedule
from gradtx.core.stacking import Column, Leaves, columns_of
from gradtx.core.transformation import GradientTransformation
from gradtx.linalg import axes
from gradtx.linalg.blocks import Blocks, Dims
from gradtx.linalg.kronecker import (
    gram,
    multiply_axes,
    scale_axis,
    sums_of_squares,
)
from gradtx.optimizers.adam import scale_by_adam
from gradtx.optimizers.eigenbasis import Has, factors_and_bases, per_axis, up_to
from gradtx.primitives.shape import MuonDimensionNumbers
from gradtx.wrappers.chain import descend
from gradtx.wrappers.partition import partition

ORDERS = (2, 3)  # for more axes, nobody gives an order to average the factors in
LEAST_CLAMP = 10.0


def plan(shape: Dims, numbers: Any, path: Any, *, left: bool) -> Blocks:
    """Take a leaf for a tensor of two or three axes; refuse any other."""
    dims = _without_ones(shape)
    if left or (numbers is None and 0 not in shape and len(dims) not in ORDERS):
        raise checks.InvalidArgument(
            f"the leaf at {checks.path_name(path)} of shape {shape} is no matrix, and "
            "no tensor of three axes: give its dimension numbers, or another method"
        )
    return Blocks(shape, numbers, path, merge=_without_ones if not numbers else None)


def _without_ones(dims: Dims) -> Dims:
    return tuple(d for d in dims if d != 1)


def labels(numbers: Any, limit: int, tree: PyTree) -> PyTree:
    """Return "kl" for the leaves that such methods can do, and "adam" for the others.

    Args:
      numbers: dimension numbers as given; None asks the shapes.
      limit: how long an axis with a factor may be.
      tree: the parameters.
    """
    has = up_to(limit)

    def default(x: Any) -> Any:
        dims = _without_ones(jnp.shape(x))
        fits = len(dims) in ORDERS and any(has(dims, i) for i in range(len(dims)))
        return MuonDimensionNumbers() if fits else None

    found = axes.resolve_dimension_numbers(numbers, tree, default)
    return jax.tree.map(
        lambda x, n: None if x is None else "adam" if n is None else "kl",
        tree,
        found,
        is_leaf=checks.is_none,
    )


def slots(has: Has, init_factor: Scalar) -> dict[str, Any]:
    """Return the slots ``factors``, ``bases`` and ``inverse_roots``."""

    def start(n: int, d: int, dtype: Any) -> jax.Array:
        return jnp.full((n, d), jnp.asarray(init_factor, dtype) ** -0.5)

    roots = partial(per_axis, has=has, make=start)
    return {**factors_and_bases(has), "inverse_roots": roots}


def refined(
    leaves: Leaves,
    first: Any,
    blocks: Column,
    rotated: Column,
    factors: Column,
    bases: Column,
    roots: Column,
    **settings: Any,
) -> tuple[Column, ...]:
    """Return the factors and the inverse roots after this step's gradient.

    Args:
      leaves: the leaves.
      first: whether this is the first step, in which nothing is whitened yet.
      blocks: the gradients.
      rotated: the gradients in the bases.
      factors: S.
      bases: Q, those that the gradients were rotated with.
      roots: e.
      **settings: those of :func:`_refined`.
    """
    rows = leaves.stacked(
        partial(_refined, first, **settings), blocks, rotated, factors, bases, roots
    )
    return columns_of(leaves.together(rows), 2)


def _refined(
    first: Any,
    g: jax.Array,
    rotated: jax.Array,
    factors: Any,
    bases: Any,
    roots: Any,
    *,
    decay: Scalar,
    damping: Scalar,
    clamp: Scalar | None,
) -> Any:
    """Average the factors and eigenvalues of some blocks.

    Two axes are whitened with what was known before. Of three the last two come first,
    and the others are then whitened with some that are new, in the program's order.
    """
    added = _damping(roots, damping)
    old = tuple(None if e is None else jnp.where(first, 1, e) for e in roots)

    def factor(i: int, scales: Any) -> Any:
        if factors[i] is None:
            return None
        return ema(factors[i], _whitened_gram(g, i, bases, scales), decay)

    def root(i: int, scales: Any) -> Any:
        if roots[i] is None:
            return None
        x = _scaled(rotated, scales, i)
        target = sums_of_squares(x, i) / _many(x, i) + added[i]
        return _averaged_root(roots[i], target, decay=decay, clamp=clamp)

    if len(factors) == 3:  # noqa: PLR2004
        third = root(2, old)
        second = root(1, (old[0], None, third))
        last = (None, second if second is None else jnp.where(first, 1, second), old[2])
        new = factor(0, last), factor(1, old), factor(2, old)
        new_roots: tuple[Any, ...] = root(0, last), second, third
    else:
        new = tuple(factor(i, old) for i in range(len(factors)))
        new_roots = tuple(root(i, old) for i in range(len(factors)))
    return new, jax.tree.map(lambda e, n: jnp.where(first, e, n), roots, new_roots)


def _many(x: jax.Array, i: int) -> int:
    """Return over how many entries the sums along axis i go."""
    return max(x[0].size // max(x.shape[i + 1], 1), 1)


def _whitened_gram(g: jax.Array, i: int, bases: Any, roots: Any) -> jax.Array:
    others = [None if j == i else q for j, q in enumerate(bases)]
    x = _scaled(multiply_axes(g, others), roots, i)
    return gram(x, i) / _many(x, i)


def _scaled(x: jax.Array, roots: Any, i: int) -> jax.Array:
    """Scale a block along all axes but i."""
    for j, e in enumerate(roots):
        if j != i and e is not None:
            x = scale_axis(x, e, j)
    return x


def _damping(roots: Any, damping: Scalar) -> list[Any]:
    """Return for every axis the damping times the others' mean inverse eigenvalues."""
    means = [1.0 if e is None else jnp.mean(e * e, -1, keepdims=True) for e in roots]
    return [
        damping * math.prod(m for j, m in enumerate(means) if j != i)
        for i in range(len(means))
    ]


def _averaged_root(
    e: jax.Array, target: jax.Array, *, decay: Scalar, clamp: Scalar | None
) -> jax.Array:
    """Return e after the eigenvalues 1 / e² were averaged with new ones."""
    values = jnp.where(e == 0, 0, 1 / jnp.where(e == 0, 1, e * e))
    values = ema(values, jnp.minimum(target, largest_square(e.dtype)), decay)
    root = jnp.where(values == 0, 0, jax.lax.rsqrt(jnp.where(values == 0, 1, values)))
    if clamp is None:
        return root
    top = jnp.maximum(LEAST_CLAMP, jnp.minimum(e.shape[-1], clamp))
    return jnp.minimum(root, jnp.asarray(top, root.dtype))


def scaled_by_roots(x: jax.Array, roots: Any, eps: Scalar) -> jax.Array:
    """Return x E / (1 + ε E), E being the outer product of the inverse roots."""
    e = _scaled(jnp.ones_like(x), roots, -1)
    return x * (e / (1 + eps * e))


def with_adamw(
    direction: GradientTransformation,
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule | None,
    mask: MaskOrFn | None,
    *,
    numbers: Any,
    limit: int,
    adam: tuple[Any, ...],
) -> GradientTransformation:
    """Give matrices to a direction, and all other leaves to AdamW.

    Args:
      direction: for the matrices.
      learning_rate: η.
      weight_decay: λ of all leaves.
      mask: which of them decay.
      numbers: which leaves are matrices, as :func:`labels` takes it.
      limit: how long an axis with a factor may be.
      adam: AdamW's learning rate (η if None), β₁, β₂, ε, and the type of its means.
    """
    rate, b1, b2, eps, mu_dtype = adam
    rate = learning_rate if rate is None else rate
    rest = scale_by_adam(b1, b2, eps, mu_dtype=mu_dtype)
    parts: dict[Any, GradientTransformation] = {
        "kl": descend(direction, learning_rate, weight_decay=weight_decay, mask=mask),
        "adam": descend(rest, rate, weight_decay=weight_decay, mask=mask),
    }
    return partition(parts, partial(labels, numbers, limit))
