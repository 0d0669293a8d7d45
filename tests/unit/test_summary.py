"""Descriptions of data: equal for equal data in any order, different for different ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import config_files, datasets
from harness.datasets.base import Dataset
from harness.datasets.summary import (
    KNOWN,
    among,
    describe,
    kinds_of,
    pair_codes,
    put_on_record,
    row_codes,
)
from tests.examples import NAMES

SPEC = {"recipe": "by_hand"}


def points(rows: int = 60) -> Dataset:
    """Points in the plane in three classes."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((rows + 20, 2)).astype(np.float32)
    y = rng.integers(0, 3, rows + 20)
    return Dataset(x[:rows], y[:rows], x[rows:], y[rows:])


def images() -> Dataset:
    """Blots of 3x3 pixels, placed anew on 6x6 in every epoch."""
    rng = np.random.default_rng(4)
    ink = rng.random((80, 3, 3)).astype(np.float32)

    def place(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        field = np.zeros((len(x), 1, 6, 6), dtype=np.float32)
        for row, (top, left) in enumerate(rng.integers(0, 4, (len(x), 2)).tolist()):
            field[row, 0, top : top + 3, left : left + 3] = x[row]
        return field

    y = rng.integers(0, 4, 80)
    return Dataset(ink[:60], y[:60], place(ink[60:], rng), y[60:], vary=place)


def outside(dataset: Dataset, recorded: dict[str, list[float]], draw: int = 99) -> set[str]:
    """The numbers of a dataset that are not within the tolerance of those on record."""
    got = describe(dataset, np.random.default_rng(draw))
    return {
        name
        for name in got.keys() | recorded.keys()
        if abs(got.get(name, 0.0) - recorded.get(name, [0.0, 0.0])[0])
        > recorded.get(name, [0.0, 0.0])[1]
    }


@pytest.mark.parametrize("make", [points, images])
def test_same_data_are_described_alike_in_any_order(make: Callable[[], Dataset]) -> None:
    dataset = make()
    order = np.random.default_rng(0).permutation(len(dataset.train_x))
    other = replace(dataset, train_x=dataset.train_x[order], train_y=dataset.train_y[order])
    recorded = put_on_record(SPEC, dataset)
    assert recorded["of"] == SPEC
    for draw in range(50, 80):
        assert outside(other, recorded["numbers"], draw) == set()


@pytest.mark.parametrize("name", NAMES)
def test_shipped_data_are_described_alike_at_every_draw(name: str) -> None:
    found = config_files.load(config_files.find(name))
    dataset = datasets.load(found)
    recorded = put_on_record({}, dataset)["numbers"]
    for draw in range(50, 55):
        assert outside(dataset, recorded, draw) == set()


@given(
    make=st.sampled_from([points, images]),
    part=st.sampled_from(["train_x", "train_y", "held_out_x", "held_out_y"]),
    first=st.integers(0, 19),
    second=st.integers(0, 19),
)
def test_two_rows_of_one_part_that_change_places_are_seen(
    make: Callable[[], Dataset], part: str, first: int, second: int
) -> None:
    """Unless their targets are alike: then it is only another order."""
    dataset = make()
    array = getattr(dataset, part).copy()
    array[[first, second]] = array[[second, first]]
    y = getattr(dataset, f"{part.rpartition('_')[0]}_y")
    found = outside(replace(dataset, **{part: array}), put_on_record(SPEC, dataset)["numbers"])
    assert bool(found) == bool(y[first] != y[second])
    assert all(name.startswith("fingerprint") and " with " in name for name in found)


@given(row=st.integers(0, 59), make=st.sampled_from([points, images]))
def test_one_example_dropped_or_doubled_is_seen(row: int, make: Callable[[], Dataset]) -> None:
    dataset = make()
    recorded = put_on_record(SPEC, dataset)["numbers"]
    rows = np.delete(np.arange(60), row)
    fewer = replace(dataset, train_x=dataset.train_x[rows], train_y=dataset.train_y[rows])
    assert "shape of train_y is (60,)" in outside(fewer, recorded)
    rows = np.append(rows, rows[0])  # as many as before, but one of them twice
    doubled = replace(dataset, train_x=dataset.train_x[rows], train_y=dataset.train_y[rows])
    assert outside(doubled, recorded)


CHANGES: dict[str, Callable[[Dataset], Dataset]] = {
    "one number": lambda d: replace(d, train_x=_set(d.train_x, (5, 0), 0.5)),
    "one target": lambda d: replace(d, train_y=_set(d.train_y, 5, (d.train_y[5] + 1) % 3)),
    "one held-out number": lambda d: replace(d, held_out_x=_set(d.held_out_x, (5, 0), 0.5)),
    "all scaled": lambda d: replace(d, train_x=d.train_x * np.float32(1.001)),
    "columns swapped": lambda d: replace(d, train_x=d.train_x[:, ::-1].copy()),
    "halves swapped": lambda d: Dataset(d.held_out_x, d.held_out_y, d.train_x, d.train_y),
    "float64": lambda d: replace(d, train_x=d.train_x.astype(np.float64)),
    "only some scored": lambda d: replace(d, scored=np.array(False)),
    "held-out rows in training": lambda d: replace(
        d, train_x=np.concatenate([d.held_out_x[:5], d.train_x[5:]])
    ),
    "classes renamed": lambda d: replace(d, train_y=2 - d.train_y, held_out_y=2 - d.held_out_y),
}


def _set(array: np.ndarray, at: object, value: float) -> np.ndarray:
    changed = array.copy()
    changed[at] = value  # type: ignore[index]  # any index will do
    return changed


@pytest.mark.parametrize("change", CHANGES)
def test_changed_data_are_described_otherwise(change: str) -> None:
    dataset = points()
    recorded = put_on_record(SPEC, dataset)["numbers"]
    assert outside(CHANGES[change](dataset), recorded)


def test_images_moved_are_the_same_and_mirrored_are_not() -> None:
    dataset = images()
    recorded = put_on_record(SPEC, dataset)["numbers"]
    place = dataset.vary
    assert place is not None
    mirrored = replace(dataset, vary=lambda x, rng: place(x, rng)[..., ::-1].copy())
    assert any("wherever it stands" in name for name in outside(mirrored, recorded))


def test_images_in_a_part_of_their_field_are_not_the_same() -> None:
    dataset = images()
    recorded = put_on_record(SPEC, dataset)["numbers"]
    place = dataset.vary
    assert place is not None

    def at_the_top(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        placed = place(x, rng)
        is_low = placed[:, 0, 4:].any(axis=(1, 2))
        placed[is_low] = np.roll(placed[is_low], -2, axis=2)
        return placed

    names = outside(replace(dataset, vary=at_the_top), recorded)
    assert "spread of places of train_x, down" in names
    assert not any("across" in name for name in names)


def test_known_held_out_inputs_are_counted_with_their_targets() -> None:
    x = np.array([[0.0], [1.0], [2.0], [3.0]], dtype=np.float32)
    y = np.array([0, 1, 0, 1])
    numbers = describe(Dataset(x[:3], y[:3], x[1:], np.array([1, 1, 1])), np.random.default_rng(0))
    assert numbers[KNOWN] == 2  # 1.0 and 2.0
    assert numbers[f"{KNOWN.removesuffix(', too')} with another target"] == 1  # 2.0 was a 0


def test_codes_are_equal_where_rows_are() -> None:
    rows = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]], dtype=np.float32)
    codes = row_codes(rows)
    assert (codes[0] == codes[2], codes[0] == codes[1]) == (True, False)
    assert among(codes, codes[:1]).tolist() == [True, False, True]
    assert pair_codes(codes[:1], codes[1:2]) != pair_codes(codes[1:2], codes[:1])


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32, bool])
def test_kinds_are_counted(dtype: type) -> None:
    kinds, counts = kinds_of(np.array([[0, 1], [1, 1]]).astype(dtype))
    assert (kinds.tolist(), counts.tolist()) == ([0, 1], [1, 3])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
