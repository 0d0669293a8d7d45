"""JSON files that the harness wrote: read, and fitted into a model, or a sentence says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import ScorecardError

ModelT = TypeVar("ModelT", bound=BaseModel)


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
