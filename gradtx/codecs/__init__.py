"""Codecs: quantize an array, and read it back."""

from gradtx.codecs.encoded import (
    Encoded as Encoded,
    decoded as decoded,
    encoded_like as encoded_like,
    is_encoded as is_encoded,
)
from gradtx.codecs.floats import bfloat16 as bfloat16, float8 as float8
from gradtx.codecs.integers import int4 as int4, int8 as int8
from gradtx.codecs.value import Codec as Codec, Format as Format, codec as codec
