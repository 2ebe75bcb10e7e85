"""The names that the command line knows: read before anything heavy is imported."""

from collections.abc import Mapping, Sequence

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


def by_task(rates: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Name the tasks of rates that each method has in their order."""
    return {name: dict(zip(TASKS, each, strict=True)) for name, each in rates.items()}
