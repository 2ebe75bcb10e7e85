"""Low-precision training: whether it converges in every format."""
