"""Recipes written out anew: equal to the shipped ones, and to nothing that is broken in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness import config_files, datasets
from harness.config import DataSpec
from harness.datasets.base import Dataset
from harness.datasets.digits import digits
from harness.datasets.reversal import reversal
from harness.datasets.separable import separable
from harness.datasets.truth_table import truth_table
from harness.oracles import recipes
from harness.probes.runs.rederived import measure_recipe
from tests.examples import NAMES


def seen(spec: dict[str, Any], dataset: Dataset) -> list[str]:
    rng = np.random.default_rng(0)
    rows = measure_recipe("the data", DataSpec.model_validate(spec), dataset, rng)
    return [row.what for row in rows if row.error]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_data_are_what_their_recipe_gives(name: str) -> None:
    asked = config_files.load(config_files.find(name))
    assert seen(asked.data.model_dump(), datasets.load(asked)) == []


IRIS = {
    "species": ["virginica", "setosa"],
    "measurements": ["sepal_width", "petal_length", "sepal_length"],
    "held_out_per_species": 7,
}
TABLE = {"inputs": [[0.1, 0.9], [0.25, -3.0], [1e-3, 1e3]], "outputs": [2, 0, 1]}
BACKWARDS = {"alphabet": 3, "length": 5, "train_rows": 100, "held_out_rows": 20}
PLACED = {"canvas": 9, "train_rows": 1700, "held_out_places": 3, "mean": 0.1, "std": 2.0}
MADE: dict[str, tuple[dict[str, Any], Callable[[], Dataset]]] = {
    "separable": ({"recipe": "separable", **IRIS}, lambda: separable(**IRIS)),
    "truth_table": ({"recipe": "truth_table", **TABLE}, lambda: truth_table(**TABLE)),
    "reversal": ({"recipe": "reversal", **BACKWARDS}, lambda: reversal(**BACKWARDS)),
    "digits": ({"recipe": "digits", **PLACED}, lambda: digits(**PLACED)),
}


@pytest.mark.parametrize("name", MADE)
def test_other_arguments_are_followed(name: str) -> None:
    spec, make = MADE[name]
    assert seen(spec, make()) == []


@pytest.mark.parametrize("name", MADE)
def test_another_order_is_as_right(name: str) -> None:
    spec, make = MADE[name]
    dataset, rng = make(), np.random.default_rng(5)
    rows, others = (rng.permutation(len(x)) for x in (dataset.train_x, dataset.held_out_x))
    turned = replace(
        dataset,
        train_x=np.asfortranarray(dataset.train_x[rows]),
        train_y=dataset.train_y[rows],
        held_out_x=dataset.held_out_x[others],
        held_out_y=dataset.held_out_y[others],
    )
    assert seen(spec, turned) == []


CHANGES: dict[str, Callable[[Dataset], Dataset]] = {
    "one target": lambda d: replace(d, train_y=_one(d.train_y)),
    "one held-out target": lambda d: replace(d, held_out_y=_one(d.held_out_y)),
    "targets of others": lambda d: replace(d, train_y=np.roll(d.train_y, 1, axis=0)),
    "one input": lambda d: replace(d, held_out_x=_one(d.held_out_x)),
    "one example less": lambda d: replace(d, train_x=d.train_x[1:], train_y=d.train_y[1:]),
    "halves swapped": lambda d: Dataset(
        d.held_out_x, d.held_out_y, d.train_x, d.train_y, d.vary, d.scored
    ),
    "another mask": lambda d: replace(d, scored=np.arange(d.held_out_y[0].size) != 0),
}


def _one(array: np.ndarray) -> np.ndarray:
    changed = array.copy()
    changed.reshape(len(changed), -1)[1, 0] += 1
    return changed


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["separable", "truth_table", "reversal"])
def test_broken_data_are_seen(name: str, change: str) -> None:
    spec, make = MADE[name]
    if name == "truth_table" and change == "halves swapped":
        return  # both are the whole table
    assert seen(spec, CHANGES[change](make()))


@pytest.mark.parametrize("change", ["one target", "one held-out target", "one example less"])
def test_broken_images_are_seen(change: str) -> None:
    spec, make = MADE["digits"]
    assert seen(spec, CHANGES[change](make()))


def test_images_scaled_by_another_number_are_seen() -> None:
    spec, _ = MADE["digits"]
    assert seen(spec, digits(**{**PLACED, "std": 2.02}))
    assert seen(spec, digits(**{**PLACED, "mean": 0.11}))


def test_inputs_that_became_whole_numbers_are_seen() -> None:
    spec, make = MADE["truth_table"]
    dataset = make()
    whole = replace(dataset, train_x=np.rint(dataset.train_x))
    assert seen(spec, whole) == ["train examples that recipe 'truth_table' does not give"]


def test_recipes_that_are_not_known_are_not_judged() -> None:
    dataset = MADE["reversal"][1]()
    assert seen({"recipe": "arrays", "file": "x.npz"}, dataset) == []
    many = {"alphabet": 10, "length": 6, "train_rows": 100, "held_out_rows": 20}
    assert seen({"recipe": "reversal", **many}, dataset) == []


# --- by hand ------------------------------------------------------------------------------


def test_sequence_is_said_backwards() -> None:
    found = recipes.reversal({}, alphabet=2, length=2, train_rows=3, held_out_rows=1)
    assert found is not None
    sequences = np.concatenate([found.train[0], found.held_out[0]])
    assert sorted(map(tuple, sequences[:, :2].tolist())) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert (sequences[:, 2] == 2).all()
    for x, y in zip(*found.train, strict=True):
        a, b, _, c = x.tolist()
        assert (c, y.tolist()) == (b, [b, 2, b, a])


def test_flowers_are_measured_in_centimetres() -> None:
    """The first setosa and the first versicolor of Fisher's table."""
    arrays = {
        "measurements": np.array(
            [[51, 35, 14, 2], [70, 32, 47, 14], [49, 30, 14, 2], [64, 32, 45, 15]]
        ),
        "species": np.array([0, 1, 0, 1]),
    }
    found = recipes.separable(
        arrays,
        species=["setosa", "versicolor"],
        measurements=["petal_width", "sepal_length"],
        held_out_per_species=1,
    )
    assert found.train[0].tolist() == [[0.2, 5.1], [1.4, 7.0]]
    assert found.train[1].tolist() == [0, 1]
    assert found.held_out[0].tolist() == [[0.2, 4.9], [1.5, 6.4]]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
