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

    Args: those of :func:`gradtx.adamw`, :func:`gradtx.codecs.int8` and
      :func:`gradtx.quantize_state`.

    Reference: Dettmers et al., 2022, https://arxiv.org/abs/2110.02861
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

    Args: those of :func:`gradtx.adamw`, :func:`gradtx.codecs.int4` and
      :func:`gradtx.quantize_state`.

    Reference: Li et al., 2023, https://arxiv.org/abs/2309.01507
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

    Args: those of :func:`gradtx.lion`, :func:`gradtx.codecs.int8` and
      :func:`gradtx.quantize_state`.

    Reference: Dettmers et al., 2022, https://arxiv.org/abs/2110.02861
    """
    tx = lion(learning_rate, b1, b2, weight_decay=weight_decay, mask=mask)
    return quantize_state(tx, int8(block), min_size=min_size, kernel=kernel)
