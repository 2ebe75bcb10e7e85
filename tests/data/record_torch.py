"""Record what PyTorch's other optimizers and its schedulers do, as ``record_like.py``.

Not a test: it needs torch, reads ``like.json`` and writes ``like_torch.json``. Run by

    python tests/data/record_torch.py

A sparse gradient has the rows, or entries of a vector, that are not 0.
"""

from importlib import metadata

import numpy as np
import torch
from recording import case, flat, leaves, recorded_data, save, written

_NADAM = {"lr": 0.1, "betas": [0.8, 0.9], "weight_decay": 0.2, "momentum_decay": 0.3}
OPTIMIZERS = [
    ("Adadelta", {}),
    (
        "Adadelta",
        {"lr": 0.5, "rho": 0.8, "eps": 0.01, "weight_decay": 0.2, "maximize": True},
    ),
    ("Adamax", {}),
    (
        "Adamax",
        {
            "lr": 0.1,
            "betas": [0.8, 0.7],
            "eps": 0.1,
            "weight_decay": 0.2,
            "maximize": True,
        },
    ),
    ("NAdam", {}),
    ("NAdam", _NADAM | {"eps": 0.01}),
    ("NAdam", _NADAM | {"decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {}),
    (
        "RAdam",
        {"lr": 0.1, "betas": [0.8, 0.9], "eps": 0.1, "weight_decay": 0.2},
    ),
    (
        "RAdam",
        {
            "lr": 0.1,
            "weight_decay": 0.2,
            "decoupled_weight_decay": True,
            "maximize": True,
        },
    ),
    ("Rprop", {}),
    (
        "Rprop",
        {"lr": 0.2, "etas": [0.4, 1.5], "step_sizes": [0.03, 0.15], "maximize": True},
    ),
    ("Adafactor", {}),
    (
        "Adafactor",
        {
            "lr": 0.4,
            "beta2_decay": -0.5,
            "eps": [0.2, 0.1],
            "d": 1.3,
            "weight_decay": 0.2,
            "maximize": True,
        },
    ),
    ("ASGD", {}),
    (
        "ASGD",
        {
            "lr": 0.1,
            "lambd": 0.3,
            "alpha": 0.6,
            "t0": 2,
            "weight_decay": 0.1,
            "maximize": True,
        },
    ),
    ("SparseAdam", {}),
    (
        "SparseAdam",
        {"lr": 0.1, "betas": [0.7, 0.8], "eps": 0.01, "maximize": True},
    ),
]
SEARCHES = [
    {},
    {"lr": 0.5, "max_iter": 4, "history_size": 2},
    {"lr": 0.7, "max_iter": 5, "max_eval": 3},
    {"line_search_fn": "strong_wolfe"},
    {"lr": 3.0, "max_iter": 3, "history_size": 3, "line_search_fn": "strong_wolfe"},
    {"lr": 0.01, "max_iter": 6, "max_eval": 9, "line_search_fn": "strong_wolfe"},
    {"tolerance_grad": 0.3, "line_search_fn": "strong_wolfe"},
    {"lr": 0.3, "tolerance_change": 0.05},
]
RATES = {"Adadelta": 1.0, "NAdam": 2e-3, "Adamax": 2e-3, "Rprop": 1e-2, "ASGD": 1e-2}
NOT_COMPLEX = ("Adafactor", "SparseAdam")

TIMES, RATE = 24, 0.4
SCHEDULERS = [
    ("LambdaLR", {"lr_lambda": "halves"}),
    ("MultiplicativeLR", {"lr_lambda": "halves"}),
    ("StepLR", {"step_size": 4}),
    ("StepLR", {"step_size": 3, "gamma": 0.7}),
    ("MultiStepLR", {"milestones": [3, 7, 7, 12]}),
    ("MultiStepLR", {"milestones": [5, 11], "gamma": 0.5}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 8}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 0.7, "total_iters": 9}),
    ("ExponentialLR", {"gamma": 0.8}),
    ("CosineAnnealingLR", {"T_max": 7}),
    ("CosineAnnealingLR", {"T_max": 10, "eta_min": 0.1}),
    ("CosineAnnealingWarmRestarts", {"T_0": 6}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.1}),
    ("CyclicLR", {"max_lr": 1.0, "step_size_up": 4}),
    (
        "CyclicLR",
        {
            "max_lr": 1.0,
            "step_size_up": 3,
            "step_size_down": 5,
            "mode": "triangular2",
        },
    ),
    (
        "CyclicLR",
        {"max_lr": 1.0, "step_size_up": 4, "mode": "exp_range", "gamma": 0.9},
    ),
    ("CyclicLR", {"max_lr": 1.0, "step_size_up": 4, "scale_fn": "halves"}),
    (
        "CyclicLR",
        {
            "max_lr": 1.0,
            "step_size_up": 4,
            "scale_fn": "halves",
            "scale_mode": "iterations",
        },
    ),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 24}),
    (
        "OneCycleLR",
        {
            "max_lr": 2.0,
            "epochs": 6,
            "steps_per_epoch": 4,
            "pct_start": 0.4,
            "anneal_strategy": "linear",
            "div_factor": 10.0,
            "final_div_factor": 50.0,
        },
    ),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 24, "three_phase": True}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 9, "power": 2.5}),
    (
        "SequentialLR",
        {
            "schedulers": [
                ["LinearLR", {"total_iters": 4}],
                ["StepLR", {"step_size": 2, "gamma": 0.5}],
                ["CosineAnnealingLR", {"T_max": 8}],
            ],
            "milestones": [4, 11],
        },
    ),
    (
        "ChainedScheduler",
        {
            "schedulers": [
                ["ConstantLR", {"factor": 0.1, "total_iters": 6}],
                ["ExponentialLR", {"gamma": 0.9}],
                ["CosineAnnealingLR", {"T_max": 30}],
            ]
        },
    ),
]
FUNCTIONS = {"halves": lambda t: 1 / (1 + t / 2)}


