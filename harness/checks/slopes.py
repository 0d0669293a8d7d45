"""Do the gradients of the whole model agree with finite differences?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.checks.measured import WIDE, judge_measurements
from harness.config import MilestoneConfig
from harness.record import RunRecord


@check(Stage.SLOPE, probe="slopes")
def gradients_agree(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Every tensor's gradient is the slope of the harness's own loss, in both modes."""
    rows = record.probed.measured["slopes"]
    good = f"{len(rows)} slopes agree with finite differences"
    hint = (
        "Is it passed to Function.__init__ of its op, is no tensor on the way to the loss rebuilt "
        "from .data, and is every apply() on the way right?"
    )
    return judge_measurements(rows, WIDE, good, hint)
