"""A scorecard summed up by milestone, and its failures by cause: what all formats show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Literal

from harness.checks.base import NOT_ASKED_FOR, NOT_PROBED
from harness.errors import JobNotRunError, NotSupportedError
from harness.reports.escapes import listed
from harness.scorecard import EngineResult, Result, Scorecard, VerdictRow

Tone = Literal["good", "bad", "open"]
# Names of milestones with one cause that are told; the others are counted.
_NAMED = 5
# Names of one kind that an engine lacks and that are told.
_LACKING = 6
# How a name begins that the harness does not know.
_UNKNOWN = "unknown "
NOT_SUPPORTED = "NOT SUPPORTED"


@dataclass(frozen=True)
class Line:
    """One milestone over all its seeds, in words.

    "open" is one that was not run to its end, or that the backend does not support.
    """

    milestone: str
    year: int
    verdict: str
    loss: str
    gradients: str
    moved: str
    accuracy: str
    seconds: str
    passed: bool
    tone: Tone


# What every model goes through, whatever it is made of.
_USED_BY_ALL = {"backward pass", "zero_grad"}


@dataclass(frozen=True)
class Failure:
    """Why a milestone or the engine did not pass: the first cause, and what follows from it.

    `seeds` are all seeds with the same cause, none for the engine; the words are those of the
    first. `spoils` are milestones that use what is broken in the engine, `alike` the others that
    the same cause hits.
    """

    milestone: str
    seeds: list[int]
    cause: VerdictRow
    consequences: list[VerdictRow]
    spoils: list[Failure] = field(default_factory=list)
    alike: list[Failure] = field(default_factory=list)

    @property
    def milestones(self) -> list[str]:
        """All that it hits by itself."""
        return [self.milestone, *(each.milestone for each in self.alike)]

    @property
    def where(self) -> str:
        """Such as "cnn, seed 0", "mlp, cnn, seed 0 and 3 more" or "engine"."""
        names = listed(self.milestones, _NAMED)
        if not self.seeds or any(each.seeds != self.seeds for each in self.alike):
            return names
        more = f" and {len(self.seeds) - 1} more" if len(self.seeds) > 1 else ""
        return f"{names}, seed {self.seeds[0]}{more}"


def lines(scorecard: Scorecard) -> list[Line]:
    """One line a milestone, in the order of the scorecard."""
    grouped: dict[str, list[Result]] = {}
    for result in scorecard.results:
        grouped.setdefault(result.milestone, []).append(result)
    return [_line(results) for results in grouped.values()]


def _line(results: Sequence[Result]) -> Line:
    first = results[0]
    passed = sum(result.status == "pass" for result in results)
    first_loss = _middle([result.loss.first for result in results])
    last_loss = _middle([result.loss.last for result in results])
    judged = [result.tensors for result in results if result.status in ("pass", "fail")]
    with_gradient = min((tensors.with_gradient for tensors in judged), default="-")
    moved = min((tensors.moved for tensors in judged), default="-")
    return Line(
        milestone=first.milestone,
        year=first.year,
        verdict=_verdict(results, passed),
        loss=f"{first_loss} → {last_loss}",
        gradients=f"{with_gradient}/{first.tensors.expected}",
        moved=f"{moved}/{first.tensors.must_move}",
        accuracy=f"{_accuracy(results)} ({first.accuracy.target:g})",
        seconds=_seconds(results),
        passed=passed == len(results),
        tone=_tone(results),
    )


def _verdict(results: Sequence[Result], passed: int) -> str:
    ran = [result for result in results if not why_not_run(result)]
    statuses = {result.status for result in ran}
    if not ran:
        return "not run"
    if statuses == {"unsupported"}:
        return NOT_SUPPORTED
    is_bad = statuses & {"fail", "unsupported"}
    word = "FAIL" if is_bad else "ERROR" if "error" in statuses else "pass"
    if len(ran) < len(results):
        return f"{word} {passed}/{len(ran)}, {len(results) - len(ran)} not run"
    return f"{word} {passed}/{len(results)} seeds" if len(results) > 1 else word


def _tone(results: Sequence[Result]) -> Tone:
    not_passed = [result for result in results if result.status != "pass"]
    if not not_passed:
        return "good"
    is_open = (bool(why_not_run(each)) or each.status == "unsupported" for each in not_passed)
    return "open" if all(is_open) else "bad"


def _seconds(results: Sequence[Result]) -> str:
    if all(why_not_run(each) or each.status == "unsupported" for each in results):
        return "-"
    return f"{sum(sum(result.seconds.values()) for result in results):.2f} s"


def _middle(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.3g}" if known else "-"


def _accuracy(results: Sequence[Result]) -> str:
    """The accuracy; of several seeds the lowest and the highest, where they differ."""
    known = [r.accuracy.held_out for r in results if r.accuracy.held_out is not None]
    if not known:
        return "-"
    return "-".join(dict.fromkeys([f"{min(known):.3f}", f"{max(known):.3f}"]))


def failures(scorecard: Scorecard) -> list[Failure]:
    """What did not pass, seeds of one milestone with one cause together.

    A milestone that uses what is broken in the engine is a consequence of that. Milestones with
    the same culprits of the same check, or that all came to nothing for one reason, are together.
    """
    found = _milestone_failures(scorecard)
    bad = _bad(scorecard.engine.verdicts) if scorecard.engine else []
    if not bad:
        return _together(found)
    broken = {culprit for verdict in bad for culprit in verdict.evidence.get("culprits", [])}
    uses = {result.milestone: {*result.uses, *_USED_BY_ALL} for result in scorecard.results}
    spoiled = [failure for failure in found if broken & uses[failure.milestone]]
    others = [failure for failure in found if failure not in spoiled]
    return [Failure("engine", [], bad[0], bad[1:], spoiled), *_together(others)]


def _together(found: Sequence[Failure]) -> list[Failure]:
    """Failures of several milestones with one cause as one, in the words of the first."""
    grouped: dict[object, list[Failure]] = {}
    for i, failure in enumerate(found):
        grouped.setdefault(_shared(failure) or i, []).append(failure)
    return [_as_one(group) for group in grouped.values()]


def _shared(failure: Failure) -> str:
    """What makes a cause that of other milestones, too; "" where it is this one's alone."""
    cause = failure.cause
    if culprits := cause.evidence.get("culprits"):
        return f"{cause.check} {culprits}"
    kind = cause.evidence.get("kind")
    return f"{cause.check} {kind} {cause.reason}" if kind else ""


