"""Pictures of the comparison, with labels instead of riddles."""

from pathlib import Path as FilePath

import numpy as np

from gradtx.compare.drawing import (
    INK,
    STYLE,
    Axes,
    Figure,
    line_style,
    log_heights,
    name_ends,
    plt,
    save,
)
from gradtx.compare.measures import Comparison, Row, smooth
from gradtx.compare.searching import scores
from gradtx.compare.training import window


def draw(comparison: Comparison, folder: FilePath) -> list[FilePath]:
    """Draw every picture into ``folder`` and give the places of the files."""
    with plt.rc_context(STYLE):
        figures = {
            "loss.png": draw_losses(comparison),
            "sensitivity.png": draw_sensitivity(comparison),
            "comparison.png": draw_summary(comparison),
        }
        for name, figure in figures.items():
            save(figure, folder / name)
    return [folder / name for name in figures]


def draw_losses(comparison: Comparison) -> Figure:
    """Draw the training loss against the step, each method at its best rate."""
    figure, axes = plt.subplots(figsize=(10, 6), layout="constrained")
    losses_panel(axes, comparison)
    axes.set_title("Training loss at each method's best learning rate")
    return figure


def draw_sensitivity(comparison: Comparison) -> Figure:
    """Draw the final loss against the rate, and below it the rates that work."""
    figure, (upper, lower) = plt.subplots(
        2, figsize=(10, 9), layout="constrained", sharex=True, height_ratios=(5, 4)
    )
    final_panel(upper, comparison)
    ranges_panel(lower, comparison)
    upper.set_title(
        "Final loss against learning rate (dot: the best, dotted line: the target)"
    )
    upper.tick_params(labelbottom=True)
    return figure


def draw_summary(comparison: Comparison) -> Figure:
    """Draw losses and ranges side by side, for those who look at one picture only."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 5), layout="constrained", width_ratios=(6, 5)
    )
    losses_panel(left, comparison)
    ranges_panel(right, comparison)
    left.set_title("Training loss at each method's best learning rate")
    return figure


def losses_panel(axes: Axes, comparison: Comparison) -> None:
    """Draw mean and range over the seeds, with each name at the end of its line."""
    ends, tops, lows = [], [], [comparison.goal]
    for row in comparison.ranking:
        curves = smooth(row.sweep.outcome.train[row.sweep.best], _window(comparison))
        steps = np.arange(1, curves.shape[-1] + 1)
        mean = curves.mean(axis=0)
        low, high = curves.min(axis=0), curves.max(axis=0)
        axes.plot(steps, mean, **line_style(row.sweep.method))
        axes.fill_between(
            steps, low, high, color=row.sweep.method.colour, alpha=0.1, linewidth=0
        )
        ends.append((row.sweep.method, float(mean[-1])))
        tops.append(float(high[len(steps) // 10]))
        lows.append(float(low.min()))
    axes.axhline(comparison.goal, color=INK, linewidth=0.8, dashes=(2, 3))
    axes.annotate(
        f"target {comparison.goal:.3g}",
        (1, comparison.goal),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 3),
        textcoords="offset points",
        ha="right",
        fontsize=9,
    )
    log_heights(axes, max(0.93 * min(lows), 1e-8), _ceiling(comparison, tops))
    axes.set_xlim(1, comparison.protocol.steps + (comparison.protocol.steps == 1))
    axes.set_xlabel("step")
    axes.set_ylabel(f"training loss, mean of the last {_window(comparison)} steps")
    name_ends(axes, ends)


def final_panel(axes: Axes, comparison: Comparison) -> None:
    """Draw the validation loss after the last step for each rate of the grids."""
    ceiling = comparison.opening * 1.15
    for row in comparison.rows:
        outcome, along = row.sweep.outcome, row.sweep.line
        losses = np.minimum(scores(outcome), 100 * ceiling)
        axes.plot(outcome.rates[along], losses[along], **line_style(row.sweep.method))
        if losses[row.sweep.best] <= ceiling:
            axes.plot(
                row.rate,
                losses[row.sweep.best],
                marker="o",
                markersize=6,
                color=row.sweep.method.colour,
                markeredgecolor="white",
                zorder=4,
            )
    axes.axhline(comparison.target, color=INK, linewidth=0.8, dashes=(2, 3))
    axes.set_xscale("log")
    lowest = min([comparison.target, *(row.loss for row in comparison.rows)])
    log_heights(axes, max(0.93 * lowest, 1e-8), ceiling)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("final loss")
    handles = [
        axes.plot([], [], label=row.title, **line_style(row.sweep.method))[0]
        for row in comparison.rows
    ]
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        frameon=False,
        handlelength=3.5,
    )


def ranges_panel(axes: Axes, comparison: Comparison) -> None:
    """Draw the range of rates that work as a bar, the best as a dot on it."""
    rows = sorted(comparison.rows, key=lambda row: row.width)
    for place, row in enumerate(rows):
        colour = row.sweep.method.colour
        if row.width:
            axes.plot(
                (row.low, row.high),
                (place, place),
                color=colour,
                linewidth=7,
                alpha=0.45,
                solid_capstyle="butt",
            )
        for end, is_open, mark in (
            (row.low, row.open_low, "<"),
            (row.high, row.open_high, ">"),
        ):
            if is_open:
                axes.plot(end, place, marker=mark, markersize=9, color=colour)
        filled = colour if row.width else "white"
        axes.plot(
            row.rate, place, "o", color=colour, markerfacecolor=filled, markersize=7
        )
        axes.annotate(
            _factor(row),
            (row.high if row.width else row.rate, place),
            xytext=(11, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(rows)), [row.title for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("learning rate")
    axes.set_title(
        f"Learning rates that end below {comparison.target:.3g}, and the best (dot)"
    )


def draw_range(
    rates: np.ndarray, losses: np.ndarray, suggestion: float, place: FilePath
) -> FilePath:
    """Draw the curve of a range test, cut off where it leaves its beginning far."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
        shown = losses <= losses[0] + (losses[0] - losses.min())
        axes.plot(rates, np.where(shown, losses, np.nan), color=INK, linewidth=1.9)
        axes.axvline(suggestion, color="#D55E00", linewidth=1.2, dashes=(2, 3))
        axes.set_title(f"Range test: begin with {suggestion:.2g} (dotted line)")
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss, averaged over the steps around")
        save(figure, place)
    return place


def _ceiling(comparison: Comparison, tops: list[float]) -> float:
    """Cut off the steep start, so that what follows has room."""
    return 1.1 * min(comparison.opening, max([comparison.goal, *tops]))


def _window(comparison: Comparison) -> int:
    return window(comparison.protocol.steps)


def _factor(row: Row) -> str:
    if not row.width:
        return "none reaches it"
    more = "≥ " if row.open_low or row.open_high else ""
    return f"{more}factor {row.width:.0f}"
