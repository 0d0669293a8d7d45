"""What is kept of a night: a few numbers a milestone, whatever its scorecard holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One milestone on one night, over its seeds; None where nothing was measured.

    `accuracy`, `loss` (held-out) and `steps_to_target` are medians, `lowest` is the least accurate
    seed. `seconds` is the training alone, a seed. `cause` is the first failing check with its
    reason, "" where all pass.
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


@dataclass(frozen=True)
class Night:
    """One scorecard of the history; `engine` is the status of the engine's own checks."""

    file: str
    created: str
    commit: str | None
    status: str
    milestones: Mapping[str, Point]
    engine: str | None = None


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
