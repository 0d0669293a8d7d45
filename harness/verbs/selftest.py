"""`harness selftest`: plant every known bug and see who notices."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from harness.errors import UsageError
from harness.terminal import (
    Progress,
    cpus,
    echo,
    jobs_option,
    pin_blas_threads,
    timeout_option,
    wants_colour,
    width,
)

if TYPE_CHECKING:
    from harness.kill_matrix import KillMatrix


@click.command()
@click.option("--family", "families", multiple=True, metavar="NAME", help="Only such faults.")
@click.option("--fault", "faults", multiple=True, metavar="NAME", help="Only this fault.")
@click.option("--milestone", "milestones", multiple=True, metavar="NAME", help="Only on this one.")
@jobs_option("How many processes work at once.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="The seed of all faults, and the first of the healthy ones.")  # fmt: skip
@click.option("--healthy", type=click.IntRange(min=1), default=3, show_default=True, metavar="N",
              help="Seeds of each milestone to look at without a fault.")  # fmt: skip
@timeout_option(60.0, "one look")
@click.option("--json", "as_json", is_flag=True, help="Print every verdict of every look.")
@click.option("--markdown", is_flag=True, help="Print the page milestones/FAULTS.md.")
@click.option("--list", "listed", is_flag=True, help="List the faults and plant none.")
@click.option("--no-progress", is_flag=True, help="No progress bar.")
def selftest(
    families: tuple[str, ...],
    faults: tuple[str, ...],
    milestones: tuple[str, ...],
    jobs: int | None,
    seed: int,
    healthy: int,
    timeout: float,
    as_json: bool,
    markdown: bool,
    listed: bool,
    no_progress: bool,
) -> int:
    """Plant every known bug, and see which checks notice it, and that they accuse nothing else."""
    pin_blas_threads()
    from harness.selftest import Selection, chosen_faults, run_selftest

    if as_json and markdown:
        raise UsageError("give --json or --markdown, not both")
    selection = Selection(
        families, faults, milestones, seed, jobs or cpus(), timeout, healthy=healthy
    )
    if listed:
        from harness.reports.kill_matrix import listing

        echo(listing(chosen_faults(selection)), newline=False)
        return 0
    progress = Progress(shown=sys.stderr.isatty() and not no_progress)
    try:
        matrix = run_selftest(
            selection,
            progress.start,
            lambda look: progress.tick(f"{look.fault or ''} {look.where}"),
        )
    finally:
        progress.close()
    _print_matrix(matrix, "json" if as_json else "markdown" if markdown else "text")
    return matrix.exit_code


def _print_matrix(matrix: KillMatrix, format_: str) -> None:
    from harness.faults.base import NOT_EXPRESSIBLE
    from harness.reports import fault_page, kill_matrix

    if format_ == "json":
        text = kill_matrix.to_json(matrix)
    elif format_ == "markdown":
        text = fault_page.render(matrix, NOT_EXPRESSIBLE)
    else:
        text = kill_matrix.render(matrix, colour=wants_colour(), width=width())
    echo(text, newline=False)
