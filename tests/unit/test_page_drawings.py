"""Drawings of the page: where things stand, by hand, and that nothing of weight is thinned away."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparison import Cell
from harness.errors import JobNotRunError
from harness.history.nights import Point
from harness.reports.page import accuracies, differences, flow, losses, trend
from harness.reports.page.drawing import Axis, area, dots, line, log_axis, lone, thinned
from harness.reports.page.flow import MOST_ROWS
from harness.reports.page.material import Material
from tests.comparisons import comparison_of, milestone, speed
from tests.examples import (
    LABELS,
    bias_lost,
    healthy,
    judged,
    scorecard_of,
    with_gradient,
    without_verdict,
)
from tests.pages import curves_of, history_of, material_of, point


def paths(marks: tuple[object, ...]) -> dict[str, str]:
    return {mark.style: mark.path for mark in marks}  # type: ignore[attr-defined]  # marks


# --- lines ----------------------------------------------------------------------------------


def test_line_has_gaps_and_keeps_points_that_stand_alone() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, None), (3.0, 4.5), (4.0, None)]
    assert line(points) == "M0 1L1 2M3 4.5h0"
    assert line([(0.0, 1.0)]) == "M0 1h0"
    assert line([]) == ""


def test_area_goes_there_and_back() -> None:
    low, high = [(0.0, 9.0), (5.0, None), (10.0, 8.0)], [(0.0, 1.0), (5.0, 2.0), (10.0, 3.0)]
    assert area(low, high) == "M0 9L10 8L10 3L0 1Z"
    assert area(low[:1], high[:1]) == ""


def test_dots_are_lines_without_length() -> None:
    assert dots([(1.0, 2.0), (3.0, 4.0)]) == "M1 2h0M3 4h0"


def test_axis_holds_its_ends_and_what_lies_beyond() -> None:
    axis = Axis(0.01, 100.0, is_log=True)
    assert axis.at(1.0) == pytest.approx(500.0)
    assert axis.up(100.0) == 0.0
    assert axis.at(1e9) == 1000.0
    assert axis.at(-1.0) == 0.0
    assert Axis(3.0, 3.0).at(3.0) == 500.0


def test_values_beside_an_axis_are_round_and_within() -> None:
    assert Axis(0.02, 300.0, is_log=True).round_values() == pytest.approx([0.1, 1.0, 10.0, 100.0])
    assert Axis(0.15, 2.6, is_log=True).round_values() == pytest.approx([0.2, 0.5, 1.0, 2.0])
    assert log_axis([0.0, -1.0, math.inf]) is None


@given(st.lists(st.none() | st.floats(-1e6, 1e6), max_size=3000))
def test_thinned_line_is_short_and_keeps_its_extremes(values: list[float | None]) -> None:
    chosen = thinned(values, most=100)
    assert len(chosen) <= max(100, min(len(values), 100))
    assert chosen == sorted(set(chosen))
    known = [value for value in values if value is not None]
    kept = [value for i in chosen if (value := values[i]) is not None]
    if known:
        assert (min(kept), max(kept)) == (min(known), max(known))


# --- gradient flow --------------------------------------------------------------------------


def test_colour_is_the_half_decade_of_the_norm() -> None:
    """0.5 is 10^-0.301: the 12th half decade from 10^-6, since (6 - 0.301) / 0.5 = 11.4."""
    (found,) = flow.section(material_of(healthy(steps=60)))
    assert [row.label for row in found.shown] == LABELS
    assert paths(found.shown[0].drawing.marks) == {"heat-11": "M0 0H1000V1000H0Z"}
    assert found.is_healthy


@pytest.mark.parametrize(
    ("norm", "colour"), [(1e-30, 0), (1.1e-6, 0), (3.5e-6, 1), (9.0, 13), (1e20, 13)]
)
def test_colours_end_where_the_range_ends(norm: float, colour: int) -> None:
    record = with_gradient(healthy(steps=60), "hidden.bias", norm, slice(None))
    (found,) = flow.section(material_of(record))
    assert list(paths(found.shown[1].drawing.marks)) == [f"heat-{colour}"]


def test_missing_gradient_is_marked_where_it_is_missing() -> None:
    """Steps 30 to 44 of 60 are cells 30 to 44, from half to three quarters."""
    record = with_gradient(healthy(steps=60), "hidden.bias", math.nan, slice(30, 45))
    (found,) = flow.section(material_of(record))
    row = found.shown[1]
    assert row.verdict == "MISSING"
    assert "15 of 60 steps" in row.word
    assert paths(row.drawing.marks)["lost"] == "M500 0H750V1000H500Z"
    assert paths(row.drawing.marks)["heat-11"] == "M0 0H500V1000H0ZM750 0H1000V1000H750Z"
    assert "none at 15 steps" in row.drawing.said


def test_one_missing_step_among_many_is_seen() -> None:
    record = with_gradient(healthy(steps=6000), "hidden.bias", math.nan, slice(3000, 3001))
    (found,) = flow.section(material_of(record))
    assert paths(found.shown[1].drawing.marks)["lost"] == "M500 0H516.7V1000H500Z"


def test_zero_gradient_is_no_small_gradient() -> None:
    record = with_gradient(healthy(steps=60), "hidden.bias", 0.0, slice(None))
    (found,) = flow.section(material_of(record))
    assert list(paths(found.shown[1].drawing.marks)) == ["zero"]
    assert found.shown[1].verdict == "ZERO"


def test_null_tensor_is_hatched_and_healthy() -> None:
    material = material_of(healthy())
    assert material.scorecard
    result = material.scorecard.results[0]
    rows = [
        row.model_copy(update={"verdict": "NULL", "reason": "zero by mathematics"})
        if row.label == "hidden.bias"
        else row
        for row in result.parameters
    ]
    card = scorecard_of(result.model_copy(update={"parameters": rows}))
    (found,) = flow.section(replace(material, scorecard=card))
    assert list(paths(found.shown[1].drawing.marks)) == ["null"]
    assert found.shown[1].word == "zero by mathematics"
    assert found.is_healthy


def test_seed_with_a_sick_tensor_is_shown() -> None:
    (found,) = flow.section(material_of(healthy(), bias_lost(seed=7)))
    assert found.seed == 7
    assert not found.is_healthy


def test_curves_of_another_model_are_not_drawn() -> None:
    material = material_of(healthy())
    curves = {name: array[..., :3] for name, array in material.curves.items()}
    (found,) = flow.section(replace(material, curves=curves))
    assert found.shown == ()
    assert "of another model" in found.missing


def test_of_hundreds_of_tensors_the_sick_ones_are_shown() -> None:
    record = healthy()
    many = 300
    labels = [f"layer{i}.weight" for i in range(many)]
    norms = np.full((20, many), 0.5)
    norms[:, 250] = math.nan
    record = replace(
        record, labels=labels, shapes=[(2, 2)] * many, gradient_norm=norms,
        movement=np.full((20, many), 0.05),
    )  # fmt: skip
    (found,) = flow.section(material_of(record))
    assert [row.label for row in found.shown] == ["layer250.weight"]
    assert len(found.folded) == 299
    assert many > MOST_ROWS


# --- loss -----------------------------------------------------------------------------------


def test_loss_is_the_median_of_the_seeds_with_their_range() -> None:
    records = [
        replace(healthy(seed=i), loss=np.full(20, level)) for i, level in enumerate((1, 4, 2))
    ]
    (found,) = losses.section(material_of(*records))
    assert found.drawing
    assert "goes from 2 to 2" in found.drawing.said
    assert set(paths(found.drawing.marks)) == {"range", "head"}
    # On a logarithmic scale 2 is halfway between 1 and 4.
    assert paths(found.drawing.marks)["head"].startswith("M0 500L")


def test_band_is_drawn_where_it_is_on_record() -> None:
    curve = {"step": [1, 20], "low": [0.5, 0.05], "median": [0.7, 0.1], "high": [0.9, 0.2]}
    material = material_of(healthy(), calibrations={"small": {"loss_curve": curve}})
    (found,) = losses.section(material)
    assert found.drawing
    assert found.has_band
    assert "correct engines end between 0.05 and 0.2" in found.drawing.said
    assert paths(found.drawing.marks)["band"].count("L") == 3


def test_diverging_loss_stops_where_it_is_no_number() -> None:
    record = replace(healthy(), loss=np.array([1.0, 2.0, math.inf, math.nan] * 5))
    (found,) = losses.section(material_of(record))
    assert found.drawing
    assert paths(found.drawing.marks)["head"].count("M") == 5


def test_loss_without_a_number_is_said_to_be_missing() -> None:
    record = replace(healthy(), loss=np.full(20, math.nan))
    material = Material(scorecard=scorecard_of(judged(healthy())), curves=curves_of(record))
    (found,) = losses.section(material)
    assert found.drawing is None


# --- effects --------------------------------------------------------------------------------


def drawn(cell: Cell) -> dict[str, str]:
    found = differences.section(
        Material(comparison=comparison_of(milestone("cnn", "inconclusive", "?", cells=[cell])))
    )
    assert found
    drawing = found.rows[0].effects[0].drawing
    assert drawing
    return paths(drawing.marks)


def test_effect_of_one_margin_stands_at_the_edge_of_the_margin() -> None:
    """Four margins to each side: one of them ends at 5/8 of the width, 1/1.25 at 3/8."""
    marks = drawn(speed(1.25, 1 / 1.25, 1.25**2, "inconclusive"))
    assert marks["margin"] == "M375 0H625V1000H375Z"
    assert marks["estimate open"] == "M625 500h0"
    assert marks["interval open"] == "M375 500H750"


def test_less_accuracy_is_worse_and_to_the_right() -> None:
    cell = Cell(quantity="final accuracy", unit="points", verdict="worse", samples=8,
                estimate=-2.0, low=-3.0, high=-1.0, margin=1.0, detectable=1.3)  # fmt: skip
    marks = drawn(cell)
    assert marks["interval bad"] == "M625 500H875"
    assert marks["estimate bad"] == "M750 500h0"


def test_effect_beyond_the_edge_has_an_arrow_and_no_dot() -> None:
    marks = drawn(speed(30.0, 20.0, 40.0, "worse"))
    assert "beyond bad" in marks
    assert "estimate bad" not in marks


# --- accuracy and nights --------------------------------------------------------------------


def test_accuracy_stands_beside_target_and_best_control() -> None:
    controls = {
        label: {"accuracy": {"highest": highest}} for label, highest in (("a", 0.25), ("b", 0.5))
    }
    on_record = {"small": {"controls": controls}}
    material = material_of(bias_lost(), healthy(seed=1), calibrations=on_record)
    found = accuracies.section(material)
    assert found
    (row,) = found.rows
    assert (row.seeds, row.target, row.reached) == ("0.500 to 1.000", "1", "1 of 2 seeds")
    assert row.is_short
    assert row.control == "b 0.500"
    assert paths(row.drawing.marks)["control"] == "M500 0V1000"
    assert paths(row.drawing.marks)["head-dots"] == "M500 500h0M1000 500h0"


def test_every_failing_night_is_marked_however_many_there_are() -> None:
    points = [point("fail" if i == 4321 else "pass", 0.9) for i in range(10_000)]
    found = trend.section(Material(history=history_of(points)))
    assert found
    drawing = found.figures[0].drawing
    assert drawing
    x = 4321 / 9999 * 1000
    assert paths(drawing.marks)["failed"].startswith(f"M{x:.1f} ")
    assert paths(drawing.marks)["median"].count("L") < 400


def test_nights_without_the_milestone_are_a_gap() -> None:
    points = [point(), point(), None, None, point()]
    found = trend.section(Material(history=history_of(points)))
    assert found
    drawing = found.figures[0].drawing
    assert drawing
    assert paths(drawing.marks)["median"].count("M") == 2


def test_nights_without_a_number_are_marked_beside_the_target() -> None:
    found = trend.section(Material(history=history_of([point("error", None, "killed")])))
    assert found
    assert found.figures[0].drawing
    assert list(paths(found.figures[0].drawing.marks)) == ["target", "failed"]
    assert found.figures[0].word == "ERROR"


def test_lasting_change_is_told_with_its_night() -> None:
    points = [point(accuracy=0.9 + (i % 3) / 1000) for i in range(40)]
    points += [point(accuracy=0.87 + (i % 3) / 1000) for i in range(40)]
    found = trend.section(Material(history=history_of(points)))
    assert found
    assert "accuracy went from 0.901 to 0.871 in night 0041" in found.figures[0].sentences[0]


@pytest.mark.parametrize("points", [[point()], [None, point(), None], [point(), None, None]])
def test_lone_night_is_a_dot(points: list[Point | None]) -> None:
    found = trend.section(Material(history=history_of(points)))
    assert found
    assert found.figures[0].drawing
    marks = paths(found.figures[0].drawing.marks)
    assert re.fullmatch(r"M[0-9.]+ [0-9.]+h0", marks["median-dots"])
    assert re.fullmatch(r"M[0-9.]+ [0-9.]+h0", marks["lowest-dots"])


def test_nights_with_neighbours_have_no_dots_of_their_own() -> None:
    assert lone([(0.0, 1.0), (1.0, 2.0), (2.0, None), (3.0, 4.0)]) == "M3 4h0"
    assert lone([(0.0, 1.0), (1.0, 2.0)]) == ""


def test_legend_and_axis_of_a_loss_say_what_there_is() -> None:
    (one,) = losses.section(material_of(healthy(steps=200)))
    two = [replace(healthy(seed=seed), loss=np.full(20, 1.0 + seed)) for seed in range(2)]
    (several,) = losses.section(material_of(*two))
    assert (one.has_range, several.has_range) == (False, True)
    assert one.drawing
    assert [tick.word for tick in one.drawing.along] == ["step 1", "200"]
    assert len(one.drawing.up) >= 2


def test_axis_of_one_round_value_tells_its_ends() -> None:
    assert Axis(0.6, 0.8, is_log=True).round_values() == [0.6, 0.8]


def test_seeds_that_are_all_alike_have_no_range() -> None:
    found = accuracies.section(material_of(healthy(), healthy(seed=1)))
    assert found
    assert found.rows[0].seeds == "1.000"


def test_seed_with_gradients_is_shown_before_one_that_was_not_run() -> None:
    stopped = without_verdict(JobNotRunError("it was not run: interrupted"), seed=1)
    card = scorecard_of(judged(healthy()), stopped)
    (found,) = flow.section(Material(scorecard=card, curves=curves_of(healthy())))
    assert (found.seed, found.missing, len(found.shown)) == (0, "", 4)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
