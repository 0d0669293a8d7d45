"""JUnit XML, as CI services read it: suites of cases, written through junitparser.

The package is an extra of the harness and imported only when a document is written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Literal

from harness.errors import UsageError
from harness.reports.escapes import one_line, printable

if TYPE_CHECKING:
    from junitparser import Error, Failure, Skipped, TestCase, TestSuite

Outcome = Literal["pass", "fail", "error", "skip"]
# Of a message, which is shown in a list; the text below it may be longer.
_LONGEST_MESSAGE = 500
_LONGEST_TEXT = 20_000


@dataclass(frozen=True)
class Case:
    """One statement and whether it holds; `kind` is the type of a failure or an error."""

    name: str
    group: str
    outcome: Outcome
    message: str = ""
    text: str = ""
    kind: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Suite:
    """Cases that belong together; `created` is the time in ISO 8601, in UTC."""

    name: str
    cases: Sequence[Case]
    created: str
    properties: Mapping[str, str] = field(default_factory=dict)


def to_xml(name: str, suites: Sequence[Suite]) -> str:
    """One document; raises UsageError when junitparser is not installed."""
    try:
        from junitparser import JUnitXml
    except ImportError as error:
        raise UsageError(
            "JUnit XML is written by the package junitparser, which is not installed",
            "Install it with: pip install 'milestone-harness[junit]'",
        ) from error
    document = JUnitXml(one_line(name))
    for suite in suites:
        # Not add_testsuite: that would melt together what has the same name.
        document.append(_suite(suite))  # type: ignore[no-untyped-call]
    document.update_statistics()  # type: ignore[no-untyped-call]
    out = BytesIO()
    document.write(out, pretty=True)
    return out.getvalue().decode()


def _suite(suite: Suite) -> TestSuite:
    from junitparser import TestSuite

    made = TestSuite(one_line(suite.name))
    made.hostname = "localhost"  # what the format has for a machine that is not named
    made.timestamp = one_line(suite.created)[:19]  # it has no room for the time zone
    for key, value in suite.properties.items():
        made.add_property(key, one_line(value))
    made.add_testcases(_cases(suite.cases))
    return made


def _cases(cases: Sequence[Case]) -> list[TestCase]:
    """All cases; the second of one name says so, as readers merge what has the same name."""
    counts: dict[tuple[str, str], int] = {}
    made = []
    for case in cases:
        key = (case.group, case.name)
        counts[key] = counts.get(key, 0) + 1
        made.append(_case(case, counts[key]))
    return made


def _case(case: Case, count: int) -> TestCase:
    from junitparser import TestCase

    again = f" ({count})" if count > 1 else ""
    seconds = round(case.seconds, 3) if math.isfinite(case.seconds) else 0.0
    made = TestCase(f"{one_line(case.name, 200)}{again}", one_line(case.group, 200), seconds)
    # XML has one kind of line end, and reads the others as that.
    text = "\n".join(printable(case.text).splitlines())[:_LONGEST_TEXT]
    if case.outcome != "pass":
        made.result = _result(case, text or one_line(case.message))
    elif text or case.message:
        made.system_out = text or one_line(case.message)
    return made


def _result(case: Case, text: str) -> Failure | Error | Skipped:
    from junitparser import Error, Failure, Skipped

    kinds: dict[str, type[Failure | Error | Skipped]]
    kinds = {"fail": Failure, "error": Error, "skip": Skipped}
    message = one_line(case.message, _LONGEST_MESSAGE) or case.outcome
    result = kinds[case.outcome](message, one_line(case.kind or "check"))
    result.text = text
    return result
