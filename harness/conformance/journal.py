"""What a process has found, case by case, in a file: it outlives the process.

So a crash, a hang or a kill costs the case that it happened in, and no other.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.conformance.case import Finding


class Writing:
    """Notes in a file, each on disk when the call returns."""

    def __init__(self, file: Path) -> None:
        self._out = file.open("wb", buffering=0)

    def begins(self, id_: str) -> None:
        """A case is about to be looked at."""
        self._out.write(pickle.dumps((id_, None)))

    def found(self, id_: str, finding: Finding) -> None:
        """What came of it."""
        self._out.write(pickle.dumps((id_, finding)))

    def close(self) -> None:
        """No more."""
        self._out.close()


@dataclass(frozen=True)
class Notes:
    """What a process wrote: all that it found, and the case that it did not come back from."""

    findings: Mapping[str, Finding]
    unfinished: str | None


def read(file: Path) -> Notes:
    """The notes of a process that has ended, in whatever way; its last one may be cut off."""
    findings: dict[str, Finding] = {}
    last: str | None = None
    if not file.is_file():
        return Notes(findings, None)
    with file.open("rb") as notes:
        while True:
            try:
                id_, finding = pickle.load(notes)
            except (EOFError, pickle.UnpicklingError):
                break
            last = id_ if finding is None else None
            if finding is not None:
                findings[id_] = finding
    return Notes(findings, last)
