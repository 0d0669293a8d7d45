"""The result of `harness conform` as versioned JSON."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

import harness
from harness.conformance.case import LEVELS, Engine
from harness.conformance.outcomes import BAD, OUTCOMES, Outcome, Result
from harness.json_files import fitted, read_json, write_model

SCHEMA = "harness.conformance/1"
FILE_NAME = "conformance.json"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class CaseRow(_Model):
    """One case. `file` reproduces it, from the folder of this document; empty where it passes."""

    id: str
    level: str
    subject: str
    outcome: Outcome
    message: str = ""
    hint: str = ""
    got: float | None = None
    expected: float | None = None
    # The line of code that is responsible, where that is known.
    place: str = ""
    # A traceback, or all that failed.
    details: str = ""
    # Why a failure is expected.
    reason: str = ""
    file: str = ""
    seconds: float = 0.0


class LevelRow(_Model):
    """One level: how many cases of it were run, and how many had which outcome."""

    level: str
    title: str
    cases: int
    counts: dict[str, int]


class Document(_Model):
    """All cases that were run of one engine."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    created: str
    backend: str
    backend_version: str
    harness: str
    python: str
    numpy: str
    status: Literal["pass", "fail", "nothing judged"]
    # The file of expected failures, where there is one.
    xfails: str = ""
    levels: list[LevelRow]
    cases: list[CaseRow]

    @property
    def exit_code(self) -> int:
        """0 where nothing failed, 1 where a case did, 3 where none was judged."""
        return {"pass": 0, "fail": 1, "nothing judged": 3}[self.status]

    def count(self, *outcomes: str) -> int:
        """How many cases had one of these outcomes."""
        return sum(case.outcome in outcomes for case in self.cases)


def assemble(
    engine: Engine, results: Sequence[Result], files: Mapping[str, Path], xfails: str, out: Path
) -> Document:
    """The document of these results; `files` reproduce some of them."""
    rows = [_row(result, files.get(result.case.id), out) for result in results]
    found = {row.outcome for row in rows}
    judged = found - {"not supported"}
    return Document(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        backend=engine.backend.name,
        backend_version=engine.backend.version,
        harness=harness.__version__,
        python=platform.python_version(),
        numpy=np.__version__,
        status="fail" if found & {*BAD} else "pass" if judged else "nothing judged",
        xfails=xfails,
        levels=[_level(level, rows) for level in LEVELS if any(row.level == level for row in rows)],
        cases=rows,
    )


def _row(result: Result, file: Path | None, out: Path) -> CaseRow:
    return CaseRow(
        id=result.case.id, level=result.case.level, subject=result.case.subject,
        outcome=result.outcome, message=_text(result.message), hint=result.hint,
        got=result.got, expected=result.expected, place=result.place,
        details=_text(result.details), reason=result.reason,
        file="" if file is None else file.relative_to(out).as_posix(),
        seconds=round(result.seconds, 6),
    )  # fmt: skip


def _level(level: str, rows: Sequence[CaseRow]) -> LevelRow:
    own = Counter(row.outcome for row in rows if row.level == level)
    counts = {str(outcome): own[outcome] for outcome in OUTCOMES}
    return LevelRow(level=level, title=LEVELS[level], cases=own.total(), counts=counts)


def _text(text: str) -> str:
    """What UTF-8 can hold: an engine may say anything."""
    return text.encode("utf-8", "replace").decode()


def save(document: Document, folder: Path) -> Path:
    """Write `conformance.json` into a folder, whole or not at all."""
    return write_model(document, folder / FILE_NAME)


def load(file: Path) -> Document:
    """A saved document; raises ScorecardError when it is none."""
    return fitted(Document, read_json(file), file, f"a document of {SCHEMA}")
