"""Curves read for a comparison: those that do not fit the scorecard beside them are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.branches.runs import Failure, _read
from harness.branches.sides import recorded
from harness.branches.targets import Target
from harness.comparing.curves_file import read_curves
from harness.errors import JobTimeoutError, ScorecardError
from harness.record import RunRecord
from harness.scorecard import CURVES_NAME, load, load_curves, save
from tests.examples import healthy, judged, scorecard_of, without_steps, without_verdict
from tests.sides import record

Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A training of 80 steps, with 4 tensors, 3 layers and checkpoints."""
    return saved(tmp_path, record())


def saved(folder: Path, *records: RunRecord) -> Path:
    return save(scorecard_of(*map(judged, records)), records, folder).parent


def rewrite(folder: Path, **changes: Change | None) -> None:
    """Change some arrays of small/0; None takes one away."""
    curves = load_curves(folder)
    for name, change in changes.items():
        key = f"small/0/{name}"
        array = curves.pop(key)
        if change is not None:
            curves[key] = change(array)
    np.savez(folder / CURVES_NAME, **curves)  # type: ignore[arg-type]  # stubs want a bool


def refusal(folder: Path) -> str:
    """What is said of the curves, without their file."""
    with pytest.raises(ScorecardError) as caught:
        read_curves(folder, load(folder))
    before = f"{folder / CURVES_NAME} does not fit the scorecard beside it: small/0/"
    assert str(caught.value).startswith(before)
    assert "take curves.npz away" in caught.value.hint
    return str(caught.value).removeprefix(before)


def test_curves_that_fit_are_read_as_they_are(folder: Path) -> None:
    found, expected = read_curves(folder, load(folder)), load_curves(folder)
    assert found.keys() == expected.keys()
    assert len(found) == 6 + 14
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("loss", lambda a: a[:60], "loss is of shape (60,), expected (80 steps)"),
        ("loss", lambda a: a[0], "loss is of shape (), expected (80 steps)"),
        ("loss", lambda a: a[:, None], "loss is of shape (80, 1), expected (80 steps)"),
        ("gradient_norm", lambda a: a[:, :2],
         "gradient_norm is of shape (80, 2), expected (80 steps, 4 tensors)"),
        ("movement", lambda a: a[:0],
         "movement is of shape (0, 4), expected (80 steps, 4 tensors)"),
        ("accuracy", lambda a: a[:3],
         "accuracy is of shape (3,), expected (11 evaluations)"),
        ("checkpoints/batch_crc", lambda a: a[:1],
         "checkpoints/batch_crc is of shape (1,), expected (9 checkpoints)"),
        ("checkpoints/output_norm", lambda a: a[:, :1],
         "checkpoints/output_norm is of shape (9, 1), expected (9 checkpoints, 3 layers)"),
        ("checkpoints/value_sketch", lambda a: a[..., :5],
         "checkpoints/value_sketch is of shape (9, 4, 5), "
         "expected (9 checkpoints, 4 tensors, 8 numbers a sketch)"),
        ("checkpoints/start_crc", lambda a: a[:3],
         "checkpoints/start_crc is of shape (3,), expected (4 tensors before the first step)"),
        ("checkpoints/start_norm", lambda a: a[:0],
         "checkpoints/start_norm is of shape (0,), expected (4 tensors before the first step)"),
    ],
)  # fmt: skip
def test_array_of_an_odd_shape_is_a_sentence(
    folder: Path, name: str, change: Change, sentence: str
) -> None:
    rewrite(folder, **{name: change})
    assert refusal(folder) == sentence


@pytest.mark.parametrize(
    ("name", "type_", "sentence"),
    [
        ("loss", "U5", "loss is of type str160, expected numbers"),
        ("movement", "complex64", "movement is of type complex64, expected numbers"),
        ("accuracy", "bool", "accuracy is of type bool, expected numbers"),
        ("evaluated_at", "float64", "evaluated_at is of type float64, expected whole numbers"),
        ("checkpoints/steps", "float64",
         "checkpoints/steps is of type float64, expected whole numbers"),
        ("checkpoints/value_crc", "float64",
         "checkpoints/value_crc is of type float64, expected whole numbers"),
    ],
)  # fmt: skip
def test_array_of_an_odd_type_is_a_sentence(
    folder: Path, name: str, type_: str, sentence: str
) -> None:
    rewrite(folder, **{name: lambda array: array.astype(type_)})
    assert refusal(folder) == sentence


@pytest.mark.parametrize("name", ["loss", "movement", "accuracy", "checkpoints/steps"])
def test_older_scorecards_lack_some_arrays(folder: Path, name: str) -> None:
    rewrite(folder, **{name: None})
    assert len(read_curves(folder, load(folder))) == 19


def test_checkpoints_of_another_kind_are_left_alone(folder: Path) -> None:
    rewrite(folder, **{"checkpoints/value_crc": None,
                       "checkpoints/output_sketch": lambda array: array[:, 0]})  # fmt: skip
    assert read_curves(folder, load(folder))["small/0/checkpoints/output_sketch"].ndim == 2


@pytest.mark.parametrize("one", [healthy(), without_steps(healthy())])
def test_trainings_without_checkpoints_or_steps_fit(tmp_path: Path, one: RunRecord) -> None:
    folder = saved(tmp_path, one)
    assert len(read_curves(folder, load(folder))["small/0/loss"]) == one.steps


def test_training_that_stopped_before_its_first_checkpoint_fits(tmp_path: Path) -> None:
    full = record().checkpoints
    start = {name: array for name, array in vars(full).items() if name.startswith("start_")}
    kept = replace(healthy(), checkpoints=replace(healthy().checkpoints, **start))
    assert len(full.start_crc) == 4
    read_curves(saved(tmp_path, kept), load(tmp_path))


def test_result_without_a_verdict_says_nothing_of_its_curves(tmp_path: Path) -> None:
    killed = scorecard_of(without_verdict(JobTimeoutError("it took too long")))
    save(killed, [healthy()], tmp_path)
    read_curves(tmp_path, load(tmp_path))
    rewrite(tmp_path, movement=lambda array: array[:3])
    assert refusal(tmp_path) == "movement is of shape (3, 4), expected (20 steps, 4 tensors)"


def test_side_of_a_scorecard_is_refused_for_the_milestones_that_are_compared(folder: Path) -> None:
    rewrite(folder, gradient_norm=lambda array: array[:, :2])
    target = Target(name="a", kind="scorecard", path=folder, milestones=("small",))
    with pytest.raises(ScorecardError, match=r"curves\.npz does not fit .*gradient_norm"):
        recorded(target, ["small"])
    assert recorded(target, ["other"]).milestones == []


def test_code_that_leaves_odd_curves_has_failed(folder: Path) -> None:
    rewrite(folder, gradient_norm=lambda array: array[:, :2])
    told = _read(folder, folder)
    assert isinstance(told, Failure)
    assert "curves.npz does not fit the scorecard beside it: small/0/gradient_norm" in told.message


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
