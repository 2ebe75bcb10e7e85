"""Record what Keras's other optimizers and its schedules do, as ``record_like.py``.

Not a test: it needs keras and jax, reads ``like.json`` and writes ``like_keras.json``.
Run it as

    python tests/data/record_keras.py

The two variables are called "0" and "1", which "exclude" leaves out of the decay.
On JAX Keras's norm, mean and cosine round float64 to float32, which Muon, Adafactor and
the cosine schedules take: here others are put in their places.
"""

import os
from importlib import metadata

os.environ |= {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}

import jax
import jax.numpy as jnp
import keras
import numpy as np
from recording import case, flat, leaves, recorded_data, save, written

OPTIMIZERS = [
    ("Adadelta", {}),
    (
        "Adadelta",
        {"learning_rate": 0.5, "rho": 0.8, "epsilon": 0.01, "weight_decay": 0.2},
    ),
    ("Adafactor", {}),
    (
        "Adafactor",
        {
            "learning_rate": 0.4,
            "beta_2_decay": -0.5,
            "epsilon_1": 0.01,
            "epsilon_2": 0.1,
            "clip_threshold": 0.6,
            "relative_step": False,
            "weight_decay": 0.2,
        },
    ),
    # Larger than the root mean square of a parameter, so that it is the step's scale.
    ("Adafactor", {"learning_rate": 0.1, "epsilon_2": 2.5}),
    ("Adamax", {}),
    (
        "Adamax",
        {
            "learning_rate": 0.1,
            "beta_1": 0.7,
            "beta_2": 0.8,
            "epsilon": 0.1,
            "weight_decay": 0.2,
            "clipnorm": 1.3,
        },
    ),
    ("Ftrl", {}),
    (
        "Ftrl",
        {
            "learning_rate": 0.3,
            "learning_rate_power": -0.7,
            "initial_accumulator_value": 0.2,
            "l1_regularization_strength": 0.05,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.2,
            "beta": 0.3,
            "weight_decay": 0.1,
        },
    ),
    ("Lamb", {}),
    (
        "Lamb",
        {
            "learning_rate": 0.1,
            "beta_1": 0.7,
            "beta_2": 0.8,
            "epsilon": 0.1,
            "weight_decay": 0.3,
            "gradient_accumulation_steps": 2,
        },
    ),
    ("Nadam", {}),
    (
        "Nadam",
        {
            "learning_rate": 0.1,
            "beta_1": 0.7,
            "beta_2": 0.8,
            "epsilon": 0.1,
            "weight_decay": 0.2,
            "use_ema": True,
            "ema_momentum": 0.6,
        },
    ),
    ("ScheduleFreeAdamW", {}),
    (
        "ScheduleFreeAdamW",
        {
            "learning_rate": 0.1,
            "beta_1": 0.7,
            "beta_2": 0.8,
            "epsilon": 0.1,
            "warmup_steps": 3,
            "weight_decay": 0.2,
        },
    ),
    ("AdamW", {"learning_rate": 0.1, "exclude_from_weight_decay": ["1"]}),
    (
        "Lamb",
        {
            "learning_rate": 0.1,
            "weight_decay": 0.3,
            "exclude_from_weight_decay": ["0", "bias"],
        },
    ),
    (
        "Muon",
        {
            "learning_rate": 0.1,
            "weight_decay": 0.3,
            "rms_rate": None,
            "exclude_from_weight_decay": ["1"],
        },
    ),
]
RATES = {"SGD": 0.01, "ScheduleFreeAdamW": 0.0025}

