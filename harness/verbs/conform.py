"""`harness conform`: hold an engine against every case that any engine owes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.terminal import (
    Progress,
    cpus,
    echo,
    jobs_option,
    listed,
    out_option,
    pin_blas_threads,
    timeout_option,
    wants_colour,
    width,
)

if TYPE_CHECKING:
    from harness.conformance.session import Finished


@click.command()
@click.option(
    "--backend",
    metavar="NAME",
    default="numpy",
    show_default=True,
    help="The engine: a name of `harness backend list`, a dotted module or a .py file.",
)
@click.option("--level", "levels", multiple=True, metavar="L1,...", help="Only these levels.")
@click.option("-k", "text", metavar="TEXT", default="", help="Only cases with TEXT in their id.")
@click.option(
    "--xfails",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Expected failures.  [default: the .xfails.toml beside the engine's file]",
)
@click.option("--list", "only_list", is_flag=True, help="List the ids and run nothing.")
@jobs_option("How many processes work at once.")
@timeout_option(
    300.0,
    "the process that goes through the cases of one name, or trains one milestone,",
)
@out_option("runs/conform", "conformance.json and failures/")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "junit"]),
    default="text",
    show_default=True,
    help="What to print.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only when a case fails.")
@click.option("-v", "--verbose", is_flag=True, help="Print every case and every failure.")
@click.option("--no-progress", is_flag=True, help="No progress bar.")
def conform(
    backend: str,
    levels: tuple[str, ...],
    text: str,
    xfails: Path | None,
    only_list: bool,
    jobs: int | None,
    timeout: float,
    out: Path,
    format_: str,
    quiet: bool,
    verbose: bool,
    no_progress: bool,
) -> int:
    """Hold an engine against every case of ops, layers, optimizers and milestones.

    Levels: L1 ops and their gradients, L2 layers and losses, L3 optimizer steps, L4 the
    milestones, L5 the trajectory of the reference. What an engine does not offer is not
    supported: it stays in the count and is never a pass. Each failing case leaves a file in
    DIR/failures that reproduces it.

    A case that is stopped by --timeout is an error, and the next process goes on behind it; where
    that is stopped at once, too, the rest of the name is not tried.

    Exit code 3 where no case could be judged.
    """
    pin_blas_threads()
    chosen = [level for each in levels for level in listed(each)]
    if only_list:
        from harness.conformance.listing import selected

        echo("\n".join(case.id for case in selected(chosen, text)))
        return 0
    from harness.conformance.session import Request, conform

    request = Request(backend, out, jobs or cpus(), chosen, text, timeout, xfails)
    progress = Progress(shown=sys.stderr.isatty() and not no_progress and not quiet)
    try:
        finished = conform(request, progress.start, progress.tick)
    finally:
        progress.close()
    if not quiet or finished.document.status != "pass":
        _print(finished, format_, verbose)
    return finished.document.exit_code


def _print(finished: Finished, format_: str, verbose: bool) -> None:
    from harness.reports import conformance as reports

    document, file = finished.document, finished.file
    if format_ == "text":
        text = reports.render(
            document, file.parent, colour=wants_colour(), width=width(), verbose=verbose
        )
        echo(text, newline=False)
        echo(f"conformance: {file}")
    else:
        form = {"json": reports.as_json, "junit": reports.junit}[format_]
        echo(form(document), newline=False)
