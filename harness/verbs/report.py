"""`harness report`: one page, or one text, of a run, a comparison and the history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import OutputError, UsageError
from harness.terminal import echo, pin_blas_threads, wants_colour, width

if TYPE_CHECKING:
    from harness.reports.page.material import Material

FORMATS = ("html", "text", "markdown", "github", "junit", "badge")
# They are one document; two behind each other are none.
_ONE_EACH = ("junit", "badge")


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option(
    "-o", "--out", "out", type=click.Path(path_type=Path), help="The file to write.  [html: needed]"
)
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="html", show_default=True,
    help="What to write.",
)  # fmt: skip
def report(paths: tuple[Path, ...], out: Path | None, format_: str) -> int:
    """Write a report of scorecards, comparisons and the history.

    PATHs are a scorecard, a comparison, what `selftest --json` printed, or folders with them, and
    a folder of scorecards, one a night. Without any it is the latest run, runs/latest.
    """
    pin_blas_threads()
    from harness.reports.page.reading import read

    if format_ == "html" and out is None:
        raise UsageError("html needs a file to go to", "Add -o page.html.")
    material = read(paths or [Path("runs", "latest")])
    if out is None:
        echo("\n".join(_texts(material, format_, shown=True)), newline=False)
        return 0
    _write(out, _page(material) if format_ == "html" else "\n".join(_texts(material, format_)))
    echo(f"report: {out}")
    return 0


def _page(material: Material) -> str:
    from harness.reports.page import render

    return render(material)


def _texts(material: Material, format_: str, shown: bool = False) -> list[str]:
    """A text for each thing that was given and that the format knows."""
    found = list(_each(material, format_, shown))
    if not found:
        raise UsageError(
            f"{format_} shows a scorecard or a comparison, and neither was given",
            "Use --format html -o page.html"
            + (", or `harness history DIR`." if material.history else "."),
        )
    if len(found) > 1 and format_ in _ONE_EACH:
        raise UsageError(f"{format_} shows one thing, and two were given", "Name one of them.")
    return found


def _each(material: Material, format_: str, shown: bool) -> Iterator[str]:
    from harness.reports import comparing, renderer
    from harness.reports import text as of_scorecard
    from harness.reports.comparing import text as of_comparison

    colour = shown and wants_colour()
    if card := material.scorecard:
        is_text = format_ == "text"
        yield (
            of_scorecard.render(card, colour=colour, width=width())
            if is_text
            else renderer(format_)(card)
        )
    if found := material.comparison:
        is_text = format_ == "text"
        yield (
            of_comparison.render(found, colour=colour, width=width())
            if is_text
            else comparing.renderer(format_)(found)
        )


def _write(file: Path, text: str) -> None:
    """Whole or not at all."""
    from harness.atomic_files import write_text

    try:
        if file.is_dir():
            raise OutputError(f"cannot write to {file}: it is a folder", "Name a file with -o.")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text)
    except OSError as error:
        raise OutputError(
            f"cannot write to {file}: {error.strerror}", "Name another file with -o."
        ) from error
