"""What to know first: the verdict in a sentence, and each culprit with how to see it again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from harness.comparison import CheckChange, Comparison, MilestoneComparison
from harness.history.trends import engine_streak
from harness.reports.commands import run_again
from harness.reports.comparing.story import engine_command, ordered, sides
from harness.reports.comparing.story import verdict as said
from harness.reports.page.material import Material
from harness.reports.page.streaks import failing, since
from harness.reports.page.words import commit, count, cut, day, listed, seeds
from harness.reports.summary import (
    Failure,
    failures,
    headline,
    is_not_run,
    is_not_supported,
    place_of,
)
from harness.scorecard import Result, VerdictRow

# Cards shown; more would hide what comes after them.
_MOST = 12
# Checks of one milestone that are told in their own words.
_MOST_CHECKS = 4
_HEALTHY = ("OK", "NULL")
Tone = Literal["good", "bad", "open"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: what, in which tensors, on which line, how to see it again."""

    title: str
    reason: str
    tone: Tone = "bad"
    tensors: str = ""
    layers: str = ""
    place: str = ""
    hint: str = ""
    reproduce: str = ""
    compared: str = ""
    since: str = ""
    follows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The headline, what it is about, and the findings, worst first."""

    headline: str
    tone: Tone
    about: tuple[str, ...]
    findings: tuple[Finding, ...]
    more: int = 0


def section(material: Material) -> Verdict:
    """The verdict on whatever was given."""
    found = [*_of_scorecard(material), *_of_comparison(material), *_of_history(material)]
    text, tone = _headline(material)
    return Verdict(text, tone, tuple(_about(material)), tuple(found[:_MOST]), len(found[_MOST:]))


# --- the headline -----------------------------------------------------------------------


def _headline(material: Material) -> tuple[str, Tone]:
    if card := material.scorecard:
        tone: Tone = {"pass": "good", "fail": "bad", "error": "open"}[card.status]  # type: ignore[assignment]  # a literal each
        if material.comparison and material.comparison.regressed and tone == "good":
            base = cut(material.comparison.base.name, 60)
            return f"{headline(card)}, but against {base} {said(material.comparison)}", "bad"
        return headline(card), tone
    if material.comparison:
        base = cut(material.comparison.base.name, 60)
        return f"Against {base}: {said(material.comparison)}", _tone_of(material.comparison)
    if material.history and material.history.nights:
        last = material.history.nights[-1]
        passed = sum(point.status == "pass" for point in last.milestones.values())
        text = f"Last night {passed} of {count(len(last.milestones), 'milestone')} passed"
        if last.engine not in (None, "pass"):
            word = "failed its own checks" if last.engine == "fail" else "could not be checked"
            text = f"{text}, the engine {word}"
        return text, "good" if last.status == "pass" else "bad"
    if material.kills:
        return material.kills.headline, "good" if material.kills.passed else "bad"
    return "There is nothing to report", "open"


def _tone_of(comparison: Comparison) -> Tone:
    if comparison.regressed:
        return "bad"
    is_calm = {row.verdict for row in comparison.milestones} <= {"same", "improved", "added"}
    return "good" if is_calm and comparison.milestones and not comparison.problem else "open"


def _about(material: Material) -> Iterator[str]:
    """Where the numbers come from."""
    if card := material.scorecard:
        source = card.provenance
        if source.commit:
            yield f"commit {commit(source.commit, source.dirty)}"
        yield day(card.created)
        yield count(len(source.seeds), "seed")
        version = f" {source.backend_version}" if source.backend_from else ""
        yield f"engine {source.backend}{version}"
        yield f"numpy {source.numpy}, {source.blas}"
        yield f"Python {source.python}, {source.cpu}"
    if comparison := material.comparison:
        yield cut(sides(comparison), 240)
        if not material.scorecard:
            yield day(comparison.created)
    if material.history:
        yield count(len(material.history.nights), "night")
        if not (material.scorecard or material.comparison) and material.history.nights:
            yield f"the last is {cut(material.history.nights[-1].label, 160)}"


# --- findings of the scorecard ------------------------------------------------------------


def _of_scorecard(material: Material) -> Iterator[Finding]:
    for failure in failures(material.scorecard) if material.scorecard else []:
        where = [failure, *failure.alike, *failure.spoils]
        yield Finding(
            title=_title(material, failure),
            reason=cut(failure.cause.reason),
            tone="open" if is_not_run(failure.cause) or is_not_supported(failure.cause) else "bad",
            tensors=listed(_tensors(material, where)),
            place=cut(_place(where), 200),
            hint=cut(failure.cause.hint),
            reproduce=_command(material, failure),
            compared=" ".join(_compared(material, where)),
            since=" ".join(_since(material, failure, where)),
            follows=tuple(_follows(material, failure)),
        )


def _results(material: Material, failure: Failure) -> list[Result]:
    of_milestone = material.results.get(failure.milestone, [])
    return [result for result in of_milestone if result.seed in failure.seeds]


def _title(material: Material, failure: Failure) -> str:
    if not failure.seeds:
        is_known = failure.cause.status == "fail"
        return f"The engine {'fails its own checks' if is_known else 'could not be checked'}"
    names = listed([material.results[name][0].title for name in failure.milestones])
    is_one = not failure.alike
    if is_not_run(failure.cause):
        said = "not run"
    elif is_not_supported(failure.cause):
        said = "is not supported" if is_one else "are not supported"
    elif failure.cause.status == "fail":
        said = "fails" if is_one else "fail"
    else:
        said = "has no verdict" if is_one else "have no verdict"
    many = len(material.results[failure.milestone])
    on = f" on {seeds(failure.seeds)}" if is_one and len(failure.seeds) < many else ""
    return f"{names} {said}{on}"


def _tensors(material: Material, where: Sequence[Failure]) -> list[str]:
    """The tensors that are not as they must be and that a cause speaks of, each once.

    Others are the consequences, such as all tensors of a training on wrong data.
    """
    found: dict[str, None] = {}
    for failure in where:
        rows = [row for each in _results(material, failure) for row in each.parameters]
        sick = dict.fromkeys(row.label for row in rows if row.verdict not in _HEALTHY)
        found |= dict.fromkeys(label for label in sick if _speaks_of(failure.cause, label))
    return list(found)


def _speaks_of(cause: VerdictRow, label: str) -> bool:
    """Whether a tensor is among the evidence of a verdict, or in its words."""
    named, culprits, wrong = map(cause.evidence.get, ("tensors", "culprits", "wrong"))
    if any(isinstance(each, list) and label in each for each in (named, culprits)):
        return True
    rows = wrong if isinstance(wrong, list) else []
    said = [cause.reason, *(str(row.get("what")) for row in rows if isinstance(row, dict))]
    word = re.compile(rf"(?<![\w.]){re.escape(label)}(?!\w|\.\w)")
    return any(word.search(each) for each in said)


def _place(where: Sequence[Failure]) -> str:
    """The line to blame: that of the cause, else the first that a consequence names."""
    verdicts = [v for each in where for v in (each.cause, *each.consequences)]
    return next((place for verdict in verdicts if (place := place_of(verdict))), "")


def _command(material: Material, failure: Failure) -> str:
    """What shows the finding on its own: one milestone, one seed, the first tensor of its cause.

    Nothing shows again what somebody stopped.
    """
    card = material.scorecard
    if card is None or is_not_run(failure.cause):
        return ""
    source = card.provenance
    again = partial(run_again, backend=source.backend_from, changes=source.modified)
    known = [each for each in (failure, *failure.spoils) if each.seeds]
    if not known:  # the engine alone: any run looks at it
        first = next(iter(card.results), None)
        return again(first.milestone, cause=failure.cause) if first else ""
    shown = next((each for each in known if _tensors(material, [each])), known[0])
    tensors = _tensors(material, [shown])[:1]
    words = ["--seed", str(shown.seeds[0]), *(["--explain", *tensors] if tensors else [])]
    return cut(again(shown.milestone, *words, cause=shown.cause), 400)


def _compared(material: Material, where: Sequence[Failure]) -> Iterator[str]:
    for name in dict.fromkeys(each.milestone for each in where):
        row = material.compared(name)
        if row and material.comparison:
            yield f"Against {cut(material.comparison.base.name, 80)}: {cut(row.headline)}."


def _since(material: Material, failure: Failure, where: Sequence[Failure]) -> Iterator[str]:
    if material.history and not failure.seeds and (own := engine_streak(material.history.nights)):
        yield since(own)
        return
    for name in dict.fromkeys(each.milestone for each in where):
        if material.history and (found := failing(material.history, name)):
            yield since(found)


def _follows(material: Material, failure: Failure) -> Iterator[str]:
    """Consequences: those with words of their own first, then the names of the checks."""
    for spoiled in failure.spoils:
        yield cut(f"{spoiled.where}: {spoiled.cause.check}: {spoiled.cause.reason}")
    if failure.consequences:
        yield listed([verdict.check for verdict in failure.consequences], 20)


# --- findings of the comparison and of the history ----------------------------------------


def _of_comparison(material: Material) -> Iterator[Finding]:
    comparison = material.comparison
    if comparison is None:
        return
    if comparison.problem:
        yield Finding("There is no verdict on the comparison", cut(comparison.problem), "open")
    told = {name for f in _failing(material) for name in [f.milestone, *_spoiled(f)]}
    newly = [change for change in comparison.engine if change.change == "newly failing"]
    if newly and "engine" not in told:
        yield _of_engine(newly, engine_command(comparison))
    for row in ordered(comparison):
        if row.milestone not in told and row.verdict in ("REGRESSED", "CHANGED-FASTER"):
            yield _of_row(row, cut(comparison.base.name, 80))


def _failing(material: Material) -> list[Failure]:
    return failures(material.scorecard) if material.scorecard else []


def _spoiled(failure: Failure) -> list[str]:
    return [each.milestone for each in failure.spoils]


def _of_engine(changes: Sequence[CheckChange], command: str) -> Finding:
    first, *others = changes
    return Finding(
        title="The engine fails a check that it passed before",
        reason=cut(first.reason),
        place=cut(first.place, 200),
        hint=cut(first.hint),
        reproduce=cut(command, 400),
        follows=(listed([change.check for change in others], 20),) if others else (),
    )


def _of_row(row: MilestoneComparison, base: str) -> Finding:
    newly = [change for change in row.checks if change.change == "newly failing"]
    parted = row.divergence if row.divergence and row.divergence.tensor else None
    parts = listed([parted.tensor, *parted.also]) if parted else ""
    is_layer = parted is not None and parted.phase == "forward"
    is_worse = row.verdict == "REGRESSED"
    how = "is worse than" if is_worse else "learns faster than"
    return Finding(
        title=f"{cut(row.title, 120)} {how} on {base}",
        reason=cut(row.headline),
        tone="bad" if is_worse else "open",
        tensors="" if is_layer else parts,
        layers=parts if is_layer else "",
        place=cut(next((change.place for change in newly if change.place), ""), 200),
        hint=cut(newly[0].hint) if newly else "",
        reproduce=cut(row.reproduce, 400),
        follows=tuple(_newly(newly)),
    )


def _newly(changes: Sequence[CheckChange]) -> Iterator[str]:
    yield from (cut(f"{each.check}: {each.reason}") for each in changes[:_MOST_CHECKS])
    if len(changes) > _MOST_CHECKS:
        yield f"and {count(len(changes) - _MOST_CHECKS, 'more check')}"


def _of_history(material: Material) -> Iterator[Finding]:
    """What failed last night, where there is no scorecard that says so itself."""
    history = material.history
    if material.scorecard or history is None or not history.nights:
        return
    last = history.nights[-1]
    if last.engine not in (None, "pass"):
        word = "fails its own checks" if last.engine == "fail" else "could not be checked"
        own = engine_streak(history.nights)
        since_when = since(own) if own else ""
        yield Finding(f"The engine {word}", cut(last.engine_cause), since=since_when)
    for name in last.milestones:
        if found := failing(history, name):
            yield Finding(f"{cut(name, 120)} fails", cut(found.cause), since=since(found))
