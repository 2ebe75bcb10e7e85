"""Inspection: what a transformation is made of, what it costs, and what it does."""

from gradtx.inspection.describe import (
    Description as Description,
    describe as describe,
)
from gradtx.inspection.hyperparams import (
    hyperparams as hyperparams,
    learning_rate as learning_rate,
)
from gradtx.inspection.metrics import (
    MetricsState as MetricsState,
    metrics as metrics,
    with_metrics as with_metrics,
)
from gradtx.inspection.plan import Option as Option, Plan as Plan, plan as plan
from gradtx.inspection.report import Report as Report, report as report
