"""Record trajectories of other libraries, to hold ``gradtx.like`` against.

Not a test: it needs torch, keras, jax, adabelief-pytorch, lion-pytorch and
pytorch_optimizer, and writes ``like.json`` beside itself. Run it as

    python tests/data/record_like.py

Every case starts from ``start`` and is fed one row of ``grads`` a step; two leaves, of
shapes (3,) and (2, 2), lie in one row of 7 numbers. Complex numbers are pairs. Where
a case has ``decay``, the learning rate of step t, from 0, is lr / (1 + decay t).
Keras runs on JAX, as on PyTorch its clipping rounds float64 to float32. On JAX its norm
of a matrix does, by which Muon divides: here another is put in its place.
"""

import os
from importlib import metadata

os.environ |= {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}

import adabelief_pytorch
import jax.numpy as jnp
import keras
import lion_pytorch
import numpy as np
import pytorch_optimizer
import torch
from record_torch import follow_torch
from recording import case, flat, leaves, save, written

PACKAGES = (
    "torch",
    "keras",
    "adabelief-pytorch",
    "lion-pytorch",
    "pytorch_optimizer",
)
STEPS, SIZE = 9, 7
RNG = np.random.default_rng(7)

TORCH = [
    ("SGD", {"lr": 0.1, "maximize": True, "weight_decay": 0.2}),
    ("SGD", {"lr": 0.1, "dampening": 0.4}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.2, "nesterov": True}),
    (
        "SGD",
        {
            "lr": 0.1,
            "momentum": 0.8,
            "dampening": 0.4,
            "weight_decay": 0.1,
            "maximize": True,
        },
    ),
    ("Adam", {}),
    (
        "Adam",
        {
            "lr": 0.1,
            "betas": [0.8, 0.9],
            "amsgrad": True,
            "weight_decay": 0.1,
            "eps": 0.01,
        },
    ),
    (
        "Adam",
        {"lr": 0.1, "decoupled_weight_decay": True, "weight_decay": 0.3},
    ),
    ("Adam", {"lr": 0.1, "betas": [0.0, 0.5], "maximize": True, "weight_decay": 0.3}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, "eps": 0.1, "betas": [0.7, 0.8]}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0, "maximize": True}),
    ("RMSprop", {}),
    (
        "RMSprop",
        {
            "lr": 0.1,
            "alpha": 0.8,
            "momentum": 0.7,
            "centered": True,
            "weight_decay": 0.1,
            "maximize": True,
        },
    ),
    ("RMSprop", {"lr": 0.1, "alpha": 0.5, "eps": 0.1, "weight_decay": 0.3}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.3, "lr_decay": 0.5, "maximize": True, "weight_decay": 0.2}),
    ("Adagrad", {"lr": 0.3, "initial_accumulator_value": 0.7, "eps": 0.01}),
]

