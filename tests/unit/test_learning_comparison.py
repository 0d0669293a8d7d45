"""What a comparison says of learning: straight lines for losses, so that all can be counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from harness.comparing.learning import learning_cells
from harness.comparing.side import Side
from harness.comparison import Cell
from tests.learning_sides import CONFIG, Run, falling, side

SLOPES = [0.0225, 0.0227, 0.0229, 0.0231, 0.0233, 0.0235, 0.0237, 0.0239]
NO_RECORD = "no fitting noise on record ('harness calibrate'): judged by these seeds alone"


def of(
    slopes: Sequence[float] = SLOPES,
    accuracies: Sequence[float | None] = (1.0,) * 8,
    name: str = "small",
) -> Side:
    pairs = zip(slopes, accuracies, strict=True)
    return side({name: [Run(falling(slope), accuracy) for slope, accuracy in pairs]})


def slower(factor: float) -> list[float]:
    return [slope / factor for slope in SLOPES]


def cells(base: Side, head: Side, look: int | None = None, **calibration: Any) -> list[Cell]:
    """The three cells of "small", compared on the same stream."""
    return learning_cells(base, head, {"small": "same"}, {"small": calibration or None}, look)[
        "small"
    ]


def on_record(speed: float, final: float, config: str = CONFIG) -> dict[str, Any]:
    def either(sd: float) -> dict[str, float]:
        return {"same": sd, "other": 100.0}

    noise = {"learning speed": either(speed), "final accuracy": either(final)}
    return {"config": config, "comparison": {"seeds": 8, "noise": noise, "missed": 0.0}}


# --- speed -----------------------------------------------------------------------------------


def test_a_smaller_slope_takes_as_many_more_steps_and_is_worse() -> None:
    speed, _, _ = cells(of(), of(slower(1.6)))
    assert (speed.quantity, speed.unit, speed.verdict) == ("learning speed", "x", "worse")
    assert speed.estimate == pytest.approx(1.6)
    assert speed.samples == 8
    # The floor of 0.05 in log2, t(0.05, 7) = 1.895.
    half = 1.895 * 0.05 / math.sqrt(8)
    assert speed.low == pytest.approx(1.6 / 2.0**half, rel=1e-3)
    assert speed.high == pytest.approx(1.6 * 2.0**half, rel=1e-3)
    assert speed.confidence == pytest.approx(0.9)
    assert speed.margin == pytest.approx(0.25)
    assert speed.p_worse is not None
    assert speed.p_worse < 1e-6
    assert speed.note == NO_RECORD


def test_twice_the_slope_is_better() -> None:
    speed, _, _ = cells(of(slower(2.0)), of())
    assert speed.verdict == "better"
    assert speed.estimate == pytest.approx(0.5)


def test_a_slow_down_inside_the_margin_is_the_same() -> None:
    speed, _, _ = cells(of(), of(slower(1.2)))
    assert speed.verdict == "same"
    assert speed.estimate == pytest.approx(1.2)


def test_seeds_that_disagree_are_inconclusive() -> None:
    factors = [1.0, 2.0, 0.5, 4.0, 1.0, 3.0, 1.0, 2.0]
    head = of([slope / factor for slope, factor in zip(SLOPES, factors, strict=True)])
    speed, _, _ = cells(of(), head)
    assert speed.verdict == "inconclusive"
    assert speed.detectable is not None
    assert speed.detectable > 1.0  # more than twice as slow


def test_a_run_that_ends_early_never_gets_there() -> None:
    runs = [Run(falling(slope)) for slope in SLOPES]
    lost = side({"small": [*runs[:7], Run(falling(SLOPES[7])[:12])]})
    speed, _, reach = cells(of(), lost)
    # Seed 7 takes 80 steps for 8 levels. By half-time, step 20, the median falls from 1 - m to
    # 1 - 20 m, so a share of it is reached after m (1 + 19 share) / 0.0239 steps; the mean of
    # the shares 0.3, 0.4, ... 1 is 0.65.
    median = 0.0232
    expected = math.log2(80.0 / (13.35 * median / 0.0239)) / 8
    assert speed.estimate == pytest.approx(2.0**expected)
    assert speed.samples == 8
    assert speed.note == f"head ended early or left the numbers on seed 7; {NO_RECORD}"
    assert reach.estimate == -1.0


def test_a_loss_that_is_no_number_is_a_lost_run() -> None:
    bad = falling(SLOPES[0])
    bad[30] = np.nan
    head = side({"small": [Run(bad), *(Run(falling(slope)) for slope in SLOPES[1:])]})
    speed, _, reach = cells(of(), head)
    assert "head ended early or left the numbers on seed 0" in speed.note
    assert reach.note == "8 of 8 seeds reach the target on the base, 7 on the head"


def test_all_runs_lost_is_worse_in_speed_and_in_reach() -> None:
    head = side({"small": [Run(falling(slope)[:5], accuracy=None) for slope in SLOPES]})
    assert [cell.verdict for cell in cells(of(), head)] == ["worse", "worse", "worse"]


# --- final accuracy and reach ----------------------------------------------------------------


def test_two_points_less_on_every_seed_are_worse() -> None:
    before = [0.97, 0.95, 0.96, 0.97, 0.95, 0.96, 0.97, 0.95]
    after = [accuracy - 0.02 for accuracy in before]
    _, final, reach = cells(of(accuracies=before), of(accuracies=after))
    assert (final.quantity, final.unit, final.verdict) == ("final accuracy", "points", "worse")
    assert final.estimate == pytest.approx(-2.0)
    half = 1.895 * 0.2 / math.sqrt(8)  # the floor of 0.2 points
    assert (final.low, final.high) == pytest.approx((-2.0 - half, -2.0 + half), rel=1e-3)
    assert final.margin == 1.0
    assert reach.verdict == "same"


def test_two_points_more_are_better_and_half_a_point_is_the_same() -> None:
    _, more, _ = cells(of(accuracies=[0.95] * 8), of(accuracies=[0.97] * 8))
    _, less, _ = cells(of(accuracies=[0.95] * 8), of(accuracies=[0.945] * 8))
    assert (more.verdict, less.verdict) == ("better", "same")


def test_reach_counts_seeds_that_end_below_the_target() -> None:
    one, all_of_them = [0.95] * 7 + [0.5], [0.5] * 8
    _, _, few = cells(of(), of(accuracies=one))
    assert (few.verdict, few.estimate) == ("same", -1.0)
    _, _, many = cells(of(), of(accuracies=all_of_them))
    assert (many.verdict, many.estimate) == ("worse", -8.0)
    # One way of C(16, 8) = 12870.
    assert many.p_worse == pytest.approx(1 / 12870)
    assert many.p_better == 1.0


# --- what was not measured -------------------------------------------------------------------


def test_identical_runs_are_the_same_with_nothing_to_test() -> None:
    found = learning_cells(of(), of(slower(4.0)), {"small": "identical"}, {"small": None})["small"]
    assert [cell.verdict for cell in found] == ["same"] * 3
    assert [cell.estimate for cell in found] == [1.0, 0.0, 0.0]
    assert {cell.note for cell in found} == {"bitwise identical on all 8 seeds"}


def test_one_seed_in_common_is_too_few() -> None:
    found = cells(of(), of([0.0225], [1.0]))
    assert [cell.verdict for cell in found] == ["not measured"] * 3
    assert found[0].note == "1 seed in common; at least 2 are needed: --seeds N"


def test_seeds_without_a_result_are_left_out_and_named() -> None:
    runs = [Run(falling(slope), is_error=i in (2, 5)) for i, slope in enumerate(SLOPES)]
    found = cells(of(), side({"small": runs}))
    assert [cell.samples for cell in found] == [6, 6, 6]
    assert found[0].note == (f"without a result on some side, left out: seeds 2, 5; {NO_RECORD}")


def test_without_curves_there_is_no_speed_but_the_rest() -> None:
    bare = side({"small": [Run(None)] * 8})
    speed, final, reach = cells(of(), bare)
    assert (speed.verdict, final.verdict, reach.verdict) == ("not measured", "same", "same")
    assert speed.note == "loss curves are missing: keep curves.npz beside scorecard.json"


def test_without_accuracies_there_is_speed_only() -> None:
    speed, final, reach = cells(of(), of(accuracies=[None] * 8))
    assert (speed.verdict, final.verdict, reach.verdict) == ("same", *["not measured"] * 2)
    assert final.note == reach.note
    assert final.note.startswith("no accuracy on held-out examples was measured")


def test_a_base_that_does_not_learn_has_no_speed() -> None:
    speed, _, _ = cells(of([-0.001] * 8), of())
    assert speed.verdict == "not measured"
    assert speed.note.startswith("the loss of the base does not fall")


# --- noise on record, several tests, several looks -------------------------------------------


def test_noise_on_record_of_this_config_counts() -> None:
    known = cells(of(), of(slower(2.0)), **on_record(0.1, 0.1))[0]
    noisy = cells(of(), of(slower(2.0)), **on_record(2.0, 0.1))[0]
    assert (known.verdict, known.note) == ("worse", "")
    assert noisy.verdict == "inconclusive"


def test_noise_of_another_config_does_not_count_and_is_not_hidden() -> None:
    found = cells(of(), of(slower(2.0)), **on_record(2.0, 2.0, config="d" * 64))
    assert (found[0].verdict, found[0].note) == ("worse", NO_RECORD)


def test_the_other_stream_has_its_own_noise() -> None:
    calibrations = {"small": on_record(0.1, 0.1)}
    found = learning_cells(of(), of(slower(2.0)), {"small": "other"}, calibrations)["small"]
    assert found[0].verdict == "inconclusive"


# What the head loses on each seed: 2 points, give or take sqrt(7) / 5. Their standard error is a
# fifth of a point, so t = 5 beyond the margin of one point.
LOST = [0.02 + sign * math.sqrt(7) / 500 for sign in (1, -1) * 4]


def lossy(names: Sequence[str], of_accuracy: Callable[[float], float]) -> Side:
    return side(
        {
            name: [
                Run(falling(slope), of_accuracy(lost) if name == names[0] else 0.97)
                for slope, lost in zip(SLOPES, LOST, strict=True)
            ]
            for name in names
        }
    )


def verdict_among(names: Sequence[str], look: int | None = None) -> str:
    """Of the final accuracy of the first milestone, the others of which are as they were."""
    base = lossy(names, lambda lost: 0.97)
    head = lossy(names, lambda lost: 0.97 - lost)
    streams = dict.fromkeys(names, "same")
    found = learning_cells(base, head, streams, dict.fromkeys(names), look)  # type: ignore[arg-type]
    final = found[names[0]][1]
    assert final.p_worse == pytest.approx(0.000783, abs=1e-6)  # P(T > 5), 7 degrees of freedom
    return final.verdict


def test_holm_asks_for_more_where_more_is_tested() -> None:
    # Alpha is 0.0075 over 6 tests for one milestone, over 30 for five.
    assert verdict_among(["small"]) == "worse"
    assert verdict_among(["small", "b", "c", "d", "e"]) == "inconclusive"


def test_later_looks_spend_what_is_left() -> None:
    # 0.0075 / 6 at the only look; a half of it at the first of several, a quarter at the next.
    assert verdict_among(["small"], look=None) == "worse"
    assert verdict_among(["small"], look=1) == "inconclusive"


def test_cells_are_in_the_order_of_the_streams() -> None:
    names = ["b", "a"]
    both = side({name: [Run(falling(slope)) for slope in SLOPES] for name in ("a", "b")})
    found = learning_cells(both, both, dict.fromkeys(names, "identical"), {})  # type: ignore[arg-type]
    assert list(found) == names


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
