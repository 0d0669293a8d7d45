"""JSON files of the harness: a model written whole, or read and fitted into a model.

Where that is impossible, a sentence says why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.atomic_files import write_text
from harness.errors import OutputError, ScorecardError

ModelT = TypeVar("ModelT", bound=BaseModel)


def to_json(model: BaseModel) -> str:
    """A model as JSON text, a line for each entry."""
    return model.model_dump_json(by_alias=True, indent=1) + "\n"


def write_model(model: BaseModel, file: Path) -> Path:
    """Write a model, whole or not at all, and make the folder for it; raises OutputError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, to_json(model))
    except OSError as error:
        raise OutputError(f"cannot write to {file.parent}: {error.strerror}") from error
    return file


def read_json(file: Path) -> Any:  # whatever JSON can hold
    """What a file holds; raises ScorecardError when it cannot be read or is no JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScorecardError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ScorecardError(f"{file} is not JSON: {error}") from error


def fitted(model: type[ModelT], data: object, file: Path, what: str) -> ModelT:
    """`data` as a model; raises ScorecardError with the first misfit when it is none of `what`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ScorecardError(f"{file} is not {what}: {place}: {first['msg']}") from error
