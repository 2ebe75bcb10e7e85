"""What all that records trajectories of other libraries has in common."""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
KINDS = ("real", "complex")
STEPS, BEFORE = 7, 4  # of a run, and up to where its state is kept
RATE = 0.05


def leaves(row):
    """Return the two leaves that lie in a row."""
    return [row[:3], row[3:].reshape(2, 2)]


def flat(arrays):
    """Lay leaves into a row."""
    return np.concatenate([np.ravel(x) for x in arrays])


def written(x):
    """Return an array as lists, with complex numbers as pairs."""
    return (np.stack([x.real, x.imag], -1) if np.iscomplexobj(x) else x).tolist()


def case(library, name, kwargs, kind, decay):
    """Describe a trajectory."""
    return {
        "lib": library,
        "name": name,
        "kwargs": kwargs,
        "kind": kind,
        "decay": decay,
    }


def recorded_data():
    """Return the start and the gradients that ``like.json`` holds, by kind."""
    like = json.loads((HERE / "like.json").read_text())
    rows = {k: [np.array(like[k][n]) for n in ("start", "grads")] for k in KINDS}
    pairs = [x[..., 0] + 1j * x[..., 1] for x in rows["complex"]]
    return rows | {"complex": pairs}


def save(name, result):
    """Write a file beside this one."""
    (HERE / name).write_text(json.dumps(result) + "\n")


def random_arrays(shapes, seed):
    """Return one array of each shape."""
    draw = np.random.default_rng(seed)
    return [draw.normal(size=shape).round(3) for shape in shapes.values()]


def lists(values):
    """Return arrays as lists."""
    return [np.asarray(x).tolist() for x in values]
