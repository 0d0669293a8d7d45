"""What is kept of a night: a few numbers a milestone, whatever its scorecard holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

_WORDS = {"unsupported": "NOT SUPPORTED"}


@dataclass(frozen=True)
class Point:
    """One milestone on one night, over its seeds; None where nothing was measured.

    `accuracy`, `loss` (held-out) and `steps_to_target` are medians, `lowest` is the least accurate
    seed. A seed that never reaches the target takes longer than any other; where most do not,
    `steps_to_target` is None. `seconds` is the training alone, a seed. `cause` is the reason of the
    first failing check and `check` its name, "" where all pass.
    """

    status: str
    seeds: int
    accuracy: float | None
    lowest: float | None
    target: float
    loss: float | None
    steps_to_target: float | None
    seconds: float | None
    cause: str = ""
    check: str = ""

    @property
    def word(self) -> str:
        """Its status for people: "pass", "FAIL", "NOT SUPPORTED"."""
        return "pass" if self.status == "pass" else _WORDS.get(self.status, self.status.upper())


@dataclass(frozen=True)
class Night:
    """One scorecard of the history; `engine` is the status of the engine's own checks."""

    file: str
    created: str
    commit: str | None
    status: str
    milestones: Mapping[str, Point]
    engine: str | None = None
    # The reason of the engine's first failing check and its name, "" where all pass.
    engine_cause: str = ""
    engine_check: str = ""
    # Whether files differed from the commit.
    dirty: bool = False

    @property
    def number(self) -> str:
        """The number that its file or folder starts with, else that name: "0412"."""
        name = PurePosixPath(self.file).parts[0]
        found = re.match("[0-9]+", name)
        return found[0] if found else re.sub(r"\.json(\.gz)?$", "", name)

    @property
    def version(self) -> str:
        """The commit for people: "3f9c2ab", "3f9c2ab with changes", "no commit"."""
        if not self.commit:
            return "no commit"
        return self.commit[:7] + (" with changes" if self.dirty else "")

    @property
    def label(self) -> str:
        """Which night it is: "night 0412 (2026-11-20, 3f9c2ab)"."""
        return f"night {self.number} ({self.created[:10]}, {self.version})"


@dataclass(frozen=True)
class Skipped:
    """A file that is no readable scorecard, and why."""

    file: str
    why: str


@dataclass(frozen=True)
class History:
    """All nights in the order of their time, and the files that could not be read."""

    nights: tuple[Night, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def milestones(self) -> list[str]:
        """All names, each once: those of the last night in its order, then those before."""
        nights = reversed(self.nights)
        return list(dict.fromkeys(name for night in nights for name in night.milestones))
