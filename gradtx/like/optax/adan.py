"""Adan as in optax."""

from gradtx.common.types import MaskOrFn, Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.adan import (
    adan as adan_of_paper,
    scale_by_adan as scale_by_adan_of_paper,
)


@transformation
def scale_by_adan(
    b1: Scalar = 0.98,
    b2: Scalar = 0.92,
    b3: Scalar = 0.99,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
) -> GradientTransformation:
    """Look ahead by the change of the gradient, as ``optax.scale_by_adan``.

    :func:`gradtx.scale_by_adan` with 1 - β₂ where the paper multiplies the change of
    the gradient, and its mean, by β₂.

    Args:
      b1: β₁ in [0, 1), how much of the mean gradient is kept at each step.
      b2: β₂ in [0, 1), how much of the mean change is kept.
      b3: β₃ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside of the root.
      eps_root: at least 0, added inside of the root.

    Raises:
      ValueError: if a number is outside of its range.

    Reference: Xie et al., 2022, https://arxiv.org/abs/2208.06677

    Example:
      >>> tx, params = gradtx.like.optax.scale_by_adan(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [ 1. -1.]
    """
    return scale_by_adan_of_paper(b1, b2, b3, eps, eps_root, swap_b2=True)


@transformation
def adan(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.98,
    b2: Scalar = 0.92,
    b3: Scalar = 0.99,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
) -> GradientTransformation:
    """Adan, as ``optax.adan``.

        p ← p - η (u + λ p)               u: the direction of :func:`scale_by_adan`

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean gradient is kept at each step.
      b2: β₂ in [0, 1), how much of the mean change is kept.
      b3: β₃ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside of the root.
      eps_root: at least 0, added inside of the root.
      weight_decay: λ, at least 0, or a schedule of it.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one; all, if None.

    Raises:
      ValueError: if a number is outside of its range.

    Reference: Xie et al., 2022, https://arxiv.org/abs/2208.06677

    Example:
      >>> tx, params = gradtx.like.optax.adan(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    return adan_of_paper(
        learning_rate,
        b1,
        b2,
        b3,
        eps,
        eps_root,
        weight_decay,
        mask,
        swap_b2=True,
        proximal=False,
    )
