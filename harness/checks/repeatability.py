"""Does a seed decide everything, and nothing else anything?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.checks.measured import judge_measurements
from harness.config import MilestoneConfig
from harness.record import RunRecord

_HINT = (
    "Everything random must come from a generator that is made of the run's own seed: no "
    "default_rng() without one, no np.random.rand(), none that several parts share."
)


@check(Stage.DATA, probe="repeatability")
def runs_repeat(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """The same seed gives the same bits, another seed others, whatever the global random state."""
    rows = record.probed.measured["repeatability"]
    return judge_measurements(rows, 0.0, "a second run gave the same bits", _HINT)
