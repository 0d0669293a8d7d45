"""`Case`: one statement about an engine with a name of its own, and `Finding`: what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from harness.backends.base import Backend
from harness.checks.measured import WIDE
from harness.measurement import Measurement
from harness.probes.trials.cases.pool import Pool

LEVELS = {
    "L1": "ops and their gradients",
    "L2": "layers and losses",
    "L3": "optimizer steps",
    "L4": "the milestones",
    "L5": "the trajectory of the reference",
}
# Where in a namespace a name is looked for.
Kind = Literal["ops", "losses", "layers", "optimizers"]


@dataclass(frozen=True)
class Engine:
    """An engine under test; `name` is what `backends.load` finds it by in any process."""

    name: str
    backend: Backend


@dataclass(frozen=True)
class Finding:
    """What one look gave: rows under each right convention, or why there are none.

    `raised` is what the engine raised, in a sentence, `refused` why it did not answer where it
    need not, `failed` what does not hold where that is no measurement. `after` has the ids of all
    cases that the same process had looked at before, `is_stopped` says that it took too long.
    """

    readings: tuple[tuple[Measurement, ...], ...] = ()
    tolerance: float = WIDE
    raised: str = ""
    refused: str = ""
    failed: str = ""
    hint: str = ""
    details: str = ""
    seconds: float = 0.0
    after: tuple[str, ...] = ()
    is_stopped: bool = False


# What looks: it gets random numbers that are the same for the same case.
Look = Callable[[Engine, Pool], Finding]


@dataclass(frozen=True)
class Need:
    """A name that the engine's namespace must have, and arguments that its factory must take."""

    kind: Kind
    name: str
    arguments: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Case:
    """One case. `source` is what a reproducing file is written from, where there is one."""

    level: str
    subject: str
    aspect: str
    words: str
    look: Look
    needs: tuple[Need, ...] = ()
    may_refuse: bool = False
    source: Any = None  # see harness.conformance.reproducing

    @property
    def id(self) -> str:
        """Such as "L1/softmax/gradient/(3, 4)-dim=0"; the same in every version and engine."""
        parts = (self.level, self.subject, self.aspect, self.words)
        return " ".join("/".join(part for part in parts if part).split())

    @property
    def group(self) -> str:
        """What is run in one process: all cases of a name, and each milestone by itself."""
        return f"{self.level}/{self.subject}"
