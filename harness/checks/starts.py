"""Does training start where a model that knows nothing would?"""

from __future__ import annotations

from collections.abc import Iterator

from harness.checks.base import Judgement, NotJudgedError, Stage, calibrated_check
from harness.checks.calibrated import Json, fresh, starting_elsewhere
from harness.checks.measured import judge_measurements
from harness.config import MilestoneConfig
from harness.measurement import Measurement
from harness.record import RunRecord

# How far beyond the first losses on record one may start: so many times their distance from
# the median. On 1,200 further seeds of five milestones none was at more than twice it.
_BEYOND = 4.0


@calibrated_check(Stage.START, probe="starts")
def starts_are_plausible(
    config: MilestoneConfig, record: RunRecord, calibration: Json | None
) -> Judgement:
    """Training starts where a model does that knows nothing.

    By its first loss; and each weight tensor has a size that is in use for its fan-in, and
    neither tensors nor units start alike. Where tensors start as calibrated, so does the loss.
    """
    rows = [*record.probed.measured["starts"], *_on_record(config, record, calibration)]
    good = f"{len(rows)} properties of the start are plausible"
    hint = "Weights are drawn for each layer anew, in a size that depends on its inputs."
    return judge_measurements(rows, 0.0, good, hint)


def _on_record(
    config: MilestoneConfig, record: RunRecord, calibration: Json | None
) -> Iterator[Measurement]:
    """The loss of the first batch beside those on record, where they can be compared."""
    try:
        found = fresh(config, calibration)
    except NotJudgedError:
        return
    if record.steps == 0 or starting_elsewhere(record, found):
        return
    first = found["loss_first"]
    low, high = (
        first["median"] + _BEYOND * (first[end] - first["median"]) for end in ("lowest", "highest")
    )
    got = float(record.loss[0])
    nearest = min(max(got, low), high)
    what = f"of the first batch ({max(low, 0.0):.3g} to {high:.3g} by what is on record)"
    off = 0.0 if got == nearest else abs(got - nearest) / abs(first["median"])
    yield Measurement("the first loss", what, got, nearest, off)