TIMES, RATE = 24, 0.4
SCHEDULES = [
    ("ExponentialDecay", {"decay_steps": 5, "decay_rate": 0.6}),
    ("ExponentialDecay", {"decay_steps": 5, "decay_rate": 0.6, "staircase": True}),
    ("InverseTimeDecay", {"decay_steps": 5, "decay_rate": 0.6}),
    ("InverseTimeDecay", {"decay_steps": 5, "decay_rate": 0.6, "staircase": True}),
    (
        "PiecewiseConstantDecay",
        {"boundaries": [4, 9, 15], "values": [1.0, 2.0, 0.5, 3]},
    ),
    ("PolynomialDecay", {"decay_steps": 9}),
    ("PolynomialDecay", {"decay_steps": 9, "end_learning_rate": 0.1, "power": 2.5}),
    ("PolynomialDecay", {"decay_steps": 5, "cycle": True, "power": 0.5}),
    ("CosineDecay", {"decay_steps": 11}),
    (
        "CosineDecay",
        {"decay_steps": 11, "alpha": 0.2, "warmup_target": 2.0, "warmup_steps": 6},
    ),
    ("CosineDecayRestarts", {"first_decay_steps": 3}),
    (
        "CosineDecayRestarts",
        {"first_decay_steps": 5, "t_mul": 1.0, "m_mul": 0.7, "alpha": 0.1},
    ),
    ("CosineDecayRestarts", {"first_decay_steps": 4, "t_mul": 1.5, "m_mul": 0.8}),
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
    variables = [
        keras.Variable(x, dtype="float64", name=str(i))
        for i, x in enumerate(leaves(start))
    ]
    optimizer.build(variables)
    path = []
    for row in grads:
        optimizer.apply(
            [keras.ops.convert_to_tensor(g) for g in leaves(row)], variables
        )
        path.append(flat([np.asarray(v) for v in variables]))
    optimizer.finalize_variable_values(variables)
    return np.stack(path), flat([np.asarray(v) for v in variables])


def made(name, kwargs, rate):
    """Make an optimizer with a learning rate or a schedule."""
    left_out = ("learning_rate", "exclude_from_weight_decay")
    rest = {k: v for k, v in kwargs.items() if k not in left_out}
    optimizer = getattr(keras.optimizers, name)(learning_rate=rate, **rest)
    if "exclude_from_weight_decay" in kwargs:
        names = kwargs["exclude_from_weight_decay"]
        optimizer.exclude_from_weight_decay(var_names=names)
    return optimizer


def optimizer_cases(data):
    """Yield the cases; each also with a falling learning rate."""
    for name, kwargs in OPTIMIZERS:
        lr = kwargs.get("learning_rate", RATES.get(name, 0.001))
        for decay in (0.0, 0.3) if "learning_rate" in kwargs else (0.0,):

            def make(rate, name=name, kwargs=kwargs):
                return made(name, kwargs, rate)

            path, final = follow_keras(make, *data["real"], lr, decay)
            found = case("keras", name, kwargs, "real", decay)
            if kwargs.get("use_ema"):
                found["final"] = written(final)
            yield found | {"path": written(path)}


def loss_scale_case(data):
    """Return a run with gradients as they come, of which one overflows."""
    start, grads = data["real"]
    grads = grads.copy()
    grads[4] = np.inf
    kwargs = {"initial_scale": 4.0, "dynamic_growth_steps": 3}

    def make(rate):
        inner = keras.optimizers.SGD(rate, momentum=0.9)
        return keras.optimizers.LossScaleOptimizer(inner, **kwargs)

    with jax.disable_jit():  # traced, Keras's own states would leak
        path, _ = follow_keras(make, start, grads, 0.1, 0.0)
    return {"kwargs": kwargs, "overflow": 4, "path": written(path)}


def schedule_cases():
    """Yield the learning rates of the first steps under each schedule."""
    for name, kwargs in SCHEDULES:
        make = getattr(keras.optimizers.schedules, name)
        first = {} if "boundaries" in kwargs else {"initial_learning_rate": RATE}
        rate = make(**first, **kwargs)
        rates = [float(rate(keras.ops.cast(t, "int64"))) for t in range(TIMES)]
        yield {"name": name, "kwargs": kwargs, "rates": rates}


def in_float64(function):
    """Return a function of JAX with the arguments of Keras's, which does not round."""

    def rounded_nowhere(x, **kwargs):
        return function(keras.ops.convert_to_tensor(x), **kwargs)

    return rounded_nowhere


def main():
    """Write all cases to the file beside this one."""
    keras.config.set_floatx("float64")
    keras.src.ops.norm = in_float64(jnp.linalg.norm)
    keras.src.ops.mean = in_float64(jnp.mean)
    keras.src.ops.cos = in_float64(jnp.cos)
    data = recorded_data()
    result = {
        "versions": {"keras": metadata.version("keras")},
        "rate": RATE,
        "cases": list(optimizer_cases(data)),
        "loss_scale": loss_scale_case(data),
        "schedules": list(schedule_cases()),
    }
    save("like_keras.json", result)


if __name__ == "__main__":
    main()
