"""The catalogue: every optimizer and configuration that the tests know, a row each.

Every property of `test_contract.py` meets every row, `test_papers.py` holds each to its
paper, and the table of methods is made from the rows that have a card. The rows stand
beside their papers, a file of ``tests/methods`` for each family. To add an optimizer,
add a row there; to add a family, name its file here.
"""

from methods import (
    adam,
    adam_relatives,
    adaptive,
    averaging,
    curvature,
    descent,
    layerwise,
    low_rank,
    matrix,
    modifiers,
    muon,
    signs,
    step_size,
    wrappers,
)
from methods.common import Row as Row

FAMILIES = (
    descent,
    adam,
    adam_relatives,
    wrappers,
    modifiers,
    averaging,
    adaptive,
    signs,
    layerwise,
    low_rank,
    step_size,
    curvature,
    matrix,
    muon,
)
ROWS = [row for family in FAMILIES for row in family.ROWS]
NAMES = [row.name for row in ROWS]
METHODS = [row for row in ROWS if row.card]


def row(name: str) -> Row:
    """Return the row of that name."""
    return ROWS[NAMES.index(name)]