KERAS = [
    ("SGD", {"weight_decay": 0.2}),
    ("SGD", {"learning_rate": 0.1, "nesterov": True}),
    (
        "SGD",
        {
            "learning_rate": 0.1,
            "momentum": 0.8,
            "clipnorm": 1.3,
            "gradient_accumulation_steps": 3,
            "weight_decay": 0.1,
            "use_ema": True,
            "ema_momentum": 0.7,
            "ema_overwrite_frequency": 2,
        },
    ),
    ("Adam", {"learning_rate": 0.1, "amsgrad": True, "beta_2": 0.7, "clipvalue": 0.4}),
    (
        "Adam",
        {
            "learning_rate": 0.1,
            "epsilon": 0.01,
            "weight_decay": 0.1,
            "global_clipnorm": 0.9,
            "gradient_accumulation_steps": 2,
        },
    ),
    ("AdamW", {}),
    (
        "AdamW",
        {
            "learning_rate": 0.1,
            "beta_1": 0.6,
            "use_ema": True,
            "ema_momentum": 0.6,
            "gradient_accumulation_steps": 2,
        },
    ),
    ("RMSprop", {}),
    (
        "RMSprop",
        {
            "learning_rate": 0.1,
            "rho": 0.7,
            "momentum": 0.8,
            "centered": True,
            "epsilon": 0.01,
            "weight_decay": 0.2,
        },
    ),
    (
        "RMSprop",
        {"learning_rate": 0.1, "centered": True, "use_ema": True, "clipnorm": 0.5},
    ),
    ("Adagrad", {"learning_rate": 0.2, "epsilon": 0.1, "weight_decay": 0.3}),
    (
        "Adagrad",
        {
            "learning_rate": 0.2,
            "global_clipnorm": 1.1,
            "use_ema": True,
            "ema_momentum": 0.5,
            "ema_overwrite_frequency": 3,
        },
    ),
    ("Lion", {}),
    ("Lion", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.8, "clipvalue": 0.3}),
    ("Muon", {}),
    (
        "Muon",
        {
            "learning_rate": 0.1,
            "momentum": 0.8,
            "nesterov": False,
            "rms_rate": None,
            "ns_steps": 3,
            "muon_a": 2.0,
            "muon_b": -1.5,
            "muon_c": 0.5,
            "adam_lr_ratio": 0.5,
            "adam_beta_1": 0.7,
            "adam_weight_decay": 0.2,
            "weight_decay": 0.1,
            "clipnorm": 1.3,
        },
    ),
    (
        "Muon",
        {
            "learning_rate": 0.1,
            "rms_rate": 0.3,
            "adam_weight_decay": None,
            "gradient_accumulation_steps": 2,
            "use_ema": True,
        },
    ),
]

_BELIEF = {"lr": 0.1, "print_change_log": False}
AUTHORS = [
    ("AdaBelief", {}),
    ("AdaBelief", _BELIEF | {"amsgrad": True, "betas": [0.8, 0.9], "eps": 1e-3}),
    (
        "AdaBelief",
        _BELIEF | {"degenerated_to_sgd": False, "weight_decay": 0.2, "eps": 1e-8},
    ),
    ("AdaBelief", _BELIEF | {"betas": [0.9, 0.6], "weight_decay": 0.1}),
    (
        "AdaBelief",
        _BELIEF | {"weight_decouple": False, "weight_decay": 0.2, "fixed_decay": True},
    ),
    (
        "AdaBelief",
        _BELIEF | {"rectify": False, "amsgrad": True, "betas": [0.7, 0.8]},
    ),
    ("Lion", {}),
    ("Lion", {"lr": 0.1, "weight_decay": 0.2, "betas": [0.7, 0.8]}),
    ("Lion", {"lr": 0.1, "weight_decay": 0.02, "decoupled_weight_decay": True}),
]

_MOMENTUM = {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}
_RMS = {"lr": 0.1, "momentum": 0.8, "centered": True}
LOOKAHEAD = [
    ("SGD", _MOMENTUM, {"la_steps": 2, "la_alpha": 0.3, "pullback_momentum": "reset"}),
    ("SGD", _MOMENTUM, {"la_steps": 3, "pullback_momentum": "pullback"}),
    ("RMSprop", _RMS, {"la_steps": 2, "la_alpha": 0.6, "pullback_momentum": "reset"}),
    ("RMSprop", _RMS, {"la_steps": 4, "pullback_momentum": "pullback"}),
    ("Adam", {"lr": 0.1, "amsgrad": True}, {"pullback_momentum": "pullback"}),
    ("AdamW", {"lr": 0.1}, {"la_steps": 1, "la_alpha": 0.5}),
]


