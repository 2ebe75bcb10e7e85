"""Stochastic gradient descent, plain, with momentum, and with Nesterov's."""

from gradtx.common import checks
from gradtx.common.types import DTypeLike, Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, identity, transformation
from gradtx.primitives.momentum import trace
from gradtx.wrappers.chain import descend


@transformation
def sgd(
    learning_rate: ScalarOrSchedule,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    accumulator_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """SGD: go against the gradient, or against :func:`trace`'s sum of the gradients.

        p ← p - η g                                       plain
        b ← g + μ b,    p ← p - η b                       momentum
        b ← g + μ b,    p ← p - η (g + μ b)               Nesterov

    The learning rate stands outside the sum: when it changes, the whole momentum
    changes with it.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      momentum: μ; None keeps no sum.
      nesterov: whether to look ahead; without momentum it changes nothing.
      accumulator_dtype: the type to keep the sum in; the parameter's if None.

    Raises:
      ValueError: if ``momentum`` is outside [0, 1] or the rate is not finite.

    Reference: Robbins and Monro, 1951, https://doi.org/10.1214/aoms/1177729586; Polyak,
      1964; Nesterov, 1983; Sutskever et al., 2013,
      https://proceedings.mlr.press/v28/sutskever13.html

    Example:
      >>> tx, params = gradtx.sgd(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    checks.unit_interval(momentum=momentum)
    if momentum is None:
        return descend(identity(), learning_rate)
    return descend(trace(momentum, nesterov, accumulator_dtype), learning_rate)
