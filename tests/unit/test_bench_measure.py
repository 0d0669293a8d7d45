"""Ratios, losses and failures of contenders that say what they take, without a process."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from harness.bench.measure import Plan, first_difference, measure, parted, pooled
from harness.bench.ratios import exponent, paired_ratio
from harness.bench.results import Timing
from harness.bench.workload import UnsupportedError
from harness.errors import JobKilledError

PLAN = Plan(losses=3, rounds=10, seconds=0.01, apart_every=5)
LOSSES = [2.0, 1.5, 1.25]


def at_once(step: int) -> float:
    """A millisecond a step."""
    return 1e-3


@dataclass
class Stub:
    """A contender whose steps take what `seconds(burst)` says; `log` hears each burst."""

    name: str
    seconds: Callable[[int], float] = at_once
    said: Sequence[float] = tuple(LOSSES)
    log: list[str] = field(default_factory=list)
    bursts: int = 0

    def prepare(self, folder: Path) -> str:
        self.bursts = 0
        return "its way"

    def losses(self, count: int) -> list[float]:
        return list(self.said[:count])

    def burst(self, steps: int) -> float:
        self.bursts += 1
        self.log.append(self.name)
        return self.seconds(self.bursts) * steps

    def apart(self, steps: int) -> tuple[float, float, float] | None:
        return 1e-3, 2e-3, 3e-3


def timings_of(*stubs: Stub, plan: Plan = PLAN, seed: int = 0) -> dict[str, Timing]:
    """Each timing by name, with the first stub as the base."""
    rng = np.random.default_rng(seed)
    found = measure(stubs, Path(), stubs[0].name, plan, rng)
    return {timing.contender: timing for timing in found}


# --- ratios ------------------------------------------------------------------------------


def test_ratio_is_to_the_base_a_step() -> None:
    """A quarter of the time a step, whatever the number of steps in a chunk of 10 ms."""
    found = timings_of(Stub("base"), Stub("quick", lambda burst: 0.25e-3))
    ratio = found["quick"].ratio
    assert ratio is not None
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.25, 0.25, 0.25))
    assert ratio.pairs == 10
    assert found["base"].ratio is None
    assert (found["base"].steps, found["quick"].steps) == (10, 40)
    assert found["quick"].microseconds == pytest.approx(250.0)
    assert found["quick"].way == "its way"


def test_what_slows_the_machine_down_in_one_round_does_not_move_the_ratio() -> None:
    """Some rounds take four times as long for both: each ratio of a pair stays 2."""

    def slowed(burst: int) -> float:
        return 4e-3 if burst % 3 == 0 else 1e-3

    plan = Plan(losses=3, rounds=12, seconds=1e-9, apart_every=100)
    found = timings_of(Stub("base", slowed), Stub("slow", lambda burst: 2 * slowed(burst)),
                       plan=plan)  # fmt: skip
    ratio = found["slow"].ratio
    assert ratio is not None
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((2.0, 2.0, 2.0))
    assert max(found["slow"].seconds) > 3 * min(found["slow"].seconds)


def test_who_goes_first_is_drawn_at_random() -> None:
    log: list[str] = []
    plan = Plan(losses=3, rounds=40, seconds=1e-9, apart_every=100)
    timings_of(Stub("a", log=log), Stub("b", log=log), plan=plan)
    rounds = log[-80:]
    first = rounds[::2]
    assert all({one, two} == {"a", "b"} for one, two in zip(first, rounds[1::2], strict=True))
    # 40 fair coins show fewer than 10 of a side once in 2,000 draws; the seed is fixed.
    assert 10 <= first.count("a") <= 30
    assert any(one == two for one, two in pairwise(first))


def test_parts_are_measured_in_chunks_of_their_own() -> None:
    parts = timings_of(Stub("only"))["only"].parts
    assert parts is not None
    assert (parts.forward, parts.backward, parts.optimizer) == ([1e-3] * 2, [2e-3] * 2, [3e-3] * 2)


def test_interval_leaves_out_what_the_sign_test_allows() -> None:
    """Of 20 pairs the 6th and the 15th: P(at most 5 of 20 heads) is 0.0207, at most 6 0.058."""
    ratio = paired_ratio([float(i) for i in range(1, 21)], [1.0] * 20)
    assert (ratio.value, ratio.low, ratio.high) == (10.5, 6.0, 15.0)


def test_few_pairs_give_their_whole_range() -> None:
    """Five heads in five throws are not rare enough: 3.1 % on each side."""
    ratio = paired_ratio([1.0, 2.0, 3.0, 4.0, 5.0], [1.0] * 5)
    assert (ratio.low, ratio.high) == (1.0, 5.0)


def test_exponent_is_the_slope_of_the_logarithms() -> None:
    sizes = [10.0, 100.0, 1000.0]
    assert exponent(sizes, [3 * size**1.5 for size in sizes]) == pytest.approx(1.5)


def test_restarts_are_pooled_in_pairs() -> None:
    """Twice as slow in one restart and three times in the other, both machines apart."""
    one = list(timings_of(Stub("base"), Stub("x", lambda burst: 2e-3)).values())
    slow = Stub("base", lambda burst: 10e-3)
    two = list(timings_of(slow, Stub("x", lambda burst: 30e-3)).values())
    found = pooled([one, two], "base")[1]
    assert found.ratio is not None
    assert found.ratio.pairs == 20
    assert found.ratio.value == pytest.approx(2.5)
    assert (found.ratio.low, found.ratio.high) == pytest.approx((2.0, 3.0))
    assert len(found.seconds) == 20
    assert found.parts is not None
    assert len(found.parts.forward) == 4


def test_contender_that_failed_in_one_restart_has_failed() -> None:
    well = list(timings_of(Stub("base"), Stub("x")).values())
    ill = list(timings_of(Stub("base"), Stub("x", said=[9.0, 9.0, 9.0])).values())
    assert pooled([well, ill], "base")[1].failed == "losses"


# --- losses ------------------------------------------------------------------------------


def test_other_losses_get_no_time_and_a_sentence_with_step_and_both() -> None:
    log: list[str] = []
    found = timings_of(Stub("base"), Stub("wrong", said=[2.0, 1.5, 1.26], log=log))
    wrong = found["wrong"]
    assert (wrong.failed, wrong.seconds, wrong.ratio) == ("losses", [], None)
    assert wrong.problem == (
        "its loss at step 3 is 1.26, that of base 1.25: no time of a different computation is "
        "believed"
    )
    assert log == []
    assert found["base"].seconds


def test_rounding_is_no_difference() -> None:
    """3e-6 is what four engines were seen to differ by after 20 steps."""
    near = [loss * (1 + 3e-6) for loss in LOSSES]
    assert first_difference(near, LOSSES) is None


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([2.0 * (1 + 2e-5), 1.5, 1.25], 1),
        ([2.0, math.nan, 1.25], 2),
        ([2.0, 1.5], 3),
        ([2.0, 1.5, 1.25, 1.0], 4),
    ],
)
def test_difference_is_found_at_its_step(losses: list[float], expected: int) -> None:
    assert first_difference(losses, LOSSES) == expected


# --- losses once more, after the chunks -----------------------------------------------------


@dataclass
class Late(Stub):
    """Says other losses once it has been timed."""

    later: Sequence[float] = ()

    def losses(self, count: int) -> list[float]:
        return list(self.later if self.bursts else self.said)[:count]


def test_engine_that_comes_to_compute_something_else_while_timed_gets_no_time() -> None:
    found = timings_of(Stub("base"), Late("late", later=[2.0, 1.6, 1.25]))["late"]
    assert (found.failed, found.seconds, found.ratio) == ("losses", [], None)
    assert found.problem == (
        "after its chunks, its loss at step 2 is 1.6, that of base 1.5: no time of a different "
        "computation is believed"
    )


def test_so_many_losses_are_compared_again_as_the_slowest_has_time_for() -> None:
    """1 ms and 10 ms a step: 100 steps in 1 s."""
    asked: list[int] = []

    class Counting(Stub):
        def losses(self, count: int) -> list[float]:
            asked.append(count)
            return list(self.said)

    timings_of(Counting("base"), Counting("slow", lambda burst: 1e-2))
    assert asked == [3, 3, 100, 100]


def test_contender_that_dies_after_its_chunks_has_no_time() -> None:
    class Dying(Stub):
        def losses(self, count: int) -> list[float]:
            if self.bursts:
                raise JobKilledError("dead: gone")
            return list(self.said)

    found = timings_of(Stub("base"), Dying("dead"))
    assert (found["dead"].failed, found["dead"].seconds) == ("died", [])
    assert found["base"].seconds


def falling(steps: int) -> list[float]:
    """A loss that halves every hundred steps."""
    return [2.0 * 0.5 ** (step / 100) for step in range(steps)]


def test_single_losses_may_drift_after_many_steps_but_not_their_means() -> None:
    """3 % to either side by turns cancel in a mean; 6 % less do not."""
    right = falling(200)
    near = [loss * (1.03 - 0.06 * (i % 2)) if i >= 50 else loss for i, loss in enumerate(right)]
    assert parted(near, right) is None
    less = [loss * 0.94 if i >= 100 else loss for i, loss in enumerate(right)]
    found = parted(less, right)
    assert found is not None
    assert found[0].startswith("over steps 101 to 150 is ")
    # The mean of 2 * 0.5 ** (k / 100) for k from 100 to 149, a geometric series.
    factor = 0.5 ** (1 / 100)
    assert float(found[1]) == pytest.approx((1 - factor**50) / (1 - factor) / 50, rel=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_loss_that_is_not_finite_late_is_another(bad: float) -> None:
    right = falling(100)
    assert parted([*right[:70], bad, *right[71:]], right) is not None
    assert parted(right[:60], right) is not None


# --- failures ----------------------------------------------------------------------------


def test_contender_that_dies_is_a_sentence_and_the_others_go_on() -> None:
    def dying(burst: int) -> float:
        if burst > 8:
            raise JobKilledError("dead: its timing worker was killed by SIGKILL")
        return 1e-3

    found = timings_of(Stub("base"), Stub("dead", dying), Stub("x", lambda burst: 3e-3))
    assert found["dead"].failed == "died"
    assert found["dead"].problem == "dead: its timing worker was killed by SIGKILL"
    assert found["dead"].seconds == []
    assert found["x"].ratio is not None
    assert found["x"].ratio.value == pytest.approx(3.0)


def test_base_that_dies_leaves_times_without_ratios() -> None:
    def dying(burst: int) -> float:
        raise JobKilledError("base: gone")

    found = timings_of(Stub("base", dying), Stub("x"))
    assert found["x"].ratio is None
    assert len(found["x"].seconds) == 10


def test_workload_that_is_not_offered_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Stub, folder: Path) -> str:
        raise UnsupportedError("small offers no Conv2d")

    stub = Stub("small")
    monkeypatch.setattr(Stub, "prepare", refuse)
    found = timings_of(stub)["small"]
    assert (found.failed, found.problem) == ("unsupported", "small offers no Conv2d")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
