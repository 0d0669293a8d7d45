"""Bursts: how long they are, who goes first, what comes out; and what a worker does in one."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.backends.numpy import BACKEND
from harness.branches.bursts import PAIRS, Ratio, compare_bursts, steps_a_burst
from harness.config import MilestoneConfig
from harness.model import build
from harness.preparation import load_data
from harness.resident import Training
from harness.training import Learner, batches
from tests.examples import small_config

SCHEDULE = Path("/proc/thread-self/schedstat")
Burst = Callable[[int], float]


def constant(step_seconds: float) -> Burst:
    """A worker whose steps all take the same time."""
    return lambda steps: steps * step_seconds


def on_a_machine(factors: Iterator[float], step_seconds: float, log: list[str], name: str) -> Burst:
    """A worker whose burst takes as much longer as the machine says at that moment."""

    def burst(steps: int) -> float:
        log.append(name)
        return steps * step_seconds * next(factors)

    return burst


def compared(factors: Iterator[float], head: float = 1e-3, pairs: int = PAIRS) -> Ratio:
    """A base with 1 ms a step against `head` on one machine."""
    base_burst = on_a_machine(factors, 1e-3, [], "base")
    found = compare_bursts(base_burst, on_a_machine(factors, head, [], "head"), 6, pairs)
    assert found is not None
    return found


# --- how long a burst is -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "head", "steps"),
    [
        (1e-3, 1e-3, 6),
        (1e-3, 3e-3, 3),  # 2 ms a step on average
        (5e-5, 5e-5, 120),
        (10.0, 10.0, 1),  # however slow it is
        (0.0061, 0.0, 2),  # 3.05 ms a step: 1.97
        (1e-12, 1e-12, 65536),  # no engine is that fast
    ],
)
def test_burst_takes_six_milliseconds_averaged_over_both_sides(
    base: float, head: float, steps: int
) -> None:
    assert steps_a_burst(constant(base), constant(head), 0.006) == steps


def test_both_sides_train_equally_while_the_length_is_found() -> None:
    trained: dict[str, list[int]] = {"base": [], "head": []}

    def counting(name: str) -> Burst:
        return lambda steps: trained[name].append(steps) or steps * 1e-3  # type: ignore[func-returns-value]

    steps_a_burst(counting("base"), counting("head"), 0.006)
    assert trained == {"base": [1, 2, 4], "head": [1, 2, 4]}


# --- who goes first ----------------------------------------------------------------------


def test_sides_take_turns_at_going_first() -> None:
    log: list[str] = []
    ones = iter(lambda: 1.0, 0.0)
    compare_bursts(
        on_a_machine(ones, 1e-3, log, "base"), on_a_machine(ones, 1e-3, log, "head"), 6, pairs=4
    )
    assert log == ["base", "head", "head", "base", "base", "head", "head", "base"]


def test_machine_that_slows_down_steadily_favours_nobody() -> None:
    """Each burst takes 1 % longer than the last: a fixed order would say 1 % slower."""
    found = compared(1.01**burst for burst in range(2 * PAIRS))
    assert found.log_ratio == pytest.approx(0.0, abs=1e-12)


# --- what comes out ----------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.1])
def test_log_ratio_is_that_of_head_over_base(factor: float) -> None:
    found = compared(iter(lambda: 1.0, 0.0), head=factor * 1e-3)
    assert found.log_ratio == pytest.approx(math.log(factor), abs=1e-12)
    assert found.base_seconds == pytest.approx(1e-3)
    assert found.head_seconds == pytest.approx(factor * 1e-3)


def test_few_bursts_that_were_held_up_change_nothing() -> None:
    """Every ninth burst takes 50 times as long: 14 of 120, so at most 14 of 60 pairs."""
    found = compared((50.0 if burst % 9 == 0 else 1.0 for burst in range(2 * PAIRS)), head=1.1e-3)
    assert found.log_ratio == pytest.approx(math.log(1.1))
    assert found.base_seconds == pytest.approx(1e-3)


def test_more_pairs_leave_less_to_chance(rng: np.random.Generator) -> None:
    """With 10 % of noise in each burst, over 200 restarts: 6 times the pairs, 2.4 times as sure."""

    def spread(pairs: int) -> float:
        found = [
            compared(iter(np.exp(0.1 * rng.standard_normal(2 * pairs))), pairs=pairs).log_ratio
            for _ in range(200)
        ]
        return float(np.std(found))

    assert spread(10) / spread(60) == pytest.approx(math.sqrt(6.0), rel=0.2)


def test_comparison_that_is_cut_short_says_nothing() -> None:
    turns = iter([True, True, False])
    burst = constant(1e-3)
    assert compare_bursts(burst, burst, 6, go_on=lambda: next(turns)) is None


# --- the worker's own part ---------------------------------------------------------------


def training_of(config: MilestoneConfig) -> Training:
    return Training(config, BACKEND, 0, list(batches(config, load_data(config), 0)))


def weights_of(training: Training) -> list[np.ndarray]:
    assert training._learner is not None
    return BACKEND.arrays(training._learner._parameters)


def test_bursts_together_are_the_training_and_then_begin_again() -> None:
    """80 steps in bursts of 8 and 2 to warm up: the weights are those of a loop by hand."""
    config = small_config()
    by_hand = build(config.layers, BACKEND, 0)
    learner, ends = Learner(config, by_hand), []
    for step, (x, y) in enumerate(batches(config, load_data(config), 0)):
        learner.backward(x, y)
        learner.step(step / 80)
        if step + 1 in (10, 80):
            ends.append([p.copy() for p in BACKEND.arrays(list(by_hand.parameters.values()))])
    training = training_of(config)
    assert all(training.burst(8) > 0.0 for _ in range(8))
    assert all(map(np.array_equal, weights_of(training), ends[1]))
    training.burst(8)
    assert all(map(np.array_equal, weights_of(training), ends[0]))


def test_burst_longer_than_the_training_goes_round() -> None:
    assert training_of(small_config()).burst(200) > 0.0


@pytest.mark.skipif(not SCHEDULE.exists(), reason="the system does not tell")
def test_time_without_the_processor_does_not_count() -> None:
    """Beside a process that never sleeps, on one processor, half of the time is another's."""
    ours = os.sched_getaffinity(0)
    training = training_of(small_config())
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            for pid in (0, other.pid):
                os.sched_setaffinity(pid, {min(ours)})
            start = time.thread_time()
            took = training.burst(3000)
            worked = time.thread_time() - start
        finally:
            os.sched_setaffinity(0, ours)
            other.kill()
    assert 0.0 < took < worked


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
