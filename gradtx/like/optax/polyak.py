"""Polyak's step size as in optax."""

from gradtx.common import checks
from gradtx.common.types import Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.polyak import scale_by_polyak
from gradtx.optimizers.sgd import sgd
from gradtx.wrappers.chain import chain


@transformation
def polyak_sgd(
    max_learning_rate: Scalar = 1.0,
    scaling: ScalarOrSchedule = 1.0,
    f_min: Scalar = 0.0,
    eps: Scalar = 0.0,
    variant: str = "sps",
) -> GradientTransformation:
    """SGD with Polyak's step size, as ``optax.polyak_sgd``.

        p ← p - min((f - f*) / (‖s g‖² + ε), γ) s g

    The scaled gradient is measured, so that s < 1 makes the step longer where γ does
    not bound it. ``update`` wants f, the value of the objective, as the extra argument
    ``value``.

    Args:
      max_learning_rate: γ, at least 0, the longest step size.
      scaling: s, or a schedule of the number of steps taken.
      f_min: f*, the least value of the objective.
      eps: ε, at least 0.
      variant: ``"sps"``, or ``"sps+"`` to stand still where f is below f*.

    Raises:
      ValueError: for another variant, or if a number is outside of its range; from
        ``update`` if it is given no ``value``.

    Reference: Loizou et al., 2021, https://arxiv.org/abs/2002.10542

    Example:
      >>> tx, params = gradtx.like.optax.polyak_sgd(), jnp.ones(2)
      >>> updates, state = tx.update(params, tx.init(params), params, value=2.0)
      >>> print(updates.round(3))
      [-1. -1.]
    """
    checks.finite(scaling=scaling)
    return chain(sgd(scaling), scale_by_polyak(f_min, max_learning_rate, eps, variant))
