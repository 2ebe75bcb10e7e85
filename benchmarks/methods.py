"""The ten methods: how every library makes them, and the least they must move."""

from typing import Any, NamedTuple

RATE = 1e-4
PERIOD = 5


class Method(NamedTuple):
    """One row of a benchmark."""

    name: str  # of gradtx and optax
    bound: float  # bytes per float32 parameter and step, each array moved only once
    settings: dict[str, Any] = {}  # noqa: RUF012  (nothing changes them)
    torch: str = ""  # the class of ``torch.optim``, where PyTorch has the method
    period: int = 1  # after so many steps it has done all that it does

    def build(self, lib: Any) -> Any:
        """Make the optimizer out of gradtx or of optax."""
        if self.name == "lookahead":
            return lib.lookahead(lib.adam(RATE), PERIOD, 0.5)
        return getattr(lib, self.name)(RATE, **self.settings)


METHODS = {
    "sgd": Method("sgd", 12, torch="SGD"),
    "momentum": Method("sgd", 20, {"momentum": 0.9}, "SGD"),
    "nesterov": Method("sgd", 20, {"momentum": 0.9, "nesterov": True}, "SGD"),
    "adam": Method("adam", 28, torch="Adam"),
    "adamw": Method("adamw", 28, {"weight_decay": 0.01}, "AdamW"),
    "adabelief": Method("adabelief", 28),
    "lookahead": Method("lookahead", 28 + 8 / PERIOD, period=PERIOD),
    "rmsprop": Method("rmsprop", 20, torch="RMSprop"),
    "adagrad": Method("adagrad", 20, torch="Adagrad"),
    "lion": Method("lion", 20),
}
