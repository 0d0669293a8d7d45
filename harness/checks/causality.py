"""Does every output depend on what it may see, and on nothing else?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.checks.measured import WIDE, judge_measurements
from harness.config import MilestoneConfig
from harness.record import RunRecord

_HINT = "Along which axis does it sum, mask or reshape? An answer must not be seen in advance."


@check(Stage.FORWARD, probe="causality")
def causality_holds(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """No example depends on another, and in a causal model no place on a later one.

    By value and by gradient; where places are mixed, each depends on all that it may see.
    """
    rows = record.probed.measured["causality"]
    good = f"{len(rows)} measurements show no dependence that must not be"
    return judge_measurements(rows, WIDE, good, _HINT)
