"""What the nights of one milestone say together: since when it fails, and what has drifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.history.changes import change_points
from harness.history.nights import History, Night, Point

# What is looked at for slow changes: fields of a Point.
QUANTITIES = ("accuracy", "steps_to_target", "loss", "seconds")


@dataclass(frozen=True)
class Streak:
    """Nights without a pass, up to the last; `cause` is that of the first of them.

    `now` is the cause of the last one where another check fails first there, else "". `good` is
    the last night that passed; None where none did.
    """

    first: Night
    nights: int
    cause: str
    now: str = ""
    good: Night | None = None


@dataclass(frozen=True)
class Drift:
    """A quantity of a milestone that has another level from a night on; see ChangePoint."""

    quantity: str
    night: Night
    before: float
    after: float
    size: float | None


def nights_of(history: History, milestone: str) -> list[tuple[Night, Point]]:
    """The nights on which a milestone ran, with what came out."""
    return [(n, n.milestones[milestone]) for n in history.nights if milestone in n.milestones]


def streak(nights: Sequence[tuple[Night, Point]]) -> Streak | None:
    """The nights without a pass that these end with; None where the last one passed."""
    return _streak([(n, point.status, point.check, point.cause) for n, point in nights])


def engine_streak(nights: Sequence[Night]) -> Streak | None:
    """The same of the engine by itself; nights that did not look at it say nothing."""
    return _streak([(n, n.engine, n.engine_check, n.engine_cause) for n in nights if n.engine])


def _streak(told: Sequence[tuple[Night, str, str, str]]) -> Streak | None:
    """Of nights with a status, the check that fails first, and its reason."""
    passed = [i for i, (_, status, _, _) in enumerate(told) if status == "pass"]
    failing = told[passed[-1] + 1 if passed else 0 :]
    if not failing:
        return None
    first, _, check, cause = failing[0]
    _, _, last_check, last_cause = failing[-1]
    good = told[passed[-1]][0] if passed else None
    return Streak(first, len(failing), cause, last_cause if last_check != check else "", good)


def drifts(nights: Sequence[tuple[Night, Point]]) -> list[Drift]:
    """All changes of level among the last nights, by quantity."""
    passed = [(night, point) for night, point in nights if point.status == "pass"]
    return [
        Drift(quantity, passed[each.index][0], each.before, each.after, each.size)
        for quantity in QUANTITIES
        for each in change_points([getattr(point, quantity) for _, point in passed])
    ]
