"""Statistics as pure functions: against tables, textbooks and sums by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from harness.statistics import (
    Scale,
    fisher_exact,
    holm,
    mean_difference,
    power_of,
    share_bounds,
    share_difference_bounds,
    t_quantile,
    t_tail,
    times_to,
)

# --- Student's t -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tail", "freedom", "t"),
    [(0.05, 1, 6.314), (0.05, 10, 1.812), (0.025, 10, 2.228), (0.005, 7, 3.499),
     (0.0005, 30, 3.646)],
)  # fmt: skip
def test_t_quantile_is_that_of_the_tables(tail: float, freedom: int, t: float) -> None:
    assert t_quantile(tail, freedom) == pytest.approx(t, abs=5e-4)
    assert t_tail(t, freedom) == pytest.approx(tail, rel=2e-3)


@given(t=st.floats(-12.0, 12.0), freedom=st.integers(1, 200))
def test_t_tail_agrees_with_another_implementation(t: float, freedom: int) -> None:
    assert t_tail(t, freedom) == pytest.approx(special.stdtr(freedom, -t), abs=1e-8)


def test_t_tail_of_an_endless_effect_is_nothing() -> None:
    assert t_tail(math.inf, 5) == 0.0
    assert t_tail(1e9, 5) > 0.0


# --- the mean of paired differences ----------------------------------------------------------


def test_mean_difference_has_its_own_scale_and_that_of_the_record() -> None:
    found = mean_difference([1.0, 2.0, 3.0], floor=0.1, prior=2.0)
    assert (found.mean, found.samples) == (2.0, 3)
    # s = 1 with 2 degrees of freedom; (4 * 2^2 + 2 * 1^2) / 6 = 3 with 6.
    assert found.scales[0] == Scale(pytest.approx(1 / math.sqrt(3)), 2)
    assert found.scales[1] == Scale(pytest.approx(math.sqrt(3 / 3)), 6)


def test_margin_test_of_three_differences_by_hand() -> None:
    found = mean_difference([1.0, 2.0, 3.0], floor=0.1)
    # With two degrees of freedom P(T > t) = 1/2 - t / (2 sqrt(2 + t^2)); here t = sqrt(3).
    assert found.p_above(1.0) == pytest.approx(0.5 - math.sqrt(3) / (2 * math.sqrt(5)))
    # (-2 - 1) / (1 / sqrt(3)) = -3 sqrt(3): nothing speaks for a fall.
    t = 3 * math.sqrt(3)
    assert found.p_below(1.0) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)))


def test_bounds_of_three_differences_are_those_of_the_table() -> None:
    low, high = mean_difference([1.0, 2.0, 3.0], floor=0.1).bounds(0.95)
    assert low == pytest.approx(2.0 - 2.920 / math.sqrt(3), abs=1e-3)
    assert high == pytest.approx(2.0 + 2.920 / math.sqrt(3), abs=1e-3)


def test_detectable_effect_is_margin_and_two_quantiles_of_errors() -> None:
    found = mean_difference([1.0, 2.0, 3.0], floor=0.1)
    # t(0.05, 2) = 2.920 and t(0.1, 2) = 1.886
    assert found.detectable(1.0, 0.05) == pytest.approx(1 + 4.806 / math.sqrt(3), abs=1e-3)


def test_a_constant_is_not_known_better_than_the_floor() -> None:
    found = mean_difference([0.0] * 9, floor=0.2, prior=0.0)
    assert [scale.error for scale in found.scales] == pytest.approx([0.2 / 3, 0.2 / 3])
    assert [scale.freedom for scale in found.scales] == [8, 12]


@given(
    prior=st.floats(0.0, 5.0),
    values=st.lists(st.floats(-3.0, 3.0), min_size=2, max_size=12),
)
def test_noise_on_record_never_makes_a_test_bolder(prior: float, values: list[float]) -> None:
    alone, with_record = mean_difference(values, 0.05), mean_difference(values, 0.05, prior)
    assert with_record.p_above(0.3) >= alone.p_above(0.3)
    assert with_record.p_below(0.3) >= alone.p_below(0.3)
    assert with_record.bounds(0.95)[1] >= alone.bounds(0.95)[1]
    assert with_record.detectable(0.3, 0.001) >= alone.detectable(0.3, 0.001)


@pytest.mark.parametrize("prior", [None, 0.05, 0.3, 1.0])
def test_an_effect_at_the_margin_is_shown_no_more_often_than_alpha(prior: float | None) -> None:
    rng = np.random.default_rng(4)
    samples = 0.3 + 0.3 * rng.standard_normal((4000, 8))
    shown = [mean_difference(sample, 0.05, prior).p_above(0.3) <= 0.05 for sample in samples]
    # One standard error of a share of 0.05 in 4000 is 0.0034.
    assert np.mean(shown) <= 0.05 + 3 * 0.0034
    assert prior == 1.0 or np.mean(shown) > 0.01  # it can fire


@pytest.mark.parametrize(("spread", "samples"), [(0.3, 8), (0.4, 16), (0.8, 48)])
def test_power_is_that_of_simulated_samples(spread: float, samples: int) -> None:
    rng = np.random.default_rng(7)
    drawn = 1.0 + spread * rng.standard_normal((4000, samples))
    shown = [mean_difference(each, 0.05).p_above(0.32) <= 0.001 for each in drawn]
    expected = power_of(1.0, 0.32, spread, samples, 0.001)
    # 0.008 is a standard error at one half; shifted is not quite noncentral at few samples.
    assert np.mean(shown) == pytest.approx(expected, abs=0.1 if samples < 16 else 0.03)


# --- several tests at once, counts -----------------------------------------------------------


def test_holm_stops_at_the_first_that_stands() -> None:
    # 0.005 <= 0.05/4, 0.01 <= 0.05/3, but 0.03 > 0.05/2, so 0.04 is not looked at.
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05) == [True, False, False, True]


def test_holm_of_nothing_shows_nothing() -> None:
    assert holm([], 0.05) == []


def test_fisher_exact_knows_the_lady_tasting_tea() -> None:
    # Fisher 1935: three of four cups right by chance in 17 of 70 ways.
    assert fisher_exact(1, 3, 4) == pytest.approx(17 / 70)
    assert fisher_exact(0, 4, 4) == pytest.approx(1 / 70)
    assert fisher_exact(2, 2, 4) == pytest.approx(53 / 70)
    assert fisher_exact(0, 0, 4) == 1.0


def test_bounds_of_a_share_are_wilsons() -> None:
    # Newcombe 1998, Two-sided Confidence Intervals for the Single Proportion, method 3.
    assert share_bounds(0, 20, 0.975) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert share_bounds(81, 263, 0.975) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_bounds_of_two_shares_are_newcombes() -> None:
    # Newcombe 1998, table II, method 10: 9/10 against 3/10, 10/10 against 0/10.
    assert share_difference_bounds(3, 9, 10, 0.975) == pytest.approx((0.1705, 0.8090), abs=1e-4)
    assert share_difference_bounds(0, 10, 10, 0.975) == pytest.approx((0.6075, 1.0), abs=1e-4)


# --- curves ----------------------------------------------------------------------------------


def times(levels: list[float], curve: list[float]) -> list[float]:
    at = np.arange(1, len(curve) + 1)
    return times_to(np.array(levels), at, np.array(curve), never=20.0).tolist()


def test_times_lie_between_the_points_of_the_lowest_so_far() -> None:
    # The lowest so far is 4, 4, 2: 3 is half way from step 2 to step 3.
    assert times([5.0, 4.0, 3.0, 2.0, 1.0], [4.0, 5.0, 2.0]) == [1.0, 1.0, 2.5, 3.0, 20.0]


def test_what_is_not_finite_reaches_no_level() -> None:
    assert times([3.0, 1.0], [4.0, math.nan, 2.0, -math.inf]) == [2.5, 20.0]
    assert times([3.0], [math.nan, 2.0]) == [2.0]
    assert times([3.0], []) == [20.0]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
