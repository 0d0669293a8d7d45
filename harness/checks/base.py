"""What a check is: a function of (config, record) that gives a `Verdict`.

Mark it with `@check(stage)` in any file of this folder and it is run. The stage orders
causes: a check that fails at an early stage explains failures at later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from harness.config import MilestoneConfig
    from harness.record import RunRecord

Status = Literal["pass", "fail", "error"]
Evidence = Mapping[str, object]


class Stage(IntEnum):
    """Where in the chain from a gradient to a result a check looks."""

    GRADIENT = 1
    MOVEMENT = 2
    LOSS = 3
    TARGET = 4


@dataclass(frozen=True)
class Verdict:
    """The answer of one check: what was got, what was expected, and what to do."""

    check: str
    status: Status
    reason: str
    hint: str = ""
    evidence: Evidence = field(default_factory=dict)
    stage: Stage = Stage.GRADIENT


Judgement = tuple[bool, str, str, Evidence]
Judge = Callable[["MilestoneConfig", "RunRecord"], Judgement]


@dataclass(frozen=True)
class Check:
    """A check: call it with (config, record). `definition` says what must hold."""

    name: str
    stage: Stage
    definition: str
    judge: Judge

    def __call__(self, config: MilestoneConfig, record: RunRecord) -> Verdict:
        """The verdict; a hint is kept only when the check fails."""
        passed, reason, hint, evidence = self.judge(config, record)
        status: Status = "pass" if passed else "fail"
        return Verdict(self.name, status, reason, "" if passed else hint, evidence, self.stage)


def check(stage: Stage) -> Callable[[Judge], Check]:
    """Make a check of a function that answers (passed, reason, hint, evidence).

    The check has the function's name; its docstring is its definition.
    """

    def decorate(judge: Judge) -> Check:
        return Check(judge.__name__, stage, (judge.__doc__ or "").strip(), judge)

    return decorate
