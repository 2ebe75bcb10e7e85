"""A selection guide: each sentence follows from this run's figures.

What does not survive a bootstrap over the seeds is not said: see :mod:`.noise`.
"""

from collections.abc import Callable, Iterator

import numpy as np

from gradtx.compare.measures import Comparison, Row
from gradtx.compare.noise import difference


def selection_guide(comparison: Comparison) -> list[str]:
    """Answer what a reader may ask, as far as this run can tell."""
    ranking = comparison.ranking
    if not ranking:
        return ["Every method diverged at every rate: nothing can be said."]
    return [
        _lowest(ranking),
        *_fastest(ranking, comparison.protocol.steps),
        *_forgiving(ranking),
        *_small(ranking),
        _time(ranking),
        *_diverging(comparison),
    ]


def against(row: Row, other: Row) -> str:
    """Say which of two ended lower, as far as the seeds bear it out."""
    found = difference(row.losses, other.losses)
    figures = f"({row.loss:.3f} against {other.loss:.3f})"
    if found.certain:
        side = "lower" if found.mean < 0 else "higher"
        return f"ends {side} than {other.title} {figures}"
    if len(row.losses) == 1:
        return f"ends at {row.loss:.3f}, {other.title} at {other.loss:.3f}: one seed"
    return f"cannot be told from {other.title} {figures}"


def names(rows: list[Row]) -> str:
    """Write titles as a list in a sentence."""
    titles = [row.title for row in rows]
    return " and ".join(filter(None, [", ".join(titles[:-1]), titles[-1]]))


def factor(row: Row) -> str:
    """Write how far apart the rates that work lie, as far as the grid shows it."""
    if not row.width:
        return "nothing"
    if row.width == 1:
        return "one rate of the grid only"
    least = "at least " if row.open_low or row.open_high else ""
    return f"{least}a factor of {row.width:.3g}, {grid_steps(row)}"


def grid_steps(row: Row) -> str:
    """Write how many steps of the grid the rates that work span."""
    rates = row.sweep.outcome.rates[row.sweep.line]
    steps = int(((rates > row.low) & (rates <= row.high)).sum())
    return f"{steps} step{'s' * (steps != 1)} of the grid"


def tied(rows: list[Row], best: Row, figure: Callable[[Row], np.ndarray]) -> list[Row]:
    """Give the rows that the seeds cannot tell from one of them, itself included."""
    return [
        row
        for row in rows
        if row is best or not difference(figure(row), figure(best)).certain
    ]


def _lowest(ranking: list[Row]) -> str:
    best = ranking[0]
    near = tied(ranking, best, lambda row: row.losses)[1:]
    told = f"**The lowest loss?** {best.title}: {best.loss:.3f} at {best.rate:.2g}."
    if near:
        told += f" The seeds cannot tell it from {names(near)}, so take it as a tie."
    elif len(ranking) > 1:
        told += " All others end higher by more than the seeds' noise."
    return told


def _fastest(ranking: list[Row], steps: int) -> Iterator[str]:
    arrived = sorted(ranking, key=lambda row: row.steps)
    arrived = [row for row in arrived if np.isfinite(row.steps)]
    if not arrived:
        return
    # A seed that never arrives counts as a step more than there are.
    near = tied(arrived, arrived[0], lambda row: np.minimum(row.arrivals, steps + 1))
    told = f"**The fewest steps to the target?** {arrived[0].title} with "
    told += f"{arrived[0].steps:.0f}"
    if near[1:]:
        told += f", which the seeds cannot tell from {names(near[1:])}"
    last = arrived[-1]
    told += f"; {last.title} with {last.steps:.0f}" if last not in near else ""
    late = [row for row in ranking if not np.isfinite(row.steps)]
    yield told + (f"; never {names(late)}." if late else ".")


def _forgiving(ranking: list[Row]) -> Iterator[str]:
    working = sorted((row for row in ranking if row.width), key=lambda row: -row.width)
    if working and working[0].width > 1:
        wide = tied(working, working[0], lambda row: row.reach)
        told = f"**No time to tune?** {working[0].title}: the rate may be off by the "
        told += f"most and the target is still met ({factor(working[0])} between the "
        told += "smallest and the largest that work)."
        if wide[1:]:
            told += f" The seeds cannot tell it from {names(wide[1:])}."
        narrow = working[-1]
        if narrow not in wide:
            least = tied(working, narrow, lambda row: row.reach)
            least = [row for row in least if row not in wide]  # ties are not transitive
            told += f" {names(least)} allow{'s' * (len(least) == 1)} the least: "
            told += f"{factor(narrow)}."
        yield told


def _small(ranking: list[Row]) -> Iterator[str]:
    best = ranking[0]
    for size in sorted({round(row.cost.state_bytes) for row in ranking}):
        leanest = next(row for row in ranking if round(row.cost.state_bytes) == size)
        if size < round(best.cost.state_bytes):
            saved = best.cost.state_bytes - size
            yield (
                f"**Only {size} bytes of state per parameter?** {leanest.title}: it "
                f"{against(leanest, best)}, which keeps {best.cost.state_bytes:.0f}. "
                f"For a billion parameters that saves {saved:.0f} GB."
            )


def _time(ranking: list[Row]) -> str:
    fast = min(ranking, key=lambda row: row.cost.seconds)
    slow = max(ranking, key=lambda row: row.cost.seconds)
    return (
        f"**The time of a step?** From {1000 * fast.cost.seconds:.2f} ms "
        f"({fast.title}) to {1000 * slow.cost.seconds:.2f} ms ({slow.title}), with the "
        "gradient and on this machine."
    )


def _diverging(comparison: Comparison) -> Iterator[str]:
    lost = [row for row in comparison.rows if not np.isfinite(row.loss)]
    if lost:
        yield f"**Diverged at every rate?** {names(lost)}."
