"""Layer-wise decay of the learning rate: the deeper a layer, the faster it learns."""

from typing import Any

import jax

from gradtx.common import checks, numerics
from gradtx.common.leaves import map_differentiable
from gradtx.common.types import FixedInOrder, OptState, Params, PyTree, Scalar, Updates
from gradtx.core.transformation import (
    GradientTransformation,
    transformation,
    with_extra_args_support,
)
from gradtx.groups.depths import depths
from gradtx.wrappers.chain import check_inner
from gradtx.wrappers.inside import around_base


@transformation
def layer_decay(
    tx: GradientTransformation, rate: Scalar, *, depth: FixedInOrder = None
) -> GradientTransformation:
    """Multiply the updates of every layer by a power of a rate, for fine-tuning.

        u ← γ^(D - d) tx(g)        d: the layer's depth,  D: the largest of all

    The last layers move as ``tx`` says, and each layer below γ times as far; a decay
    that is decoupled is multiplied too, as it is where each layer has a learning rate
    of its own. The state is that of ``tx``. Around Schedule-Free it acts on the base
    optimizer, which makes the steps.

    Args:
      tx: any optimizer.
      rate: γ, in [0, 1]; 0.75 is common.
      depth: from a path such as ``"block_3/mlp/kernel"`` to d: a function, or a mapping
        from patterns, as :func:`gradtx.by_path` takes them, to whole numbers. None
        reads the number of the layer in the path, where one name is numbered more often
        than all others (Haiku's first one has no number): embeddings have depth 0, the
        layers 1, 2, ..., all the rest, such as the last layer, one more. Layers that
        are stacked in one array share one depth.

    Raises:
      ValueError: if the rate is outside [0, 1], or ``tx`` must see the final update;
        from ``update`` if the depths cannot be told.

    Reference: Clark et al., 2020, https://arxiv.org/abs/2003.10555 (section 3.1)

    Example:
      >>> params = {"layer_0": jnp.ones(1), "layer_1": jnp.ones(1)}
      >>> tx = gradtx.layer_decay(gradtx.sgd(0.1), 0.5)
      >>> updates, state = tx.update(params, tx.init(params), params)
      >>> print(updates["layer_0"], updates["layer_1"])
      [-0.05] [-0.1]
    """
    checks.unit_interval(rate=rate)
    within = around_base(tx, lambda base: layer_decay(base, rate, depth=depth))
    if within is not None:
        return within
    check_inner(tx, "layer_decay")
    inner = with_extra_args_support(tx)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        updates, state = inner.update(updates, state, params, **extra)
        return _scaled(updates, rate, depth), state

    return GradientTransformation(inner.init, update)


def _scaled(updates: Updates, rate: Scalar, depth: Any) -> PyTree:
    found, treedef = depths(depth, updates)
    powers = [rate ** (max(found) - d) for d in found]

    def one(u: jax.Array, power: Scalar) -> jax.Array:
        wide = u.astype(numerics.compute_dtype(u.dtype))
        return numerics.cast(power * wide, u.dtype)

    return map_differentiable(one, updates, treedef.unflatten(powers))
