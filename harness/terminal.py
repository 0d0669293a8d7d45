"""What the verbs share: printing, a progress bar, processors and threads, checks of options."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.runner import Outcome

# The exit code of what was cut short by Ctrl-C.
INTERRUPTED = 130
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS",
                     "VECLIB_MAXIMUM_THREADS")  # fmt: skip


def echo(text: str, newline: bool = True) -> None:
    """Print; a reader that has seen enough, such as `head`, changes nothing else."""
    try:
        click.echo(text, nl=newline, color=True)
    except BrokenPipeError:
        stop_printing()


def stop_printing() -> None:
    """Send what is left to nowhere, so that Python's own last flush does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def complain(message: str, hint: str = "") -> None:
    """An error and what to do about it, on stderr."""
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"  {hint}", err=True)


def wants_colour() -> bool:
    """Colour only on a terminal, and not with NO_COLOR set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def width() -> int:
    """Columns to print in: 100, or more where the terminal has more."""
    return max(100, get_terminal_size((100, 24)).columns)


def cpus() -> int:
    """How many processors this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def pin_blas_threads() -> int | None:
    """One BLAS thread a process unless the user says otherwise: at these sizes more is slower.

    Must come before numpy is imported. Returns the number that holds, None if unreadable.
    """
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    value = os.environ[_THREAD_VARIABLES[0]]
    return int(value) if value.isdigit() else None


def finite(context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """A number that is one: click's ranges let NaN through."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number of seconds")
    return value


def listed(text: str) -> list[str]:
    """ "a, b" -> ["a", "b"]."""
    return [name.strip() for name in text.split(",") if name.strip()]


def names_or_all(names: tuple[str, ...], everything: bool) -> list[str]:
    """The milestones that were named, or every one; raises UsageError for both or neither."""
    from harness.config_files import milestone_files

    if everything and names:
        raise UsageError("give names or --all, not both")
    if not everything and not names:
        known = ", ".join(milestone_files())
        raise UsageError("nothing to run", f"Name a milestone ({known}), a YAML file, or --all.")
    return list(milestone_files()) if everything else list(names)


def jobs_option(help_: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """`--jobs N` for a verb that has processes of its own."""
    return click.option(
        "--jobs",
        type=click.IntRange(min=1),
        default=None,
        help=f"{help_}  [default: one a processor]",
    )


def timeout_option(
    seconds: float, what: str
) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """`--timeout SECONDS`, a number above 0."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=seconds,
        callback=finite,
        show_default=True,
        help=f"Seconds after which {what} is stopped.",
    )


def out_option(folder: str, files: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """`--out DIR` for a verb that writes files."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(folder),
        show_default=True,
        help=f"Folder for {files}.",
    )


def format_option() -> Callable[[click.decorators.FC], click.decorators.FC]:
    """`--format NAME`, handed on as `format_`."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(["text", "json", "markdown", "github", "junit", "badge"]),
        default="text",
        show_default=True,
        help="What to print.",
    )


class Progress:
    """A bar on stderr, one tick a job."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._bar: Any = None  # tqdm's type, imported only where a bar is shown

    def start(self, count: int) -> None:
        """So many are to come."""
        if self._shown:
            from tqdm import tqdm

            tqdm.monitor_interval = 0  # no monitor thread
            self._bar = tqdm(total=count, unit="run", leave=False, file=sys.stderr)

    def advance(self, outcome: Outcome) -> None:
        """One training has ended."""
        self.tick(f"{outcome.result.milestone} {outcome.result.status}")

    def tick(self, what: str) -> None:
        """One of them is done."""
        if self._bar is not None:
            self._bar.set_postfix_str(what)
            self._bar.update()
            self._bar.refresh()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
