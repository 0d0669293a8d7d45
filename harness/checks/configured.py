"""Is what is trained what the YAML says?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.checks.base import Evidence, Judgement, Stage, calibrated_check
from harness.checks.calibrated import Json
from harness.checks.tensors import names
from harness.config import MilestoneConfig
from harness.record import RunRecord

READER = "the config reader"
CONFIG = "the config"
_NOTHING = "nothing"
_HINT = (
    "Every key of the YAML must reach training as it stands there: is one skipped, rounded, "
    "replaced by a default, or changed on the way?"
)


@calibrated_check(Stage.DATA, probe="declared")
def config_is_as_written(
    config: MilestoneConfig, record: RunRecord, calibration: Json | None
) -> Judgement:
    """Data, layers and training are those that the YAML declares, setting by setting.

    As a second reader has it, as when it was calibrated, and as training gets them.
    """
    if config.misread:
        told = [f"{path}: {how}" for path, how in config.misread]
        return _failed(READER, [path for path, _ in config.misread], told)
    if _is_read_otherwise(config, calibration):
        text = "the same YAML was read otherwise when it was calibrated"
        return False, f"{READER}: {text}", _HINT, {"culprits": [READER]}
    trained = {row.subject: row.what for row in record.probed.measured["declared"]}
    differing = dict(_differing(config.decisive, trained))
    if differing:
        return _failed(CONFIG, list(differing), list(differing.values()), _users(config, differing))
    return True, f"all {len(trained)} settings are as the YAML has them", _HINT, {}


def _is_read_otherwise(config: MilestoneConfig, calibration: Json | None) -> bool:
    """Whether a calibration on record is of the same text, but not of the same values."""
    found = calibration or {}
    same_text = bool(config.written) and found.get("written") == config.written
    return same_text and found["config"] != config.digest


def _differing(
    declared: Mapping[str, str], trained: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Every setting that is not the declared one, and how; orders come last."""
    paths = sorted({**declared, **trained}, key=lambda path: path.endswith(".order"))
    for path in paths:
        got, expected = trained.get(path, _NOTHING), declared.get(path, _NOTHING)
        if got != expected:
            yield path, f"{path}: {got} is trained, {expected} is declared"


def _users(config: MilestoneConfig, paths: Mapping[str, str]) -> list[str]:
    """Who works with these settings: the data, a layer by label and type, the optimizer."""
    found: list[str] = []
    for path in paths:
        part, key, *_ = path.split(".")
        if part == "layers":
            kind = config.decisive.get(f"layers.{key}.type", "")
            found += [key, kind.strip('"'), "the model"]
        elif part == "data":
            found.append("the data")
        else:
            found += ["the training loop", config.training.optimizer]
    return [each for each in dict.fromkeys(found) if each and each != "order"]


def _failed(
    subject: str, paths: list[str], told: list[str], users: list[str] | None = None
) -> Judgement:
    others = paths[1:]
    reason = f"{subject}: {told[0]}" + (f"; also {names(others)}" if others else "")
    evidence: Evidence = {"culprits": [subject, *paths, *(users or [])], "differences": told[:20]}
    return False, reason, _HINT, evidence
