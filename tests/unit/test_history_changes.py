"""Changes of level: found where they are, and not seen where there are none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from harness.history.changes import LONGEST, SHORTEST, ChangePoint, change_points

Draw = Callable[[np.random.Generator, int], np.ndarray]


def normal(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.standard_normal(count)


def heavy(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.standard_t(2, count)


def skewed(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.lognormal(0.0, 1.0, count)


def coarse(rng: np.random.Generator, count: int) -> np.ndarray:
    """Accuracies on 250 examples."""
    return np.round(rng.normal(0.93, 0.006, count) * 250) / 250


def alternating(rng: np.random.Generator, count: int) -> np.ndarray:
    """What one of two kinds of machine gives."""
    return (rng.random(count) < 0.2) * 1.0


@pytest.mark.parametrize("draw", [normal, heavy, skewed, coarse, alternating])
def test_nights_that_are_alike_show_less_than_a_change_in_20_series(
    draw: Draw, rng: np.random.Generator
) -> None:
    seen = [len(change_points(draw(rng, LONGEST).tolist())) for _ in range(40)]
    assert sum(seen) <= 1  # < 2 expected of 40


def test_short_histories_seldom_show_a_change_of_chance(rng: np.random.Generator) -> None:
    seen = [len(change_points(normal(rng, count).tolist())) for count in (14, 30, 60, 100) * 50]
    assert sum(seen) <= 10  # of 200


def test_slow_weeks_of_a_machine_are_no_changes(rng: np.random.Generator) -> None:
    found = 0
    for _ in range(20):
        noise, series = rng.standard_normal(300), np.zeros(300)
        for i in range(1, 300):
            series[i] = 0.5 * series[i - 1] + noise[i]
        found += len(change_points(series.tolist()))
    assert found <= 2


@pytest.mark.parametrize(("step", "within", "at_least"), [(1.0, 12, 32), (2.0, 4, 38)])
def test_step_in_100_nights_is_found_near_its_night(
    step: float, within: int, at_least: int, rng: np.random.Generator
) -> None:
    found = 0
    for _ in range(40):
        series = normal(rng, 100)
        series[50:] += step
        found += any(abs(each.index - 50) <= within for each in change_points(series.tolist()))
    assert found >= at_least  # of 40


def test_slow_drift_is_found(rng: np.random.Generator) -> None:
    series = normal(rng, 300) + np.linspace(0.0, 2.0, 300)
    found = change_points(series.tolist())
    assert found
    assert all(each.after > each.before for each in found)


def test_size_is_in_units_of_the_noise(rng: np.random.Generator) -> None:
    series = 0.1 * normal(rng, 1000)
    series[600:] += 0.3
    (change,) = change_points(series.tolist())
    assert change.index == pytest.approx(600, abs=3)
    assert (change.before, change.after) == pytest.approx((0.0, 0.3), abs=0.02)
    assert change.size == pytest.approx(3.0, rel=0.15)


def test_nights_that_repeat_exactly_change_without_noise() -> None:
    assert change_points([0.5] * 20 + [0.75] * 10) == [ChangePoint(20, 0.5, 0.75, None)]
    assert change_points([0.5] * 40 + [0.75] * 4 + [0.5] * 40) == [
        ChangePoint(40, 0.5, 0.75, None),
        ChangePoint(44, 0.75, 0.5, None),
    ]


@pytest.mark.parametrize("strange", [-1e9, 0.0, 1e300])
def test_one_strange_night_is_no_change(strange: float, rng: np.random.Generator) -> None:
    assert change_points([0.5] * 40 + [strange] + [0.5] * 40) == []
    series = [*normal(rng, 50).tolist(), strange, *normal(rng, 50).tolist()]
    assert change_points(series) == []


def test_unknown_nights_count_for_the_index_and_for_nothing_else() -> None:
    values = [None, None, *[1.0] * 10, None, None, None, *[2.0] * 10, None]
    assert change_points(values) == [ChangePoint(15, 1.0, 2.0, None)]


@pytest.mark.parametrize(
    "values", [[], [None] * 50, [1.0], [3.0] * 5000, [1.0] * 6 + [2.0] * (2 * SHORTEST - 7)]
)
def test_too_little_shows_no_change(values: list[float | None]) -> None:
    assert change_points(values) == []


def test_only_the_last_nights_are_looked_at() -> None:
    old: list[float | None] = [1.0] * 500 + [2.0] * LONGEST
    assert change_points(old) == []
    assert [each.index for each in change_points(old[:-SHORTEST])] == [500]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
