"""Since when a milestone or the engine fails, in a sentence."""

from __future__ import annotations

from harness.history.nights import History
from harness.history.trends import Streak, nights_of, streak
from harness.reports.page.words import count, cut


def failing(history: History, milestone: str) -> Streak | None:
    """The failing nights that a milestone ends with; None where its last night passed."""
    return streak(nights_of(history, milestone))


def since(found: Streak) -> str:
    """ "Fails since night 0412 (2026-11-20, 3f9c2ab), 4 nights in a row; the last good ..."."""
    row = f", {count(found.nights, 'night')} in a row" if found.nights > 1 else ""
    good = f"; the last good one is {cut(found.good.label, 160)}" if found.good else ""
    return f"Fails since {cut(found.first.label, 160)}{row}{good}."
