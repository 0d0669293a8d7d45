"""A comparison: what two scorecards, or two branches, say of each other, as versioned JSON.

Plain values: reports are functions of this alone. `save` writes it whole, `load` reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.errors import ScorecardError
from harness.json_files import fitted, read_json, write_model
from harness.provenance import Provenance

SCHEMA_NAME = "harness.comparison"
SCHEMA_VERSION = 1
FILE_NAME = "comparison.json"

# What came out for a milestone, worst first; "added" and "removed" are on one side only.
Verdict = Literal[
    "REGRESSED", "not comparable", "CHANGED-FASTER", "inconclusive", "improved", "removed", "added",
    "same",
]  # fmt: skip
Level = Literal["IDENTICAL", "ROUNDING", "CHANGED", "unknown"]
Phase = Literal["start", "batch", "forward", "gradient", "update", "evaluation", "unknown"]
CellVerdict = Literal["same", "worse", "better", "inconclusive", "not measured"]
Change = Literal["newly failing", "fixed", "still failing", "no longer made", "now made"]
# Quantities that tell how well a milestone is learned.
LEARNING = ("learning speed", "final accuracy", "reach")
CheckStatus = Literal["pass", "fail", "error", "skip"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Source(_Model):
    """Where one side comes from: what the user called it, and its provenance if it ran."""

    name: str
    kind: Literal["ref", "working tree", "scorecard"]
    commit: str | None = None
    dirty: bool | None = None
    created: str = ""
    provenance: Provenance | None = None


class Divergence(_Model):
    """Where two trainings from the same seed part: bitwise, before any statistics.

    `step` counts from 0 and is the first that is known to differ; `since` is the last before it
    that is known to be equal, None when that is the start. `base` and `head` are the norms of
    what differs, `difference` their distance as a share of the larger. `tensor` is a parameter's
    label, or "" where the phase has only one array. `also` are other tensors of that phase.
    """

    level: Level
    seeds: list[int] = []
    seed: int | None = None
    step: int | None = None
    since: int | None = None
    phase: Phase | None = None
    tensor: str = ""
    also: list[str] = []
    base: float | None = None
    head: float | None = None
    difference: float | None = None
    # Sides that do not repeat themselves: "base", "head". Bits prove nothing there.
    unsteady: list[str] = []
    # Why nothing is known, where the level is "unknown".
    why: str = ""


class CheckChange(_Model):
    """A check that does not say the same on both sides; None where it was not made."""

    check: str
    change: Change
    base: CheckStatus | None
    head: CheckStatus | None
    # In the words of the side that fails, else of the one that has it.
    reason: str
    hint: str = ""
    # "file:line" to blame, where it is known.
    place: str = ""
    seeds: list[int] = []


class Cell(_Model):
    """One quantity of one milestone, compared by statistics.

    For `unit` "x", all numbers are factors head / base (of steps, seconds or bytes, so more is
    worse); for "points", differences head - base of accuracies in per cent; for "seeds", of how
    many seeds reach the target. `low` to `high` is the interval for the effect at `confidence`.
    `margin` is what is too small to matter, `detectable` the smallest effect that this many
    samples would have shown nine times in ten, both as distances from no effect: 0.27 for 1.27x.
    """

    quantity: Literal["learning speed", "final accuracy", "reach", "step time", "peak memory"]
    unit: Literal["x", "points", "seeds"]
    verdict: CellVerdict
    samples: int = 0
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    margin: float | None = None
    detectable: float | None = None
    p_worse: float | None = None
    p_better: float | None = None
    # In words for people; why not, where nothing was measured.
    note: str = ""


class Counter(_Model):
    """Something counted exactly on both sides, such as "ops per step"."""

    name: str
    base: int | None
    head: int | None


class Curve(_Model):
    """The loss over the seeds of one side, at up to 60 steps (counted from 1)."""

    step: list[int] = []
    median: list[float | None] = []
    low: list[float | None] = []
    high: list[float | None] = []


class MilestoneComparison(_Model):
    """One milestone on both sides."""

    milestone: str
    title: str
    year: int
    verdict: Verdict
    # One sentence: what to know first.
    headline: str
    # Why the two cannot be compared, each with the field: "training.lr is 0.01 against 0.02".
    differences: list[str] = []
    divergence: Divergence | None = None
    checks: list[CheckChange] = []
    cells: list[Cell] = []
    counters: list[Counter] = []
    # In common, and all accuracies on them in their order; null where there is none.
    seeds: list[int] = []
    target: float | None = None
    base_accuracy: list[float | None] = []
    head_accuracy: list[float | None] = []
    base_loss: Curve = Curve()
    head_loss: Curve = Curve()
    # A command that shows the finding on its own; "" where there is none.
    reproduce: str = ""


class Comparison(_Model):
    """All milestones of two sides."""

    schema_: str = Field(default=f"{SCHEMA_NAME}/{SCHEMA_VERSION}", alias="schema")
    created: str
    base: Source
    head: Source
    milestones: list[MilestoneComparison]
    # Of the engine by itself.
    engine: list[CheckChange] = []
    # What a reader must know: another machine, an older schema, what was not measured.
    notes: list[str] = []
    # Where the head is judged less strictly than the base: checks no longer made, lower targets.
    weaker: list[str] = []
    # Why there is no verdict at all: a side that does not start, or hangs. "" else.
    problem: str = ""

    @property
    def regressed(self) -> bool:
        """Whether anything is worse on the head's side."""
        newly = any(each.change == "newly failing" for each in self.engine)
        return newly or any(each.verdict == "REGRESSED" for each in self.milestones)

    def exit_code(self, strict: bool = False) -> int:
        """0 no regression shown, 1 regression, 3 no verdict, 4 too little evidence (strict).

        Evidence is too little, too, where the head is judged by less than the base.
        """
        verdicts = {each.verdict for each in self.milestones}
        if self.regressed or (strict and "CHANGED-FASTER" in verdicts):
            return 1
        if self.problem or "not comparable" in verdicts or not verdicts:
            return 3
        thin = any(c.verdict == "inconclusive" for each in self.milestones for c in each.cells)
        return 4 if strict and (thin or self.weaker or "inconclusive" in verdicts) else 0


def save(comparison: Comparison, folder: Path) -> Path:
    """Write `comparison.json` into `folder`, whole or not at all."""
    return write_model(comparison, folder / FILE_NAME)


def load(path: Path) -> Comparison:
    """The comparison in a file or folder; raises ScorecardError when there is none to read."""
    file = path / FILE_NAME if path.is_dir() else path
    data = read_json(file)
    found = data.get("schema") if isinstance(data, dict) else None
    if found != f"{SCHEMA_NAME}/{SCHEMA_VERSION}":
        raise ScorecardError(f"{file} is not a comparison: its schema is {found!r}")
    return fitted(Comparison, data, file, "a comparison")
