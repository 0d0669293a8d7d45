"""Is a whole batch in training the sum of its examples?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.checks.measured import judge_measurements
from harness.config import MilestoneConfig
from harness.record import RunRecord

# float32 loses 1e-6 in sums over a batch and its places; numbers of 16 bits lose 1e-4 and more.
_TOLERANCE = 2e-5
_HINT = (
    "Does it do something else for many examples than for few, keep something of an earlier batch "
    "of the same shape, or compute in fewer bits?"
)


@check(Stage.FORWARD, probe="whole_batches")
def whole_batches_agree(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Each layer makes of a whole batch what it makes of its pieces, in the type that trains."""
    rows = record.probed.measured["whole_batches"]
    good = f"{len(rows)} outputs and gradients of whole batches are those of their pieces"
    return judge_measurements(rows, _TOLERANCE, good, _HINT)
