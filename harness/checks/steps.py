"""Does every step of training do what is declared, no more and no less?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from harness.checks.base import Judgement, Stage, check, training_check
from harness.checks.honesty import is_score
from harness.checks.measured import SINGLE, judge_measurements
from harness.config import MilestoneConfig
from harness.measurement import Measurement
from harness.record import RunRecord

_HINT = (
    "In every step: zero the gradients, forward, backward of the mean loss of this batch, clip "
    "if declared, set the learning rate, one step of the optimizer with all of its options."
)
_DECLARED = "declared "


@check(Stage.STEP, probe="steps")
def steps_follow_the_rule(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Every step moves every tensor once, by the declared optimizer, options and schedule.

    It takes the gradient of its own batch at the present weights, clipped where that is declared.
    """
    rows = record.probed.measured["steps"]
    seen = [row for row in rows if not row.what.startswith(_DECLARED)]
    rows = [*_misread(config, rows), *seen]
    good = f"{len(seen)} looks at gradients and changes agree with what is declared"
    return judge_measurements(rows, SINGLE, good, _HINT)


@training_check(Stage.STEP, probe="whole_training")
def training_follows_the_rule(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Also the steps that train in earnest are those that are declared, from the first to the last.

    All are taken, every change is that of the rule, and so are gradients here and there.
    """
    rows = [row for row in record.probed.measured["whole_training"] if not is_score(row)]
    good = f"{record.steps} steps of the training are as declared"
    return judge_measurements(rows, SINGLE, good, _HINT)


def _misread(config: MilestoneConfig, rows: Sequence[Measurement]) -> Iterator[Measurement]:
    """Settings that are others where training is than in the config."""
    for row in rows:
        name = row.what.removeprefix(_DECLARED)
        if name == row.what:
            continue
        value = getattr(config.training, name)
        declared = math.nan if value is None else float(value)
        if row.got != declared and not (math.isnan(row.got) and math.isnan(declared)):
            yield Measurement(row.subject, f"setting {name}", row.got, declared, math.inf)
