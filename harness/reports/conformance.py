"""What `harness conform` found: on one screen, as JSON, and as JUnit XML with a suite a level."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from shlex import quote
from textwrap import wrap

from rich.table import Table
from rich.text import Text

from harness.conformance.document import CaseRow, Document
from harness.json_files import to_json
from harness.reports.console import console_to
from harness.reports.escapes import printable
from harness.reports.junit_xml import Case, Suite, to_xml
from harness.reports.junit_xml import Outcome as JUnitOutcome

_SHOWN = 8
_BAD = ("fail", "error", "unexpected pass")
_STYLES = {"pass": "bold green", "fail": "bold red", "nothing judged": "bold yellow"}
_MARKS = {"pass": "pass", "fail": "FAIL", "error": "ERROR", "not supported": "not supported",
          "xfail": "expected failure", "unexpected pass": "UNEXPECTED PASS"}  # fmt: skip
_JUNIT: dict[str, JUnitOutcome] = {
    "pass": "pass", "fail": "fail", "unexpected pass": "fail", "error": "error",
    "not supported": "skip", "xfail": "skip",
}  # fmt: skip


def render(
    document: Document,
    folder: Path,
    *,
    colour: bool = False,
    width: int = 100,
    verbose: bool = False,
) -> str:
    """Text for a terminal; `folder` is where the document stands, `verbose` adds every case."""
    out = StringIO()
    console = console_to(out, colour=colour, width=width)
    console.print(_table(document))
    if verbose:
        for case in document.cases:
            console.print(Text(f"{_MARKS[case.outcome]:16}  {printable(case.id)}"), soft_wrap=True)
    bad = [case for case in document.cases if case.outcome in _BAD]
    shown = bad if verbose else _one_each(bad)[:_SHOWN]
    for case in shown:
        for line in _lines(case, folder, width):
            console.print(Text(line), soft_wrap=True)
    if len(bad) > len(shown):
        more = f"... and {len(bad) - len(shown)} more (-v); in all {_by_subject(bad)}."
        console.print(Text(f"\n{more}"))
    for line in _not_supported(document, width):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(f"\n{headline(document)}", style=_STYLES[document.status]))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def headline(document: Document) -> str:
    """All in a sentence: the denominator is every case that was asked for."""
    total, good = len(document.cases), document.count("pass")
    others = [
        f"{count} {what}"
        for what, count in (
            ("failed", document.count("fail", "error")),
            ("passed unexpectedly", document.count("unexpected pass")),
            ("failed as expected", document.count("xfail")),
            ("not supported", document.count("not supported")),
        )
        if count
    ]
    engine = f"{document.backend} {document.backend_version}".strip()
    rest = f"; {', '.join(others)}" if others else ""
    nothing = "Nothing was judged. " if document.status == "nothing judged" else ""
    return f"{nothing}{engine}: {good} of {total} cases pass{rest}."


def _table(document: Document) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in ("cases", "pass", "failed", "unexpected", "expected", "not supported"):
        table.add_column(name, justify="right")
    for row in document.levels:
        counts = row.counts
        failed = counts["fail"] + counts["error"]
        numbers = (row.cases, counts["pass"], failed, counts["unexpected pass"], counts["xfail"],
                   counts["not supported"])  # fmt: skip
        style = "red" if failed or counts["unexpected pass"] else ""
        table.add_row(f"{row.level} {row.title}", *(str(each or "-") for each in numbers),
                      style=style)  # fmt: skip
    return table


def _lines(case: CaseRow, folder: Path, width: int) -> Iterator[str]:
    yield f"\n{_MARKS[case.outcome]}  {printable(case.id)}"
    for text in (case.message, case.hint):
        yield from wrap(printable(text), width - 4, initial_indent="    ", subsequent_indent="    ")
    if case.file:
        yield f"    reproduce: python {quote((folder / case.file).as_posix())}"


def _one_each(cases: Sequence[CaseRow]) -> list[CaseRow]:
    """The first case of each name: the others of that name tend to say the same."""
    return list({case.subject: case for case in reversed(cases)}.values())[::-1]


def _by_subject(cases: Sequence[CaseRow]) -> str:
    """ "12 of softmax, 3 of Linear"."""
    counts = Counter(case.subject for case in cases)
    return ", ".join(f"{count} of {subject}" for subject, count in counts.items())


def _not_supported(document: Document, width: int) -> Iterator[str]:
    """What the engine has not, each with how many cases that leaves open."""
    missing = [case for case in document.cases if case.outcome == "not supported"]
    if missing:
        yield ""
        text = f"not supported: {_by_subject(missing)}"
        yield from wrap(printable(text), width, subsequent_indent="    ")
        whys = Counter(case.message for case in missing)
        why, count = whys.most_common(1)[0]
        yield from wrap(printable(f"    such as: {why} ({count})"), width, subsequent_indent="    ")


def as_json(document: Document) -> str:
    """The document itself."""
    return to_json(document)


def junit(document: Document) -> str:
    """XML; raises UsageError when junitparser is not installed."""
    properties = {
        "backend": f"{document.backend} {document.backend_version}".strip(),
        "harness": document.harness,
        "python": document.python,
        "numpy": document.numpy,
        "expected failures": document.xfails,
    }
    known = {name: value for name, value in properties.items() if value}
    suites = [
        Suite(
            f"{row.level} {row.title}",
            [_junit_case(case) for case in document.cases if case.level == row.level],
            document.created,
            known,
        )
        for row in document.levels
    ]
    return to_xml(f"conformance of {document.backend}", suites)


def _junit_case(case: CaseRow) -> Case:
    text = "\n".join(part for part in (case.message, case.hint, case.file, case.details) if part)
    return Case(
        name=case.id,
        group=f"{case.level}.{case.subject}",
        outcome=_JUNIT[case.outcome],
        message=case.reason if case.outcome == "xfail" else case.message,
        text=text,
        kind=case.outcome,
        seconds=case.seconds,
    )
