"""What a check may take from the calibration on record, and when it may not."""

from __future__ import annotations

from typing import Any

from harness.checks.base import NotJudgedError
from harness.config import MilestoneConfig
from harness.record import RunRecord

# Plain JSON, see harness.on_record.
Json = dict[str, Any]

NOTHING_ON_RECORD = "not calibrated: `harness calibrate` measures what to expect"

# Beyond the range of the norms that were seen: this share of its width on either side.
_SLACK = 0.5
# Norms are put on record with five digits.
_ROUNDING = 1e-4


def fresh(config: MilestoneConfig, calibration: Json | None) -> Json:
    """The calibration; raises NotJudgedError when there is none of this very config."""
    renew = f"`harness calibrate {config.name}` renews it"
    if calibration is None:
        raise NotJudgedError(NOTHING_ON_RECORD)
    if calibration["config"] != config.digest:
        raise NotJudgedError(
            "the calibration on record is stale: since then data, layers or training have "
            f"changed in the config; {renew}"
        )
    if "bands" not in calibration:
        raise NotJudgedError(f"the calibration on record is of an older harness; {renew}")
    return calibration


def starting_elsewhere(record: RunRecord, calibration: Json) -> dict[str, str]:
    """Tensors whose first norm no calibrated run had, each with both: another way to start.

    That may be as right as the calibrated one, but then the run is not to be compared.
    """
    found = {}
    for label, norm in zip(record.labels, record.initial_norm, strict=True):
        lowest, highest = calibration["initial_norm"].get(label, (norm, norm))
        room = _SLACK * (highest - lowest) + _ROUNDING * highest
        # A norm of exactly zero is no small one: biases start there by intention.
        if not max(lowest - room, 0.01 * lowest) <= norm <= highest + room:
            found[label] = f"norm {norm:.3g}, calibrated {lowest:.3g} to {highest:.3g}"
    return found
