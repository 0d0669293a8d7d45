"""Data against what is on record of them, and their two halves against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.backends import load
from harness.checks.base import Verdict
from harness.checks.data import data_are_as_recorded
from harness.config import DataSpec
from harness.datasets.base import Dataset
from harness.datasets.summary import put_on_record
from harness.measurement import Measurement
from harness.probes.milestone import data as probe
from harness.probes.models.specimen import Specimen
from tests.examples import healthy, small_config

# A recipe of which only its file knows what it gives.
OWN = DataSpec.model_validate({"recipe": "arrays", "file": "points.npz"})
CONFIG = small_config().model_copy(update={"data": OWN})
SPEC = CONFIG.data.model_dump(mode="json")


def points(rows: int = 60) -> Dataset:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((rows + 30, 2)).astype(np.float32)
    y = rng.integers(0, 3, rows + 30)
    return Dataset(x[:rows], y[:rows], x[rows:], y[rows:])


def measured(dataset: Dataset) -> list[Measurement]:
    return list(probe.measure(Specimen(CONFIG, load("numpy"), dataset, 0)))


def verdict(dataset: Dataset, calibration: dict[str, object] | None) -> Verdict:
    record = healthy()
    record.probed.measured["data"] = measured(dataset)
    return data_are_as_recorded(CONFIG, record, calibration)


RECORDED = {"examples": put_on_record(SPEC, points())}


def test_data_on_record_pass() -> None:
    passed = verdict(points(), RECORDED)
    assert passed.status == "pass"
    assert passed.reason.endswith("numbers are as on record")


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [
        (replace(points(), train_x=points().train_x.astype(np.float64)),
         "dtype of train_x is float64, on record float32"),
        (points(59), "shape of train_x is (59, 2), on record (60, 2)"),
        (replace(points(), train_x=2 * points().train_x), "lowest number of train_x"),
        (replace(points(), train_y=np.where(np.arange(60) < 20, 1, points().train_y)),
         "count of 0 in train_y: "),
        (replace(points(), train_y=np.roll(points().train_y, 1)),
         "the targets in train_y belong to other inputs in train_x than on record"),
        (replace(points(), held_out_y=np.roll(points().held_out_y, 1)),
         "the targets in held_out_y belong to other inputs in held_out_x than on record"),
        (replace(points(), train_x=points().train_x[:, ::-1].copy()),
         "some numbers in train_x are others than those on record"),
        (replace(points(), scored=np.array(False)),
         "what counts for accuracy is -, on record every target"),
    ],
)  # fmt: skip
def test_other_data_fail_and_the_difference_is_named(dataset: Dataset, reason: str) -> None:
    failed = verdict(dataset, RECORDED)
    assert failed.status == "fail"
    assert failed.reason.startswith(f"the data are not those on record: {reason}")
    assert failed.evidence["culprits"] == ["the data"]


@pytest.mark.parametrize(
    ("calibration", "reason"),
    [
        (None, "not calibrated: `harness calibrate` measures what to expect"),
        ({}, "not calibrated: "),
        ({"examples": {"of": {"recipe": "digits"}, "numbers": {}}},
         "the data on record are stale: the data section of the config has changed since"),
    ],
)  # fmt: skip
def test_data_that_are_not_on_record_are_not_judged(
    calibration: dict[str, object] | None, reason: str
) -> None:
    skipped = verdict(points(), calibration)
    assert skipped.status == "skip"
    assert skipped.reason.startswith(reason)


# --- what contradicts itself, on record or not --------------------------------------------


def leaking(rows: int) -> Dataset:
    """Some of the held-out points are in training, too."""
    dataset = points()
    x, y = dataset.train_x.copy(), dataset.train_y.copy()
    x[:rows], y[:rows] = dataset.held_out_x[:rows], dataset.held_out_y[:rows]
    return replace(dataset, train_x=x, train_y=y)


@pytest.mark.parametrize("rows", [15, 30])
def test_held_out_inputs_in_training_are_a_leak(rows: int) -> None:
    failed = verdict(leaking(rows), None)
    assert failed.status == "fail"
    assert failed.reason.startswith(
        f"the data: held-out inputs that training has, too: got {rows}, expected 1.5"
    )


def test_judged_on_a_part_of_training_is_a_leak() -> None:
    dataset = points()
    same = replace(dataset, held_out_x=dataset.train_x[:30], held_out_y=dataset.train_y[:30])
    assert verdict(same, None).status == "fail"


def test_a_table_whose_rows_are_all_there_is_leaks_nothing() -> None:
    x, y = points().train_x, points().train_y
    assert verdict(Dataset(x, y, x, y), None).status == "skip"


def test_equals_are_usual_where_training_has_equals_of_its_own() -> None:
    """Measured to one digit, as flowers are: 9 points for 90 examples."""
    x = np.stack(np.divmod(np.arange(90) * 7 % 9, 3), axis=1).astype(np.float32)
    x[0] = 5.0  # one that training alone has
    y = np.arange(90) % 2
    assert verdict(Dataset(x[:60], y[:60], x[60:], y[60:]), None).status == "skip"


def test_class_that_training_never_shows_is_seen() -> None:
    dataset = points()
    kept = dataset.train_y != 2
    without = replace(dataset, train_x=dataset.train_x[kept], train_y=dataset.train_y[kept])
    failed = verdict(without, None)
    assert failed.status == "fail"
    assert "held-out targets of a kind that training never has" in failed.reason


def test_numbers_to_come_near_to_are_no_classes() -> None:
    dataset = points()
    y = dataset.train_x[:, 0].astype(np.float64)
    numbers = replace(dataset, train_y=y, held_out_y=dataset.held_out_x[:, 0].astype(np.float64))
    assert verdict(numbers, None).status == "skip"


def test_variation_that_writes_into_the_data_is_seen() -> None:
    def vary(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        x += 1.0
        return x

    failed = verdict(replace(points(), vary=vary), None)
    assert failed.reason.startswith("the data: training rows that change when an epoch is drawn")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
