"""What a comparison says of step times: restarts as the unit, a margin of 3 %."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.comparing.side import Timed
from harness.comparing.step_times import ENOUGH, half_width, step_time_cells

# Seven restarts around no change: mean 0, standard deviation 0.01 sqrt(4 / 6) = 0.00816.
STEADY = (-0.01, 0.01, -0.01, 0.01, 0.0, 0.0, 0.0)


def timed(factor: float = 1.0, noise: tuple[float, ...] = STEADY) -> Timed:
    ratios = tuple(math.log(factor) + each for each in noise)
    return Timed(ratios, base_seconds=312e-6, head_seconds=312e-6 * factor)


def test_unchanged_step_time_is_the_same() -> None:
    cell = step_time_cells({"small": timed()})["small"]
    assert (cell.quantity, cell.unit, cell.verdict) == ("step time", "x", "same")
    assert cell.samples == 7
    assert cell.estimate == pytest.approx(1.0)
    # t(0.05, 6) = 1.943 standard errors of 0.00816 / sqrt(7).
    half = 1.943 * 0.01 * math.sqrt(4 / 6) / math.sqrt(7)
    assert (cell.low, cell.high) == pytest.approx((math.exp(-half), math.exp(half)), rel=1e-5)
    assert cell.confidence == pytest.approx(0.9)
    assert cell.margin == pytest.approx(0.03)
    assert cell.note == "base 312 us a step, head 312 us"


def test_a_tenth_more_is_worse_and_a_tenth_less_is_better() -> None:
    cells = step_time_cells({"slow": timed(1.1), "fast": timed(1 / 1.1)})
    assert [cell.verdict for cell in cells.values()] == ["worse", "better"]
    assert cells["slow"].estimate == pytest.approx(1.1)


def test_a_tenth_more_is_seen_among_five_milestones() -> None:
    timings = {"slow": timed(1.1)} | {name: timed() for name in "abcd"}
    cells = step_time_cells(timings)
    assert [cell.verdict for cell in cells.values()] == ["worse", *["same"] * 4]
    # At 0.0025 / 10: 3 % and t(0.00025, 6) + t(0.1, 6) = 6.79 + 1.44 errors of 0.31 %.
    assert cells["slow"].detectable == pytest.approx(0.0566, abs=0.001)


def test_two_in_a_hundred_are_inside_the_margin() -> None:
    quiet = tuple(each / 10 for each in STEADY)
    assert step_time_cells({"small": timed(1.02, quiet)})["small"].verdict == "same"


def test_noisy_restarts_are_inconclusive() -> None:
    noisy = tuple(12 * each for each in STEADY)
    cell = step_time_cells({"small": timed(1.05, noisy)})["small"]
    assert cell.verdict == "inconclusive"


def test_one_restart_measures_nothing() -> None:
    cell = step_time_cells({"small": timed(1.1, (0.0,))})["small"]
    assert cell.verdict == "not measured"
    assert "at least 2" in cell.note


def test_alpha_is_halved_at_the_first_of_several_looks() -> None:
    timings = {"a": timed(1.052)} | {name: timed() for name in "bcde"}
    only, first = (step_time_cells(timings, look)["a"] for look in (None, 1))
    # (log 1.052 - log 1.03) / (0.00816 / sqrt(7)) = 6.85; with 6 degrees of freedom p = 0.00024,
    # less than 0.0025 / 10 and more than half of it.
    assert only.p_worse == pytest.approx(0.00024, abs=0.00001)
    assert (only.verdict, first.verdict) == ("worse", "inconclusive")


@pytest.mark.parametrize("factor", [1.052, 1 / 1.052])
def test_effect_beyond_the_margin_that_is_not_shown_is_not_the_same(factor: float) -> None:
    """5 % is ruled in, 10 % is ruled out, and the tests want more than seven restarts."""
    others = {name: timed() for name in "bcde"}
    cell = step_time_cells({"a": timed(factor), **others}, 1)["a"]
    assert cell.verdict == "inconclusive"
    assert cell.low is not None
    assert cell.high is not None
    assert max(cell.low, 1 / cell.high) > 1.03


def test_half_width_is_that_of_the_interval_at_the_level_of_one_test() -> None:
    # t(0.0005, 6) = 5.959
    assert half_width(timed()) == pytest.approx(5.959 * 0.008165 / math.sqrt(7), rel=1e-3)
    assert half_width(timed()) < ENOUGH < half_width(timed(noise=tuple(2 * x for x in STEADY)))


def test_half_width_of_one_restart_is_endless() -> None:
    assert half_width(timed(noise=(0.0,))) == math.inf
    assert half_width(timed(noise=(0.0, math.nan))) == math.inf


def test_same_code_is_never_accused_and_a_tenth_is_hardly_ever_missed() -> None:
    """Restarts scatter by 0.8 %, as 20 bursts do, and now and then one is far off."""
    rng = np.random.default_rng(3)
    nights = 0.008 * rng.standard_t(5, size=(400, 5, 7))
    for night in nights:
        timings = {str(i): Timed(tuple(row), 1e-4, 1e-4) for i, row in enumerate(night.tolist())}
        assert {cell.verdict for cell in step_time_cells(timings).values()} <= {
            "same",
            "inconclusive",
        }
    seen = [
        step_time_cells({str(i): timed(1.1, tuple(row)) for i, row in enumerate(night.tolist())})
        for night in nights[:100]
    ]
    found = [cell.verdict for night in seen for cell in night.values()]
    assert found.count("worse") >= 0.95 * len(found)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
