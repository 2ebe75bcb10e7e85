"""The names that the command line knows: read before anything heavy is imported."""

TASKS = ("digits", "text", "lstm", "sparse", "noisy")
OPTIMIZERS = (
    "sgd",
    "momentum",
    "nesterov",
    "adam",
    "adamw",
    "adabelief",
    "lookahead",
    "rmsprop",
    "adagrad",
    "lion",
)
MATRIX_OPTIMIZERS = ("muon", "normuon", "soap", "kl_shampoo", "shampoo", "psgd_kron")
"""Taken in only where they are asked for."""
