"""Every error that a user may meet, each with a hint and the exit code it leads to.

HarnessError
├── UsageError         2  a name or an option that does not exist
├── ConfigError        2  a YAML file that cannot be used; lists every problem with its place
├── DataError          2  training data missing, changed or unfit
├── OutputError        2  a result that cannot be written
├── ScorecardError     2  a scorecard that cannot be read
├── BackendError       2  an engine's adapter that cannot be used
└── JobError           3  a milestone without a verdict
    ├── JobCrashedError  3  its code raised
    ├── JobKilledError   3  its process died
    ├── JobTimeoutError  3  it ran past --timeout
    ├── JobNotRunError   3  it never started
    ├── NotSupportedError 1  it names what the chosen backend lacks
    └── BranchError      3  a side of a comparison that cannot be run
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class HarnessError(Exception):
    """The base; `str()` is the message, `hint` says what to do about it."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[HarnessError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class UsageError(HarnessError):
    """A name or an option that does not exist."""


class DataError(HarnessError):
    """Training data missing, changed or unfit."""


class OutputError(HarnessError):
    """A result that cannot be written."""


class ScorecardError(HarnessError):
    """A scorecard that cannot be read."""


class BackendError(HarnessError):
    """An engine's adapter that cannot be used: it does not import, or is not what it must be."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a config: where it stands and what it is.

    `line` and `column` count from 1; 0 when the place is not in a file. `snippet` is the
    line itself.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    snippet: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        subject = f"{self.path}: " if self.path else ""
        text = f"{place}: {subject}{self.message}"
        if not self.snippet:
            return text
        return f"{text}\n    {self.snippet}\n    {' ' * (self.column - 1)}^"


class ConfigError(HarnessError):
    """A YAML file that cannot be used; every problem in it at once."""

    def __init__(self, problems: Sequence[Problem], hint: str = "") -> None:
        super().__init__("\n".join(map(str, problems)), hint)
        self.problems = list(problems)

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[Problem], str]]:  # type: ignore[override]  # its own arguments
        return type(self), (self.problems, self.hint)


class JobError(HarnessError):
    """A milestone without a verdict."""

    exit_code = 3


class JobCrashedError(JobError):
    """The code of a milestone raised; `details` is the traceback."""

    def __init__(self, message: str, hint: str = "", details: str = "") -> None:
        super().__init__(message, hint)
        self.details = details

    def __reduce__(self) -> tuple[type[JobCrashedError], tuple[str, str, str]]:  # type: ignore[override]  # its own arguments
        return type(self), (self.message, self.hint, self.details)


class JobKilledError(JobError):
    """The process of a milestone died without a word."""


class JobTimeoutError(JobError):
    """A milestone ran past its time."""


class JobNotRunError(JobError):
    """A milestone that never started."""


class NotSupportedError(JobError):
    """A milestone that names what the backend lacks; `lacks` has each in words: "layer Conv2d"."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "", lacks: Sequence[str] = ()) -> None:
        super().__init__(message, hint)
        self.lacks = tuple(lacks)

    def __reduce__(self) -> tuple[type[NotSupportedError], tuple[str, str, tuple[str, ...]]]:  # type: ignore[override]  # its own arguments
        return type(self), (self.message, self.hint, self.lacks)

    @classmethod
    def of(cls, backend: str, lacks: Sequence[str]) -> NotSupportedError:
        """The error for a backend of that name, with its sentence."""
        return cls(
            f"NOT SUPPORTED: backend '{backend}' lacks {', '.join(lacks)}",
            "It counts, and not as passed. The names a backend offers are in its `namespace`.",
            lacks,
        )


class BranchError(JobError):
    """A side of a comparison that cannot be run."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question with the closest name and a leading space; nothing when none is close."""
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), by_lower, 1)
    return f" Did you mean '{by_lower[close[0]]}'?" if close else ""
