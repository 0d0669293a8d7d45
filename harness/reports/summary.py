"""A scorecard summed up by milestone, and its failures by cause: what all formats show."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

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
    """Why one run did not pass: the first cause, and what follows from it."""

    milestone: str
    seed: int
    cause: VerdictRow
    consequences: list[VerdictRow]


def lines(scorecard: Scorecard) -> list[Line]:
    """One line a milestone, in the order of the scorecard."""
    grouped: dict[str, list[Result]] = {}
    for result in scorecard.results:
        grouped.setdefault(result.milestone, []).append(result)
    return [_line(results) for results in grouped.values()]


def _line(results: list[Result]) -> Line:
    first = results[0]
    passed = sum(result.status == "pass" for result in results)
    word = "pass" if passed == len(results) else "FAIL"
    if any(result.status == "error" for result in results) and word == "FAIL":
        word = "FAIL" if any(result.status == "fail" for result in results) else "ERROR"
    seeds = f" {passed}/{len(results)} seeds" if len(results) > 1 else ""
    with_gradient = min(result.tensors.with_gradient for result in results)
    moved = min(result.tensors.moved for result in results)
    first_loss = _middle([result.loss.first for result in results])
    last_loss = _middle([result.loss.last for result in results])
    return Line(
        milestone=first.milestone,
        year=first.year,
        verdict=word + seeds,
        loss=f"{first_loss} → {last_loss}",
        gradients=f"{with_gradient}/{first.tensors.expected}",
        moved=f"{moved}/{first.tensors.must_move}",
        accuracy=f"{_accuracy(results)} ({first.accuracy.target:g})",
        seconds=f"{sum(sum(result.seconds.values()) for result in results):.2f} s",
        passed=passed == len(results),
    )


def _middle(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.3g}" if known else "-"


def _accuracy(results: list[Result]) -> str:
    """The accuracy; of several seeds the lowest and the median."""
    known = [r.accuracy.held_out for r in results if r.accuracy.held_out is not None]
    if not known:
        return "-"
    if len(results) == 1:
        return f"{known[0]:.3f}"
    return f"{median(known):.3f}, lowest {min(known):.3f}"


def failures(scorecard: Scorecard) -> list[Failure]:
    """Every run that did not pass; verdicts come in the order of causes."""
    found = []
    for result in scorecard.results:
        bad = [verdict for verdict in result.verdicts if verdict.status != "pass"]
        if bad:
            found.append(Failure(result.milestone, result.seed, bad[0], bad[1:]))
    return found


def headline(scorecard: Scorecard) -> str:
    """One sentence: how many milestones pass."""
    summed = lines(scorecard)
    passed = sum(line.passed for line in summed)
    return f"{passed} of {len(summed)} milestones pass"
