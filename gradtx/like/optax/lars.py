"""LARS as in optax."""

from gradtx.common.types import MaskOrFn, Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.lars import lars as lars_of_paper


@transformation
def lars(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: MaskOrFn = True,
    trust_coefficient: Scalar = 0.001,
    eps: Scalar = 0.0,
    trust_ratio_mask: MaskOrFn = True,
    momentum: Scalar = 0.9,
    nesterov: bool = False,
) -> GradientTransformation:
    """LARS, as ``optax.lars``.

        u = c ‖p‖ / (‖g + λ p‖ + ε) · (g + λ p)
        b ← μ b - η u,   p ← p + b

    The paper divides by ‖g‖ + λ ‖p‖, and so does :func:`gradtx.lars`.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      weight_decay: λ, at least 0, or a schedule of it.
      weight_decay_mask: which leaves decay: a tree of booleans (True for all), or a
        function from the parameters to one.
      trust_coefficient: c, at least 0.
      eps: ε, at least 0.
      trust_ratio_mask: which leaves are rescaled; for the others u = g + λ p.
      momentum: μ in [0, 1].
      nesterov: whether the momentum looks ahead.

    Raises:
      ValueError: if a number is outside of its range.

    Reference: You et al., 2017, https://arxiv.org/abs/1708.03888

    Example:
      >>> tx, params = gradtx.like.optax.lars(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(7))
      [-1.265e-04  6.320e-05]
    """
    return lars_of_paper(
        learning_rate,
        weight_decay,
        weight_decay_mask,
        trust_coefficient,
        eps,
        trust_ratio_mask,
        momentum,
        nesterov,
        norm_of_sum=True,
    )
