"""All checks, milestone by milestone: what each said, over the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.reports.page.material import Material
from harness.reports.page.words import cut, seeds
from harness.reports.summary import is_not_run, place_of
from harness.scorecard import VerdictRow

# Reasons shown of one check that fails in several ways.
_MOST_REASONS = 3
_WORDS = {"fail": "FAIL", "error": "ERROR", "pass": "pass", "skip": "not run"}
_WORST_FIRST = ("fail", "error", "pass", "skip")


@dataclass(frozen=True)
class CheckLine:
    """One check over all seeds of a milestone: its worst status, and why."""

    check: str
    status: str
    word: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """The checks of a milestone, or of the engine; open where one does not pass."""

    name: str
    lines: tuple[CheckLine, ...]
    summary: str
    is_open: bool


def section(material: Material) -> list[Group]:
    """The engine first, then each milestone."""
    engine = material.scorecard.engine if material.scorecard else None
    groups = [_group(f"engine {engine.backend}", {0: engine.verdicts})] if engine else []
    for name, results in material.results.items():
        by_seed = {result.seed: result.verdicts for result in results}
        groups.append(_group(name, by_seed))
    return groups


def _group(name: str, by_seed: Mapping[int, Sequence[VerdictRow]]) -> Group:
    found: dict[str, dict[int, VerdictRow]] = {}
    for seed, verdicts in by_seed.items():
        for verdict in map(_judged, verdicts):
            found.setdefault(verdict.check, {})[seed] = verdict
    lines = [_line(check, each, len(by_seed)) for check, each in found.items()]
    lines.sort(key=lambda line: line.status not in ("fail", "error"))
    counts = {status: sum(line.status == status for line in lines) for status in _WORST_FIRST}
    words = {"fail": "fail", "error": "could not be made", "pass": "pass", "skip": "not run"}
    told = [f"{many} {words[status]}" for status, many in counts.items() if many]
    is_open = counts["fail"] + counts["error"] > 0
    return Group(cut(name, 120), tuple(lines), ", ".join(told) or "no checks", is_open)


def _judged(verdict: VerdictRow) -> VerdictRow:
    """A job that never started is no error of its checks."""
    return verdict.model_copy(update={"status": "skip"}) if is_not_run(verdict) else verdict


def _line(check: str, by_seed: Mapping[int, VerdictRow], many: int) -> CheckLine:
    """A seed that was not looked at says nothing where another was."""
    said = {seed: each for seed, each in by_seed.items() if each.status != "skip"} or by_seed
    worst = min((each.status for each in said.values()), key=_WORST_FIRST.index)
    reasons: dict[str, list[int]] = {}
    for seed, verdict in said.items():
        if verdict.status == worst:
            reasons.setdefault(_reason(verdict), []).append(seed)
    is_bad = worst in ("fail", "error")
    told = _told(reasons, many) if is_bad else list(reasons)[:1]
    bad = sum(each.status == worst for each in said.values())
    word = _WORDS[worst]
    if is_bad and many > 1:
        word = f"{word} on {bad} of {many}"
    return CheckLine(cut(check, 120), worst, word, tuple(told))


def _told(reasons: Mapping[str, Sequence[int]], many: int) -> list[str]:
    """The first few reasons, with their seeds where not all have the same."""
    told = [
        f"{reason} ({seeds(on)})" if len(on) < many else reason
        for reason, on in list(reasons.items())[:_MOST_REASONS]
    ]
    if len(reasons) > _MOST_REASONS:
        told.append(f"and {len(reasons) - _MOST_REASONS} more, in the scorecard")
    return told


def _reason(verdict: VerdictRow) -> str:
    place = place_of(verdict)
    at = f" ({place})" if place and place not in verdict.reason else ""
    return cut(verdict.reason) + cut(at, 200)
