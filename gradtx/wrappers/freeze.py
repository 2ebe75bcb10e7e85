"""Freeze a part of the parameters."""

import jax

from gradtx.common.types import MaskOrFn, Params, PyTree
from gradtx.core import order
from gradtx.core.masking import restrict
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.primitives.scale import set_to_zero
from gradtx.tree import masks
from gradtx.wrappers.partition import partition


@order.keeps("others")
@transformation
def freeze(mask: MaskOrFn) -> GradientTransformation:
    """Make the updates zero where the mask is True, and pass on the others.

    At the end of a chain this freezes the masked parameters. At its beginning it keeps
    their gradients out of norms; but what follows may change them, as weight decay and
    momentum from before do. :func:`selective_transform` does both.

    Args:
      mask: True for what is frozen: one boolean, a tree of booleans shaped like the
        parameters (or a prefix of them), or a function that makes one.

    Raises:
      ValueError: if the mask does not fit the tree, or is traced.

    Example:
      >>> tx, params = gradtx.freeze(True), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [0. 0.]
    """
    return restrict(set_to_zero(), mask)


@transformation
def selective_transform(
    optimizer: GradientTransformation, *, freeze_mask: MaskOrFn
) -> GradientTransformation:
    """Optimize the leaves where the mask is False, and freeze the others.

    Frozen leaves get updates of exactly zero, whatever their gradients; they have no
    state, count in no norm, and may be integers. The state is that of
    :func:`partition` with the labels ``"train"`` and ``"freeze"``.

    Args:
      optimizer: what updates the leaves that are not frozen.
      freeze_mask: True for what is frozen: one boolean, a tree of booleans shaped like
        the parameters (or a prefix of them), or a function that makes one.

    Raises:
      ValueError: if the mask does not fit the tree, or is traced.

    Example:
      >>> tx, params = (
      ...     gradtx.selective_transform(gradtx.sgd(0.1), freeze_mask=False),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """

    def label(params: Params) -> PyTree:
        flags = masks.resolve_mask(freeze_mask, params)
        return jax.tree.map(lambda flag: "freeze" if flag else "train", flags)

    return partition({"train": optimizer, "freeze": set_to_zero()}, label)
