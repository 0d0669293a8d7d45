"""One `harness conform`: from an engine's name to a saved document and files that reproduce."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import backends
from harness.conformance import xfails
from harness.conformance.alone import settled
from harness.conformance.case import Engine
from harness.conformance.document import Document, assemble, save
from harness.conformance.listing import all_cases, selected
from harness.conformance.outcomes import BAD, Result, results
from harness.conformance.reproducing import FOLDER
from harness.conformance.running import findings_of, write_files
from harness.errors import OutputError
from harness.executors import IsolatedExecutor
from harness.session import load_backend


@dataclass(frozen=True)
class Request:
    """What the user asked for. `xfails` is a file; None for the one beside the engine."""

    backend: str
    out: Path
    jobs: int
    levels: Sequence[str] = ()
    text: str = ""
    timeout: float | None = None
    xfails: Path | None = None


@dataclass(frozen=True)
class Finished:
    """The document, and where it was saved."""

    document: Document
    file: Path


def conform(
    request: Request,
    on_start: Callable[[int], None] = lambda count: None,
    on_done: Callable[[str], None] = lambda id_: None,
) -> Finished:
    """Look at every case that was asked for, judge it, and save what came of it.

    Raises a HarnessError before anything is run for what cannot be met. `on_start` hears how
    many cases there are, `on_done` of each that
    has ended.
    """
    cases = selected(request.levels, request.text)
    name = backends.located(request.backend)
    ids = [case.id for case in all_cases()]
    expected = xfails.load(name, request.xfails, ids)
    engine = Engine(name, load_backend(name, request.timeout))
    _open(request.out)
    on_start(len(cases))
    executor = IsolatedExecutor(request.jobs, request.timeout)
    try:
        found = results(findings_of(engine, cases, executor, on_done), cases, expected)
        files = write_files(engine, _worth_a_file(found), request.out / FOLDER, executor)
        found = settled(engine, found, files, executor)
    finally:
        executor.shutdown(cancel_futures=True)
    file = expected[0].place.rpartition(":")[0] if expected else ""
    document = assemble(engine, found, files, file, request.out)
    return Finished(document, save(document, request.out))


def _worth_a_file(found: Sequence[Result]) -> list[Result]:
    """What failed: what was expected to is on record elsewhere, what passes needs none."""
    return [each for each in found if each.outcome in BAD and each.outcome != "unexpected pass"]


def _open(out: Path) -> None:
    """The folder, without the files of an earlier run; raises OutputError."""
    folder = out / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("L[1-5].*"):
            file.unlink()
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}") from error
