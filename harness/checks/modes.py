"""Do the two modes, and different batches, give what they must give alike?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.checks.measured import WIDE, judge_measurements
from harness.config import MilestoneConfig
from harness.record import RunRecord

_HINT = "Does it keep something from one forward pass to the next, or look at the batch as a whole?"


@check(Stage.FORWARD, probe="modes")
def modes_agree(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Outputs depend on the mode only where a layer says so, and never on earlier passes.

    Nor does it matter in which order a batch comes, or whether its examples come twice.
    """
    rows = record.probed.measured["modes"]
    good = f"{len(rows)} comparisons of modes and batches agree"
    return judge_measurements(rows, WIDE, good, _HINT)
