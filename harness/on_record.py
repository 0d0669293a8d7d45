"""What is on record of correct engines: `milestones/<name>/calibration.json`, read and written."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from harness.atomic_files import write_text
from harness.errors import DataError
from harness.resources import root

SCHEMA = "harness.calibration/2"

_HINT = "Get it back from git or install the package again; `harness calibrate` measures a new one."

# Plain JSON: a calibration is written once and read by people, checks, reports and tests.
Json = dict[str, Any]


def file_for(name: str) -> Path:
    """Where the calibration of a shipped milestone is kept."""
    return root("milestones") / name / "calibration.json"


def save(calibration: Json, file: Path) -> None:
    """Write a calibration, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, _text(calibration) + "\n")
    _load.cache_clear()


def _text(value: Any, indent: str = "") -> str:  # `Any`: whatever JSON can hold
    """JSON with a line for each entry of a mapping, and one for a whole list of numbers."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value)
    inner = indent + " "
    lines = [f"{inner}{json.dumps(key)}: {_text(each, inner)}" for key, each in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def load(name: str) -> Json | None:
    """The calibration on record for a milestone; None when there is none.

    Raises DataError when the file is there and holds no calibration.
    """
    return _load(file_for(name))


@lru_cache(maxsize=32)
def _load(file: Path) -> Json | None:
    if not file.exists():
        return None
    try:
        found = from_json(file.read_bytes())  # four times as fast as json.loads
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}", _HINT) from error
    except ValueError as error:
        raise DataError(f"{file} is not JSON: {error}", _HINT) from error
    if not isinstance(found, dict):
        raise DataError(f"{file} is no calibration: it is not a JSON object", _HINT)
    return found
