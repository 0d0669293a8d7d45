"""The scorecard as Markdown: for a pull request or a job summary."""

from __future__ import annotations

from collections.abc import Iterator

from harness.reports.commands import run_again
from harness.reports.escapes import code, fitted, listed, markdown, table
from harness.reports.summary import (
    Failure,
    engine_line,
    failures,
    headline,
    is_not_run,
    lines,
    not_run,
    place_of,
)
from harness.scorecard import Scorecard

# Failures above the table; all others stand below it.
_FIRST = 8
_LONGEST = 1000


def render(scorecard: Scorecard) -> str:
    """A headline, the failures with their causes, and a table; at most 60 kB."""
    return fitted(_blocks(scorecard), "all is in scorecard.json")


def _blocks(scorecard: Scorecard) -> Iterator[str]:
    """The most important first: the last ones go where there is no room."""
    found = [_failure(failure, scorecard) for failure in failures(scorecard)]
    yield f"## {headline(scorecard)}"
    yield from found[:_FIRST]
    yield _table(scorecard)
    yield from found[_FIRST:]
    if line := engine_line(scorecard):
        yield markdown(line)
    for sentence in not_run(scorecard):
        yield f"Not run: {markdown(sentence)}"
    if scorecard.provenance.modified:
        yield f"Modified: {markdown(', '.join(scorecard.provenance.modified))}"
    yield _origin(scorecard)


def _failure(failure: Failure, scorecard: Scorecard) -> str:
    """What broke, where, what follows from it, and the command that shows it."""
    cause, place = failure.cause, place_of(failure.cause)
    at = f" at {code(place)}" if place and place not in cause.reason else ""
    parts = [f"**{markdown(failure.where)}:** {markdown(cause.reason, _LONGEST)}{at}"]
    if cause.hint:
        parts.append(markdown(cause.hint, _LONGEST))
    if failure.consequences:
        names = listed([verdict.check for verdict in failure.consequences], 20)
        parts.append(f"Therefore also: {markdown(names)}.")
    for spoiled in failure.spoils[:_FIRST]:
        reason = markdown(spoiled.cause.reason, _LONGEST)
        parts.append(f"Therefore {markdown(spoiled.where)}: {reason}")
    return "  \n".join([*parts, *_command(failure, scorecard)])


def _command(failure: Failure, scorecard: Scorecard) -> list[str]:
    """How to see it again; of the engine, with the first milestone that it spoils."""
    shown = next(iter(failure.spoils), failure)
    if not shown.seeds or is_not_run(failure.cause):
        return []
    seed = ["--seed", str(shown.seeds[0])] if shown.seeds[0] else []
    source = scorecard.provenance
    command = run_again(
        shown.milestone,
        *seed,
        backend=source.backend_from,
        changes=source.modified,
        cause=shown.cause,
    )
    return [f"To see it: {code(command, 1000)}"]


def _table(scorecard: Scorecard) -> str:
    head = ["milestone", "year", "verdict", "loss", "gradients", "moved", "accuracy (target)",
            "time"]  # fmt: skip
    rows = [
        [line.milestone, str(line.year), line.verdict, line.loss, line.gradients, line.moved,
         line.accuracy, line.seconds]
        for line in lines(scorecard)
    ]  # fmt: skip
    return table(head, [[markdown(cell, 80) for cell in row] for row in rows])


def _origin(scorecard: Scorecard) -> str:
    """The code and the machine that the numbers are from."""
    origin = scorecard.provenance
    commit = f"commit {origin.commit[:12]}" if origin.commit else "no commit"
    dirty = " with uncommitted changes" if origin.dirty else ""
    engine = f"{origin.backend} {origin.backend_version}, " if origin.backend_from else ""
    return markdown(
        f"{engine}{commit}{dirty}, Python {origin.python}, numpy {origin.numpy}, {origin.cpu}, "
        f"{scorecard.created}"
    )