def _as_one(group: Sequence[Failure]) -> Failure:
    first, *alike = group
    by_check = {verdict.check: verdict for each in reversed(group) for verdict in each.consequences}
    own = {verdict.check: verdict for verdict in first.consequences}
    return replace(first, consequences=list((own | by_check | own).values()), alike=alike)


def _bad(verdicts: Sequence[VerdictRow]) -> list[VerdictRow]:
    """Those that did not pass, in the order of causes."""
    return [verdict for verdict in verdicts if verdict.status in ("fail", "error")]


def _milestone_failures(scorecard: Scorecard) -> list[Failure]:
    found: dict[tuple[str, str], Failure] = {}
    for result in scorecard.results:
        bad = _bad(result.verdicts)
        if not bad:
            continue
        cause = bad[0]
        same = [cause.evidence.get(key) for key in ("kind", "tensors", "culprits")]
        key = (result.milestone, f"{cause.check} {same}")
        if key in found:
            found[key].seeds.append(result.seed)
        else:
            found[key] = Failure(result.milestone, [result.seed], cause, bad[1:])
    return list(found.values())


def place_of(verdict: VerdictRow) -> str:
    """The line of code to blame, "file:line", where a verdict knows one."""
    place = verdict.evidence.get("place")
    return place if isinstance(place, str) else ""


def is_whole(scorecard: Scorecard) -> bool:
    """Whether no check was left out by the user."""
    verdicts = [verdict for result in scorecard.results for verdict in result.verdicts]
    verdicts += scorecard.engine.verdicts if scorecard.engine else []
    return all(verdict.reason != NOT_ASKED_FOR for verdict in verdicts)


