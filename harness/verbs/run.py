"""`harness run`: train milestones, check them, and write a scorecard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.terminal import (
    INTERRUPTED,
    Progress,
    cpus,
    echo,
    format_option,
    jobs_option,
    listed,
    names_or_all,
    out_option,
    pin_blas_threads,
    timeout_option,
    wants_colour,
    width,
)

if TYPE_CHECKING:
    from harness.scorecard import Scorecard


def _steps(context: click.Context, option: click.Parameter, text: str) -> tuple[int, ...] | None:
    """ "0, 5" -> (0, 5); None when nothing is said."""
    words = listed(text)
    if bad := [word for word in words if not word.isdecimal()]:
        raise click.BadParameter(f"'{bad[0]}' is not the number of a step")
    return tuple(map(int, words)) or None


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME | FILE.yaml]...")
@click.option("--all", "everything", is_flag=True, help="Run every milestone.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many seeds to run each milestone on.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed."
)
@click.option(
    "--backend",
    metavar="NAME",
    default="numpy",
    show_default=True,
    help="The engine: a name of `harness backend list`, a dotted module or a .py file.",
)
@jobs_option("How many processes train at once.")
@timeout_option(600.0, "one training")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a config value, such as training.lr=0.05; marks the scorecard.",
)
@out_option("runs/latest", "scorecard.json and curves.npz")
@format_option()
@click.option("--checks", metavar="NAME,...", default="", help="Run only these checks.")
@click.option("--skip", metavar="NAME,...", default="", help="Do not run these checks.")
@click.option(
    "--explain",
    metavar="TENSOR",
    default=None,
    help="Follow the gradient of a tensor, such as conv1.bias, from the loss to it.",
)
@click.option(
    "--checkpoints",
    metavar="STEP,...",
    default="",
    callback=_steps,
    help="Steps whose arrays leave fingerprints, from 0.  [default: 0,1,2,4,8,... and the last]",
)
@click.option("--fail-fast", is_flag=True, help="Start nothing more after the first failure.")
@click.option("-q", "--quiet", is_flag=True, help="Print only when something does not pass.")
@click.option("-v", "--verbose", is_flag=True, help="Print every check and every tensor.")
@click.option("--profile", is_flag=True, help="Print where the time went.")
@click.option("--no-progress", is_flag=True, help="No progress bar.")  # fmt: skip
def run(
    names: tuple[str, ...],
    everything: bool,
    seeds: int,
    seed: int,
    backend: str,
    jobs: int | None,
    timeout: float,
    changes: tuple[str, ...],
    out: Path,
    format_: str,
    checks: str,
    skip: str,
    explain: str | None,
    checkpoints: tuple[int, ...] | None,
    fail_fast: bool,
    quiet: bool,
    verbose: bool,
    profile: bool,
    no_progress: bool,
) -> int:
    """Train milestones, check them, and write a scorecard."""
    threads = pin_blas_threads()
    from harness.session import Request, run_session

    request = Request(
        names=names_or_all(names, everything),
        out=out,
        seeds=range(seed, seed + seeds),
        jobs=jobs or cpus(),
        backend=backend,
        timeout=timeout,
        changes=changes,
        fail_fast=fail_fast,
        checks=listed(checks),
        skip=listed(skip),
        explain=explain,
        checkpoints=checkpoints,
        blas_threads=threads,
    )
    progress = Progress(shown=sys.stderr.isatty() and not no_progress and not quiet)
    try:
        finished = run_session(request, progress.start, progress.advance)
    finally:
        progress.close()
    if not quiet or finished.scorecard.status != "pass":
        _print_scorecard(finished.scorecard, format_, verbose)
        if format_ == "text":
            echo(f"scorecard: {finished.file}")
    if profile:
        from harness.reports.profile import render

        echo(render(finished.scorecard), newline=False)
    return INTERRUPTED if finished.interrupted else finished.scorecard.exit_code


def _print_scorecard(scorecard: Scorecard, format_: str, verbose: bool) -> None:
    if format_ != "text":
        from harness.reports import renderer

        echo(renderer(format_)(scorecard), newline=False)
        return
    from harness.reports.text import render

    echo(render(scorecard, colour=wants_colour(), width=width(), verbose=verbose), newline=False)
