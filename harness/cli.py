"""The `harness` command: each verb parses its options, calls one function and prints.

Heavy imports happen inside the verbs, so that `harness --help` is quick; numpy comes only
after the number of BLAS threads is fixed.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

import click

from harness import __version__
from harness.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from harness.kill_matrix import KillMatrix
    from harness.runner import Outcome
    from harness.scorecard import Scorecard

NO_VERDICT = 3
INTERRUPTED = 130
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS",
                     "VECLIB_MAXIMUM_THREADS")  # fmt: skip


def main() -> None:
    """The entry point: every HarnessError becomes a sentence and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # an arrow is not worth a crash
    try:
        code = cli(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except HarnessError as error:
        _fail(error.message, error.hint)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "harness"
        _fail(error.format_message(), f"'{path} --help' lists what there is.")
        sys.exit(2)
    except OSError as error:
        _stop_printing()
        _fail(str(error))
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted")
        sys.exit(INTERRUPTED)
    except Exception as error:  # an engine may raise anything while it is imported or shown
        last = extract_tb(error.__traceback__)[-1]
        where = f"{last.filename}:{last.lineno} in {last.name}"
        _fail(
            f"{type(error).__name__}: {error} ({where})", "A bug, in the engine or in the harness."
        )
        sys.exit(NO_VERDICT)


def _stop_printing() -> None:
    """Send what is left to nowhere, so that Python's own last flush does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _echo(text: str, newline: bool = True) -> None:
    """Print; a reader that has seen enough, such as `head`, changes nothing else."""
    try:
        click.echo(text, nl=newline, color=True)
    except BrokenPipeError:
        _stop_printing()


def _fail(message: str, hint: str = "") -> None:
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"  {hint}", err=True)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all pass, 1 a check failed, 2 usage or config error (nothing was "
    "trained), 3 no verdict (crash, timeout, killed), 130 interrupted.",
)
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """Train the milestones of neural network history and check that they really learn."""


def _cpus() -> int:
    """How many processors this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _pin_blas_threads() -> int | None:
    """One BLAS thread a process unless the user says otherwise: at these sizes more is slower.

    Must come before numpy is imported. Returns the number that holds, None if unreadable.
    """
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    value = os.environ[_THREAD_VARIABLES[0]]
    return int(value) if value.isdigit() else None


def _finite(context: click.Context, option: click.Parameter, value: float) -> float:
    """A number that is one: click's ranges let NaN through."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number of seconds")
    return value


def _names_or_all(names: tuple[str, ...], everything: bool) -> list[str]:
    from harness.config import milestone_files

    if everything and names:
        raise UsageError("give names or --all, not both")
    if not everything and not names:
        known = ", ".join(milestone_files())
        raise UsageError("nothing to run", f"Name a milestone ({known}), a YAML file, or --all.")
    return list(milestone_files()) if everything else list(names)


def _listed(text: str) -> list[str]:
    """ "a, b" -> ["a", "b"]."""
    return [name.strip() for name in text.split(",") if name.strip()]


@cli.command()
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
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    help="How many processes train at once.  [default: one a processor]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    callback=_finite,
    show_default=True,
    help="Seconds after which one training is stopped.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a config value, such as training.lr=0.05; marks the scorecard.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/latest"),
    show_default=True,
    help="Folder for scorecard.json and curves.npz.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "markdown", "github"]),
    default="text",
    show_default=True,
    help="What to print.",
)
@click.option("--checks", metavar="NAME,...", default="", help="Run only these checks.")
@click.option("--skip", metavar="NAME,...", default="", help="Do not run these checks.")
@click.option(
    "--explain",
    metavar="TENSOR",
    default=None,
    help="Follow the gradient of a tensor, such as conv1.bias, from the loss to it.",
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
    jobs: int | None,
    timeout: float,
    changes: tuple[str, ...],
    out: Path,
    format_: str,
    checks: str,
    skip: str,
    explain: str | None,
    fail_fast: bool,
    quiet: bool,
    verbose: bool,
    profile: bool,
    no_progress: bool,
) -> int:
    """Train milestones, check them, and write a scorecard."""
    threads = _pin_blas_threads()
    from harness.session import Request, run_session

    request = Request(
        names=_names_or_all(names, everything),
        out=out,
        seeds=range(seed, seed + seeds),
        jobs=jobs or _cpus(),
        timeout=timeout,
        changes=changes,
        fail_fast=fail_fast,
        checks=_listed(checks),
        skip=_listed(skip),
        explain=explain,
        blas_threads=threads,
    )
    progress = _Progress(shown=sys.stderr.isatty() and not no_progress and not quiet)
    try:
        finished = run_session(request, progress.start, progress.advance)
    finally:
        progress.close()
    if not quiet or finished.scorecard.status != "pass":
        _print_scorecard(finished.scorecard, format_, verbose)
        if format_ == "text":
            _echo(f"scorecard: {finished.file}")
    if profile:
        from harness.reports.profile import render

        _echo(render(finished.scorecard), newline=False)
    return INTERRUPTED if finished.interrupted else finished.scorecard.exit_code


class _Progress:
    """A bar on stderr, one tick a job."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._bar: Any = None  # tqdm's type, imported only where a bar is shown

    def start(self, count: int) -> None:
        if self._shown:
            from tqdm import tqdm

            tqdm.monitor_interval = 0  # no monitor thread
            self._bar = tqdm(total=count, unit="run", leave=False, file=sys.stderr)

    def advance(self, outcome: Outcome) -> None:
        self.tick(f"{outcome.result.milestone} {outcome.result.status}")

    def tick(self, what: str) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(what)
            self._bar.update()
            self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _print_scorecard(scorecard: Scorecard, format_: str, verbose: bool) -> None:
    if format_ != "text":
        from harness.reports import renderer

        _echo(renderer(format_)(scorecard), newline=False)
        return
    from shutil import get_terminal_size

    from harness.reports.text import render

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = max(100, get_terminal_size((100, 24)).columns)
    _echo(render(scorecard, colour=colour, width=width, verbose=verbose), newline=False)


@cli.command("list")
def list_() -> None:
    """List the milestones."""
    from harness.config import load, milestone_files

    for name, file in milestone_files().items():
        config = load(file)
        _echo(
            f"{name:12} {config.year}  {config.title:12} {config.expectations.count:3} tensors  "
            f"target {config.targets.accuracy:g}  {config.summary}"
        )


@cli.command()
@click.argument("name", metavar="NAME | FILE.yaml")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="As for run.")
def show(name: str, changes: tuple[str, ...]) -> None:
    """Show a milestone: layers, shapes, tensors, target, baseline, controls."""
    _pin_blas_threads()
    from harness import on_record
    from harness.reports.outline import render
    from harness.session import prepared

    (outline,) = prepared([name], "numpy", changes)
    _echo(render(outline, on_record.load(outline.config.name)))


