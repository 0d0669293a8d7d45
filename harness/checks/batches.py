"""Does training see every example, with its own target, in an order of chance?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.checks.measured import judge_measurements
from harness.config import MilestoneConfig
from harness.record import RunRecord

_HINT = (
    "Inputs and targets must be picked by the same rows, the rows permuted anew in every epoch, "
    "and the last batch be what is left over."
)


@check(Stage.DATA, probe="batches")
def batches_are_sound(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Every epoch shows each example once, with its own target, in a new random order.

    In batches of the declared size, and nothing else; inputs that vary do so anew, each by
    itself.
    """
    rows = record.probed.measured["batches"]
    # The probe counts in shares of what chance could still do.
    return judge_measurements(rows, 1.0, "pairs, sizes and orders of all batches are right", _HINT)
