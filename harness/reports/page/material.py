"""What a report is made of: whatever was given of a scorecard, a comparison, a history, a selftest.

Plain values: the page is a function of these alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.comparison import Comparison, MilestoneComparison
from harness.history.nights import History
from harness.reports.page.kills import Kills
from harness.scorecard import Result, Scorecard


@dataclass(frozen=True)
class Material:
    """All that was given; None or empty where it was not.

    `curves` are per-step arrays by "milestone/seed/name"; `no_curves` says why there are none,
    where that is known. `calibrations` are what is on record of correct engines by milestone, only
    where it was measured on the same config.
    """

    scorecard: Scorecard | None = None
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)
    comparison: Comparison | None = None
    history: History | None = None
    kills: Kills | None = None
    # `Any`: the plain JSON of harness.on_record.
    calibrations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    no_curves: str = ""

    @property
    def results(self) -> dict[str, list[Result]]:
        """The scorecard's results by milestone, in its order."""
        found: dict[str, list[Result]] = {}
        for result in self.scorecard.results if self.scorecard else []:
            found.setdefault(result.milestone, []).append(result)
        return found

    def compared(self, milestone: str) -> MilestoneComparison | None:
        """The milestone in the comparison; None where it is in none."""
        rows = self.comparison.milestones if self.comparison else []
        return next((row for row in rows if row.milestone == milestone), None)

    def curve(self, milestone: str, seed: int, name: str, dimensions: int) -> np.ndarray | None:
        """One array in float64, if it was kept and is of so many dimensions."""
        array = self.curves.get(f"{milestone}/{seed}/{name}")
        if array is None or array.ndim != dimensions or array.dtype.kind not in "fiu":
            return None
        return array.astype(np.float64)
