"""`Contender`: whoever takes steps when asked; `Remote` is one in a worker of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import harness
from harness import errors
from harness.bench.names import display_name
from harness.bench.workload import UnsupportedError
from harness.errors import HarnessError, JobCrashedError
from harness.workers import Json, Worker, pin, with_one_thread

Apart = tuple[float, float, float]

_ROOT = Path(harness.__file__).resolve().parent.parent
# XLA's threads, like everybody's.
_XLA = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class Contender(Protocol):
    """What `measure` asks of a contender; each function raises HarnessError when it cannot."""

    @property
    def name(self) -> str:
        """How it is called in the results."""
        ...

    def prepare(self, folder: Path) -> str:
        """Take on the workload in a folder; returns which way it goes, "" if there is one."""
        ...

    def losses(self, count: int) -> list[float]:
        """The losses of its first steps."""
        ...

    def burst(self, steps: int) -> float:
        """Seconds that the next steps take."""
        ...

    def apart(self, steps: int) -> Apart | None:
        """Seconds of a step forward, backward and in the optimizer; None when it cannot tell."""
        ...


class Remote:
    """A contender in a worker; see `Contender`. Raises JobError when the worker fails."""

    def __init__(self, asked: str, start: Callable[[], Worker]) -> None:
        self.name = display_name(asked)
        self._asked, self._start = asked, start
        self._worker = start()

    def open(self) -> str:
        """Start the engine; returns its version."""
        return str(self._ask(do="open", name=self._asked)["version"])

    def prepare(self, folder: Path) -> str:
        """See `Contender`. A worker that an earlier workload has ended starts anew."""
        if self._worker.has_ended:
            self.stop()
            self._worker = self._start()
            self.open()
        return str(self._ask(do="prepare", folder=str(folder.resolve()))["way"])

    def stop(self) -> None:
        """End its worker."""
        self._worker.stop()

    def losses(self, count: int) -> list[float]:
        return [float(loss) for loss in self._ask(do="losses", count=count)["losses"]]

    def burst(self, steps: int) -> float:
        return self._seconds(self._ask(do="burst", steps=steps).get("seconds"))

    def apart(self, steps: int) -> Apart | None:
        found = self._ask(do="apart", steps=steps).get("seconds")
        if found is None:
            return None
        forward, backward, optimizer = (self._seconds(each) for each in found)
        return forward, backward, optimizer

    def training_seconds(self, file: Path, watched: bool) -> float:
        """Seconds that the steps of a whole training take."""
        request = {"file": str(file), "name": self._asked, "watched": watched}
        return self._seconds(self._ask(do="watching", **request).get("seconds"))

    def _seconds(self, found: object) -> float:
        if not isinstance(found, float) or not 0.0 < found < math.inf:
            raise JobCrashedError(f"{self.name}: its timing worker says {found!r}, "
                                  "expected seconds")  # fmt: skip
        return found

    def _ask(self, **request: object) -> Json:
        answer = self._worker.ask(**request)
        if "refused" in answer:
            raise _refusal(answer)
        return answer


def _refusal(answer: Json) -> HarnessError:
    """What a worker refused, as the same kind of error, so that its exit code holds here."""
    message, hint = str(answer["refused"]), str(answer.get("hint", ""))
    if answer.get("kind") == UnsupportedError.__name__:
        return UnsupportedError(message, hint)
    kind = getattr(errors, str(answer.get("kind")), None)
    if kind in (errors.UsageError, errors.BackendError, errors.DataError):
        return HarnessError(message, hint)
    return JobCrashedError(message, hint)


@dataclass(frozen=True)
class Surroundings:
    """What workers inherit, a folder for what they say, and seconds that an answer may take."""

    environment: Mapping[str, str]
    folder: Path
    patience: float


@contextmanager
def crew(names: Sequence[str], around: Surroundings, number: int) -> Iterator[list[Remote]]:
    """A worker for each contender, all on one processor: only one of them works at a time."""
    remotes: list[Remote] = []
    try:
        for name in names:
            remotes.append(Remote(name, partial(_started, name, around, number)))
        yield remotes
    finally:
        for remote in remotes:
            remote.stop()


def _started(name: str, around: Surroundings, number: int) -> Worker:
    environment = worker_environment(around.environment)
    worker = Worker(display_name(name), "harness.bench.worker", around.folder, environment,
                    around.patience, cwd=Path.cwd())  # fmt: skip
    pin(worker.pid, number)  # before it has threads of its own
    return worker


def worker_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The user's variables with one thread for every library, and this harness first."""
    path = [str(_ROOT), *filter(None, [inherited.get("PYTHONPATH", "")])]
    ours = {"PYTHONPATH": ":".join(path), "PYTHONSAFEPATH": "1", "JAX_PLATFORMS": "cpu"}
    flags = f"{inherited.get('XLA_FLAGS', '')} {_XLA}".strip()
    return {**with_one_thread(inherited), **ours, "XLA_FLAGS": flags}
