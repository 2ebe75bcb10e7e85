"""Compare optimizers on one's own problem: sweeps, seeds, tables, pictures, reports."""

from gradtx.compare.plain_sweep import sweep as sweep
from gradtx.compare.range_test import (
    RangeTest as RangeTest,
    find_learning_rate as find_learning_rate,
)
from gradtx.compare.result import Result as Result
from gradtx.compare.running import run as run
from gradtx.compare.task import Task as Task
