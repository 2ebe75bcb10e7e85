"""Coming from optax: its names one by one, and every difference in one table."""

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

from optax_differences import DIFFERENCES
from test_optax_names import API, LEFT_OUT, ours, parameters

from _ext.arguments import cell

ABOUT = """# Coming from optax

`import gradtx as optax` runs optax's programs: names, arguments, their order, their
defaults and the fields of states are optax's, and tests hold each of them against what
was recorded from optax. State and checkpoints are read as they are. State has optax's
fields, so that `gradtx.migrate` and `gradtx.tree.get` work with it.
"""
WAYS = {
    "`GradientTransformation(init, update)`": "`leafwise`, of a rule for an array",
    "`inject_hyperparams(adam)(1e-3)`": (
        "`adam(1e-3)`: numbers are leaves, so that `tx.replace(learning_rate=1e-4)` "
        "compiles nothing"
    ),
    "`MultiSteps(tx, 4)`": "`accumulate(tx, 4)`",
    "`partition(...)`, `multi_transform(...)`": "`by_path`, with patterns",
    "`tree_utils.tree_get(state, 'count')`": "`tree.get(state, 'count')`",
}
DIFFERENT = """## Every difference

In numbers gradtx follows the paper, and `gradtx.like.optax` has optax's own. What
differs besides, such as errors, is [told apart](/optax-differences.md).
"""
TITLES = {
    "optax": "Optimizers, wrappers and the rest",
    "optax.schedules": "Schedules",
    "optax.contrib": "`contrib`",
    "optax.losses": "`losses`",
    "optax.projections": "`projections`",
    "optax.perturbations": "`perturbations`",
    "optax.microbatching": "`microbatching`",
    "optax.assignment": "`assignment`",
    "optax.tree": "`tree`",
    "optax.experimental.aggregating": "`experimental.aggregating`",
}


def pages() -> Iterator[tuple[str, str]]:
    """Yield the page."""
    lines = [ABOUT, "| in optax, and here | or here |", "|---|---|"]
    lines += [f"| {theirs} | {mine} |" for theirs, mine in WAYS.items()]
    lines += ["", DIFFERENT, "| name | differs in | gradtx | optax | when |"]
    lines += ["|---|---|---|---|---|", *_differences(), ""]
    lines += [
        "## Argument by argument",
        "",
        "Each stands at optax's place, and has its",
    ]
    lines += ["default; what is added here comes after, and may be left out.", ""]
    for space, title in TITLES.items():
        lines += [f"### {title}", "", *_table(space), ""]
    yield "from-optax.md", "\n".join(lines)


def _differences() -> Iterator[str]:
    for name, x in DIFFERENCES.items():
        yield f"| `{name}` | numbers | {cell(x.ours)} | {cell(x.theirs)} | {x.when} |"
    for name, why in LEFT_OUT.items():
        yield f"| `{name}` | name | has none | {cell(why)} | always |"
    for name, mine, theirs in _arguments():
        added = ", ".join(f"`{x}`" for x in mine if x not in theirs)
        if added:
            yield f"| `{name}` | arguments | takes {added} too | does not | if given |"


def _table(space: str) -> Iterator[str]:
    yield "| name | arguments, as in optax | added here |"
    yield "|---|---|---|"
    for name, mine, theirs in _arguments():
        if name.rpartition(".")[0] == space:
            same = ", ".join(f"`{x}`" for x in theirs)
            added = ", ".join(f"`{x}`" for x in mine if x not in theirs)
            yield f"| `{name.removeprefix('optax.')}` | {same} | {added} |"


def _arguments() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield the functions of optax, with the arguments here and there."""
    for name, text in API.items():
        space, _, last = ours(name).rpartition(".")
        listed = name.rpartition(".")[0] in TITLES and name not in LEFT_OUT
        if listed and text.startswith("("):
            mine = getattr(importlib.import_module(space), last)
            found = dict(inspect.signature(mine).parameters)
            yield name, found, parameters(text)
