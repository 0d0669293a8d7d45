"""`Course`: which steps a trainer takes before the clock, and which while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.bench.trainer import Apart, Clock, Course, Trainer
from harness.bench.workload import Step, Workload, load
from tests.examples import small_file


@dataclass
class Noted(Trainer):
    """Notes what it is asked: how many steps at once, and where a training begins."""

    version = "1"

    def __post_init__(self) -> None:
        self.log: list[int | str] = []

    def prepare(self, workload: Workload) -> None:
        """Nothing to do."""

    def begin(self, way: str) -> None:
        self.log.append("begin")

    def take(self, steps: Sequence[Step]) -> None:
        self.log.append(len(steps))

    def losses(self, steps: Sequence[Step]) -> list[float]:
        return [1.0] * len(steps)

    def apart(self, steps: Sequence[Step], clock: Clock) -> list[Apart]:
        self.log.append(len(steps))
        return [(1.0, 2.0, 3.0)] * len(steps)


def course_of(tmp_path: Path, planned: int) -> tuple[Course, list[int | str]]:
    trainer = Noted()
    return Course(trainer, replace(load(small_file(tmp_path)), planned=planned)), trainer.log


def test_training_that_is_shorter_than_a_chunk_begins_with_each_and_settles(
    tmp_path: Path,
) -> None:
    """An engine may watch its first dozen steps: none of them is timed."""
    course, log = course_of(tmp_path, 10)
    assert course.burst(50) > 0.0
    assert course.apart(50) == (1.0, 2.0, 3.0)
    assert log == ["begin", "begin", 17, 50, "begin", 17, 50]


def test_training_that_goes_on_needs_a_few_steps_to_warm_up(tmp_path: Path) -> None:
    course, log = course_of(tmp_path, 1000)
    for _ in range(3):
        course.burst(50)
    assert log == ["begin", 17, 50, 2, 50, 2, 50]


def test_training_begins_again_when_too_few_steps_are_left(tmp_path: Path) -> None:
    course, log = course_of(tmp_path, 100)
    for _ in range(2):
        course.burst(50)
    assert log == ["begin", 17, 50, "begin", 17, 50]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
