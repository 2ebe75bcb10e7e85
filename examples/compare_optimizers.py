"""Compare ten optimizers on real data, each with its own learning-rate sweep.

    python examples/compare_optimizers.py [--task digits|text|lstm|sparse|noisy]

With methods for matrices, steps are counted to where AdamW ends:

    python examples/compare_optimizers.py --task text --optimizers adamw,muon,soap

Prints a table and writes pictures and a report with a selection guide. It is the same
as ``python -m gradtx compare``; for a task of one's own see ``gradtx.compare.run``.
"""

import sys

from gradtx.compare.command import compare

if __name__ == "__main__":
    sys.exit(compare())
