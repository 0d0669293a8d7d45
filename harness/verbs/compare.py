"""`harness compare`: hold two branches, or two scorecards, against each other."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.terminal import (
    Progress,
    cpus,
    echo,
    finite,
    format_option,
    jobs_option,
    out_option,
    pin_blas_threads,
    timeout_option,
    wants_colour,
    width,
)

if TYPE_CHECKING:
    from harness.branches.session import Request
    from harness.comparison import Comparison


@click.command()
@click.argument("base", required=False)
@click.argument("others", nargs=-1, metavar="[HEAD] [NAME]...")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="NAME",
    help="Given twice: compare two engines, from the same weights on the same batches.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float64", "float32"]),
    default=None,
    help="With --backend: the type of numbers.  [default: float64]",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=None,
    help="Seeds of each milestone.  [default: as many as its calibration says]",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    callback=finite,
    metavar="SECONDS",
    help="Add seeds and restarts until the answer is clear, or for so long.",
)
@click.option("--no-timing", is_flag=True, help="Do not measure step times.")
@click.option(
    "--strict", is_flag=True, help="Exit with 1 for CHANGED-FASTER, with 4 for too little evidence."
)
@jobs_option("How many processes train at once, half of them on each side.")
@timeout_option(600.0, "one training")
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    metavar="DIR",
    help="Where results of commits are kept.  [default: milestone-harness/compare in the user's "
    "cache folder]",
)
@click.option("--no-cache", is_flag=True, help="Run everything, and keep nothing.")
@out_option("runs/compare", "comparison.json")
@format_option()
@click.option("-q", "--quiet", is_flag=True, help="Print only when the exit code is not 0.")
@click.option("-v", "--verbose", is_flag=True, help="Print every check and every number.")
@click.option("--no-progress", is_flag=True, help="No progress bar.")
def compare(
    base: str | None,
    others: tuple[str, ...],
    backends: tuple[str, ...],
    dtype: str | None,
    seeds: int | None,
    budget: float | None,
    no_timing: bool,
    strict: bool,
    jobs: int | None,
    timeout: float,
    cache: Path | None,
    no_cache: bool,
    out: Path,
    format_: str,
    quiet: bool,
    verbose: bool,
    no_progress: bool,
) -> int:
    """Does HEAD still learn what BASE does, and as fast?

    BASE and HEAD are branches, tags or commits, each run with its own code, or scorecards; HEAD
    is the working tree unless it is given. NAMEs are milestones, all of them by default.

    With two --backend, all words are NAMEs: does the second engine train as the first does?
    """
    pin_blas_threads()
    if backends:
        return _compare_engines(click.get_current_context())
    base = _branch(base, dtype)
    os.environ["GIT_OPTIONAL_LOCKS"] = "0"  # to look at a checkout is not to touch its index
    from harness.branches import session
    from harness.branches.targets import understand
    from harness.comparison import save
    from harness.scorecard import open_folder

    request = session.Request(
        asked=understand([base, *others], Path.cwd(), dict(os.environ)),
        environment=dict(os.environ),
        seeds=seeds,
        budget=budget,
        timing=not no_timing,
        jobs=jobs or cpus(),
        timeout=timeout,
        cache=None if no_cache else cache or _default_cache(),
    )
    open_folder(out)
    comparison = _compared(request, shown=not no_progress and not quiet)
    file = save(comparison, out)
    code = comparison.exit_code(strict)
    if not quiet or code:
        _print(comparison, format_, verbose)
        if format_ == "text":
            echo(f"comparison: {file}")
    return code


def _branch(base: str | None, dtype: str | None) -> str:
    """The first branch; raises UsageError where there is none, or an option is for engines."""
    if base is None:
        raise click.UsageError("Missing argument 'BASE'.")
    if dtype is not None:
        raise click.UsageError("--dtype needs two --backend: branches train as they do.")
    return base


def _compared(request: Request, shown: bool) -> Comparison:
    from harness.branches.interrupts import ends_like_ctrl_c
    from harness.branches.session import compare_sides

    progress = Progress(shown=sys.stderr.isatty() and shown)
    try:
        with ends_like_ctrl_c():
            return compare_sides(request, progress.start, progress.tick)
    finally:
        progress.close()


# What only means something for two branches, or is printed for them only.
_OF_BRANCHES = ("seeds", "budget", "no_timing", "strict", "cache", "no_cache", "verbose")


def _compare_engines(context: click.Context) -> int:
    """The same verb with two --backend."""
    from harness import side_by_side
    from harness.json_files import to_json
    from harness.side_by_side.asking import milestones, require_unused, two_of
    from harness.side_by_side.text import render
    from harness.side_by_side.told import save

    given = context.params
    require_unused([name for name in _OF_BRANCHES if given[name]], given["format_"])
    names = milestones([word for word in (given["base"], *given["others"]) if word])
    quiet, shown = given["quiet"], sys.stderr.isatty() and not given["no_progress"]
    request = side_by_side.Request(
        two_of(given["backends"]), names, given["out"], given["dtype"] or "float64",
        jobs=given["jobs"] or cpus(), timeout=given["timeout"],
    )  # fmt: skip
    progress = Progress(shown=shown and not quiet)
    try:
        told = side_by_side.compare_backends(request, progress.start, progress.tick)
    finally:
        progress.close()
    file = save(told, request.out)
    if not quiet or told.exit_code:
        echo(to_json(told) if given["format_"] == "json" else render(told), newline=False)
        if given["format_"] == "text":
            echo(f"comparison: {file}")
    return told.exit_code


def _default_cache() -> Path | None:
    """Below XDG_CACHE_HOME or ~/.cache; None for a user without a home."""
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return home / "milestone-harness" / "compare"


def _print(comparison: Comparison, format_: str, verbose: bool) -> None:
    if format_ == "text":
        from harness.reports.comparing.text import render

        told = render(comparison, colour=wants_colour(), width=width(), verbose=verbose)
    else:
        from harness.reports.comparing import renderer

        told = renderer(format_)(comparison)
    echo(told, newline=False)
