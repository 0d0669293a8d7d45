"""Loss levels and the steps to them: on straight lines, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.comparing.learning_curves import log_steps, loss_levels, smoothed
from tests.learning_sides import falling


def test_levels_are_shares_of_the_fall_by_half_time() -> None:
    levels = loss_levels([falling(0.01), falling(0.02), falling(0.03)], 40)
    assert levels is not None
    # The median line is at 0.98 after one step and at 0.6 after twenty.
    assert levels[0] == pytest.approx(0.98 - 0.3 * 0.38)
    assert levels[-1] == pytest.approx(0.6)
    assert len(levels) == 8


def test_runs_that_are_not_whole_set_no_levels() -> None:
    lost = np.full(40, np.nan)
    both = loss_levels([falling(0.02), falling(0.04)[:9], lost], 40)
    alone = loss_levels([falling(0.02)], 40)
    assert both is not None
    assert alone is not None
    assert both.tolist() == alone.tolist()
    assert loss_levels([lost], 40) is None
    assert loss_levels([falling(-0.01)], 40) is None


def test_steps_are_the_mean_over_the_levels() -> None:
    # 1 - 0.02 t is at 0.9, 0.8 and 0.5 after 5, 10 and 25 steps.
    steps = log_steps(np.array([0.9, 0.8, 0.5]), falling(0.02), 40)
    assert steps == pytest.approx(math.log2(40 / 3))


def test_levels_that_are_not_reached_take_two_trainings() -> None:
    assert log_steps(np.array([0.9, 0.1]), falling(0.02), 40) == pytest.approx(
        math.log2((5 + 80) / 2)
    )
    assert log_steps(np.array([0.9, 0.8]), falling(0.02)[:20], 40) == math.log2(80)


def test_loss_is_smoothed_over_a_fiftieth_of_the_training() -> None:
    loss = np.array([8.0, 4.0, 6.0, 2.0])
    assert smoothed(loss, planned_steps=149).tolist() == [8.0, 6.0, 5.0, 4.0]
    assert smoothed(loss, planned_steps=150).tolist() == [8.0, 6.0, 6.0, 4.0]
    assert smoothed(loss, planned_steps=4).tolist() == loss.tolist()


def test_one_lucky_batch_is_no_progress() -> None:
    loss = np.full(200, 1.0)
    loss[20], loss[100:] = 0.1, 0.1
    # The window holds four steps: the level is passed between steps 102 and 103.
    assert 2 ** log_steps(np.array([0.4]), loss, 200) == pytest.approx(102.67, abs=0.01)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
