"""What a comparison says, worst first: its headline, its verdict, and the facts of a milestone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from harness.comparison import CheckChange, Comparison, MilestoneComparison, Source, Verdict
from harness.reports.commands import run_again
from harness.reports.comparing.wording import (
    cell_sentence,
    check_sentence,
    could_have_seen,
    counters,
    parting,
)
from harness.reports.escapes import listed

WORST_FIRST: tuple[Verdict, ...] = get_args(Verdict)
_SHOWN = 10


@dataclass(frozen=True)
class Fact:
    """One line below a milestone, with the "file:line" to blame and what to do, where known."""

    label: str
    text: str
    place: str = ""
    hint: str = ""


def ordered(comparison: Comparison) -> list[MilestoneComparison]:
    """The milestones, worst first, else in their order."""
    return sorted(comparison.milestones, key=lambda each: WORST_FIRST.index(each.verdict))


def headline(comparison: Comparison) -> str:
    """One sentence, the first to read: what is worst, and where it begins."""
    worst = ordered(comparison)[:1]
    if worst and worst[0].verdict == "REGRESSED":
        return told(worst[0])
    broken = [each for each in comparison.engine if each.change == "newly failing"]
    if broken:
        return f"engine: {broken[0].check}: {broken[0].reason}"
    if comparison.problem:
        return comparison.problem
    if worst and worst[0].verdict != "same":
        return told(worst[0])
    return _nothing(comparison)


def told(milestone: MilestoneComparison) -> str:
    """Its headline behind its name."""
    start = f"{milestone.milestone}: "
    return start + milestone.headline.removeprefix(start)


def is_quiet(milestone: MilestoneComparison) -> bool:
    """Whether one line says it all: the same, and no check says anything else."""
    changed = any(each.change != "still failing" for each in milestone.checks)
    return milestone.verdict == "same" and not changed


def worths(comparison: Comparison) -> dict[str, list[str]]:
    """Of those that are the same: what that is worth -> names of all for which it is that."""
    found: dict[str, list[str]] = {}
    for milestone in filter(is_quiet, comparison.milestones):
        seen = could_have_seen(milestone)
        text = f"{milestone.headline}{f'; {seen}' if seen else ''}"
        found.setdefault(text, []).append(milestone.milestone)
    return found


def _nothing(comparison: Comparison) -> str:
    count = len(comparison.milestones)
    if not count:
        return "nothing was compared"
    found = [(each, each.divergence.level if each.divergence else "") for each in
             comparison.milestones]  # fmt: skip
    changed = [each for each, level in found if level == "CHANGED"]
    if changed:
        return f"{told(changed[0])}; no effect of that is shown"
    identical = sum(level == "IDENTICAL" for _, level in found)
    return f"{count} of {count} milestones are the same, {identical} of them to the bit"


def verdict(comparison: Comparison) -> str:
    """What came out, in a few words."""
    found = {word: _names(comparison, word) for word in WORST_FIRST}
    if comparison.regressed:
        newly = any(each.change == "newly failing" for each in comparison.engine)
        names = [each.milestone for each in ordered(comparison) if each.verdict == "REGRESSED"]
        return f"{all_of([*(['the engine'] if newly else []), *names])} regressed"
    if comparison.problem or not comparison.milestones:
        return "no verdict"
    if found["not comparable"]:
        return f"no verdict, {found['not comparable']} cannot be compared"
    start = "no regression shown"
    if comparison.weaker:
        start += f", but the head is judged by less ({listed(comparison.weaker, 3)})"
    if found["CHANGED-FASTER"]:
        return f"{start}, but {found['CHANGED-FASTER']} learns faster than can be believed"
    if found["inconclusive"]:
        return f"{start}, but there is too little evidence on {found['inconclusive']}"
    words = [f"{found[word]} {word}" for word in ("improved", "removed", "added") if found[word]]
    same = sum(each.verdict == "same" for each in comparison.milestones)
    return ", ".join([start, f"{same} of {len(comparison.milestones)} milestones same", *words])


def capital(text: str) -> str:
    """A sentence's start, but no name's: those are spelled as they are."""
    return text[:1].upper() + text[1:] if text.startswith(("no ", "the ")) else text


def _names(comparison: Comparison, word: str) -> str:
    return all_of([each.milestone for each in comparison.milestones if each.verdict == word])


def all_of(names: Sequence[str]) -> str:
    """Such as "a, b and c"; many are cut short."""
    if len(names) > _SHOWN:
        return listed(names, _SHOWN)
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def sentence(comparison: Comparison) -> str:
    """What was compared, and what came out."""
    return f"{sides(comparison)}: {verdict(comparison)}"


def sides(comparison: Comparison) -> str:
    """What was compared: "topic (9d8e7f6) against main (1f0c9a4), seeds 0 to 7"."""
    against = f"{side(comparison.head)} against {side(comparison.base)}"
    return f"{against}{seeds(comparison.milestones)}"


def side(source: Source) -> str:
    """A side as it was called, with its short commit, and whether files were changed."""
    commit = short(source.commit)
    known = f" ({commit})" if commit and not source.name.startswith(commit) else ""
    return f"{source.name}{known}{' with uncommitted changes' if source.dirty else ''}"


def short(commit: str | None) -> str:
    """Seven digits of a commit; "" for what is none."""
    return commit[:7] if commit and re.fullmatch("[0-9a-f]{7,64}", commit) else ""


def seeds(milestones: Sequence[MilestoneComparison]) -> str:
    """Such as ", seeds 0 to 7" or ", 8 to 48 seeds a milestone"; "" where there is none."""
    found = {tuple(each.seeds) for each in milestones if each.seeds}
    if len(found) > 1:
        counts = sorted({len(each) for each in found})
        return (
            f", {' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} seeds a milestone"
        )
    if not found:
        return ""
    (only,) = found
    if len(only) == 1:
        return f", seed {only[0]}"
    if list(only) == list(range(only[0], only[-1] + 1)):
        return f", seeds {only[0]} to {only[-1]}"
    return f", {len(only)} seeds"


def engine_facts(comparison: Comparison) -> list[Fact]:
    """What the checks of the engine by itself no longer say, or say now."""
    told_once = _hinted_once([of_check(each, 0) for each in comparison.engine])
    return _cut(told_once, "checks of the engine")


def engine_command(comparison: Comparison) -> str:
    """How to see what the engine's checks say: they are part of every run. "" where none fails."""
    broken = any(each.change == "newly failing" for each in comparison.engine)
    known = [each.milestone for each in ordered(comparison) if each.verdict != "removed"]
    return run_again(known[0]) if broken and known else ""


