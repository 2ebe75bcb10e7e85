"""Schedule-Free as in optax."""

from gradtx.common import checks
from gradtx.common.types import (
    DTypeLike,
    OptState,
    Params,
    Scalar,
    ScalarOrSchedule,
)
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.rmsprop import scale_by_rms
from gradtx.optimizers.sgd import sgd
from gradtx.primitives.downhill import add_decayed_weights
from gradtx.schedules import warmup_constant_schedule
from gradtx.wrappers.chain import chain, descend
from gradtx.wrappers.schedule_free import schedule_free as schedule_free_from_0


@transformation
def schedule_free(
    base_optimizer: GradientTransformation,
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    weight_lr_power: Scalar = 2.0,
    state_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Average the weights of an optimizer, as ``optax.contrib.schedule_free``.

    :func:`gradtx.schedule_free` whose own steps are counted from 1, while those of the
    base optimizer are counted from 0: a step weighs as much as the rate of the next.

    Args:
      base_optimizer: any optimizer without momentum.
      learning_rate: at least 0, the rate of the base optimizer, or a schedule of the
        number of steps taken, for the weights of the average.
      b1: β in (0, 1], how much the parameters are the average.
      weight_lr_power: at least 0, how much more a step of a higher rate weighs.
      state_dtype: the type to keep the base optimizer's weights in; the parameter's if
        None, float32 at least.

    Raises:
      ValueError: if a number is outside of its range; from ``update`` if it is given no
        parameters.

    Reference: Defazio et al., 2024, https://arxiv.org/abs/2405.15682

    Example:
      >>> tx, params = (
      ...     gradtx.like.optax.schedule_free(gradtx.sgd(0.1), 0.1),
      ...     jnp.ones(2),
      ... )
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.2  0.1]
    """
    inner = schedule_free_from_0(
        base_optimizer, learning_rate, b1, weight_lr_power, state_dtype
    )

    def init(params: Params) -> OptState:
        state = inner.init(params)
        return state._replace(step_count=state.step_count + 1)

    return GradientTransformation(init, inner.update)


@transformation
def schedule_free_sgd(
    learning_rate: ScalarOrSchedule = 1.0,
    warmup_steps: int | None = None,
    b1: Scalar = 0.9,
    weight_decay: Scalar | None = None,
    weight_lr_power: Scalar = 2.0,
    state_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Schedule-Free SGD, as ``optax.contrib.schedule_free_sgd``.

    With a warm-up the first step has the rate 0, and moves nothing.

    Args:
      learning_rate: η, at least 0; without a warm-up also a schedule.
      warmup_steps: in how many steps the rate rises from 0; None for no warm-up.
      b1: β in (0, 1], how much the parameters are the average.
      weight_decay: λ, at least 0, an L2 penalty; None for none.
      weight_lr_power: at least 0, how much more a step of a higher rate weighs.
      state_dtype: the type to keep the base optimizer's weights in; the parameter's if
        None, float32 at least.

    Raises:
      ValueError: if a number is outside of its range.

    Reference: Defazio et al., 2024, https://arxiv.org/abs/2405.15682

    Example:
      >>> tx, params = gradtx.like.optax.schedule_free_sgd(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-2.  1.]
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    base = sgd(rate)
    if weight_decay is not None:
        base = chain(add_decayed_weights(weight_decay), base)
    return schedule_free(base, rate, b1, weight_lr_power, state_dtype)


@transformation
def schedule_free_adamw(
    learning_rate: ScalarOrSchedule = 0.0025,
    warmup_steps: int | None = None,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    weight_lr_power: Scalar = 2.0,
    state_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Schedule-Free AdamW, as ``optax.contrib.schedule_free_adamw``.

    With a warm-up the first step has the rate 0, and moves nothing.

    Args:
      learning_rate: η, at least 0; without a warm-up also a schedule.
      warmup_steps: in how many steps the rate rises from 0; None for no warm-up.
      b1: β in (0, 1], how much the parameters are the average.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside of the root.
      weight_decay: λ, at least 0, decoupled.
      weight_lr_power: at least 0, how much more a step of a higher rate weighs.
      state_dtype: the type to keep the base optimizer's weights in; the parameter's if
        None, float32 at least.

    Raises:
      ValueError: if a number is outside of its range.

    Reference: Defazio et al., 2024, https://arxiv.org/abs/2405.15682

    Example:
      >>> tx, params = gradtx.like.optax.schedule_free_adamw(), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.002  0.002]
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    direction = scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True)
    base = descend(direction, rate, weight_decay=weight_decay)
    return schedule_free(base, rate, b1, weight_lr_power, state_dtype)


def _warmed_up(rate: ScalarOrSchedule, steps: int | None) -> ScalarOrSchedule:
    if steps is None:
        return rate
    if callable(rate):
        raise checks.InvalidArgument(
            "warmup_steps needs a learning rate that is a number"
        )
    return warmup_constant_schedule(0.0, rate, steps)
