"""The comparison as JUnit XML: a suite for each milestone, a case for each tier and finding.

Only what regressed fails: whoever reads the failures of this document and whoever reads the exit
code of `harness compare` see the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.comparison import Cell, CheckChange, Comparison, MilestoneComparison
from harness.reports.comparing.story import Fact, facts, of_check, told
from harness.reports.comparing.wording import bits, cell_sentence, parting
from harness.reports.junit_xml import Case, Outcome, Suite, to_xml


def render(comparison: Comparison) -> str:
    """XML; raises UsageError when junitparser is not installed."""
    problem = Case("both_sides_run", "compare", "error", comparison.problem, kind="no verdict")
    suites = [
        ("compare", [problem] if comparison.problem else []),
        ("engine", [_of_check(each, "engine", 0, regressed=True) for each in comparison.engine]),
        *((each.milestone, list(_of_milestone(each))) for each in comparison.milestones),
    ]
    made, properties = comparison.created, _properties(comparison)
    filled = [Suite(name, cases, made, properties) for name, cases in suites if cases]
    return to_xml("harness compare", filled)


def _of_milestone(milestone: MilestoneComparison) -> Iterator[Case]:
    yield _comparable(milestone)
    if milestone.verdict in ("not comparable", "added", "removed"):
        return
    regressed = milestone.verdict == "REGRESSED"
    yield _determinism(milestone)
    for change in milestone.checks:
        yield _of_check(change, milestone.milestone, len(milestone.seeds), regressed)
    for cell in milestone.cells:
        yield _of_cell(cell, milestone, regressed)


def _comparable(milestone: MilestoneComparison) -> Case:
    outcomes: dict[str, Outcome] = {"not comparable": "error", "added": "skip", "removed": "skip"}
    outcome = outcomes.get(milestone.verdict, "pass")
    message = "" if outcome == "pass" else told(milestone)
    text = "\n".join(milestone.differences)
    return Case("comparable", milestone.milestone, outcome, message, text, "not comparable")


def _determinism(milestone: MilestoneComparison) -> Case:
    """Other bits alone are no regression; of what regressed they are where it begins."""
    divergence = milestone.divergence
    found = "" if divergence is None else parting(divergence)
    outcome: Outcome = "pass"
    if milestone.verdict == "REGRESSED" and _begins_here(milestone):
        outcome = "fail"
    elif divergence is None or divergence.level == "unknown" or divergence.unsteady:
        outcome = "skip"
    text = "\n".join([told(milestone), *map(_line, facts(milestone)), *_command(milestone)])
    message = told(milestone) if outcome == "fail" else found or bits(divergence)
    return Case(
        "determinism", milestone.milestone, outcome, message,
        text if outcome == "fail" else "", bits(divergence),
    )  # fmt: skip


def _begins_here(milestone: MilestoneComparison) -> bool:
    """Whether bits changed, or nothing else says why the milestone regressed."""
    changed = milestone.divergence is not None and milestone.divergence.level == "CHANGED"
    worse = any(cell.verdict == "worse" for cell in milestone.cells)
    fails = any(change.change == "newly failing" for change in milestone.checks)
    return changed or not (worse or fails)


def _line(fact: Fact) -> str:
    return f"{fact.label}: {fact.text}{f' ({fact.place})' if fact.place else ''}"


def _command(milestone: MilestoneComparison) -> list[str]:
    return [f"reproduce on the head: {milestone.reproduce}"] if milestone.reproduce else []


def _of_check(change: CheckChange, group: str, seeds: int, regressed: bool) -> Case:
    outcome: Outcome = "pass"
    if change.change == "newly failing":
        outcome = "skip" if not regressed else "error" if change.head == "error" else "fail"
    elif change.change in ("still failing", "no longer made"):
        outcome = "skip"
    fact = of_check(change, seeds)
    text = "\n".join(part for part in (_line(fact), fact.hint) if part)
    return Case(change.check, group, outcome, f"{change.change}: {fact.text}", text, change.change)


def _of_cell(cell: Cell, milestone: MilestoneComparison, regressed: bool) -> Case:
    outcomes: dict[str, Outcome] = {
        "worse": "fail" if regressed else "skip", "inconclusive": "skip", "not measured": "skip",
    }  # fmt: skip
    outcome = outcomes.get(cell.verdict, "pass")
    name = cell.quantity.replace(" ", "_")
    return Case(name, milestone.milestone, outcome, cell_sentence(cell), "", cell.verdict)


def _properties(comparison: Comparison) -> dict[str, str]:
    """What was compared; nothing for what is not known."""
    known = {
        "base": comparison.base.name,
        "base commit": comparison.base.commit or "",
        "head": comparison.head.name,
        "head commit": comparison.head.commit or "",
    }
    return {name: value for name, value in known.items() if value}
