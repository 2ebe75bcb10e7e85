"""Quantized state of any transformation."""

from gradtx.quantization.state import (
    QuantizedState as QuantizedState,
    quantize_state as quantize_state,
)
