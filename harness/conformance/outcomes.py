"""What a finding comes to: pass, fail, error or not supported, and whether that was expected."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from harness.conformance.case import Case, Finding
from harness.conformance.trying import best_reading
from harness.conformance.xfails import ExpectedFailure
from harness.measurement import Measurement
from harness.told_apart import told_apart

Outcome = Literal["pass", "fail", "error", "not supported", "xfail", "unexpected pass"]
OUTCOMES: tuple[Outcome, ...] = (
    "pass", "fail", "error", "not supported", "xfail", "unexpected pass",
)  # fmt: skip
# What makes a run fail.
BAD = ("fail", "error", "unexpected pass")


@dataclass(frozen=True)
class Result:
    """One case and its outcome; `message` says what was got and expected, and where.

    `reading` is the convention it was judged by, `reason` why a failure is expected. `after` has
    the cases before it in its process, `earlier` the same where it fails after these only.
    """

    case: Case
    outcome: Outcome
    message: str = ""
    hint: str = ""
    got: float | None = None
    expected: float | None = None
    place: str = ""
    details: str = ""
    reading: int = 0
    reason: str = ""
    seconds: float = 0.0
    after: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    is_stopped: bool = False


def results(
    findings: Mapping[str, Finding], cases: Sequence[Case], expected: Sequence[ExpectedFailure]
) -> list[Result]:
    """The result of every case that was looked at, in the order of the cases."""
    looked = [case for case in cases if case.id in findings]
    found: list[Result] = []
    for _, group in groupby(looked, key=lambda case: (case.group, case.aspect)):
        some = list(group)
        reading = best_reading([findings[case.id] for case in some])
        found += [judged(case, findings[case.id], reading) for case in some]
    return [_as_expected(result, expected) for result in found]


def judged(case: Case, finding: Finding, reading: int = 0) -> Result:
    """The outcome of a finding under one of the right conventions."""
    result = Result(
        case, "pass", hint=finding.hint, details=finding.details, reading=reading,
        seconds=finding.seconds, after=finding.after,
        is_stopped=finding.is_stopped,
    )  # fmt: skip
    for outcome, message in _without_numbers(finding):
        return replace(result, outcome=outcome, message=message)
    rows = finding.readings[reading] if reading < len(finding.readings) else ()
    bad = [row for row in rows if not row.error <= finding.tolerance]
    if not bad:
        return replace(result, hint="")
    first = bad[0]
    return replace(
        result, outcome="fail", message=_sentence(first), got=_finite(first.got),
        expected=_finite(first.expected), place=first.place,
    )  # fmt: skip


def _sentence(row: Measurement) -> str:
    """What was got and expected, and where; no numbers where there are none."""
    numbers = ""
    if not (math.isnan(row.got) and math.isnan(row.expected)):
        got, expected = told_apart(row.got, row.expected)
        numbers = f": got {got}, expected {expected}"
    return f"{row.subject}: {row.what}{numbers}" + (f" ({row.place})" if row.place else "")


def _without_numbers(finding: Finding) -> Iterator[tuple[Outcome, str]]:
    if finding.raised:
        yield "error", finding.raised
    if finding.refused:
        yield "not supported", finding.refused
    if finding.failed:
        yield "fail", finding.failed


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _as_expected(result: Result, expected: Sequence[ExpectedFailure]) -> Result:
    """The result where a failure was expected; the first entry that fits decides."""
    entry = next((each for each in expected if each.fits(result.case.id)), None)
    if entry is None or result.outcome == "not supported":
        return result
    if result.outcome in ("fail", "error"):
        return replace(result, outcome="xfail", reason=entry.reason)
    if not entry.strict:
        return replace(result, reason=entry.reason)
    message = f"it passes, and was expected to fail: {entry.reason}"
    hint = f"Take it out of {entry.place}, or say strict = false there."
    return replace(
        result, outcome="unexpected pass", message=message, hint=hint, reason=entry.reason
    )
