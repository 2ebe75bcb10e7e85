"""Figures, table and picture of outcomes, from what was written of each method."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.report import markdown

BASELINE = "adamw"
DRAWS = 4000
Found = dict[str, dict[str, Any]]


class Share(NamedTuple):
    """Steps to the baseline's end as a part of the baseline's, and their interval."""

    middle: float
    """Infinite where the baseline's end is not reached within its steps."""
    low: float
    high: float
    shortest: bool
    """Whether the shortest runs reached it already, so that it may be less."""


def load(place: Path, task: str) -> Found:
    """Read what was found of each method of a task."""
    files = sorted(place.glob(f"{task}-*.json"))
    return {
        path.stem.removeprefix(f"{task}-"): json.loads(path.read_text("utf-8"))
        for path in files
    }


def losses(found: dict[str, Any]) -> np.ndarray:
    """Give the final losses, (lengths, seeds); infinite where a run diverged."""
    return np.array(
        [[np.inf if x is None else x for x in row] for row in found["loss"]], float
    )


def crossing(parts: Sequence[float], ends: np.ndarray, target: float) -> float:
    """Give the part of the steps at which a falling line of losses meets the target.

    Between two lengths the line is straight; where the shortest run is there already,
    its length counts, and where none is, the part is infinite.
    """
    below = np.flatnonzero(ends <= target)
    if not len(below):
        return np.inf
    at = int(below[0])
    if at == 0 or not np.isfinite(ends[at - 1]):
        return float(parts[at])
    slope = (ends[at - 1] - target) / (ends[at - 1] - ends[at])
    return float(parts[at - 1] + slope * (parts[at] - parts[at - 1]))


def share(found: dict[str, Any], baseline: dict[str, Any]) -> Share:
    """Compare a method with the baseline, both with the same seeds drawn again."""
    mine, theirs = losses(found), losses(baseline)[-1]
    parts = np.asarray(found["lengths"]) / baseline["lengths"][-1]
    drawn = np.random.default_rng(0).integers(0, len(theirs), (DRAWS, len(theirs)))
    each = [
        crossing(parts, mine[:, seeds].mean(axis=1), float(theirs[seeds].mean()))
        for seeds in drawn
    ]
    low, high = np.percentile(each, [2.5, 97.5], method="nearest")
    middle = crossing(parts, mine.mean(axis=1), float(theirs.mean()))
    return Share(middle, float(low), float(high), middle <= parts[0])


def times_of(place: Path, task: str) -> Path:
    """Give the file of what a step of each method costs."""
    return place / f"times-{task}.json"


def table(found: Found, ratio: Mapping[str, Sequence[float]] | None = None) -> str:
    """Write the table as Markdown, the fewest steps first.

    Args:
      found: what was written of each method.
      ratio: what a step costs as a multiple of AdamW's, in all, at least and at most.
    """
    base = found[BASELINE]
    shares = {name: share(each, base) for name, each in found.items()}
    order = ranking(found, shares)
    heads = (
        "method",
        "steps / AdamW's",
        "95 % interval",
        "final loss",
        "test accuracy %",
        "state B/param",
        "trials",
        "best rate",
        "best of the rest",
    )
    rows = [_cells(found[name], shares[name]) for name in order]
    if ratio is not None:
        heads = (*heads, "step / AdamW's", "time to it / AdamW's")
        costs = [_costs(shares[name], ratio[name]) for name in order]
        rows = [(*a, *b) for a, b in zip(rows, costs, strict=True)]
    return markdown(heads, rows)


def ranking(found: Found, shares: Mapping[str, Share]) -> list[str]:
    """Order the methods, the fewest steps first; by their loss where they are equal."""

    def place(name: str) -> tuple[float, float]:
        return shares[name].middle, float(losses(found[name])[-1].mean())

    return sorted(found, key=place)


def _cells(each: dict[str, Any], its: Share) -> tuple[str, ...]:
    best = dict(each["best"])
    rate = best.pop("learning_rate")
    best.pop("length", None)
    line = {0.0: "cosine", 1.0: "line", None: ""}[best.pop("linear", None)]
    rest = [f"{name} {value:g}" for name, value in best.items()]
    return (
        each["title"],
        ("≤ " if its.shortest else "") + part(its.middle),
        f"{part(its.low)} to {part(its.high)}",
        _spread(losses(each)[-1]),
        f"{100 * np.mean(np.array(each['accuracy'][-1], float)):.1f}",
        f"{each['state_bytes_per_parameter']:.1f}",
        f"{each['trials']}",
        f"{rate:.2g}" + ("" if each["inside"] else " (edge)"),
        ", ".join([*rest, *filter(None, [line])]),
    )


def _costs(its: Share, ratio: Sequence[float]) -> tuple[str, str]:
    whole, least, most = ratio
    reached = f"{its.middle * whole:.2f}" if np.isfinite(its.middle) else "never"
    return f"{whole:.2f} ({least:.2f} to {most:.2f})", reached


def _spread(ends: np.ndarray) -> str:
    """Write mean and deviation over the seeds."""
    if not np.isfinite(ends).all():
        return "diverged"
    return f"{ends.mean():.3f} ±{ends.std(ddof=1) if len(ends) > 1 else 0:.3f}"


def part(value: float) -> str:
    """Write a part of the steps."""
    return f"{value:.2f}" if np.isfinite(value) else "> 1"


def show(place: Path, task: str, picture: Path | None) -> None:
    """Print the table of a task, and draw its picture where one is asked for."""
    found = load(place, task)
    if BASELINE not in found:
        return
    print(f"\n{task}\n\n{table(found, measured_ratios(place, task, found))}")
    if picture is not None:
        draw(found, picture)


def measured_ratios(
    place: Path, task: str, found: Found
) -> dict[str, list[float]] | None:
    """Read what steps cost; None where not all methods were timed."""
    timed = times_of(place, task)
    if not timed.exists():
        return None
    ratio = json.loads(timed.read_text("utf-8"))["ratio"]
    return ratio if found.keys() <= ratio.keys() else None


def draw(found: Found, picture: Path) -> None:
    """Draw each method's share of the steps with its interval, as a small PNG."""
    from gradtx.compare.drawing import INK, STYLE, plt, save  # noqa: PLC0415

    base = found[BASELINE]
    shares = {name: share(each, base) for name, each in found.items()}
    order = ranking(found, shares)[::-1]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            figsize=(8, 1.2 + 0.32 * len(order)), layout="constrained"
        )
        for height, name in enumerate(order):
            its = shares[name]
            low, middle, high = np.minimum([its.low, its.middle, its.high], 1.08)
            axes.plot((low, high), (height, height), color="#0072B2", linewidth=1.6)
            marker = "o" if np.isfinite(its.middle) else ">"
            axes.plot(middle, height, marker, color="#0072B2", markersize=7)
        axes.axvline(1.0, color=INK, linewidth=1.0)
        axes.set_yticks(range(len(order)), [found[name]["title"] for name in order])
        axes.set_xlabel("steps to tuned AdamW's final loss, as a part of AdamW's")
        axes.set_title("Fewer is better; an arrow: not reached within AdamW's steps")
        save(figure, picture)
