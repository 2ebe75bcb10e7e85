"""The scale of the loss as in Keras."""

from gradtx.common.types import Scalar
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.wrappers.loss_scale import dynamic_loss_scale


@transformation
def LossScaleOptimizer(  # noqa: N802
    inner_optimizer: GradientTransformation,
    initial_scale: Scalar = 2.0**15,
    dynamic_growth_steps: int = 2000,
    name: str | None = None,
) -> GradientTransformation:
    """Undo a scale of the loss, as ``keras.optimizers.LossScaleOptimizer``.

        g finite:        step with g / S;    S ← 2 S every so many such steps
        g not finite:    do not step;        S ← S / 2

    The loss is to be multiplied by ``gradtx.tree.get(state, "loss_scale")``, that is S,
    before its gradient g is taken: see :func:`gradtx.dynamic_loss_scale`.

    Args:
      inner_optimizer: what steps.
      initial_scale: S at first, above 0.
      dynamic_growth_steps: after how many finite steps S doubles, at least 1.
      name: is shown when the transformation is printed, and does nothing.

    Raises:
      ValueError: if a setting is out of its range.

    Reference: Micikevicius et al., 2018, https://arxiv.org/abs/1710.03740

    Example:
      >>> tx, params = (
      ...     gradtx.like.keras.LossScaleOptimizer(gradtx.like.keras.SGD(0.1)),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(7))
      [-6.1e-06  3.1e-06]
    """
    del name
    return dynamic_loss_scale(inner_optimizer, initial_scale, dynamic_growth_steps)
