"""The ten methods: how every library makes them, and the least they must move."""

from collections.abc import Callable
from typing import Any, NamedTuple

RATE = 1e-4
PERIOD = 5


class Method(NamedTuple):
    """One row of a benchmark."""

    build: Callable[[Any], Any]
    """Makes the optimizer out of gradtx or of optax: the same line runs in both."""
    bound: float
    """Bytes per float32 parameter and step if each array is moved only once."""
    torch: tuple[str, dict[str, Any]] | None = None
    """The class of ``torch.optim`` and its settings, where PyTorch has the method."""
    period: int = 1
    """After how many steps it has done all that it does."""
    paired: bool = False
    """Whether optax wants the fast and the slow weights together as its parameters."""


METHODS = {
    "sgd": Method(lambda lib: lib.sgd(RATE), 12, ("SGD", {})),
    "momentum": Method(
        lambda lib: lib.sgd(RATE, momentum=0.9), 20, ("SGD", {"momentum": 0.9})
    ),
    "nesterov": Method(
        lambda lib: lib.sgd(RATE, momentum=0.9, nesterov=True),
        20,
        ("SGD", {"momentum": 0.9, "nesterov": True}),
    ),
    "adam": Method(lambda lib: lib.adam(RATE), 28, ("Adam", {})),
    "adamw": Method(
        lambda lib: lib.adamw(RATE, weight_decay=0.01),
        28,
        ("AdamW", {"weight_decay": 0.01}),
    ),
    "adabelief": Method(lambda lib: lib.adabelief(RATE), 28),
    "lookahead": Method(
        lambda lib: lib.lookahead(lib.adam(RATE), PERIOD, 0.5),
        28 + 8 / PERIOD,
        period=PERIOD,
        paired=True,
    ),
    "rmsprop": Method(lambda lib: lib.rmsprop(RATE), 20, ("RMSprop", {})),
    "adagrad": Method(lambda lib: lib.adagrad(RATE), 20, ("Adagrad", {})),
    "lion": Method(lambda lib: lib.lion(RATE), 20),
}
