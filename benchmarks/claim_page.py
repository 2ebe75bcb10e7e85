"""The verdicts on what people are told, as Markdown, from what was written of runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.claim_list import (
    CLAIMS,
    HOLDS,
    OPEN,
    REFUTED,
    Claim,
    Found,
    Records,
    found,
    verdict,
)
from benchmarks.claim_methods import METHODS
from benchmarks.report import markdown

VERDICTS = ("what is told", "verdict", "from what")
COMPARISONS = (
    "task",
    "figure",
    "one",
    "other",
    "difference, 95 % interval",
    "margin",
    "for or against",
)
SAID = {HOLDS: "for", REFUTED: "against", OPEN: "neither"}


def load(place: Path) -> Records:
    """Read what was found of each method on each task."""
    records: dict[str, dict[str, Any]] = {}
    for path in sorted(place.glob("claims-*.json")):
        _, task, method = path.stem.split("-")
        records.setdefault(task, {})[method] = json.loads(path.read_text("utf-8"))
    return records


def page(records: Records) -> str:
    """Write the table of verdicts, and that of the comparisons they follow from."""
    return f"{verdicts(records)}\n\n{comparisons(records)}"


def verdicts(records: Records) -> str:
    """Write what follows of each claim as a table."""
    rows = [_verdict(claim, tried(records, claim)) for claim in CLAIMS]
    return markdown(VERDICTS, rows)


def comparisons(records: Records) -> str:
    """Write every comparison that could be made as a table, each once."""
    each = [it for claim in CLAIMS for it in tried(records, claim)]
    return markdown(COMPARISONS, dict.fromkeys(_detail(it) for it in each if it))


def tried(records: Records, claim: Claim) -> list[Found | None]:
    """Work out the comparisons of a claim; None where a run is missing."""
    return [found(records, pair) for pair in claim.tried]


def reason(outcomes: Sequence[Found | None]) -> str:
    """Say in words what a verdict follows from."""
    count, known = len(outcomes), [each for each in outcomes if each is not None]
    against = [each.tried for each in known if each.verdict == REFUTED]
    if against:
        told = [
            f"{METHODS[pair.other].title} on {pair.task} ({pair.figure.title})"
            for pair in against
        ]
        return f"{len(against)} of {count} comparisons against it: {', '.join(told)}"
    good = sum(each.verdict == HOLDS for each in known)
    lost = f", {count - len(known)} not measured" * (len(known) < count)
    return f"{good} of {count} comparisons for it, none against it{lost}"


def _verdict(claim: Claim, outcomes: Sequence[Found | None]) -> tuple[str, ...]:
    return claim.told, f"**{verdict(outcomes)}**", reason(outcomes)


def _detail(each: Found) -> tuple[str, ...]:
    pair, its = each.tried, each.difference
    return (
        pair.task,
        pair.figure.title,
        f"{METHODS[pair.one].title} {each.one:.3f}",
        f"{METHODS[pair.other].title} {each.other:.3f}",
        f"{its.mean:+.3f} ({its.low:+.3f} to {its.high:+.3f})",
        f"{each.margin:.3f}" if each.margin else "0",
        SAID[each.verdict],
    )
