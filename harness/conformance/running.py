"""Every name of an engine in a process of its own: what dies takes no other case along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import backends
from harness.conformance import journal
from harness.conformance.case import Case, Engine, Finding
from harness.conformance.document import FILE_NAME
from harness.conformance.listing import find
from harness.conformance.looking import lacking, look
from harness.conformance.outcomes import Outcome, Result
from harness.conformance.reproducing import by_id, file_name, script_of, write
from harness.errors import JobCrashedError, JobError, JobTimeoutError
from harness.executors import IsolatedExecutor

# Hears of every case that is done.
OnDone = Callable[[str], None]
# After so many cases in a row were stopped, the rest of a name is not tried: each takes as long.
_STOPS = 2
_NOT_TRIED = Finding(
    raised=f"not tried: the {_STOPS} cases before it were stopped at the timeout",
    hint="Mend these first; --timeout SECONDS gives a name longer.",
    is_stopped=True,
)


def findings_of(
    engine: Engine, cases: Sequence[Case], executor: IsolatedExecutor, on_done: OnDone
) -> dict[str, Finding]:
    """What comes of each case, by id; names run beside each other, the cases of one in turn."""
    found = {case.id: Finding(refused=lacks) for case in cases
             if (lacks := lacking(case, engine.backend))}  # fmt: skip
    groups: dict[str, list[str]] = {}
    for case in cases:
        if case.id not in found:
            groups.setdefault(case.group, []).append(case.id)
    for id_ in found:
        on_done(id_)
    with TemporaryDirectory(prefix="conform-") as folder:
        runs = _Runs(engine.name, executor, Path(folder))
        # Trainings take longest: they start first.
        for ids in sorted(groups.values(), key=lambda ids: ids[0], reverse=True):
            runs.start(ids)
        for ended in runs.each_ended():
            found |= ended
            for id_ in ended:
                on_done(id_)
    return found


class _Runs:
    """Processes at work; one that died is followed by another one for the cases that are left."""

    def __init__(self, engine: str, executor: IsolatedExecutor, folder: Path) -> None:
        self.engine, self.executor, self.folder = engine, executor, folder
        self.running: dict[Future[None], tuple[Sequence[str], Path]] = {}
        self.count = 0
        self.stops: Counter[str] = Counter()  # in a row, by name

    def start(self, ids: Sequence[str]) -> None:
        """Look at these, one after the other."""
        self.count += 1
        file = self.folder / f"{self.count}.notes"
        self.running[self.executor.submit(look_at_each, self.engine, ids, file)] = ids, file

    def each_ended(self) -> Iterator[dict[str, Finding]]:
        """What each process found, when it has ended, until none is left."""
        while self.running:
            done, _ = wait(self.running, return_when=FIRST_COMPLETED)
            for future in done:
                ids, file = self.running.pop(future)
                yield self._ended(ids, journal.read(file), future.exception())

    def _ended(
        self, ids: Sequence[str], notes: journal.Notes, error: BaseException | None
    ) -> dict[str, Finding]:
        done = list(notes.findings)
        found = {id_: replace(finding, after=tuple(done[:i]))
                 for i, (id_, finding) in enumerate(notes.findings.items())}  # fmt: skip
        left = [id_ for id_ in ids if id_ not in found]
        if not left:
            return found
        if not isinstance(error, JobError):
            raise error or RuntimeError(f"a process ended without looking at {left[0]}")
        died = _died(error, tuple(done))
        if notes.unfinished is None:  # it is not the fault of any case
            return found | dict.fromkeys(left, died)
        found[notes.unfinished] = died
        others = [id_ for id_ in left if id_ != notes.unfinished]
        name = find(ids[0]).group
        before = 0 if done else self.stops[name]
        self.stops[name] = before + 1 if isinstance(error, JobTimeoutError) else 0
        if self.stops[name] >= _STOPS:
            return found | dict.fromkeys(others, _NOT_TRIED)
        if others:
            self.start(others)
        return found


def _died(error: JobError, after: tuple[str, ...]) -> Finding:
    """What is found of the case in which a process died."""
    if isinstance(error, JobCrashedError):
        return Finding(raised=error.message, hint=f"The traceback is in {FILE_NAME}.",
                       details=error.details, after=after)  # fmt: skip
    is_stopped = isinstance(error, JobTimeoutError)
    return Finding(raised=error.message, hint=error.hint, after=after, is_stopped=is_stopped)


def look_at_each(engine: str, ids: Sequence[str], file: Path) -> None:
    """In a process of its own: look at cases and note what is found, each at once."""
    notes = journal.Writing(file)
    loaded = Engine(engine, backends.load(engine))
    for id_ in ids:
        notes.begins(id_)
        notes.found(id_, look(loaded, find(id_)))
    notes.close()


# --- files ----------------------------------------------------------------------------------------


def write_files(
    engine: Engine, results: Sequence[Result], folder: Path, executor: IsolatedExecutor
) -> dict[str, Path]:
    """A reproducing file for each of these results, by id.

    Where an engine does not survive its writing, the file only names the case.
    """
    files = {result.case.id: folder / file_name(result.case.id) for result in results}
    plain = {result.case.id: (result.outcome, result.message, result.reading) for result in results}
    groups: dict[str, list[str]] = {}
    for result in results:
        groups.setdefault(result.case.group, []).append(result.case.id)
    futures = [
        executor.submit(write_each, engine.name, {id_: plain[id_] for id_ in ids}, folder)
        for ids in groups.values()
    ]
    wait(futures)
    for result in results:
        file = files[result.case.id]
        if not file.is_file():
            write(by_id(result, engine), file)
    return files


def write_each(engine: str, plain: dict[str, tuple[Outcome, str, int]], folder: Path) -> None:
    """In a process of its own: the files of some cases, those that only name theirs first."""
    loaded = Engine(engine, backends.load(engine))
    for id_, (outcome, message, reading) in plain.items():
        result = Result(find(id_), outcome, message, reading=reading)
        file = folder / file_name(id_)
        try:
            write(script_of(result, loaded), file)
        except Exception:  # an engine that cannot even build the layer
            write(by_id(result, loaded), file)