def is_not_run(verdict: VerdictRow) -> bool:
    """Whether this is no verdict because the job never started."""
    return verdict.evidence.get("kind") == JobNotRunError.__name__


def is_not_supported(verdict: VerdictRow) -> bool:
    """Whether this is no failure of the engine's: it lacks what the milestone names."""
    return verdict.evidence.get("kind") == NotSupportedError.__name__


def why_not_run(result: Result) -> str:
    """Why the job of a result never started; "" where it did."""
    first = next(iter(result.verdicts), None)
    return first.reason.removeprefix("it was not run: ") if first and is_not_run(first) else ""


def headline(scorecard: Scorecard) -> str:
    """How many milestones pass, whether the engine does, and why not all were run."""
    why_not = next(filter(None, map(why_not_run, scorecard.results)), "")
    return f"{_passed(scorecard)}; {why_not}" if why_not else _passed(scorecard)


def _passed(scorecard: Scorecard) -> str:
    summed = lines(scorecard)
    passed = sum(line.passed for line in summed)
    lacking = sum(line.verdict == NOT_SUPPORTED for line in summed)
    text = f"{passed} of {len(summed)} milestones pass"
    text += f", {lacking} not supported" if lacking else ""
    if scorecard.engine is None or scorecard.engine.status == "pass":
        return text
    word = "fails its own checks" if scorecard.engine.status == "fail" else "could not be checked"
    return f"{text}, the engine {word}"


def engine_line(scorecard: Scorecard) -> str:
    """One line on the engine itself; nothing when it was not looked at."""
    engine = scorecard.engine
    if engine is None:
        return ""
    asked = [verdict for verdict in engine.verdicts if verdict.status != "skip"]
    passed = sum(verdict.status == "pass" for verdict in asked)
    seconds = sum(engine.seconds.values())
    return f"engine {engine.backend}: {passed} of {len(asked)} checks pass ({seconds:.2f} s)"


def not_run(scorecard: Scorecard) -> list[str]:
    """Which checks judged nothing, and why, in sentences; later seeds of a milestone aside."""
    found: dict[str, dict[str, list[str]]] = {}
    firsts = {result.milestone: result for result in reversed(scorecard.results)}
    groups = {name: result.verdicts for name, result in reversed(firsts.items())}
    if scorecard.engine:
        groups["engine"] = scorecard.engine.verdicts
    for name, verdicts in groups.items():
        for verdict in verdicts:
            if verdict.status == "skip" and verdict.reason != NOT_PROBED:
                found.setdefault(verdict.reason, {}).setdefault(verdict.check, []).append(name)
    told = [_not_run_sentence(reason, where) for reason, where in found.items()]
    if scorecard.engine:
        told += _lacking_sentences(scorecard.engine)
    return told


def _not_run_sentence(reason: str, where: dict[str, list[str]]) -> str:
    places = dict.fromkeys(name for names in where.values() for name in names)
    on = "" if reason == NOT_ASKED_FOR else f" on {', '.join(places)}"
    return f"{', '.join(where)}{on} ({reason})"


def _lacking_sentences(engine: EngineResult) -> Iterator[str]:
    """What the checks of the engine could not look at, kind by kind; then what nobody knows."""
    unknown = [name for name in engine.lacks if name.startswith(_UNKNOWN)]
    lacking = [name for name in engine.lacks if name not in unknown]
    if lacking:
        told = _by_kind(lacking)
        yield f"checks of the engine on {told} ({engine.backend} does not offer them)"
    if unknown:
        told = _by_kind([name.removeprefix(_UNKNOWN) for name in unknown])
        yield f"checks of values on {told} (the harness knows no formula of them)"


def _by_kind(lacks: Sequence[str]) -> str:
    """ "layer Conv2d, Softmax; op exp": names of each kind together."""
    kinds: dict[str, list[str]] = {}
    for each in lacks:
        kind, _, name = each.partition(" ")
        kinds.setdefault(kind, []).append(name)
    return "; ".join(f"{kind} {listed(names, _LACKING)}" for kind, names in kinds.items())