@cli.command()
@click.argument("files", nargs=-1, metavar="[NAME | FILE.yaml]...")
def validate(files: tuple[str, ...]) -> None:
    """Check configs without training: all shipped ones when none is named."""
    _pin_blas_threads()
    from harness.config import milestone_files
    from harness.session import prepared

    for outline in prepared(files or list(milestone_files()), "numpy"):
        declared, found = outline.config.expectations.count, len(outline.parameters)
        doubt = "" if found == declared else f", but expectations.tensors declares {declared}"
        _echo(f"{outline.config.name}: valid, {found} tensors{doubt}")


@cli.command()
@click.argument("what", type=click.Choice(["config", "scorecard"]), default="config")
def schema(what: str) -> None:
    """Print the JSON Schema of a config or of a scorecard."""
    import json

    from harness.config import MilestoneConfig
    from harness.scorecard import Scorecard

    model = MilestoneConfig if what == "config" else Scorecard
    _echo(json.dumps(model.model_json_schema(by_alias=True), indent=2))


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Calibrate every milestone.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Seeds for each milestone.",
)
@click.option(
    "--control-seeds",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Seeds for each control.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    help="How many processes train at once.  [default: one a processor]",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Folder for NAME/calibration.json.  [default: milestones/]")  # fmt: skip
def calibrate(
    names: tuple[str, ...],
    everything: bool,
    seeds: int,
    control_seeds: int,
    jobs: int | None,
    out: Path | None,
) -> None:
    """Measure what milestones and their controls do on many seeds, and put it on record."""
    _pin_blas_threads()
    from harness import calibrating, on_record
    from harness.session import prepared

    for outline in prepared(_names_or_all(names, everything), "numpy"):
        measured = calibrating.calibrate(outline, seeds, control_seeds, jobs or _cpus())
        name = outline.config.name
        file = out / name / "calibration.json" if out else on_record.file_for(name)
        on_record.save(measured, file)
        band = measured["accuracy"]
        passed = seeds - len(measured["failing_seeds"])
        _echo(
            f"{name}: {passed}/{seeds} seeds pass, accuracy {band['lowest']:.3f} to "
            f"{band['highest']:.3f} (target {measured['target']:g})"
        )
        for label, control in measured["controls"].items():
            _echo(f"  control {label}: at most {control['accuracy']['highest']:.3f}")


@cli.command()
@click.option("--family", "families", multiple=True, metavar="NAME", help="Only such faults.")
@click.option("--fault", "faults", multiple=True, metavar="NAME", help="Only this fault.")
@click.option("--milestone", "milestones", multiple=True, metavar="NAME", help="Only on this one.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    help="How many processes work at once.  [default: one a processor]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="The seed of all faults, and the first of the healthy ones.")  # fmt: skip
@click.option("--healthy", type=click.IntRange(min=1), default=3, show_default=True, metavar="N",
              help="Seeds of each milestone to look at without a fault.")  # fmt: skip
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    callback=_finite,
    show_default=True,
    help="Seconds after which one look is stopped.",
)
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
    _pin_blas_threads()
    from harness.selftest import Selection, chosen_faults, run_selftest

    if as_json and markdown:
        raise UsageError("give --json or --markdown, not both")
    selection = Selection(
        families, faults, milestones, seed, jobs or _cpus(), timeout, healthy=healthy
    )
    if listed:
        from harness.reports.kill_matrix import listing

        _echo(listing(chosen_faults(selection)), newline=False)
        return 0
    progress = _Progress(shown=sys.stderr.isatty() and not no_progress)
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
    from shutil import get_terminal_size

    from harness.faults.base import NOT_EXPRESSIBLE
    from harness.reports import fault_page, kill_matrix

    if format_ == "json":
        text = kill_matrix.to_json(matrix)
    elif format_ == "markdown":
        text = fault_page.render(matrix, NOT_EXPRESSIBLE)
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        width = max(100, get_terminal_size((100, 24)).columns)
        text = kill_matrix.render(matrix, colour=colour, width=width)
    _echo(text, newline=False)
