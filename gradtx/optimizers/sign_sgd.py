"""SignSGD and Signum: one bit of every gradient."""

from gradtx.common import checks
from gradtx.common.types import DTypeLike, Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.primitives.downhill import scale_by_learning_rate
from gradtx.primitives.momentum import ema
from gradtx.primitives.scale import scale_by_sign
from gradtx.wrappers.chain import chain, descend


@transformation
def sign_sgd(learning_rate: ScalarOrSchedule) -> GradientTransformation:
    """SignSGD: step by the sign of the gradient.

        p ← p - η sign(g)            of both parts apart where g is complex

    Args:
      learning_rate: η, or a schedule of the number of steps taken.

    Raises:
      ValueError: if the learning rate is not finite.

    Reference: Bernstein et al., 2018, https://arxiv.org/abs/1802.04434 (Algorithm 1)

    Example:
      >>> tx, params = gradtx.sign_sgd(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    return descend(scale_by_sign(), learning_rate)


@transformation
def signum(
    learning_rate: ScalarOrSchedule,
    beta: Scalar = 0.9,
    accumulator_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Signum: step by the sign of the mean gradient.

        m ← β m + (1 - β) g,    p ← p - η sign(m)

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      beta: β, how much of the mean is kept at each step.
      accumulator_dtype: the type to keep m in; the parameter's if None.

    Raises:
      ValueError: if ``beta`` is outside [0, 1) or the rate is not finite.

    Reference: Bernstein et al., 2018, https://arxiv.org/abs/1802.04434 (Algorithm 2)

    Example:
      >>> tx, params = gradtx.signum(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    checks.decay_rates(beta=beta)
    return chain(
        ema(beta, debias=False, accumulator_dtype=accumulator_dtype),
        scale_by_sign(),
        scale_by_learning_rate(learning_rate),
    )
