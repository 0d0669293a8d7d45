"""What is on record of correct engines: `milestones/<name>/calibration.json`, read and written."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.atomic_files import write_text
from harness.resources import root

SCHEMA = "harness.calibration/1"

# Plain JSON: a calibration is written once and read by people, checks, reports and tests.
Json = dict[str, Any]


def file_for(name: str) -> Path:
    """Where the calibration of a shipped milestone is kept."""
    return root("milestones") / name / "calibration.json"


def save(calibration: Json, file: Path) -> None:
    """Write a calibration, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(calibration, indent=1) + "\n")


def load(name: str) -> Json | None:
    """The calibration on record for a milestone; None when there is none."""
    return _load(file_for(name))


@lru_cache(maxsize=32)
def _load(file: Path) -> Json | None:
    if not file.exists():
        return None
    found: Json = json.loads(file.read_text(encoding="utf-8"))
    return found
