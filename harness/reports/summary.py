"""A scorecard summed up by milestone, and its failures by cause: what all formats show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.errors import JobNotRunError
from harness.scorecard import Result, Scorecard, VerdictRow


@dataclass(frozen=True)
class Line:
    """One milestone over all its seeds, in words."""

    milestone: str
    year: int
    verdict: str
    loss: str
    gradients: str
    moved: str
    accuracy: str
    seconds: str
    passed: bool


@dataclass(frozen=True)
class Failure:
    """Why a milestone did not pass: the first cause, and what follows from it.

    `seeds` are all seeds with the same cause; the words are those of the first.
    """

    milestone: str
    seeds: list[int]
    cause: VerdictRow
    consequences: list[VerdictRow]

    @property
    def where(self) -> str:
        """Such as "cnn, seed 0" or "cnn, seed 0 and 3 more"."""
        more = f" and {len(self.seeds) - 1} more" if len(self.seeds) > 1 else ""
        return f"{self.milestone}, seed {self.seeds[0]}{more}"


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
    judged = [result.tensors for result in results if result.status != "error"]
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
        seconds=f"{sum(sum(result.seconds.values()) for result in results):.2f} s",
        passed=passed == len(results),
    )


def _verdict(results: Sequence[Result], passed: int) -> str:
    statuses = {result.status for result in results}
    word = "FAIL" if "fail" in statuses else "ERROR" if "error" in statuses else "pass"
    if all(result.verdicts and is_not_run(result.verdicts[0]) for result in results):
        return "not run"
    return f"{word} {passed}/{len(results)} seeds" if len(results) > 1 else word


def _middle(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.3g}" if known else "-"


def _accuracy(results: Sequence[Result]) -> str:
    """The accuracy; of several seeds the lowest and the highest."""
    known = [r.accuracy.held_out for r in results if r.accuracy.held_out is not None]
    if not known:
        return "-"
    return f"{min(known):.3f}" + (f"-{max(known):.3f}" if len(results) > 1 else "")


def failures(scorecard: Scorecard) -> list[Failure]:
    """What did not pass, seeds of one milestone with one cause together."""
    found: dict[tuple[str, str], Failure] = {}
    for result in scorecard.results:
        bad = [verdict for verdict in result.verdicts if verdict.status in ("fail", "error")]
        if not bad:
            continue
        cause = bad[0]  # verdicts come in the order of causes
        same = [cause.evidence.get(key) for key in ("kind", "tensors", "culprits")]
        key = (result.milestone, f"{cause.check} {same}")
        if key in found:
            found[key].seeds.append(result.seed)
        else:
            found[key] = Failure(result.milestone, [result.seed], cause, bad[1:])
    return list(found.values())


def is_not_run(verdict: VerdictRow) -> bool:
    """Whether this is no verdict because the job never started."""
    return verdict.evidence.get("kind") == JobNotRunError.__name__


def headline(scorecard: Scorecard) -> str:
    """One sentence: how many milestones pass."""
    summed = lines(scorecard)
    passed = sum(line.passed for line in summed)
    return f"{passed} of {len(summed)} milestones pass"
