"""Step times of two sides, measured side by side by workers that run each side's own code.

Both are started anew several times: what a process is dealt when it starts (addresses, hashes)
moves its times by more than its bursts do, so it is restarts that are counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic

from harness.branches.bursts import Ratio, compare_bursts, steps_a_burst
from harness.comparing.side import Timed
from harness.comparing.step_times import half_width
from harness.errors import JobCrashedError, JobError, JobNotRunError
from harness.resident import PROTOCOL
from harness.workers import Worker, pin, with_one_thread

# The most restarts, and the half-width of the interval (of log ratios) that needs no more.
MOST_RESTARTS = 24
NARROW = 0.02
# Seconds that any answer may take, an import or a burst.
PATIENCE = 60.0


def measure_step_times(
    base: Path,
    head: Path,
    names: Sequence[str],
    restarts: int = 7,
    deadline: float | None = None,
    on_restart: Callable[[int], None] = lambda number: None,
    *,
    on_note: Callable[[str], None] = lambda sentence: None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    most: int = MOST_RESTARTS,
    backend: str = "numpy",
    patience: float = PATIENCE,
) -> dict[str, Timed]:
    """Step times of milestones under the code of two folders, each with its `harness`.

    A milestone gets `restarts` restarts, and up to `most` while its interval is not narrow;
    none starts after `deadline`, a time of `time.monotonic`. `on_restart` hears the number of
    each, from 1, and `on_note` why a milestone is missing from the answer. `environment` is what
    the workers inherit; they work in a new folder inside `folder`, gone afterwards. Raises
    JobError when a side has no worker that answers.
    """
    setup = _Setup({"base": base, "head": head}, backend, environment or {}, patience)
    ratios: dict[str, list[Ratio]] = {name: [] for name in names}
    number = 0
    with _new_folder(folder) as empty:
        while _in_time(deadline):
            wanted = [name for name in ratios if _wants_more(ratios[name], restarts, most)]
            if not wanted:
                break
            number += 1
            on_restart(number)
            with closing(_restart(setup, empty, number, wanted, deadline)) as outcomes:
                for name, outcome in outcomes:
                    if isinstance(outcome, Ratio):
                        ratios[name].append(outcome)
                    else:
                        del ratios[name]
                        on_note(f"{name}: step time not measured: {outcome.message}")
    for name in [name for name, found in ratios.items() if not found]:
        on_note(f"{name}: step time not measured: no time was left")
    return {name: _timed(found) for name, found in ratios.items() if found}


def _wants_more(found: Sequence[Ratio], restarts: int, most: int) -> bool:
    if len(found) < restarts:
        return True
    return len(found) < most and half_width(_timed(found)) > NARROW


def _in_time(deadline: float | None) -> bool:
    return deadline is None or monotonic() < deadline


@contextmanager
def _new_folder(parent: Path | None) -> Iterator[Path]:
    """An empty folder, gone afterwards; what the system refuses is a JobError."""
    try:
        place = TemporaryDirectory(prefix="harness-timing-", dir=parent, ignore_cleanup_errors=True)
        with place as name:
            yield Path(name)
    except OSError as error:
        message = f"the timing workers cannot be started: {error}"
        raise JobNotRunError(message, "Is the disk full?") from error


def _timed(found: Sequence[Ratio]) -> Timed:
    return Timed(
        tuple(each.log_ratio for each in found),
        median(each.base_seconds for each in found),
        median(each.head_seconds for each in found),
    )


@dataclass(frozen=True)
class _Setup:
    """What is the same for all restarts; `roots` by side."""

    roots: Mapping[str, Path]
    backend: str
    environment: Mapping[str, str]
    patience: float


def _restart(
    setup: _Setup, folder: Path, number: int, names: Sequence[str], deadline: float | None
) -> Generator[tuple[str, Ratio | JobError], None, None]:
    """One ratio a milestone from two new workers; an error ends the restart."""
    with _two_workers(setup, folder, number) as workers:
        for name in names:
            try:
                for worker in workers.values():
                    worker.ask(do="prepare", milestone=name, seed=0, backend=setup.backend)
                base, head = (_bursts(workers[side], name) for side in ("base", "head"))
                steps = steps_a_burst(base, head)
                found = compare_bursts(base, head, steps, go_on=lambda: _in_time(deadline))
            except JobError as error:
                yield name, error
                return
            if found is None:
                return
            yield name, found


def _bursts(worker: _SideWorker, milestone: str) -> Callable[[int], float]:
    def burst(steps: int) -> float:
        return worker.seconds(milestone, steps)

    return burst


@contextmanager
def _two_workers(setup: _Setup, folder: Path, number: int) -> Iterator[dict[str, _SideWorker]]:
    """A worker for each side on the same processor, since only one of them works at a time.

    Which side starts first, which processor it is and how strings hash change from restart
    to restart, but are the same for both sides.
    """
    sides = ["base", "head"] if number % 2 else ["head", "base"]
    workers: dict[str, _SideWorker] = {}
    try:
        for side in sides:
            workers[side] = _SideWorker(side, setup, folder, number)
        for worker in workers.values():
            worker.greet()
            pin(worker.pid, number)
        yield workers
    finally:
        for worker in workers.values():
            worker.stop()


class _SideWorker(Worker):
    """A worker that trains bursts with the code of one side."""

    def __init__(self, side: str, setup: _Setup, folder: Path, number: int) -> None:
        self._root = setup.roots[side].resolve()
        if not (self._root / "harness" / "resident.py").is_file():
            raise JobNotRunError(f"{side}: its code is too old to be timed: it has no "
                                 "harness/resident.py")  # fmt: skip
        environment = _environment(setup.environment, self._root, folder, number)
        super().__init__(side, "harness.resident", folder, environment, setup.patience)

    def greet(self) -> None:
        """Make sure that it answers, in the right language and with the right code."""
        found = self.ask(do="hello")
        if found.get("protocol") != PROTOCOL:
            raise JobNotRunError(f"{self.name}: its timing worker speaks protocol "
                                 f"{found.get('protocol')}, expected {PROTOCOL}")  # fmt: skip
        if found.get("code") != str(self._root / "harness"):
            raise JobNotRunError(f"{self.name}: its timing worker runs the code in "
                                 f"{found.get('code')}, expected {self._root}")  # fmt: skip

    def seconds(self, milestone: str, steps: int) -> float:
        """How long so many steps take; raises JobError like `ask`."""
        found = self.ask(do="burst", milestone=milestone, steps=steps).get("seconds")
        if not isinstance(found, float) or not 0.0 < found < math.inf:
            raise JobCrashedError(f"{self.name}: its timing worker says that {steps} steps took "
                                  f"{found!r}, expected seconds")  # fmt: skip
        return found


def _environment(
    inherited: Mapping[str, str], root: Path, folder: Path, number: int
) -> dict[str, str]:
    """The variables of a worker: those of the user but for Python's and git's, and ours."""
    kept = {key: value for key, value in inherited.items()
            if not key.startswith(("PYTHON", "GIT_"))}  # fmt: skip
    return {
        **with_one_thread(kept),
        "PYTHONPATH": str(root),
        "PYTHONSAFEPATH": "1",
        "PYTHONPYCACHEPREFIX": str(folder / "pyc"),
        "PYTHONHASHSEED": str(number),
    }
