"""What the check of the reference says of a specimen, for tests of the probe behind it."""

from __future__ import annotations

from harness.checks import judge
from harness.checks.base import Verdict
from harness.config import MilestoneConfig
from harness.probes import examine
from harness.probes.models.specimen import Specimen
from harness.record import RunRecord


def verdict(specimen: Specimen, config: MilestoneConfig | None = None) -> Verdict:
    """The verdict after a look at the specimen; `config` is judged where it is another's."""
    record = RunRecord(specimen.config.name, 0, specimen.backend.name)
    record.probed = examine("milestone", ["reference"], specimen)
    assert not record.probed.crashed, record.probed.crashed
    asked = frozenset({"follows_reference"})
    verdicts = judge(config or specimen.config, record, names=asked)
    return next(each for each in verdicts if each.check == "follows_reference")
