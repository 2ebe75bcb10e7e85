"""AdamW and Lion with their means in 8 bits or 4."""

from gradtx.codecs import int4, int8
from gradtx.common.types import MaskOrFn, Scalar, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation, transformation
from gradtx.optimizers.adam import adamw
from gradtx.optimizers.lion import lion
from gradtx.quantization.state import quantize_state


@transformation
def adamw8bit(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: MaskOrFn | None = None,
    *,
    block: int | None = 256,
    min_size: int = 4096,
    kernel: bool | str = False,
) -> GradientTransformation:
    """AdamW in 2.03 bytes of state for each parameter: :func:`gradtx.adamw`, quantized.

    The mean is kept with signs, the mean of squares without.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside the root.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      block: the least number of entries that share a scale, at least 1; None: one scale
        for every row along the last axis.
      min_size: the least size of an array that is encoded, at least 0; smaller ones
        stay as they are.
      kernel: True makes every array's step one kernel on a GPU or TPU, where it can;
        ``"cuda"`` and ``"tpu"`` imitate it, as :func:`gradtx.quantize_state` says.

    Reference: Dettmers et al., 2022, https://arxiv.org/abs/2110.02861

    Example:
      >>> tx, params = gradtx.adamw8bit(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    tx = adamw(learning_rate, b1, b2, eps, weight_decay=weight_decay, mask=mask)
    return quantize_state(tx, int8(block), min_size=min_size, kernel=kernel)


@transformation
def adamw4bit(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: MaskOrFn | None = None,
    *,
    block: int | None = 128,
    min_size: int = 4096,
) -> GradientTransformation:
    """AdamW in 1.06 bytes of state for each parameter: :func:`gradtx.adamw`, quantized.

    The mean is kept with signs, the mean of squares without.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), how much of the mean is kept at each step.
      b2: β₂ in [0, 1), how much of the mean square is kept.
      eps: ε, at least 0, outside the root.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      block: the least number of entries that share a scale, at least 1; None: one scale
        for every row along the last axis.
      min_size: the least size of an array that is encoded, at least 0; smaller ones
        stay as they are.

    Reference: Li et al., 2023, https://arxiv.org/abs/2309.01507

    Example:
      >>> tx, params = gradtx.adamw4bit(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    tx = adamw(learning_rate, b1, b2, eps, weight_decay=weight_decay, mask=mask)
    return quantize_state(tx, int4(block), min_size=min_size)


@transformation
def lion8bit(
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    weight_decay: ScalarOrSchedule = 1e-3,
    mask: MaskOrFn | None = None,
    *,
    block: int | None = 256,
    min_size: int = 4096,
    kernel: bool | str = False,
) -> GradientTransformation:
    """Lion in 1.02 bytes of state for each parameter: :func:`gradtx.lion`, quantized.

    Args:
      learning_rate: η, or a schedule of the number of steps taken.
      b1: β₁ in [0, 1), the weight of the mean against the new gradient in the update.
      b2: β₂ in [0, 1), how much of the mean is kept at each step.
      weight_decay: λ, at least 0, or a schedule of the number of steps taken.
      mask: which leaves decay: a tree of booleans, or a function from the parameters to
        one. All do, if None.
      block: the least number of entries that share a scale, at least 1; None: one scale
        for every row along the last axis.
      min_size: the least size of an array that is encoded, at least 0; smaller ones
        stay as they are.
      kernel: True makes every array's step one kernel on a GPU or TPU, where it can;
        ``"cuda"`` and ``"tpu"`` imitate it, as :func:`gradtx.quantize_state` says.

    Reference: Dettmers et al., 2022, https://arxiv.org/abs/2110.02861

    Example:
      >>> tx, params = gradtx.lion8bit(0.1), jnp.ones(2)
      >>> updates, state = tx.update(jnp.array([2.0, -1.0]), tx.init(params), params)
      >>> print(updates.round(3))
      [-0.1  0.1]
    """
    tx = lion(learning_rate, b1, b2, weight_decay=weight_decay, mask=mask)
    return quantize_state(tx, int8(block), min_size=min_size, kernel=kernel)
