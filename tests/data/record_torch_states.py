"""Record states of PyTorch's optimizers, and how runs go on from them.

Not a test: it needs torch, and writes ``states_torch.json``. Run it as

    python tests/data/record_torch_states.py

Each run makes four steps, keeps the optimizer's state and the parameters, and makes
three more. The weights have PyTorch's axes.
"""

import numpy as np
import torch
from recording import BEFORE, RATE, STEPS, lists, random_arrays, save

SHAPES = {"weight": (3, 2), "bias": (3,), "conv": (2, 1, 2, 3)}
DECAYED = {"lr": RATE, "weight_decay": 0.1}
TORCH = [
    ("SGD", {"lr": RATE, "momentum": 0.9, "dampening": 0.1}),
    ("Adam", {**DECAYED, "amsgrad": True, "betas": [0.8, 0.9]}),
    ("AdamW", DECAYED),
    ("Adagrad", {"lr": RATE, "lr_decay": 0.1}),
    ("Adadelta", {"lr": 0.5}),
    ("Adamax", {"lr": RATE}),
    ("NAdam", {"lr": RATE}),
    ("RAdam", {"lr": RATE, "betas": [0.8, 0.9]}),
    ("RMSprop", {"lr": RATE, "momentum": 0.5, "centered": True}),
    ("Rprop", {"lr": RATE}),
    ("ASGD", {"lr": RATE, "t0": 2}),
    ("Adafactor", {"lr": RATE}),
]


def torch_state(optimizer):
    """Return the state of an optimizer as lists and numbers."""
    kept = optimizer.state_dict()
    entries = [
        {k: x if x is None else np.asarray(x).tolist() for k, x in entry.items()}
        for entry in kept["state"].values()
    ]
    return {"state": entries, "param_groups": kept["param_groups"]}


def torch_run(name, kwargs, groups=None):
    """Return what an optimizer kept after some steps, and where it went from there."""
    shapes = dict(SHAPES)
    if name == "Adafactor":
        del shapes["conv"]
    params = [torch.nn.Parameter(torch.tensor(x)) for x in random_arrays(shapes, 0)]
    given = params if groups is None else groups(params)
    optimizer = getattr(torch.optim, name)(given, **kwargs)
    found = {"name": name, "kwargs": kwargs}
    for t in range(STEPS):
        if t == BEFORE:
            found |= {"kept": torch_state(optimizer)}
            found["start"] = lists(p.detach() for p in params)
        for p, g in zip(params, random_arrays(shapes, t + 1), strict=True):
            p.grad = torch.tensor(g)
        optimizer.step()
    return found | {"end": lists(p.detach() for p in params)}


def in_two_groups(params):
    """Return the weights, and in another group the bias."""
    weight, bias, conv = params
    rest = {"params": [bias], "weight_decay": 0.0, "betas": [0.8, 0.9]}
    return [{"params": [weight, conv]}, rest]


def main():
    """Write all cases to the file beside this one."""
    torch.set_default_dtype(torch.float64)
    result = {
        "grads": [lists(random_arrays(SHAPES, t + 1)) for t in range(BEFORE, STEPS)],
        "cases": [torch_run(*case) for case in TORCH],
        "grouped": torch_run("AdamW", DECAYED, in_two_groups),
    }
    save("states_torch.json", result)


if __name__ == "__main__":
    main()
