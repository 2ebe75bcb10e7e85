"""The report around the table, as Markdown and as one page of HTML."""

from collections.abc import Sequence
from pathlib import Path

from gradtx.compare.guide import selection_guide
from gradtx.compare.measures import Comparison
from gradtx.compare.noise import by_chance
from gradtx.compare.pages import (
    Heading,
    Paragraph,
    Part,
    Picture,
    Points,
    Table,
    html_page,
    markdown_page,
)
from gradtx.compare.table import machine, settings_lines, table_lines

LIMITS = (
    "One task, and one setting of all that was not swept: enough to see how the "
    "methods behave here, too little to rank them. Over many tasks no method wins "
    "(Schmidt et al., arXiv 2007.01547), and how much each was tuned can turn a "
    "ranking round (Choi et al., arXiv 1910.05446)."
)

Section = tuple[str, list[str]]
"""A heading, and the sentences below it."""


def write_report(
    comparison: Comparison,
    pictures: Sequence[str],
    folder: Path,
    sections: Sequence[Section] = (),
) -> Path:
    """Write ``report.md`` and ``report.html`` beside the pictures.

    Args:
      comparison: what is told.
      pictures: the names of the pictures to show, which lie in the folder.
      folder: where the files are written.
      sections: what is told besides, before the pictures.

    Returns:
      The place of ``report.md``.
    """
    parts = report_parts(comparison, pictures, sections)
    place = folder / "report.md"
    place.write_text(markdown_page(parts), encoding="utf-8")
    page = html_page(parts, folder)
    (folder / "report.html").write_text(page, encoding="utf-8")
    return place


def report_parts(
    comparison: Comparison, pictures: Sequence[str], sections: Sequence[Section]
) -> list[Part]:
    """Give what the report is made of, from top to bottom."""
    count = len(comparison.rows)
    title = f"{count} optimizer{'s' * (count != 1)} on {comparison.task.name}"
    return [
        Heading(title, 1),
        Paragraph(_method(comparison)),
        Table(table_lines(comparison)),
        Paragraph(_reading(comparison)),
        Heading("Selection guide", 2),
        Points(selection_guide(comparison)),
        *_told(sections),
        *([Heading("Pictures", 2)] if pictures else []),
        *(Picture(name) for name in pictures),
        Heading("How each was set", 2),
        Table(settings_lines(comparison)),
        Heading("How far this goes", 2),
        Paragraph(f"{LIMITS} {_power(comparison)}"),
    ]


def _told(sections: Sequence[Section]) -> list[Part]:
    parts: list[Part] = []
    for title, sentences in sections:
        parts += [Heading(title, 2), Points(sentences)]
    return parts


def _method(comparison: Comparison) -> str:
    fixed = comparison.protocol
    looked = (
        "a grid of learning rates, which grew while the best lay on its edge"
        if fixed.search == "grid"
        else "a coarse grid of learning rates, halved around the best"
    )
    chunks = max(row.cost.chunks for row in comparison.rows)
    memory = f" cut into up to {chunks} chunks for memory" if chunks > 1 else ""
    return (
        f"Each method was trained for {fixed.steps} steps with {fixed.course}, over "
        f"{looked}, with {fixed.seeds} seeds, in one compiled program per "
        f"method{memory}. All had the same initial weights and the same batches. "
        "The rate was chosen by the final loss, and by nothing else. "
        f"{_target(comparison)}"
    )


def _target(comparison: Comparison) -> str:
    rule = (
        f"a final loss of {comparison.target:.3g}, nine tenths of the way from the "
        f"untrained {comparison.opening:.3g} to the lowest of all"
    )
    if comparison.baseline is None:
        return f"The target is {rule}. A rate works if it ends there."
    return (
        f"Steps are counted to a training loss of {comparison.goal:.3g}, where "
        f"{comparison.baseline} ends at its best. A rate works if it ends at {rule}."
    )


def _reading(comparison: Comparison) -> str:
    judged = "loss that the task evaluates" if comparison.task.evaluate else "mean "
    if not comparison.task.evaluate:
        judged += "training loss of the last steps"
    return (
        f"*Final loss*: the {judged}, mean and standard deviation over the seeds. "
        "*Above*: how much higher it is, seed by seed; *noise* where the 95 % interval "
        "of a bootstrap over the seeds holds zero. *Steps to target*: until the "
        "training loss, averaged over the steps just past, meets the target; the "
        "median of the seeds. *Rates that work*: `<` or `>` where the grid ends before "
        "the range does; no finer than a step of the grid. *State*: what the optimizer "
        "keeps beside the parameters. *Time*: a whole jitted and donated training "
        f"step, gradient included, median of turns, on {machine()}."
    )


def _power(comparison: Comparison) -> str:
    seeds = comparison.protocol.seeds
    if seeds == 1:
        return "With one seed no difference can be told from noise."
    return (
        f"Where two methods do not differ at all, {seeds} seeds agree by chance in "
        f"{100 * by_chance(seeds):.2g} % of comparisons."
    )
