"""`harness bench`: how long a training step takes, against other engines."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import UsageError
from harness.terminal import (
    Progress,
    complain,
    echo,
    pin_blas_threads,
    timeout_option,
    wants_colour,
    width,
)

if TYPE_CHECKING:
    from harness.bench.results import Bench

_PARTS = ("steps", "growth", "watching", "cold", "jobs")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--backend", "backends", multiple=True, metavar="NAME",
              help="Whom to time: a backend, torch-script (PyTorch by hand) or jax (compiled). "
              "Ratios are to PyTorch, or else to the first.  [default: numpy, and both of PyTorch "
              "if it is installed]")  # fmt: skip
@click.option("--part", "parts", multiple=True, type=click.Choice(_PARTS),
              help="What to measure.  [default: steps for names, else all but jobs]")  # fmt: skip
@click.option("--restarts", type=click.IntRange(min=1), default=2, show_default=True,
              help="How often all workers of the steps start anew.")  # fmt: skip
@click.option("--quick", is_flag=True, help="A few chunks of everything: does it work at all?")
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with 1 when a bar of the project is missed, and 3 when none was measured.",
)
@timeout_option(300.0, "one answer of a worker, or one process,")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Draws whose turn it is.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Folder for bench.json.  [default: none is written]")  # fmt: skip
@click.option("--format", "format_", type=click.Choice(["text", "json", "markdown"]),
              default="text", show_default=True, help="What to print.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--no-progress", is_flag=True, help="Do not say what is being measured.")
def bench(
    names: tuple[str, ...],
    backends: tuple[str, ...],
    parts: tuple[str, ...],
    restarts: int,
    quick: bool,
    strict: bool,
    timeout: float,
    seed: int,
    out: Path | None,
    format_: str,
    as_json: bool,
    no_progress: bool,
) -> int:
    """Time training steps in turn, each engine from the same weights and with the same losses.

    NAME is a milestone, a larger workload (cnn_big, lenet, t16b64, d128) or a YAML file; all of
    them without any. Every engine trains in a worker of its own, on one processor and one thread.
    """
    pin_blas_threads()
    from harness.bench.results import save
    from harness.bench.session import Request, any_measured, exit_code, run_bench
    from harness.branches.interrupts import ends_like_ctrl_c

    if as_json and format_ == "markdown":
        raise UsageError("give --json or --format markdown, not both")
    chosen = parts or (("steps",) if names else ("steps", "growth", "watching", "cold"))
    request = Request(
        names, backends, chosen, os.environ, restarts, quick=quick, timeout=timeout, seed=seed
    )
    progress = Progress(shown=sys.stderr.isatty() and not no_progress)
    progress.start(0)
    try:
        with ends_like_ctrl_c():
            found = run_bench(request, progress.tick)
    finally:
        progress.close()
    if out is not None:
        save(found, out)
    _print(found, "json" if as_json else format_)
    if strict and not any_measured(found):
        complain("--strict: no bar of the project was measured",
                 "configs/bench/bars.yaml has them: mostly numpy against PyTorch.")  # fmt: skip
    return exit_code(found, strict)


def _print(found: Bench, format_: str) -> None:
    from harness.json_files import to_json
    from harness.reports.bench import markdown, render

    if format_ == "json":
        text = to_json(found)
    elif format_ == "markdown":
        text = markdown(found)
    else:
        text = render(found, colour=wants_colour(), width=width())
    echo(text, newline=False)
