"""The noise of a milestone: from runs and their twins to deviations and a number of seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from harness import backends
from harness.calibrating.noise import comparison, one_bit_off, seeds_needed
from harness.model import build
from harness.record import RunRecord
from tests.examples import healthy, small_config
from tests.learning_sides import STEPS, falling


def run(slope: float, accuracy: float) -> RunRecord:
    return replace(healthy(steps=STEPS), loss=falling(slope), final_accuracy=accuracy)


def noise(speed: float, final: float, other: tuple[float, float]) -> dict[str, Mapping[str, float]]:
    return {
        "learning speed": {"same": speed, "other": other[0]},
        "final accuracy": {"same": final, "other": other[1]},
    }


def test_noise_is_that_of_twins_and_of_seeds() -> None:
    records = [run(0.0225, 0.95), run(0.0225, 0.97), run(0.0225, 0.99)]
    twins = [run(0.0225, 0.96), run(0.0225, 0.97), run(0.0225, 0.98)]
    found = comparison(small_config(accuracy=0.96), records, twins)
    # Twins differ by 1, 0 and -1 points; seeds by 2 points each, so sqrt(2) times 2.
    assert found["noise"]["final accuracy"]["same"] == pytest.approx(1.0)
    assert found["noise"]["final accuracy"]["other"] == pytest.approx(2.828, abs=1e-3)
    assert found["noise"]["learning speed"] == {"same": 0.0, "other": 0.0}
    assert found["missed"] == pytest.approx(1 / 3, abs=1e-5)


def test_noise_of_speed_is_in_log2_of_steps() -> None:
    records = [run(slope, 1.0) for slope in (0.0225, 0.0225, 0.0225)]
    # A twin with 1 / 1.2 of the slope takes 1.2 times the steps: log2 of it is 0.263.
    twins = [run(slope, 1.0) for slope in (0.0225, 0.0225 / 1.2, 0.0225)]
    same = comparison(small_config(), records, twins)["noise"]["learning speed"]["same"]
    assert same == pytest.approx(0.2630 / np.sqrt(3), abs=1e-3)


def test_a_milestone_that_does_not_learn_has_no_noise_to_speak_of() -> None:
    rising = [run(-0.001, 0.5)] * 3
    assert comparison(small_config(), rising, rising) == {}


def test_what_a_change_adds_is_planned_for_without_any_noise() -> None:
    assert seeds_needed(noise(0.0, 0.0, (0.0, 0.0))) == {"same": 28, "other": 28}


@pytest.mark.parametrize(
    ("same", "other", "at_least"),
    [
        ((0.8, 0.0), (0.8, 0.0), (48, 48)),
        ((0.0, 1.0), (0.0, 1.0), (32, 32)),
        ((0.0, 0.0), (0.0, 1.0), (28, 32)),
        ((0.0, 0.0), (0.8, 0.0), (28, 48)),
        ((0.0, 5.0), (0.0, 5.0), (64, 64)),
    ],
)
def test_each_kind_of_noise_asks_for_seeds_of_its_own(
    same: tuple[float, float], other: tuple[float, float], at_least: tuple[int, int]
) -> None:
    found = seeds_needed(noise(*same, other))
    assert at_least[0] <= found["same"] <= 64
    assert at_least[1] <= found["other"] <= 64


def test_a_twin_starts_one_bit_off_in_every_number() -> None:
    right = backends.load("numpy")
    config = small_config()
    one, other = (build(config.layers, each, seed=3) for each in (right, one_bit_off(right)))
    for label, parameter in one.parameters.items():
        (start,) = right.arrays([parameter])
        (shifted,) = right.arrays([other.parameters[label]])
        assert shifted.dtype == start.dtype
        assert (shifted == np.nextafter(start, np.float32(np.inf))).all()


def test_making_twins_leaves_the_engine_as_it_was() -> None:
    right = backends.load("numpy")
    layers = dict(right.namespace.layers)
    one_bit_off(right)
    assert dict(right.namespace.layers) == layers


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
