"""The comparison as annotations for GitHub Actions, worst first.

`::error` for what is newly failing, at the line to blame where it is known, and for what regressed
without one; `::warning` for what needs a look; and a `::notice` with the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.comparison import CheckChange, Comparison, MilestoneComparison
from harness.reports.comparing.story import facts, ordered, sentence, told
from harness.reports.comparing.wording import check_sentence
from harness.reports.github import annotation

_WARNED = ("not comparable", "CHANGED-FASTER", "inconclusive")
# GitHub shows ten errors of a step, and no more.
_SHOWN = 10


def render(comparison: Comparison) -> str:
    """One annotation a line; paths are relative to the root of the repository."""
    annotations = [
        *_problem(comparison),
        *(_of_check("engine", each) for each in comparison.engine if _is_new(each)),
        *(line for each in ordered(comparison) for line in _of_milestone(each)),
        annotation("notice", "harness compare", _notice(comparison)),
    ]
    return "".join(f"{each}\n" for each in annotations)


def _problem(comparison: Comparison) -> Iterator[str]:
    if comparison.problem:
        yield annotation("error", "harness compare: no verdict", comparison.problem)


def _of_milestone(milestone: MilestoneComparison) -> Iterator[str]:
    if milestone.verdict == "REGRESSED":
        placed = [each for each in milestone.checks if _is_new(each) and each.place]
        for each in placed[:_SHOWN]:
            yield _of_check(milestone.milestone, each, milestone)
        if not placed:
            yield annotation("error", f"{milestone.milestone}: REGRESSED", _story(milestone))
    elif milestone.verdict in _WARNED or _fails(milestone):
        title = f"{milestone.milestone}: {milestone.verdict}"
        yield annotation("warning", title, _story(milestone))


def _fails(milestone: MilestoneComparison) -> bool:
    """Whether a check fails newly, on so few seeds that it may be luck."""
    return any(map(_is_new, milestone.checks))


def _is_new(change: CheckChange) -> bool:
    return change.change == "newly failing"


def _of_check(where: str, change: CheckChange, milestone: MilestoneComparison | None = None) -> str:
    parts = [check_sentence(change, len(milestone.seeds) if milestone else 0), change.hint]
    if milestone:
        others = [each.check for each in milestone.checks if _is_new(each) and each != change]
        parts += [f"Newly failing, too: {', '.join(others[:20])}."] if others else []
        parts += [told(milestone), *_command(milestone)]
    text = "\n".join(part for part in parts if part)
    return annotation("error", f"{where}: {change.check}", text, change.place)


def _story(milestone: MilestoneComparison) -> str:
    lines = [f"{fact.label}: {fact.text}" for fact in facts(milestone)]
    return "\n".join([told(milestone), *lines, *_command(milestone)])


def _command(milestone: MilestoneComparison) -> list[str]:
    return [f"Reproduce: {milestone.reproduce}"] if milestone.reproduce else []


def _notice(comparison: Comparison) -> str:
    words = ", ".join(f"{each.milestone} {each.verdict}" for each in ordered(comparison)[:40])
    return f"{sentence(comparison)}{f': {words}' if words else ''}"
