"""What a check is: a function of a record that gives a `Verdict`.

Mark it with `@check(stage)` (it gets a config and a record), `@training_check(stage)` (the same
with a probe of the whole training), `@calibrated_check(stage)` (also what is on record of correct
engines) or `@engine_check(stage)` (an EngineRecord) in any file
of this folder and it is run. The stage orders causes: a check that fails at an early stage
explains failures at later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

Status = Literal["pass", "fail", "error", "skip"]
Evidence = Mapping[str, object]
Scope = Literal["milestone", "engine"]


class Stage(IntEnum):
    """Where in the chain from the data to a result a check looks."""

    DATA = 1
    OP = 2
    START = 3
    FORWARD = 4
    GRAPH = 5
    SLOPE = 6
    STEP = 7
    EVALUATION = 8
    GRADIENT = 9
    MOVEMENT = 10
    LOSS = 11
    TARGET = 12
    BAND = 13


@dataclass(frozen=True)
class Verdict:
    """The answer of one check: what was got, what was expected, and what to do.

    Evidence has "culprits", the subjects to blame, and "place", a line of code, where known.
    """

    check: str
    status: Status
    reason: str
    hint: str = ""
    evidence: Evidence = field(default_factory=dict)
    stage: Stage = Stage.GRADIENT


# Why a check was not run that the user left out.
NOT_ASKED_FOR = "not asked for"
# Why one has nothing to judge on any seed but the first.
NOT_PROBED = "its probe looks at the first seed only"


class NotJudgedError(Exception):
    """Raised by a check that cannot judge this record, with the reason as its message."""


Judgement = tuple[bool, str, str, Evidence]
# (config, record), (config, record, calibration) or (engine record): see the three decorators.
Judge = Callable[..., Judgement]


@dataclass(frozen=True)
class Check:
    """A check. `definition` says what must hold; `probe` names the probe that it needs.

    `of_training` is a probe that looks at a whole training, after it.
    """

    name: str
    stage: Stage
    definition: str
    judge: Judge
    scope: Scope = "milestone"
    is_calibrated: bool = False
    probe: str | None = None
    of_training: bool = False

    def __call__(self, *observed: Any) -> Verdict:
        """The verdict; a hint is kept only when the check fails."""
        try:
            passed, reason, hint, evidence = self.judge(*observed)
        except NotJudgedError as why_not:
            return self.skipped(str(why_not))
        status: Status = "pass" if passed else "fail"
        return Verdict(self.name, status, reason, "" if passed else hint, evidence, self.stage)

    def skipped(self, reason: str) -> Verdict:
        """The verdict of a check that was not run."""
        return Verdict(self.name, "skip", reason, stage=self.stage)


def check(stage: Stage, probe: str | None = None) -> Callable[[Judge], Check]:
    """Make a check of a function of (config, record) -> (passed, reason, hint, evidence).

    The check has the function's name; its docstring is its definition.
    """
    return _marked(stage, "milestone", False, probe)


def training_check(stage: Stage, probe: str) -> Callable[[Judge], Check]:
    """The same with a probe that looks at the whole training, when it is over."""
    return _marked(stage, "milestone", False, probe, of_training=True)


def calibrated_check(stage: Stage, probe: str | None = None) -> Callable[[Judge], Check]:
    """The same for a function of (config, record, calibration), which may be None."""
    return _marked(stage, "milestone", True, probe)


def engine_check(stage: Stage, probe: str) -> Callable[[Judge], Check]:
    """The same for a function of an EngineRecord."""
    return _marked(stage, "engine", False, probe)


def _marked(
    stage: Stage, scope: Scope, is_calibrated: bool, probe: str | None, of_training: bool = False
) -> Callable[[Judge], Check]:
    def decorate(judge: Judge) -> Check:
        name, definition = judge.__name__, (judge.__doc__ or "").strip()
        return Check(name, stage, definition, judge, scope, is_calibrated, probe, of_training)

    return decorate
