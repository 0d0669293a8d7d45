"""The scorecard as annotations for GitHub Actions, at the lines to blame where they are known.

One `::error` for each cause with what follows from it, one `::warning` for a consequence that
has a line of its own or for what was not run, and a `::notice` with the summary.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.reports.escapes import listed, printable
from harness.reports.explanation import headline as explained
from harness.reports.summary import (
    Failure,
    failures,
    headline,
    is_not_run,
    lines,
    place_of,
)
from harness.scorecard import Result, Scorecard

# GitHub refuses longer ones.
_LONGEST_TITLE = 255
_LONGEST_MESSAGE = 8000


def render(scorecard: Scorecard) -> str:
    """One annotation a line; paths are relative to the root of the repository."""
    annotations = [
        *(each for failure in failures(scorecard) for each in _of_failure(failure)),
        *(each for result in scorecard.results for each in _of_explanation(result)),
        _notice(scorecard),
    ]
    return "".join(f"{each}\n" for each in annotations)


def _of_failure(failure: Failure) -> Iterator[str]:
    cause, place = failure.cause, place_of(failure.cause)
    others = [(failure, verdict) for verdict in failure.consequences]
    others += [(spoiled, spoiled.cause) for spoiled in failure.spoils]
    elsewhere = [each for each in others if place_of(each[1]) not in ("", place)]
    folded = [each for each in others if each not in elsewhere]
    own = ", ".join(verdict.check for where, verdict in folded if where is failure)
    parts = [f"{failure.where}: {cause.reason}", cause.hint]
    parts += [f"Therefore also: {own}."] if own else []
    parts += [
        f"Therefore {where.where}: {verdict.check}: {verdict.reason}"
        for where, verdict in folded
        if where is not failure
    ]
    text = "\n".join(part for part in parts if part)
    title = f"{listed(failure.milestones)}: {cause.check}"
    yield annotation("warning" if is_not_run(cause) else "error", title, text, place)
    for where, verdict in elsewhere:
        text = f"{where.where}: {verdict.reason}\nFollows from {cause.check}."
        title = f"{where.milestone}: {verdict.check}"
        yield annotation("warning", title, text, place_of(verdict))


def _of_explanation(result: Result) -> Iterator[str]:
    """Where the way to the tensor ends that was asked about; no error where it does not."""
    told = result.explanation
    if told is None:
        return
    title = f"{result.milestone}: {told.label}"
    ends = [] if told.is_harmless else [end.sentence for end in told.ends]
    if ends or told.problem:
        place = next((end.place for end in told.ends if end.place), "")
        text = "\n".join(dict.fromkeys([explained(told), *ends]))
        yield annotation("error" if ends else "warning", title, text, place)
    else:
        yield annotation("notice", title, explained(told))


def _notice(scorecard: Scorecard) -> str:
    words = ", ".join(f"{line.milestone} {line.verdict}" for line in lines(scorecard))
    return annotation("notice", "harness", f"{headline(scorecard)}: {words}")


def annotation(level: str, title: str, message: str, place: str = "") -> str:
    """One workflow command; `place` is "file:line" or empty."""
    file, _, line = printable(place).rpartition(":")
    properties = {"title": printable(title)[:_LONGEST_TITLE]}
    if file and line.isdigit():
        properties = {"file": _from_root(file), "line": line, **properties}
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {listed}::{_escaped(printable(message)[:_LONGEST_MESSAGE])}"


def _from_root(file: str) -> str:
    """A path from the root of the repository that it is in; as it is outside of one."""
    full = Path.cwd() / file
    root = next((each for each in full.parents if (each / ".git").exists()), None)
    return (full.relative_to(root) if root else Path(file)).as_posix()


def _escaped(text: str) -> str:
    """What a workflow command takes for a message: one line, % as %25."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """The same for a property, which ends at a colon or a comma."""
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
