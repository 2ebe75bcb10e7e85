"""The ten methods: how each is built, where its rates lie, how it is drawn."""

from gradtx.compare.builtin.names import by_task
from gradtx.compare.method import Method
from gradtx.core.transformation import GradientTransformation
from gradtx.optimizers import (
    adabelief,
    adagrad,
    adam,
    adamw,
    lion,
    rmsprop,
    sgd,
)
from gradtx.wrappers import lookahead


def _sgd(rate: float) -> GradientTransformation:
    return sgd(rate)


def _momentum(rate: float) -> GradientTransformation:
    return sgd(rate, momentum=0.9)


def _nesterov(rate: float) -> GradientTransformation:
    return sgd(rate, momentum=0.9, nesterov=True)


def _adam(rate: float) -> GradientTransformation:
    return adam(rate, b1=0.9, b2=0.999, eps=1e-8)


def _adamw(rate: float) -> GradientTransformation:
    return adamw(rate, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.01)


def _adabelief(rate: float) -> GradientTransformation:
    return adabelief(rate, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16)


def _lookahead(rate: float) -> GradientTransformation:
    return lookahead(_adam(rate), sync_period=5, slow_step_size=0.5)


def _rmsprop(rate: float) -> GradientTransformation:
    return rmsprop(rate, decay=0.9, eps=1e-8)


def _adagrad(rate: float) -> GradientTransformation:
    return adagrad(rate, initial_accumulator_value=0.0, eps=1e-10)


def _lion(rate: float) -> GradientTransformation:
    return lion(rate, b1=0.9, b2=0.99, weight_decay=0.03)


METHODS = {
    method.name: method
    for method in (
        Method(
            "sgd",
            "SGD",
            _sgd,
            "no momentum",
            "#222222",
            (),
        ),
        Method(
            "momentum",
            "Momentum",
            _momentum,
            "momentum 0.9",
            "#0072B2",
            (),
        ),
        Method(
            "nesterov",
            "Nesterov",
            _nesterov,
            "momentum 0.9",
            "#56B4E9",
            (5, 1.5),
        ),
        Method(
            "adam",
            "Adam",
            _adam,
            "b1 0.9, b2 0.999, eps 1e-8",
            "#D55E00",
            (),
        ),
        Method(
            "adamw",
            "AdamW",
            _adamw,
            "as Adam, weight decay 0.01",
            "#E69F00",
            (5, 1.5),
        ),
        Method(
            "adabelief",
            "AdaBelief",
            _adabelief,
            "b1 0.9, b2 0.999, eps 1e-16",
            "#CC6699",
            (6, 1.5, 1.5, 1.5),
        ),
        Method(
            "lookahead",
            "Lookahead",
            _lookahead,
            "around Adam, sync period 5, slow step size 0.5",
            "#882255",
            (1.5, 1.2),
        ),
        Method(
            "rmsprop",
            "RMSProp",
            _rmsprop,
            "decay 0.9, eps 1e-8",
            "#009E73",
            (),
        ),
        Method(
            "adagrad",
            "Adagrad",
            _adagrad,
            "accumulator from 0, eps 1e-10",
            "#44AA99",
            (5, 1.5),
        ),
        Method(
            "lion",
            "Lion",
            _lion,
            "b1 0.9, b2 0.99, weight decay 0.03",
            "#8F7A00",
            (6, 1.5, 1.5, 1.5),
        ),
    )
}

CENTRES = by_task(
    {
        "sgd": (0.2, 0.4, 0.4, 10.0, 0.1),
        "momentum": (0.02, 0.1, 0.1, 1, 0.01),
        "nesterov": (0.02, 0.1, 0.1, 1, 0.01),
        "adam": (0.005, 0.01, 0.01, 0.02, 0.002),
        "adamw": (0.005, 0.01, 0.01, 0.02, 0.002),
        "adabelief": (0.005, 0.01, 0.01, 0.02, 0.002),
        "lookahead": (0.01, 0.01, 0.01, 0.02, 0.005),
        "rmsprop": (0.002, 0.005, 0.005, 0.01, 0.001),
        "adagrad": (0.05, 0.05, 0.05, 0.2, 0.02),
        "lion": (0.001, 0.002, 0.002, 0.01, 0.0005),
    }
)
"""The learning rate in the middle of the first grid, for each task."""
