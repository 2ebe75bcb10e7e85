"""A selection guide: each sentence is made of this run's figures."""

from collections.abc import Iterator

import numpy as np

from comparison.measures import Comparison, Row

PLAIN = ("sgd", "momentum", "nesterov")


def selection_guide(comparison: Comparison) -> list[str]:
    """Answer what a reader may ask, as far as this run can tell."""
    ranking = comparison.ranking
    if not ranking:
        return ["Every method diverged at every rate: nothing can be said."]
    return [
        _lowest(ranking),
        *_fastest(ranking),
        *_forgiving(ranking),
        *_small(ranking),
        _time(ranking),
        *_adaptive(ranking),
    ]


def against(row: Row, other: Row) -> str:
    """Say which of two ended lower, seed by seed: both had the same batches."""
    gains = other.losses - row.losses
    figures = f"({row.loss:.3f} against {other.loss:.3f})"
    seeds = f"on {'each' if len(gains) > 1 else 'the one'} seed"
    if (gains > 0).all():
        return f"ends lower than {other.title} {seeds} {figures}"
    if (gains < 0).all():
        return f"ends higher than {other.title} {seeds} {figures}"
    return f"ends no better and no worse than {other.title}: seeds disagree {figures}"


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
    return f"{least}a factor of {row.width:.0f}"


def _lowest(ranking: list[Row]) -> str:
    best = ranking[0]
    near = [row for row in ranking[1:] if (row.losses <= best.losses).any()]
    told = f"**The lowest loss?** {best.title}: {best.loss:.3f} at {best.rate:.2g}."
    if near:
        told += f" On some seed {names(near)} ended lower, so take it as a tie."
    elif len(ranking) > 1:
        told += " No other method ended lower on any seed."
    return told


def _fastest(ranking: list[Row]) -> Iterator[str]:
    arrived = sorted(ranking, key=lambda row: row.steps)
    arrived = [row for row in arrived if np.isfinite(row.steps)]
    if arrived:
        fewest, last = arrived[0].steps, arrived[-1]
        first = [row for row in arrived if row.steps == fewest]
        late = [row for row in ranking if not np.isfinite(row.steps)]
        told = f"**The fewest steps to the target?** {names(first)} with {fewest:.0f}"
        told += f"; {last.title} with {last.steps:.0f}" if last.steps > fewest else ""
        yield told + (f"; never {names(late)}." if late else ".")


def _forgiving(ranking: list[Row]) -> Iterator[str]:
    working = sorted((row for row in ranking if row.width), key=lambda row: -row.width)
    if working and working[0].width > 1:
        wide = [row for row in working if row.width > 0.99 * working[0].width]
        told = (
            f"**No time to tune?** {names(wide)}: the rate may be off by the most and "
        )
        told += f"the target is still met ({factor(wide[0])} between the "
        told += "smallest and the largest that work)."
        narrow = working[-1]
        if narrow not in wide:
            least = [row for row in working if row.width < 1.01 * narrow.width]
            told += f" {names(least)} allow{'s' * (len(least) == 1)} the least: "
            told += f"{factor(narrow)}."
        yield told


def _small(ranking: list[Row]) -> Iterator[str]:
    best = ranking[0]
    for size in sorted({round(row.state_bytes) for row in ranking}):
        leanest = next(row for row in ranking if round(row.state_bytes) == size)
        if size < round(best.state_bytes):
            yield (
                f"**Only {size} bytes of state per parameter?** {leanest.title}: it "
                f"{against(leanest, best)}, which keeps {best.state_bytes:.0f}. For a "
                f"billion parameters that saves {best.state_bytes - size:.0f} GB."
            )


def _time(ranking: list[Row]) -> str:
    fast = min(ranking, key=lambda row: row.seconds)
    slow = max(ranking, key=lambda row: row.seconds)
    return (
        f"**The time of a step?** From {1000 * fast.seconds:.2f} ms ({fast.title}) to "
        f"{1000 * slow.seconds:.2f} ms ({slow.title}) with the gradient, on a network "
        "this small mostly the cost of starting the program."
    )


def _adaptive(ranking: list[Row]) -> Iterator[str]:
    plain = [row for row in ranking if row.name in PLAIN]
    scaled = [row for row in ranking if row.name not in PLAIN]
    if plain and scaled:
        one, two = scaled[0], plain[0]
        tests = f"{100 * one.accuracy:.1f} % against {100 * two.accuracy:.1f} %"
        yield (
            f"**One rate for all parameters, or one for each?** {one.title}, the best "
            f"that scales each, {against(one, two)}, the best that does not; on the "
            f"test split {tests}. Tuned adaptive methods should never do worse (arXiv "
            "1910.05446), though they may generalise worse (arXiv 1705.08292)."
        )
