"""The scorecard on one screen: a table, and each failure with its cause and consequences."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from textwrap import wrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.reports import explanation
from harness.reports.console import console_to
from harness.reports.escapes import printable
from harness.reports.summary import (
    Failure,
    engine_line,
    failures,
    headline,
    is_not_run,
    is_not_supported,
    lines,
    not_run,
    place_of,
)
from harness.scorecard import Scorecard, VerdictRow

_SHOWN_FAILURES = 8
_STYLES = {"good": "green", "bad": "bold red", "open": "bold yellow"}


def render(
    scorecard: Scorecard, *, colour: bool = False, width: int = 100, verbose: bool = False
) -> str:
    """Text for a terminal `width` columns wide; `verbose` adds every check and tensor."""
    out = StringIO()
    console = console_to(out, colour=colour, width=width)
    console.print(_table(scorecard))
    if line := engine_line(scorecard):
        console.print(Text(f"\n{line}"))
    if verbose:
        _print_details(console, scorecard)
    found = failures(scorecard)
    for failure in found[:_SHOWN_FAILURES]:
        _print_failure(console, failure)
    if len(found) > _SHOWN_FAILURES:
        console.print(f"\n... and {len(found) - _SHOWN_FAILURES} more; all are in the scorecard.")
    for result in scorecard.results:
        if result.explanation:
            console.print(Text(f"\n{explanation.render(result).rstrip()}"), soft_wrap=True)
    for sentence in not_run(scorecard):
        console.print()
        _print_wrapped(console, f"not run: {sentence}", "")
    if scorecard.provenance.modified:
        console.print(f"\nmodified: {', '.join(scorecard.provenance.modified)}")
    style = "bold green" if scorecard.status == "pass" else "bold red"
    console.print(Text(f"\n{headline(scorecard)}.", style=style))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _table(scorecard: Scorecard) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    # The only column that may be cut: all others are numbers and verdicts.
    table.add_column("milestone", no_wrap=False, overflow="ellipsis", min_width=9)
    for name in ("year", "verdict", "loss"):
        table.add_column(name, no_wrap=True)
    for name in ("gradients", "moved", "accuracy (target)", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines(scorecard):
        verdict = Text(line.verdict, style=_STYLES[line.tone])
        table.add_row(
            line.milestone, str(line.year), verdict, line.loss, line.gradients, line.moved,
            line.accuracy, line.seconds,
        )  # fmt: skip
    return table


def _print_failure(console: Console, failure: Failure) -> None:
    cause = failure.cause
    word = "FAIL " if cause.status == "fail" else "ERROR "
    if is_not_supported(cause):
        word = ""  # its reason begins with these words
    word = "NOT RUN " if is_not_run(cause) else word
    console.print()
    style = _STYLES["open" if is_not_run(cause) or is_not_supported(cause) else "bad"]
    _print_wrapped(console, f"{word}{failure.where}: {cause.reason}", style)
    if (place := place_of(failure.cause)) and place not in failure.cause.reason:
        _print_wrapped(console, f"     at {place}", "")
    if failure.cause.hint:
        _print_wrapped(console, f"     {failure.cause.hint}", "")
    if failure.consequences:
        _print_wrapped(console, f"     therefore {_consequences(failure)}", "dim")
    for spoiled in failure.spoils:
        text = f"{spoiled.where}: {spoiled.cause.check}: {spoiled.cause.reason}"
        _print_wrapped(console, f"     therefore {text}", "dim")


def _consequences(failure: Failure) -> str:
    """The only consequence in its own words, several by name."""
    first, *others = failure.consequences
    if not others:
        return f"{first.check}: {first.reason}"
    return f"also: {', '.join(verdict.check for verdict in failure.consequences)}"


def _print_wrapped(console: Console, text: str, style: str) -> None:
    """Wrapped to the width, later lines indented like the text of the first.

    A line that is indented is an excerpt: it stays as it is, so that a mark below it is in place.
    """
    indent = "     "
    for i, each in enumerate(printable(text).splitlines()):
        if i and each.startswith("    "):
            console.print(Text(f"{indent}{each}", style=style), soft_wrap=True)
            continue
        start = indent if i else ""
        for line in wrap(each, console.width, initial_indent=start, subsequent_indent=indent,
                         break_on_hyphens=False):  # fmt: skip
            console.print(Text(line, style=style))


def _print_details(console: Console, scorecard: Scorecard) -> None:
    if scorecard.engine:
        console.print(Text(f"\nengine {scorecard.engine.backend}", style="bold"))
        _print_verdicts(console, scorecard.engine.verdicts)
    for result in scorecard.results:
        console.print(Text(f"\n{result.milestone}, seed {result.seed}", style="bold"))
        _print_verdicts(console, result.verdicts)
        for row in result.parameters:
            shape = "x".join(map(str, row.shape)) or "scalar"
            norms = f"gradient {_number(row.gradient_norm)}, movement {_number(row.movement)}"
            told = f"        {row.verdict:9} {row.label} ({shape}): {norms}"
            console.print(Text(printable(told)))


def _print_verdicts(console: Console, verdicts: Sequence[VerdictRow]) -> None:
    for verdict in verdicts:
        status = "skip" if is_not_run(verdict) else verdict.status
        word = status if status in ("pass", "skip") else status.upper()
        place = place_of(verdict)
        where = f" ({place})" if place and place not in verdict.reason else ""
        console.print(Text(printable(f"  {word:5} {verdict.check}: {verdict.reason}{where}")))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