class Decaying(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate lr / (1 + decay t)."""

    def __init__(self, lr, decay):
        """Keep both."""
        self.lr, self.decay = lr, decay

    def __call__(self, step):
        """Return the rate of a step."""
        return self.lr / (1 + self.decay * keras.ops.cast(step, "float64"))


def follow_keras(make, start, grads, lr, decay):
    """Return the parameters after each step, and the averaged ones at the end."""
    optimizer = make(Decaying(lr, decay) if decay else lr)
    variables = [keras.Variable(x, dtype="float64") for x in leaves(start)]
    optimizer.build(variables)
    path = []
    for row in grads:
        optimizer.apply(
            [keras.ops.convert_to_tensor(g) for g in leaves(row)], variables
        )
        path.append(flat([np.asarray(v) for v in variables]))
    optimizer.finalize_variable_values(variables)
    return np.stack(path), flat([np.asarray(v) for v in variables])


def torch_cases(data):
    """Yield the cases of PyTorch; each also complex, with a falling learning rate."""
    for name, kwargs in TORCH:
        lr = kwargs.get("lr", {"RMSprop": 1e-2, "Adagrad": 1e-2}.get(name, 1e-3))
        for kind in ("real", "complex") if "lr" in kwargs else ("real",):
            decay = 0.3 if kind == "complex" else 0.0

            def make(params, name=name, kwargs=kwargs):
                return getattr(torch.optim, name)(params, **kwargs)

            yield (
                case("torch", name, kwargs, kind, decay),
                follow_torch(make, *data[kind], lr, decay)[0],
            )


def keras_cases(data):
    """Yield the cases of Keras; each also with a falling learning rate."""
    for name, kwargs in KERAS:
        lr = kwargs.get("learning_rate", 0.01 if name == "SGD" else 0.001)
        rest = {k: v for k, v in kwargs.items() if k != "learning_rate"}
        for decay in (0.0, 0.3) if "learning_rate" in kwargs else (0.0,):

            def make(rate, name=name, rest=rest):
                return getattr(keras.optimizers, name)(learning_rate=rate, **rest)

            path, final = follow_keras(make, *data["real"], lr, decay)
            found = case("keras", name, kwargs, "real", decay)
            yield found | {"final": written(final)}, path


def authors_cases(data):
    """Yield the cases of the authors' packages, with and without a falling rate."""
    packages = {"AdaBelief": adabelief_pytorch, "Lion": lion_pytorch}
    for name, kwargs in AUTHORS:
        lr = kwargs.get("lr", {"AdaBelief": 1e-3, "Lion": 1e-4}[name])
        for decay in (0.0, 0.3) if "lr" in kwargs else (0.0,):

            def make(params, name=name, kwargs=kwargs):
                return getattr(packages[name], name)(params, **kwargs)

            yield (
                case("authors", name, kwargs, "real", decay),
                follow_torch(make, *data["real"], lr, decay)[0],
            )


def lookahead_cases(data):
    """Yield Lookahead as pytorch_optimizer has it: without the bug of its authors."""
    for inner, settings, kwargs in LOOKAHEAD:

        def make(params, inner=inner, settings=settings, kwargs=kwargs):
            return pytorch_optimizer.Lookahead(
                getattr(torch.optim, inner)(params, **settings),
                k=kwargs.get("la_steps", 5),
                alpha=kwargs.get("la_alpha", 0.8),
                pullback_momentum=kwargs.get("pullback_momentum", "none"),
            )

        found = case("authors", "Lookahead", kwargs, "real", 0.3)
        found["inner"] = [inner, settings]
        yield found, follow_torch(make, *data["real"], settings["lr"], 0.3)[0]


def norm_in_float64(x, axis, keepdims):
    """Return the norm that Keras's Muon asks for."""
    x = keras.ops.convert_to_tensor(x)
    return jnp.linalg.norm(x, axis=axis, keepdims=keepdims)


def main():
    """Write all cases to the file beside this one."""
    keras.config.set_floatx("float64")
    keras.src.ops.norm = norm_in_float64
    real, more = RNG.normal(size=(2, STEPS + 1, SIZE))
    real[4:, 1] = 0  # a parameter whose gradient vanishes
    mixed = real + 1j * more
    data = {"real": (real[0], real[1:]), "complex": (mixed[0], mixed[1:])}
    recorded = {
        kind: {"start": written(start), "grads": written(grads)}
        for kind, (start, grads) in data.items()
    }
    cases = []
    for cases_of in (torch_cases, keras_cases, authors_cases, lookahead_cases):
        cases += [x | {"path": written(path)} for x, path in cases_of(data)]
    versions = {name: metadata.version(name) for name in PACKAGES}
    result = {"versions": versions, **recorded, "cases": cases}
    save("like.json", result)


if __name__ == "__main__":
    main()
