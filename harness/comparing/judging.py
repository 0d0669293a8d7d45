"""From two sides to a comparison: comparable, bits, checks, learning, times, in this order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from harness.comparing import check_changes, comparable, counters, divergence
from harness.comparing.headlines import headline
from harness.comparing.learning import learning_cells
from harness.comparing.loss_curves import loss_curve
from harness.comparing.side import Side, Timed
from harness.comparing.step_times import step_time_cells
from harness.comparison import (
    LEARNING,
    Cell,
    CheckChange,
    Comparison,
    Divergence,
    MilestoneComparison,
    Verdict,
)
from harness.on_record import Json
from harness.scorecard import Result

_WORDS = {"unsupported": "NOT SUPPORTED"}


@dataclass(frozen=True)
class _Findings:
    """All that is known of one milestone before its verdict."""

    one: Mapping[int, Result]
    other: Mapping[int, Result]
    differences: list[str]
    divergence: Divergence
    checks: list[CheckChange]
    # Seeds without a verdict on one side, and why.
    left_out: list[str]

    @property
    def seeds(self) -> list[int]:
        return sorted(self.one.keys() & self.other.keys())

    @property
    def is_comparable(self) -> bool:
        return not self.differences

    @cached_property
    def newly(self) -> list[CheckChange]:
        """Newly failing checks that show a regression."""
        stages = {**check_changes.stages(self.one), **check_changes.stages(self.other)}
        # The same training, evaluated otherwise: there is no luck in that either.
        same = self.divergence.level == "IDENTICAL" or self.divergence.phase == "evaluation"
        return [
            change
            for change in self.checks
            if check_changes.counts(change, stages.get(change.check, ""), len(self.seeds), same)
        ]


def compare(
    base: Side,
    head: Side,
    timings: Mapping[str, Timed],
    calibrations: Mapping[str, Json | None],
    *,
    look: int | None = None,
    notes: Sequence[str] = (),
) -> Comparison:
    """All that the two sides say of each other; `timings` has the milestones that were timed.

    `look` counts the times that the same question was asked with more evidence, from 1; None
    when it is asked once.
    """
    common = [name for name in head.milestones if name in base.milestones]
    found = {name: _find(base, head, name) for name in common}
    fit = [name for name in common if found[name].is_comparable]
    streams = {name: divergence.stream(found[name].divergence) for name in fit}
    learned = learning_cells(base, head, streams, calibrations, look)
    timed = step_time_cells({name: timings[name] for name in fit if name in timings}, look)
    milestones = [
        _milestone(base, head, name, found[name],
                   [*learned.get(name, []), *([timed[name]] if name in timed else [])])
        for name in common
    ]  # fmt: skip
    engine = check_changes.changes_of_engine(base.scorecard.engine, head.scorecard.engine)
    weaker = [*_fewer("engine", engine), *_weaker(found)]
    return Comparison(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        base=base.source,
        head=head.source,
        milestones=[*milestones, *_one_sided(base, head)],
        engine=engine,
        notes=[*comparable.notes(base, head), *weaker, *_notes(found), *notes],
        weaker=weaker,
    )


def _find(base: Side, head: Side, name: str) -> _Findings:
    one, other = base.results(name), head.results(name)
    differences = comparable.differences(base, head, name)
    left_out: list[str] = []
    for word, side in (("base", one), ("head", other)):
        no_verdict = {s: why for s, r in side.items() if (why := check_changes.has_no_verdict(r))}
        if len(no_verdict) == len(side):
            first = next(iter(no_verdict.values()))
            differences.append(f"no verdict on the {word}'s side: {first}")
        else:
            left_out += [f"seed {s} is left out: {why} ({word})" for s, why in no_verdict.items()]
            for seed in no_verdict:
                del side[seed]
    return _Findings(
        one,
        other,
        differences,
        divergence.find(base, head, name),
        check_changes.changes_of_milestone(one, other),
        left_out,
    )


def _notes(found: Mapping[str, _Findings]) -> list[str]:
    told = []
    for name, each in found.items():
        if not comparable.asks_less(each.one, each.other):
            told += [f"{name}: {text}" for text in comparable.targets(each.one, each.other)]
        told += [f"{name}: {text}" for text in each.left_out]
        told += [
            f"{name}: the {word} does not repeat itself: the same seed gave other bits twice"
            for word in each.divergence.unsteady
        ]
        told += [f"{name}: {c.check} is now made" for c in each.checks if c.change == "now made"]
    return told


def _weaker(found: Mapping[str, _Findings]) -> list[str]:
    """Where the head is asked for less: its checks pass more easily."""
    told = []
    for name, each in found.items():
        if comparable.asks_less(each.one, each.other):
            told += [f"{name}: {text}" for text in comparable.targets(each.one, each.other)]
        told += _fewer(name, each.checks)
    return told


def _fewer(where: str, checks: Sequence[CheckChange]) -> list[str]:
    return [f"{where}: {c.check} is no longer made" for c in checks if c.change == "no longer made"]


def _milestone(
    base: Side, head: Side, name: str, found: _Findings, sampled: Sequence[Cell]
) -> MilestoneComparison:
    first = next(iter(found.other.values()))
    costs = counters.cost_of(found.one), counters.cost_of(found.other)
    cells = [*sampled, counters.memory_cell(*costs)] if found.is_comparable else []
    verdict = _verdict(found, cells)
    shown = found.divergence if found.is_comparable else None
    return MilestoneComparison(
        milestone=name,
        title=first.title,
        year=first.year,
        verdict=verdict,
        headline=headline(verdict, shown, found.newly, cells, found.differences),
        differences=found.differences,
        divergence=shown,
        checks=found.checks,
        cells=cells,
        counters=counters.counters(*costs) if found.is_comparable else [],
        seeds=found.seeds,
        target=first.accuracy.target,
        base_accuracy=[found.one[seed].accuracy.held_out for seed in found.seeds],
        head_accuracy=[found.other[seed].accuracy.held_out for seed in found.seeds],
        base_loss=loss_curve(base, name, found.seeds),
        head_loss=loss_curve(head, name, found.seeds),
        reproduce=_reproduce(head, name, found),
    )


def _verdict(found: _Findings, cells: Sequence[Cell]) -> Verdict:
    """The worst that holds.

    Who learns better from the same config has another engine, not a better one: that is
    CHANGED-FASTER, unless checks that failed before now pass.
    """
    if not found.is_comparable:
        return "not comparable"
    by_verdict = {word: [c for c in cells if c.verdict == word] for word in ("worse", "better")}
    if found.newly or by_verdict["worse"]:
        return "REGRESSED"
    fixed = any(change.change == "fixed" for change in found.checks)
    if any(cell.quantity in LEARNING for cell in by_verdict["better"]) and not fixed:
        return "CHANGED-FASTER"
    unknown = [c for c in cells if c.verdict == "not measured" and c.quantity in LEARNING]
    if unknown or any(cell.verdict == "inconclusive" for cell in cells):
        return "inconclusive"
    return "improved" if fixed or by_verdict["better"] else "same"


def _reproduce(head: Side, name: str, found: _Findings) -> str:
    """One command that shows, with the head's code, what is wrong; "" where there is none."""
    if not found.is_comparable:
        return ""
    parted = found.divergence
    if found.newly and found.newly[0].seeds:
        words = f"harness run {name}{_seed(found.newly[0].seeds[0])}"
    elif parted.level == "CHANGED" and parted.phase in ("gradient", "update") and parted.tensor:
        words = f"harness run {name}{_seed(parted.seed)} --explain {parted.tensor}"
    else:
        return ""
    if head.source.kind == "ref" and head.source.commit:
        return f"git switch --detach {head.source.commit[:9]} && {words}"
    return words


def _seed(seed: int | None) -> str:
    return f" --seed {seed}" if seed else ""


def _one_sided(base: Side, head: Side) -> list[MilestoneComparison]:
    """Milestones that only one side has."""
    sides: tuple[tuple[Side, Side, Verdict], ...] = (
        (head, base, "added"), (base, head, "removed"),
    )  # fmt: skip
    return [
        _one_sided_milestone(side, name, verdict)
        for side, other, verdict in sides
        for name in side.milestones
        if name not in other.milestones
    ]


def _one_sided_milestone(side: Side, name: str, verdict: Verdict) -> MilestoneComparison:
    first = next(iter(side.results(name).values()))
    return MilestoneComparison(
        milestone=name,
        title=first.title,
        year=first.year,
        verdict=verdict,
        headline=f"only {side.source.name} has it: {_WORDS.get(first.status, first.status)} there",
    )
