"""Steps as kernels of our own, where a compiler would read or write an array twice."""

from gradtx.kernels.coded import Coding as Coding, Kernels as Kernels
from gradtx.kernels.entrywise import (
    Piece as Piece,
    Program as Program,
    Var as Var,
    pieces as pieces,
    written_out as written_out,
)
