"""`python -m harness.resident`: train short bursts when asked to, and say how long they took.

Two of these, one from each side's code, are asked in turn by `harness.branches.timing`.
Requests and answers are lines of JSON on stdin and stdout: {"do": "burst", "milestone": "xor",
"steps": 100} -> {"seconds": 0.02}; whatever goes wrong -> {"error": "a sentence"}.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from harness.backends.base import Backend
    from harness.config import MilestoneConfig
    from harness.training import Learner

    Batch = tuple[np.ndarray, np.ndarray]

PROTOCOL = 1
# Steps before the clock starts: the other worker has just had the caches of this core.
WARM_UP = 2

Json = dict[str, Any]


def main() -> None:
    """Answer requests until stdin ends."""
    serve(partial(_answer, ready={}))


def serve(answer: Callable[[Json], Json]) -> None:
    """Answer each line of stdin with one of stdout, until stdin ends."""
    # Whatever an engine prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in _requests():
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


def _requests() -> Iterator[str]:
    """Every line of stdin; ends this process with stdin, whatever it is doing.

    A thread listens, and nothing of the engine is imported before it does: a worker that
    hangs must not outlive the process that asked.
    """
    lines: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield lines.get()


def _answer(request: Json, ready: dict[str, Training]) -> Json:
    name = request.get("milestone", "")
    try:
        if request["do"] == "hello":
            return _hello()
        if request["do"] == "prepare":
            ready[name] = prepare(name, request["seed"], request["backend"])
            gc.collect()
            gc.freeze()  # so that collecting before each burst looks at next to nothing
            return {}
        if request["do"] == "burst":
            return {"seconds": ready[name].burst(request["steps"])}
        return {"error": f"unknown request {request['do']!r}"}
    except Exception as error:  # an engine may raise anything; it becomes the answer
        return {"error": f"{type(error).__name__}: {error}"}


def _hello() -> Json:
    """The protocol, what can be trained, and where the code that would train it is."""
    from harness.config_files import milestone_files

    code = str(Path(__file__).resolve().parent)
    return {"protocol": PROTOCOL, "milestones": list(milestone_files()), "code": code}


def prepare(milestone: str, seed: int, backend: str) -> Training:
    """A milestone before its first step; raises HarnessError for a config unfit to train."""
    from harness import backends, config_files
    from harness.preparation import known_to, load_data
    from harness.training import batches

    engine = backends.load(backend)
    loaded = config_files.load(config_files.find(milestone), known_to(engine))
    return Training(loaded, engine, seed, list(batches(loaded, load_data(loaded), seed)))


class Training:
    """A milestone in training, with all its batches in memory; bursts take it further."""

    def __init__(
        self, config: MilestoneConfig, backend: Backend, seed: int, batches: Sequence[Batch]
    ) -> None:
        self._config, self._backend, self._seed = config, backend, seed
        self._batches = batches
        self._learner: Learner | None = None
        self._at = 0  # how many steps it has taken

    def burst(self, steps: int) -> float:
        """Seconds that the next `steps` steps take, after a few to warm up.

        Begins again with a fresh model when too few steps are left. Time in which other
        processes had the processor does not count, where the system knows it.
        """
        learner, chosen = self._next(WARM_UP + steps)
        with own_clock() as clock:
            _train(learner, chosen[:WARM_UP])
            start = clock()
            _train(learner, chosen[WARM_UP:])
            return clock() - start

    def _next(self, count: int) -> tuple[Learner, list[tuple[Batch, float]]]:
        """Who takes the next `count` steps, and for each its batch and how much is over."""
        from harness.model import build
        from harness.training import Learner

        whole = len(self._batches)
        if self._learner is None or self._at + count > whole:
            model = build(self._config.layers, self._backend, self._seed)
            self._learner, self._at = Learner(self._config, model), 0
        steps = [step % whole for step in range(self._at, self._at + count)]
        self._at += count
        return self._learner, [(self._batches[step], step / whole) for step in steps]


def _train(learner: Learner, steps: Sequence[tuple[Batch, float]]) -> None:
    for (x, y), done in steps:
        learner.backward(x, y)
        learner.step(done)


@contextmanager
def own_clock() -> Iterator[Callable[[], float]]:
    """A clock that stands still while other processes have the processor, where that is known.

    Inside, nothing collects garbage, and nothing warns of overflow.
    """
    import numpy as np

    gc.collect()
    gc.disable()
    try:
        with np.errstate(all="ignore"), _waiting_time() as waited:
            yield partial(_read_clock, waited)
    finally:
        gc.enable()


def _read_clock(waited: Callable[[], float]) -> float:
    """Both times of the same moment: none in which the processor was lost between the two."""
    while True:
        before, now = waited(), perf_counter()
        if waited() == before:
            return now - before


@contextmanager
def _waiting_time() -> Iterator[Callable[[], float]]:
    """Tells the seconds that this thread was ready and had no processor; 0 where unknown."""
    try:
        file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        yield lambda: 0.0
        return
    try:
        yield lambda: int(os.pread(file, 100, 0).split()[1]) * 1e-9
    finally:
        os.close(file)


if __name__ == "__main__":
    main()