def of_check(change: CheckChange, seeds: int) -> Fact:
    """What a check says, of `seeds` seeds; how to go on from there only if it fails newly."""
    hint = change.hint if change.change == "newly failing" else ""
    return Fact(change.change, check_sentence(change, seeds), change.place, hint)


def facts(milestone: MilestoneComparison, every_cell: bool = False) -> list[Fact]:
    """All that there is to say of a milestone below its headline, first causes first."""
    found = [Fact("differs", text) for text in milestone.differences]
    found = _cut(found, "differences")
    divergence = milestone.divergence
    if divergence and (text := parting(divergence)):
        found.append(Fact("first divergence", text))
    count = len(milestone.seeds)
    found += _cut(_hinted_once([of_check(each, count) for each in milestone.checks]), "checks")
    cells = [c for c in milestone.cells if every_cell or c.verdict != "same"]
    found += [Fact(cell.quantity, cell_sentence(cell)) for cell in cells]
    counted = counters(milestone.counters)
    return [*found, *([Fact("counted", listed(counted, _SHOWN))] if counted else [])]


def _hinted_once(found: list[Fact]) -> list[Fact]:
    """What to do only about the first cause: the others are mostly its consequences."""
    first = next((fact for fact in found if fact.hint), None)
    return [fact if fact is first else replace(fact, hint="") for fact in found]


def _cut(found: list[Fact], what: str) -> list[Fact]:
    """The first of many, with a word on the others."""
    if len(found) <= _SHOWN:
        return found
    return [*found[:_SHOWN], Fact("also", f"{len(found) - _SHOWN} more {what}")]
