"""Record states of Keras's optimizers, and how runs go on, as for PyTorch's.

Not a test: it needs keras and jax, and writes ``states_keras.json``. Run it as

    python tests/data/record_keras_states.py
"""

from record_keras import in_float64, jnp, keras
from recording import BEFORE, RATE, STEPS, lists, random_arrays, save

SHAPES = {"weight": (2, 3), "bias": (3,), "conv": (2, 3, 1, 2)}
KERAS = [
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adam", {"amsgrad": True, "use_ema": True, "ema_overwrite_frequency": 3}),
    ("AdamW", {"weight_decay": 0.1, "gradient_accumulation_steps": 3}),
    ("Adagrad", {}),
    ("Adadelta", {}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Ftrl", {}),
    ("Lion", {}),
    ("Lamb", {}),
    ("Adafactor", {}),
    ("Muon", {}),
    ("ScheduleFreeAdamW", {"warmup_steps": 3}),
]


def keras_run(name, kwargs):
    """Return what an optimizer kept after some steps, and where it went from there."""
    optimizer = getattr(keras.optimizers, name)(learning_rate=RATE, **kwargs)
    variables = [
        keras.Variable(x, dtype="float64", name=k)
        for k, x in zip(SHAPES, random_arrays(SHAPES, 0), strict=True)
    ]
    optimizer.build(variables)
    found = {"name": name, "kwargs": kwargs}
    for t in range(STEPS):
        if t == BEFORE:
            found |= {"kept": lists(optimizer.variables), "start": lists(variables)}
        grads = map(keras.ops.convert_to_tensor, random_arrays(SHAPES, t + 1))
        optimizer.apply(list(grads), variables)
    return found | {"end": lists(variables)}


def main():
    """Write all cases to the file beside this one."""
    keras.config.set_floatx("float64")
    keras.src.ops.norm = in_float64(jnp.linalg.norm)
    keras.src.ops.mean = in_float64(jnp.mean)
    result = {
        "grads": [lists(random_arrays(SHAPES, t + 1)) for t in range(BEFORE, STEPS)],
        "cases": [keras_run(*case) for case in KERAS],
    }
    save("states_keras.json", result)


if __name__ == "__main__":
    main()
