"""`harness history`: what changed over the nights, and one more night for the folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import ScorecardError, UsageError, did_you_mean
from harness.terminal import echo, pin_blas_threads, wants_colour, width

if TYPE_CHECKING:
    from harness.history.nights import History

FOLDER = Path("runs/history")


@click.command()
@click.argument("what", nargs=-1, metavar="[DIR] [NAME]")
@click.option(
    "--nights",
    type=click.IntRange(min=1),
    default=None,
    help="How many of the last nights to show.  [default: all, of one milestone 20]",
)
@click.option(
    "--add",
    "scorecard",
    type=click.Path(path_type=Path),
    default=None,
    metavar="SCORECARD",
    help="Put a scorecard into the folder as the next night, and print its new file.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What to print.",
)
def history(
    what: tuple[str, ...], nights: int | None, scorecard: Path | None, format_: str
) -> None:
    """Show what changed over the nights: a folder of scorecards, one a night.

    DIR is runs/history unless it is given; with the NAME of a milestone its nights are listed.
    """
    pin_blas_threads()
    folder, name = _folder_and_name(what, adds=scorecard is not None)
    if scorecard is not None:
        if name is not None or nights is not None or format_ != "text":
            raise UsageError(
                f"--add shows nothing, got {' '.join(_shown(name, nights, format_))}",
                "Leave out --add, or the others; a new folder is written with a slash: ./nights.",
            )
        from harness.history.adding import add

        echo(str(add(scorecard, folder)))
        return
    from harness.history.reading import read_history

    found = read_history(folder)
    _require_nights(folder, found)
    if name is not None:
        _require_milestone(folder, name, found)
    from harness.reports.history import render, to_json

    if format_ == "json":
        echo(to_json(found, name, nights=nights), newline=False)
    else:
        text = render(found, name, nights=nights, colour=wants_colour(), width=width())
        echo(text, newline=False)


def _shown(name: str | None, nights: int | None, format_: str) -> list[str]:
    """What was asked for that only shows."""
    return [
        *([name] if name is not None else []),
        *([f"--nights {nights}"] if nights is not None else []),
        *([f"--format {format_}"] if format_ != "text" else []),
    ]


def _folder_and_name(what: tuple[str, ...], adds: bool) -> tuple[Path, str | None]:
    """DIR, NAME, both in this order, or neither.

    One word without a slash that is not there is a NAME, but for the first night of a folder.
    """
    if len(what) > 2:
        raise UsageError(f"{len(what)} words are too many", "Give a folder, a milestone, or both.")
    if len(what) == 2:
        return Path(what[0]), what[1]
    if not what:
        return FOLDER, None
    path = Path(what[0])
    is_first = adds and not FOLDER.is_dir()
    if path.exists() or path.name != what[0] or is_first:
        return path, None
    return FOLDER, what[0]


def _require_nights(folder: Path, found: History) -> None:
    if found.nights:
        return
    bad = [f"{each.file} ({each.why})" for each in found.skipped]
    held = bad or sorted(entry.name for entry in folder.iterdir())
    more = f" and {len(held) - 5:,} more" if len(held) > 5 else ""
    said = f"it holds {', '.join(held[:5])}{more}" if held else "it is empty"
    raise ScorecardError(
        f"{folder} has no night that can be read: {said}",
        f"`harness history {folder} --add SCORECARD` puts one there.",
    )


def _require_milestone(folder: Path, name: str, found: History) -> None:
    known = found.milestones
    if name not in known:
        raise UsageError(
            f"'{name}' is neither a folder nor a milestone in {folder}.{did_you_mean(name, known)}",
            f"Milestones there: {', '.join(known)}.",
        )
