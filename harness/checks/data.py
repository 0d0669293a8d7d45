"""Are the data those that correct engines were calibrated with?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.checks.base import Judgement, NotJudgedError, Stage, calibrated_check
from harness.checks.calibrated import NOTHING_ON_RECORD
from harness.checks.measured import judge_measurements
from harness.checks.tensors import names
from harness.config import MilestoneConfig
from harness.record import RunRecord

# Plain JSON, see harness.on_record.
Json = dict[str, Any]

_HINT = (
    "Is it the right file, in the right order, scaled as before, each input with its own target? "
    "Where the change is meant, `harness calibrate` puts the new data on record."
)
# In the name of what is no number, between what it is about and what it is.
_IS = " is "


@calibrated_check(Stage.DATA, probe="data")
def data_are_as_recorded(
    config: MilestoneConfig, record: RunRecord, calibration: Json | None
) -> Judgement:
    """Inputs, targets and their pairs, in training and held out, are those on record."""
    rows = record.probed.measured["data"]
    own = [row for row in rows if not math.isnan(row.expected)]
    judgement = judge_measurements(own, 0.0, "train and held-out data fit each other", _HINT)
    if not judgement[0]:
        return judgement
    expected = _on_record(config, calibration)
    got = {row.what: row.got for row in rows if math.isnan(row.expected)}
    differing = list(_differences(got, expected))
    if not differing:
        return True, f"all {len(expected)} numbers are as on record", _HINT, {"numbers": len(got)}
    text = f"the data are not those on record: {differing[0]}"
    return False, text, _HINT, {"culprits": [rows[0].subject], "differences": differing[:20]}


def _on_record(config: MilestoneConfig, calibration: Json | None) -> Mapping[str, Sequence[float]]:
    recorded = (calibration or {}).get("examples")
    if recorded is None:
        raise NotJudgedError(NOTHING_ON_RECORD)
    if recorded["of"] != config.data.model_dump(mode="json"):
        raise NotJudgedError(
            "the data on record are stale: the data section of the config has changed since; "
            f"`harness calibrate {config.name}` puts them there anew"
        )
    numbers: Mapping[str, Sequence[float]] = recorded["numbers"]
    return numbers


def _differences(
    got: Mapping[str, float], expected: Mapping[str, Sequence[float]]
) -> Iterator[str]:
    """What differs, in words, one a line; fingerprints only where nothing else does."""
    fingerprints = []
    for name in {**expected, **got}:
        number, (mean, tolerance) = got.get(name, 0.0), expected.get(name, (0.0, 0.0))
        if abs(number - mean) <= tolerance:
            continue
        if name.startswith("fingerprint "):
            fingerprints.append(name.split(" of ", 1)[1])
        elif _IS in name:
            if name in expected:
                about, _, word = name.partition(_IS)
                yield f"{about} is {_word_of(about, got)}, on record {word}"
        else:
            yield f"{name}: {number:.6g}, on record {mean:.6g}"
    if fingerprints:
        yield _of_fingerprints(list(dict.fromkeys(fingerprints)))


def _word_of(about: str, numbers: Mapping[str, float]) -> str:
    """What stands after "is" in the name that begins so."""
    words = [name.partition(_IS)[2] for name in numbers if name.partition(_IS)[0] == about]
    return words[0] if words else "unknown"


def _of_fingerprints(parts: list[str]) -> str:
    single = [part for part in parts if " with " not in part]
    if single:
        return f"some numbers in {names(single)} are others than those on record"
    x, _, y = parts[0].partition(" with ")
    return f"the targets in {y} belong to other inputs in {x} than on record"
