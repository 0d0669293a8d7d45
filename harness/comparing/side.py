"""What a comparison is made of: the scorecard and the curves of a side, and times of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from harness.comparison import Source
from harness.scorecard import Result, Scorecard


@dataclass(frozen=True)
class Side:
    """A scorecard with its curves: per-step arrays by "milestone/seed/name".

    `unsteady` are milestones that gave other bits when they ran a second time.
    """

    source: Source
    scorecard: Scorecard
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)
    unsteady: frozenset[str] = frozenset()

    @property
    def milestones(self) -> list[str]:
        """Names in the order of the scorecard, each once."""
        return list(dict.fromkeys(result.milestone for result in self.scorecard.results))

    def results(self, milestone: str) -> dict[int, Result]:
        """Its results by seed."""
        return {r.seed: r for r in self.scorecard.results if r.milestone == milestone}

    def curve(self, milestone: str, seed: int, name: str) -> np.ndarray | None:
        """One array, such as "loss" or "checkpoints/steps"; None where it was not kept."""
        return self.curves.get(f"{milestone}/{seed}/{name}")


@dataclass(frozen=True)
class Timed:
    """Step times of one milestone on both sides, measured side by side.

    `log_ratios` has one number a restart of both workers: the median over its bursts of
    log(head / base). `base_seconds` and `head_seconds` are medians a step, for people.
    """

    log_ratios: tuple[float, ...]
    base_seconds: float
    head_seconds: float
