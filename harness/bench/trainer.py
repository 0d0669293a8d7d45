"""`Trainer`: what a worker trains with, whatever is behind it, and how it is timed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter

from harness.bench.workload import Step, Workload
from harness.resident import WARM_UP, own_clock

# Seconds of one step forward, backward and in the optimizer.
Apart = tuple[float, float, float]
Clock = Callable[[], float]

# To choose the fastest of several ways: how often each is timed, for how long, and how many
# steps at most.
_LOOKS = 7
_LOOK_SECONDS = 0.01
_LOOK_STEPS = 200


# So many steps more, before a clock starts, for a model that has just begun: an engine may watch
# the first ones, to do the others faster. Else a training that is shorter than a chunk, and begins
# with each, would show a mean of both kinds of steps beside medians of its parts.
_SETTLING = 15

# With so many steps in a chunk a step is short: reading a clock that leaves waiting out would
# take longer than some of its parts, and the median of so many is not moved by waiting.
_FEW_STEPS = 20


class Trainer(ABC):
    """One contender in its worker. `ways` are its variants of the same training, by name."""

    version: str
    ways: tuple[str, ...] = ("",)

    @abstractmethod
    def prepare(self, workload: Workload) -> None:
        """Take on another workload; raises UnsupportedError when it cannot be trained here."""

    @abstractmethod
    def begin(self, way: str) -> None:
        """Be before the first step, with the first weights and a new optimizer."""

    @abstractmethod
    def take(self, steps: Sequence[Step]) -> None:
        """Take steps, and return when the last is done."""

    @abstractmethod
    def losses(self, steps: Sequence[Step]) -> list[float]:
        """Take steps, and give the loss of each batch before its step."""

    def apart(self, steps: Sequence[Step], clock: Clock) -> list[Apart]:
        """Take steps by parts, each with its seconds; none when they cannot be told apart."""
        return []


class Course:
    """A trainer on its way through one workload: a burst goes on where the last one ended.

    The training begins again when too few of its steps are left.
    """

    def __init__(self, trainer: Trainer, workload: Workload) -> None:
        self._trainer, self._workload = trainer, workload
        trainer.prepare(workload)
        self.way = trainer.ways[0]
        self._begin()
        if len(trainer.ways) > 1:
            self.way = self._fastest_way()
            self._begin()

    def losses(self, count: int) -> list[float]:
        """The losses of the first steps."""
        self._begin()
        self._at = count
        return self._trainer.losses(self._workload.steps(0, count))

    def burst(self, steps: int) -> float:
        """Seconds that the next steps take, after a few to warm up."""
        warming, chosen = self._next(steps)
        with own_clock() as clock:
            self._trainer.take(warming)
            start = clock()
            self._trainer.take(chosen)
            return clock() - start

    def apart(self, steps: int) -> Apart | None:
        """Medians of the next steps by parts: forward, backward, optimizer."""
        warming, chosen = self._next(steps)
        with own_clock() as clock:
            self._trainer.take(warming)
            found = self._trainer.apart(chosen, clock if steps <= _FEW_STEPS else perf_counter)
        if not found:
            return None
        forward, backward, optimizer = (median(part) for part in zip(*found, strict=True))
        # A difference that is lost in the noise is no time.
        return (forward, backward, optimizer) if backward > 0.0 else None

    def _begin(self) -> None:
        self._trainer.begin(self.way)
        self._at = 0

    def _next(self, steps: int) -> tuple[list[Step], list[Step]]:
        """Steps to warm up, and those to be timed."""
        if self._at + WARM_UP + steps > self._workload.planned:
            self._begin()
        warming = WARM_UP + (0 if self._at else _SETTLING)
        chosen = self._workload.steps(self._at, warming + steps)
        self._at += warming + steps
        return chosen[:warming], chosen[warming:]

    def _fastest_way(self) -> str:
        """The way with the smallest median, each timed in turn."""
        steps = 1
        while self.burst(steps) < _LOOK_SECONDS and steps < _LOOK_STEPS:
            steps *= 2
        seconds: dict[str, list[float]] = {way: [] for way in self._trainer.ways}
        for _ in range(_LOOKS):
            for self.way, found in seconds.items():
                self._begin()
                found.append(self.burst(steps))
        return min(seconds, key=lambda way: median(seconds[way]))
