"""The steps of benchmarks/sharding.py: a method, a tree, and how it lies on a mesh."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax.sharding import AxisType

import gradtx
from benchmarks.trees import Shapes, gpt2

RATE = 1e-3
XL = 1600  # GPT-2 XL's width

Trees = Callable[[], Shapes]


class Row(NamedTuple):
    """A step to compile."""

    build: Callable[[Any], Any]
    """Makes the transformation, from the axes of the mesh."""
    tree: Trees
    cut: bool = False
    """Whether the parameters lie in parts over all devices."""
    kind: AxisType = AxisType.Auto
    summed: bool = False
    """Whether gradients come of parts of a batch, and are summed over the devices."""


def two_layers() -> Shapes:
    """Return the embedding and two layers of GPT-2 small: 53 million parameters."""
    return gpt2(768, 50257, layers=2)


def matrices() -> Shapes:
    """Return the 48 matrices of GPT-2 small."""
    shapes = gpt2(768, 50257)
    return {k: s for k, s in shapes.items() if len(s) > 1 and k.startswith("h")}


def xl() -> Shapes:
    """Return layers of GPT-2 XL's width with its embedding: six of its 48."""
    return gpt2(XL, 50257, layers=6)


def muon(_: Any) -> Any:
    """Make Muon's direction, left to the compiler."""
    return gradtx.contrib.scale_by_muon()


def muon_split(axes: Any) -> Any:
    """Make Muon's direction, shared out."""
    return gradtx.contrib.scale_by_muon(split=axes)


def adamw(_: Any) -> Any:
    """Make AdamW."""
    return gradtx.adamw(RATE)


def in_parts(axes: Any) -> Any:
    """Make AdamW with its state in parts."""
    return gradtx.zero1(gradtx.adamw(RATE), axes[0])


def on_host(axes: Any) -> Any:
    """Make AdamW with its state in parts in the host's memory."""
    return gradtx.offload(in_parts(axes))


def both(axes: Any) -> Any:
    """Make Muon and AdamW with their state in parts and matrices shared out."""
    return gradtx.zero1(gradtx.contrib.muon(RATE, split=axes[0]), axes[0])


ROWS: dict[str, Row] = {
    "adamw, whole": Row(adamw, two_layers, summed=True),
    "adamw, zero1": Row(in_parts, two_layers, summed=True),
    "muon, whole": Row(muon, matrices),
    "muon split, whole": Row(muon_split, matrices),
    "muon split, whole, explicit": Row(muon_split, matrices, kind=AxisType.Explicit),
    "muon, FSDP": Row(muon, matrices, cut=True),
    "muon split, FSDP": Row(muon_split, matrices, cut=True),
    "muon split, FSDP, explicit": Row(
        muon_split, matrices, cut=True, kind=AxisType.Explicit
    ),
    "adamw, offload": Row(on_host, two_layers),
    "XL adamw, zero1": Row(in_parts, xl, summed=True),
    "XL muon split, zero1": Row(both, xl, summed=True),
}