def follow_torch(make, start, grads, lr, decay, given=torch.tensor):
    """Return the parameters after each step of an optimizer of PyTorch's kind.

    And the optimizer.
    """
    params = [torch.nn.Parameter(torch.tensor(x)) for x in leaves(start)]
    optimizer = make(params)
    groups = getattr(optimizer, "optimizer", optimizer).param_groups
    path = []
    for t, row in enumerate(grads):
        for group in groups:
            group["lr"] = lr / (1 + decay * t)
        for p, g in zip(params, leaves(row), strict=True):
            p.grad = given(g)
        optimizer.step()
        path.append(flat([p.detach().numpy() for p in params]))
    return np.stack(path), optimizer


def sparse(g):
    """Return a gradient that names its rows."""
    return torch.tensor(g).to_sparse(1)


def optimizer_cases(data):
    """Yield the cases; each also complex, with a falling learning rate."""
    for name, kwargs in OPTIMIZERS:
        lr = kwargs.get("lr", RATES.get(name, 1e-2 if name == "Adafactor" else 1e-3))
        for decay in (0.0, 0.3) if "lr" in kwargs else (0.0,):
            kind = "complex" if decay and name not in NOT_COMPLEX else "real"
            kind = "sparse" if name == "SparseAdam" else kind
            given = sparse if kind == "sparse" else torch.tensor

            def make(params, name=name, kwargs=kwargs):
                return getattr(torch.optim, name)(params, **kwargs)

            path, optimizer = follow_torch(make, *data[kind], lr, decay, given)
            found = case("torch", name, kwargs, kind, decay)
            if name == "ASGD":
                means = [s["ax"].numpy() for s in optimizer.state.values()]
                found["final"] = written(flat(means))
            yield found | {"path": written(path)}


def valley(x):
    """Return a number that is small in a bent valley, of seven."""
    steps = (x[1:] - x[:-1] ** 2) ** 2
    return steps.sum() + 0.1 * ((1 - x) ** 2).sum()


def search_cases(start):
    """Yield what L-BFGS does in a few calls, and how often it evaluates the loss."""
    for kwargs in SEARCHES:
        p = torch.nn.Parameter(torch.tensor(start))
        optimizer = torch.optim.LBFGS([p], **kwargs)

        def closure(p=p, optimizer=optimizer):
            optimizer.zero_grad()
            loss = valley(p)
            loss.backward()
            return loss

        path, evals = [], []
        for _ in range(4):
            optimizer.step(closure)
            path.append(p.detach().numpy().copy())
            evals.append(optimizer.state[p]["func_evals"])
        yield {"kwargs": kwargs, "path": written(np.stack(path)), "evals": evals}


def scheduler(optimizer, name, kwargs):
    """Make a scheduler of its description."""
    make = getattr(torch.optim.lr_scheduler, name)
    settings = {k: FUNCTIONS.get(str(v), v) for k, v in kwargs.items()}
    if name == "CyclicLR":
        settings |= {"base_lr": RATE, "cycle_momentum": False}
    if name == "OneCycleLR":
        settings |= {"cycle_momentum": False}
    if "schedulers" in kwargs:
        parts = [scheduler(optimizer, *x) for x in kwargs["schedulers"]]
        settings["schedulers"] = parts
    if name == "ChainedScheduler":
        return make(**settings)
    return make(optimizer, **settings)


def scheduler_cases():
    """Yield the learning rates of the first steps under each scheduler."""
    for name, kwargs in SCHEDULERS:
        p = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([p], lr=RATE)
        following, rates = scheduler(optimizer, name, kwargs), []
        for _ in range(TIMES):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            following.step()
        yield {"name": name, "kwargs": kwargs, "rates": rates}


def main():
    """Write all cases to the file beside this one."""
    torch.set_default_dtype(torch.float64)  # of the numbers in the states, too
    data = recorded_data()
    start, grads = data["real"]
    grads = grads.copy()
    grads[2:5, 3:5] = 0  # the first row of the matrix
    grads[::3, 5:] = 0  # the second
    data["sparse"] = start, grads
    result = {
        "versions": {"torch": metadata.version("torch")},
        "sparse": {"start": written(start), "grads": written(grads)},
        "rate": RATE,
        "cases": list(optimizer_cases(data)),
        "schedules": list(scheduler_cases()),
        "searches": list(search_cases(start)),
    }
    save("like_torch.json", result)


if __name__ == "__main__":
    main()
