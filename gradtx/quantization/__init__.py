"""State in few bits."""

from gradtx.quantization.state import (
    QuantizedState as QuantizedState,
    quantize_state as quantize_state,
)
