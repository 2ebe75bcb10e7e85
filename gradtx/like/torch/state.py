"""Go on with a state of PyTorch's, and with its parameter groups."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradtx.common import checks
from gradtx.common.types import OptState, Params, ScalarOrSchedule
from gradtx.core.transformation import GradientTransformation
from gradtx.groups.by_path import by_path
from gradtx.like.state.entries import (
    Entry,
    Layouts,
    checked_names,
    layout_of,
    output_last,
)
from gradtx.like.state.filled import Table, filled

_NUMBERS = ("step", "mu_product", "eta", "mu")
_TURNED = ("kernel", "w")
_TABLE = Table(
    keys={
        "ScaleByAdamState.mu": ("exp_avg",),
        "ScaleByAdamState.nu": ("exp_avg_sq", "exp_inf"),
        "ScaleByAmsgradState.mu": ("exp_avg",),
        "ScaleByAmsgradState.nu": ("exp_avg_sq",),
        "ScaleByAmsgradState.nu_max": ("max_exp_avg_sq",),
        "ScaleByRisingNadamState.mu": ("exp_avg",),
        "ScaleByRisingNadamState.nu": ("exp_avg_sq",),
        "ScaleByAdaDeltaState.e_g": ("square_avg",),
        "ScaleByAdaDeltaState.e_x": ("acc_delta",),
        "ScaleByRssState.sum_of_squares": ("sum",),
        "ScaleByRmsState.nu": ("square_avg",),
        "ScaleByRStdDevState.nu": ("square_avg",),
        "ScaleByRStdDevState.mu": ("grad_avg",),
        "ScaleByRpropState.step_sizes": ("step_size",),
        "ScaleByRpropState.prev_updates": ("prev",),  # its sign is all that counts
        "TraceState.trace": ("momentum_buffer",),
        "DampenedTraceState.trace": ("momentum_buffer",),
        "MuonState.mu": ("momentum_buffer",),
        "AsgdState.ax": ("ax",),
    },
    shared={
        "ScaleByRisingNadamState.mu_product": lambda x: x.numbers.get("mu_product")
    },
)


def state_from(
    tx: GradientTransformation,
    state_dict: Mapping[str, Any],
    params: Params,
    names: Sequence[str],
    *,
    layouts: Layouts | None = None,
    steps: int | None = None,
) -> OptState:
    """Make a state from the ``state_dict`` of an optimizer of PyTorch.

        kept = torch.load("optimizer.pt", weights_only=True)  # or plain arrays
        tx = gradtx.like.torch.AdamW(lr=1e-3)
        state = gradtx.like.torch.state_from(
            tx, kept, params, names=["dense/kernel", "dense/bias"]
        )

    The next step is the one that PyTorch would have made. A leaf called "kernel" (Flax)
    or "w" (Haiku) has the axes of PyTorch's weight turned from (out, in, ...) to
    (..., in, out), as for linear layers and convolutions; all other leaves have its
    axes. Where that is not so, as for transposed convolutions and attention kernels of
    three axes, ``layouts`` says how axes are turned, as it was done to the weights.

    A parameter without an entry starts anew. All that the transformation keeps must be
    in the dictionary, and all in the dictionary have its place: make the state for
    PyTorch's own optimizer of :mod:`gradtx.like.torch`, or one that keeps the same, and
    go from there to another one by :func:`gradtx.migrate`. PyTorch's SGD and Muon keep
    no number of steps, so that a schedule needs ``steps``.

    Args:
      tx: the transformation, of the settings of the dictionary's groups: see
        :func:`from_param_groups`.
      state_dict: what ``optimizer.state_dict()`` returns: of its "state" the entry of
        index i is for the parameter ``names[i]``. The values are arrays, or tensors
        that NumPy can read.
      params: the parameters, in this library's layout; of any framework.
      names: the path in ``params`` of every entry by index, as
        :func:`gradtx.by_path` writes paths; in the order in which the parameters were
        given to PyTorch's optimizer.
      layouts: from patterns of paths to functions that turn an array of the weight's
        axes in PyTorch into one of those here, or to None where they are the same; the
        first pattern that matches counts.
      steps: how many steps schedules have taken; the number that is kept if None.

    Returns:
      The state, for ``tx.update``.

    Raises:
      ValueError: for a name that is no path of a parameter, an entry that has no name,
        a shape that differs, what has no place and what is missing, and numbers of
        steps that differ between parameters that share one here.

    Example:
      >>> tx, params = gradtx.like.torch.SGD(0.1, momentum=0.9), {"w": jnp.ones(2)}
      >>> kept = {
      ...     "state": {0: {"momentum_buffer": [1.0, 2.0]}},
      ...     "param_groups": [{"params": [0]}],
      ... }
      >>> state = gradtx.like.torch.state_from(tx, kept, params, ["w"])
      >>> print(jax.tree.leaves(state)[0])
      [1. 2.]
    """
    with checks.named("state_from"):
        names = checked_names(names, params)
        entries = {}
        for index, kept in state_dict["state"].items():
            name = _name_of(int(index), names)
            layout = layout_of(name, output_last, _TURNED, layouts)
            entries[name] = _entry(kept, layout)
        return filled(tx, params, entries, _TABLE, steps)


def _name_of(index: int, names: Sequence[str]) -> str:
    if index < len(names):
        return names[index]
    raise checks.InvalidArgument(
        f"the dictionary has the index {index}, but there are {len(names)} names: give "
        "the path of every parameter of the optimizer"
    )


def _entry(kept: Mapping[str, Any], layout: Any) -> Entry:
    there = {key: np.asarray(x) for key, x in kept.items() if x is not None}
    numbers = {key: float(there[key]) for key in _NUMBERS if key in there}
    arrays = {key: x for key, x in there.items() if key not in _NUMBERS}
    steps = int(numbers["step"]) if "step" in numbers else None
    return Entry(arrays, numbers, steps if arrays else steps or 0, layout)


def from_param_groups(
    optimizer: Callable[..., GradientTransformation],
    param_groups: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    *,
    schedule: Callable[[float], ScalarOrSchedule] | None = None,
) -> GradientTransformation:
    """Make the transformation of the parameter groups of a ``state_dict``.

        kept = optimizer.state_dict()
        tx = from_param_groups(gradtx.like.torch.AdamW, kept["param_groups"], names)

    Args:
      optimizer: the function of PyTorch's name in :mod:`gradtx.like.torch`.
      param_groups: the list of that name in ``optimizer.state_dict()``.
      names: the path in the parameters of every index, as :func:`state_from` takes
        them.
      schedule: from the rate that a group began with to the rate or schedule to go on
        with, such as ``lambda lr: gradtx.like.torch.StepLR(lr, 30)``; the group's
        current rate if None.

    Returns:
      What ``optimizer`` makes of the settings of the group, if there is only one; for
      several a :func:`gradtx.by_path` of them, whose patterns are regular expressions
      of their paths. Parameters in no group are frozen.

    Raises:
      ValueError: for an index without a name.

    Example:
      >>> groups = [{"lr": 0.1, "params": [0]}]
      >>> tx = gradtx.like.torch.from_param_groups(gradtx.like.torch.SGD, groups, ["w"])
      >>> print(gradtx.learning_rate(tx, tx.init({"w": jnp.ones(2)})))
      0.1
    """
    parts = []
    for group in param_groups:
        with checks.named("from_param_groups"):
            paths = [re.escape(_name_of(i, names)) for i in group["params"]]
        tx = optimizer(**_settings(optimizer, group, schedule))
        parts.append((re.compile(f"^(?:{'|'.join(paths)})$"), tx))
    if len(parts) == 1 and len(param_groups[0]["params"]) == len(names):
        return parts[0][1]
    return by_path(parts, default=None)


# What tells PyTorch how to compute, and not what.
_MEANINGLESS = ("params", "foreach", "fused", "capturable", "differentiable")


def _settings(
    optimizer: Any, group: Mapping[str, Any], schedule: Any
) -> dict[str, Any]:
    known = optimizer.factory.signature.parameters
    given = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in group.items()
        if key in known and key not in _MEANINGLESS
    }
    if schedule is None:
        return given
    return given | {"lr": schedule(group.get("initial_lr", group["lr"]))}
