"""The scorecard as Markdown: for a pull request or a job summary."""

from __future__ import annotations

from harness.reports.summary import engine_line, failures, headline, lines, not_run
from harness.scorecard import Scorecard


def render(scorecard: Scorecard) -> str:
    """A headline, every failure with its cause, and a table."""
    parts = [f"## {headline(scorecard)}", *_failures(scorecard), _table(scorecard)]
    if line := engine_line(scorecard):
        parts.append(_plain(line))
    parts += [f"Not run: {_plain(sentence)}" for sentence in not_run(scorecard)]
    if scorecard.provenance.modified:
        parts.append(f"Modified: {_plain(', '.join(scorecard.provenance.modified))}")
    return "\n\n".join(parts) + "\n"


def _failures(scorecard: Scorecard) -> list[str]:
    parts = []
    for failure in failures(scorecard):
        text = f"**{failure.where}:** {_plain(failure.cause.reason)}"
        if failure.cause.hint:
            text += f"  \n{_plain(failure.cause.hint)}"
        if failure.consequences:
            names = ", ".join(verdict.check for verdict in failure.consequences)
            text += f"  \nTherefore also: {names}."
        for spoiled in failure.spoils:
            text += f"  \nTherefore {spoiled.where}: {_plain(spoiled.cause.reason)}"
        parts.append(text)
    return parts


def _table(scorecard: Scorecard) -> str:
    rows = [
        "| milestone | year | verdict | loss | gradients | moved | accuracy (target) | time |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {line.milestone} | {line.year} | {line.verdict} | {line.loss} | {line.gradients} "
        f"| {line.moved} | {line.accuracy} | {line.seconds} |"
        for line in lines(scorecard)
    ]
    return "\n".join(rows)


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is: underscores and stars in names mean nothing."""
    for mark in ("\\", "_", "*", "`", "<", "|"):
        text = text.replace(mark, f"\\{mark}")
    return text
