"""Pallas kernels, where XLA would read or write an array twice."""

from gradtx.kernels.elementwise import (
    Piece as Piece,
    Program as Program,
    Var as Var,
    pieces as pieces,
    written_out as written_out,
)
from gradtx.kernels.quantized import Coding as Coding, Kernels as Kernels
