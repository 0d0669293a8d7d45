"""`harness reference`: write what an engine does in the first steps, for others to follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import HarnessError, JobCrashedError, JobError
from harness.terminal import echo, names_or_all, pin_blas_threads, timeout_option

if TYPE_CHECKING:
    from concurrent.futures import Future

    from harness.config import MilestoneConfig
    from harness.datasets.base import Dataset
    from harness.preparation import Outline
    from harness.references.files import Reference


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME | FILE.yaml]...")
@click.option("--all", "everything", is_flag=True, help="Write that of every milestone.")
@click.option("--backend", metavar="NAME", default="torch", show_default=True,
              help="The engine that takes the steps.")  # fmt: skip
@click.option("--dtype", type=click.Choice(["float64", "float32"]), default="float64",
              show_default=True, help="The type of its numbers.")  # fmt: skip
@click.option("--steps", type=click.IntRange(min=1), default=None,
              help="How many steps it takes.  [default: 20, or all if fewer]")  # fmt: skip
@timeout_option(300.0, "the work on one milestone")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=None,
              metavar="DIR",
              help="Folder for NAME/reference.npz.  [default: milestones/]")  # fmt: skip
def reference(
    names: tuple[str, ...],
    everything: bool,
    backend: str,
    dtype: str,
    steps: int | None,
    timeout: float,
    out: Path | None,
) -> None:
    """Write weights, batches, losses and gradients of the first steps, for every run to follow."""
    pin_blas_threads()
    from harness.references.files import file_for, save
    from harness.session import load_backend, prepared

    words = names_or_all(names, everything)
    load_backend(backend, timeout)
    outlines = prepared(words, backend)
    made = _made(outlines, backend, dtype, steps, timeout)
    for outline, found in zip(outlines, made, strict=True):
        name = outline.config.name
        file = out / name / "reference.npz" if out else file_for(name)
        save(found, file)
        first, last = found.loss[0], found.loss[-1]
        echo(
            f"{name}: {found.start.steps} steps of {found.about['rows']} rows by {found.origin}, "
            f"loss {first:.4g} to {last:.4g}, {file.stat().st_size:,} bytes: {file}"
        )


def _made(
    outlines: Sequence[Outline], backend: str, dtype: str, steps: int | None, timeout: float
) -> list[Reference]:
    """Each in a process of its own: an engine may hang, die or print."""
    from harness.executors import IsolatedExecutor

    executor = IsolatedExecutor(1, timeout)
    try:
        futures = [executor.submit(_make, each.config, backend, each.dataset, dtype, steps)
                   for each in outlines]  # fmt: skip
        return [_result(outline.config.name, backend, future)
                for outline, future in zip(outlines, futures, strict=True)]  # fmt: skip
    finally:
        executor.shutdown(cancel_futures=True)


def _make(
    config: MilestoneConfig, backend: str, dataset: Dataset, dtype: str, steps: int | None
) -> Reference | HarnessError:
    """In the process of its own; an error of ours is handed over as it is."""
    from harness import backends
    from harness.references.making import STEPS, make
    from harness.training import planned_steps

    try:
        count = steps or min(STEPS, planned_steps(config, dataset))
        return make(config, backends.load(backend), dataset, dtype, count)
    except HarnessError as error:
        return error


def _result(name: str, backend: str, future: Future[Reference | HarnessError]) -> Reference:
    """What was made; raises what went wrong, with the milestone and the engine."""
    from harness.backends.base import shown_path

    try:
        found = future.result()
    except JobError as error:
        hint = "" if isinstance(error, JobCrashedError) else error.hint
        message = f"{name}: with {shown_path(backend)}, {error.message}"
        raise type(error)(message, hint) from None
    if isinstance(found, HarnessError):
        raise found
    return found
