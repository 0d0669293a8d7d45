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

    `now` is the cause of the last one where another check fails first there, else "".
    """

    first: Night
    nights: int
    cause: str
    now: str = ""


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
    count = 0
    for _, point in reversed(nights):
        if point.status == "pass":
            break
        count += 1
    if not count:
        return None
    first, point = nights[-count]
    last = nights[-1][1]
    return Streak(first, count, point.cause, last.cause if last.check != point.check else "")


def drifts(nights: Sequence[tuple[Night, Point]]) -> list[Drift]:
    """All changes of level among the last nights, by quantity."""
    return [
        Drift(quantity, nights[each.index][0], each.before, each.after, each.size)
        for quantity in QUANTITIES
        for each in change_points([getattr(point, quantity) for _, point in nights])
    ]
