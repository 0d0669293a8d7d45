"""The scorecard as JUnit XML: a suite for each milestone, a case for each check and seed."""

from __future__ import annotations

from collections.abc import Iterator

from harness.checks.base import NOT_PROBED
from harness.reports.junit_xml import Case, Suite, to_xml
from harness.reports.summary import is_not_run, place_of
from harness.scorecard import EngineResult, Result, Scorecard, VerdictRow

# That the job came to an end: a verdict of results that have none else.
_RUNS = "runs"


def render(scorecard: Scorecard) -> str:
    """XML; raises UsageError when junitparser is not installed."""
    properties = _properties(scorecard)
    suites = []
    if scorecard.engine:
        cases = list(_cases(scorecard.engine, "engine"))
        suites.append(Suite("engine", cases, scorecard.created, properties))
    for name in dict.fromkeys(result.milestone for result in scorecard.results):
        cases = [
            case
            for result in scorecard.results
            if result.milestone == name
            for case in _cases(result, f"{name}.seed_{result.seed}")
        ]
        suites.append(Suite(name, cases, scorecard.created, properties))
    return to_xml("harness", suites)


def _cases(result: Result | EngineResult, group: str) -> Iterator[Case]:
    """Checks take no time of their own: all of it goes to the case that the job ran.

    One whose probe looks at the first seed is a case of that seed only.
    """
    seconds = sum(result.seconds.values())
    if not any(verdict.check == _RUNS for verdict in result.verdicts):
        yield Case(_RUNS, group, "pass", seconds=seconds)
    for verdict in result.verdicts:
        if verdict.status == "skip" and verdict.reason == NOT_PROBED:
            continue
        yield _case(verdict, group, seconds if verdict.check == _RUNS else 0.0)


def _case(verdict: VerdictRow, group: str, seconds: float) -> Case:
    place, kind = place_of(verdict), verdict.evidence.get("kind")
    traceback = verdict.evidence.get("traceback")
    parts = [verdict.reason, place and f"at {place}", verdict.hint]
    parts += [f"\n{traceback}"] if isinstance(traceback, str) else []
    return Case(
        name=verdict.check,
        group=group,
        outcome="skip" if is_not_run(verdict) else verdict.status,
        message=verdict.reason,
        text="\n".join(part for part in parts if part),
        kind=kind if isinstance(kind, str) else verdict.check,
        seconds=seconds,
    )


def _properties(scorecard: Scorecard) -> dict[str, str]:
    """Where the numbers come from; nothing for what is not known."""
    provenance = scorecard.provenance
    known = {
        "commit": provenance.commit or "",
        "uncommitted changes": "yes" if provenance.dirty else "",
        "backend": f"{provenance.backend} {provenance.backend_version}".strip(),
        "python": provenance.python,
        "numpy": provenance.numpy,
        "cpu": provenance.cpu,
        "modified": ", ".join(provenance.modified),
    }
    return {name: value for name, value in known.items() if value}
