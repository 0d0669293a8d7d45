"""What milestones train on: real data as published, split and placed as the recipes say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from harness import config_files, datasets
from harness.datasets import arrays, digits, files, reversal, separable, truth_table
from harness.datasets.base import Dataset
from harness.errors import DataError, UsageError
from harness.streams import stream
from tests.examples import NAMES, small_file


def shipped(name: str) -> Dataset:
    return datasets.load(config_files.load(config_files.find(name)))


def npz(folder: Path, **changes: np.ndarray | None) -> Path:
    """A small separable problem as an .npz file; None leaves an array out."""
    x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [1.0, 2.0]])
    y = np.array([0, 1, 1, 0])
    content = {"train_x": x, "train_y": y, "held_out_x": x, "held_out_y": y, **changes}
    file = folder / "mine.npz"
    np.savez(file, **{key: array for key, array in content.items() if array is not None})
    return file


@pytest.mark.parametrize("name", NAMES)
def test_shipped_dataset_is_whole(name: str) -> None:
    dataset = shipped(name)
    x, y = dataset.epoch(stream(0, "data"))
    assert len(x) == len(y) == len(dataset.train_x)
    assert dataset.held_out_x.shape[1:] == x.shape[1:]
    assert 0.0 < dataset.majority_accuracy <= 0.5 or name in ("perceptron", "xor")
    assert len(dataset.digest) == 64


def test_iris_can_be_separated_by_a_line() -> None:
    """Rosenblatt's rule ends only where there is a line; it is found on all hundred flowers."""
    dataset = shipped("perceptron")
    x = np.concatenate([dataset.train_x, dataset.held_out_x])
    x = np.column_stack([x, np.ones(len(x))])
    sign = 2.0 * np.concatenate([dataset.train_y, dataset.held_out_y]) - 1.0
    w = np.zeros(x.shape[1])
    for _ in range(1000):
        wrong = np.flatnonzero(sign * (x @ w) <= 0)
        if len(wrong) == 0:
            break
        w += sign[wrong[0]] * x[wrong[0]]
    assert len(wrong) == 0
    assert len(x) == 100


def test_iris_is_split_evenly_and_in_centimetres() -> None:
    dataset = shipped("perceptron")
    # Fisher 1936, table I: the first Iris setosa has petals of 1.4 cm by 0.2 cm.
    np.testing.assert_allclose(dataset.train_x[0], [1.4, 0.2], rtol=1e-6)
    setosa, versicolor = np.split(files.shipped_arrays("iris")["measurements"][:100, 2:] / 10.0, 2)
    held_out = np.concatenate([setosa[35:], versicolor[35:]])
    np.testing.assert_allclose(dataset.held_out_x, held_out, rtol=1e-6)
    np.testing.assert_allclose(
        dataset.train_x, np.concatenate([setosa[:35], versicolor[:35]]), rtol=1e-6
    )
    assert np.bincount(dataset.train_y).tolist() == [35, 35]
    assert np.bincount(dataset.held_out_y).tolist() == [15, 15]
    assert dataset.majority_accuracy == 0.5


def test_iris_refuses_what_it_does_not_have() -> None:
    make = separable.separable
    with pytest.raises(DataError, match="unknown 'rosa'") as caught:
        make(species=("rosa", "setosa"), measurements=("petal_width",), held_out_per_species=3)
    assert "setosa, versicolor, virginica" in caught.value.hint
    for count in (0, 50):
        with pytest.raises(DataError, match=f"cannot hold out {count} of 50"):
            make(
                species=("setosa", "virginica"),
                measurements=("petal_width",),
                held_out_per_species=count,
            )


def places_of(images: np.ndarray, placed: np.ndarray) -> list[tuple[int, int]]:
    """Where each 8x8 image stands on its canvas, found by comparing."""
    room = placed.shape[-1] - 8 + 1
    found = []
    for image, canvas in zip(images, placed[:, 0], strict=True):
        fitting = [
            (top, left)
            for top in range(room)
            for left in range(room)
            if np.array_equal(canvas[top : top + 8, left : left + 8], image)
            and canvas.sum() == image.sum()
        ]
        assert fitting, "the digit is not on its canvas as a whole"
        found.append(fitting[0])
    return found


def test_digits_are_placed_whole_and_anew_in_every_epoch() -> None:
    dataset = digits.digits(canvas=12, train_rows=200, held_out_places=2)
    rng = stream(0, "data")
    first, second = dataset.epoch(rng)[0], dataset.epoch(rng)[0]
    assert first.shape == (200, 1, 12, 12)
    assert (first.min(), first.max()) == (0.0, 1.0)
    one, other = places_of(dataset.train_x, first), places_of(dataset.train_x, second)
    moved = np.mean([a != b for a, b in zip(one, other, strict=True)])
    assert 0.9 < moved < 1.0  # 24 of 25 are elsewhere
    assert len(set(one)) == 25


def test_ink_is_scaled_after_placing() -> None:
    """The empty canvas is scaled too: (0 - mean) / std."""
    plain = digits.digits(canvas=9, train_rows=20, held_out_places=1)
    scaled = digits.digits(canvas=9, train_rows=20, held_out_places=1, mean=0.25, std=0.5)
    np.testing.assert_allclose(scaled.held_out_x, (plain.held_out_x - 0.25) / 0.5, rtol=1e-6)
    one, other = (dataset.epoch(stream(0, "data"))[0] for dataset in (plain, scaled))
    np.testing.assert_allclose(other, (one - 0.25) / 0.5, rtol=1e-6)


def test_digits_of_one_seed_are_placed_alike() -> None:
    dataset = digits.digits(canvas=10, train_rows=50, held_out_places=2)
    same = [dataset.epoch(stream(5, "data"))[0] for _ in range(2)]
    np.testing.assert_array_equal(*same)


@pytest.mark.parametrize(("canvas", "count"), [(8, 1), (10, 9), (12, 2), (12, 7), (11, 3)])
def test_held_out_digits_stand_at_different_places_fixed_for_ever(canvas: int, count: int) -> None:
    rows = 1700
    dataset = digits.digits(canvas=canvas, train_rows=rows, held_out_places=count)
    again = digits.digits(canvas=canvas, train_rows=rows, held_out_places=count)
    np.testing.assert_array_equal(dataset.held_out_x, again.held_out_x)
    images = np.repeat(files.shipped_arrays("digits")["images"][rows:] / np.float32(16), count, 0)
    assert len(dataset.held_out_x) == len(images) == 97 * count
    found = places_of(images, dataset.held_out_x)
    assert len(set(found)) == (canvas - 8 + 1) ** 2
    for start in range(0, len(found), count):
        # A digit with an empty border fits in two places: of each, the first was found.
        assert len(set(found[start : start + count])) >= count - 2


def test_held_out_writers_are_not_trained_on() -> None:
    arrays = files.shipped_arrays("digits")
    dataset = shipped("cnn")
    rows = len(dataset.train_x)
    np.testing.assert_array_equal(dataset.train_x, arrays["images"][:rows] / np.float32(16))
    held_out = len(arrays["images"]) - rows
    assert len(dataset.held_out_x) % held_out == 0
    np.testing.assert_array_equal(
        dataset.held_out_y, np.repeat(arrays["labels"][rows:], len(dataset.held_out_x) // held_out)
    )


@pytest.mark.parametrize(
    ("canvas", "rows", "places"),
    [(7, 1408, 1), (10, 0, 1), (10, 1797, 1), (10, 1408, 0), (10, 1408, 10), (-10, 9, 1)],
)
def test_digits_refuse_what_does_not_fit(canvas: int, rows: int, places: int) -> None:
    with pytest.raises(DataError, match="do not fit 1797 digits of 8x8"):
        digits.digits(canvas=canvas, train_rows=rows, held_out_places=places)


def test_reversal_says_its_letters_backwards_after_the_separator() -> None:
    dataset = reversal.reversal(alphabet=10, length=4, train_rows=500, held_out_rows=100)
    for x, y in [(dataset.train_x, dataset.train_y), (dataset.held_out_x, dataset.held_out_y)]:
        np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
        assert (x[:, 4] == 10).all()
        np.testing.assert_array_equal(y[:, 4:], x[:, 3::-1])
        assert x[:, :4].max() < 10


def test_reversal_holds_out_sequences_that_are_never_trained_on() -> None:
    dataset = shipped("transformer")
    length = dataset.train_x.shape[1] // 2
    train = {tuple(row) for row in dataset.train_x[:, :length].tolist()}
    held_out = {tuple(row) for row in dataset.held_out_x[:, :length].tolist()}
    assert len(train) == len(dataset.train_x)
    assert len(held_out) == len(dataset.held_out_x)
    assert not train & held_out


def test_reversal_scores_only_what_can_be_known() -> None:
    dataset = reversal.reversal(alphabet=5, length=3, train_rows=50, held_out_rows=20)
    assert dataset.scored is not None
    assert dataset.scored.tolist() == [False, False, False, True, True, True]
    answers = dataset.held_out_y[:, 3:]
    assert dataset.majority_accuracy == np.bincount(answers.ravel()).max() / answers.size


def test_reversal_is_the_same_on_every_machine() -> None:
    """The pool is drawn with RandomState, whose numbers are frozen (NEP 19)."""
    expected = np.random.RandomState(2017).permutation(100)[:3]
    dataset = reversal.reversal(alphabet=10, length=2, train_rows=2, held_out_rows=1)
    letters = np.concatenate([dataset.train_x, dataset.held_out_x])[:, :2]
    np.testing.assert_array_equal(letters @ [1, 10], expected)


def test_entropy_floor_of_the_transformer_is_its_targets_floor() -> None:
    milestone = config_files.load(config_files.find("transformer"))
    alphabet, length = (milestone.data.arguments[key] for key in ("alphabet", "length"))
    floor = (length - 1) * math.log(alphabet) / (2 * length)
    assert milestone.targets.loss_floor == pytest.approx(floor, abs=1e-4)


@pytest.mark.parametrize(
    ("alphabet", "length", "train", "held_out"),
    [(1, 4, 5, 5), (10, 1, 5, 5), (10, 2, 0, 5), (10, 2, 5, 0), (10, 2, 96, 5), (10, 9, 5, 5)],
)
def test_reversal_refuses_what_makes_no_task(
    alphabet: int, length: int, train: int, held_out: int
) -> None:
    with pytest.raises(DataError, match="reversal: "):
        reversal.reversal(
            alphabet=alphabet, length=length, train_rows=train, held_out_rows=held_out
        )


def test_truth_table_trains_on_and_judges_every_row() -> None:
    dataset = truth_table.truth_table(inputs=((0, 0), (0, 1), (1, 0), (1, 1)), outputs=(0, 1, 1, 0))
    np.testing.assert_array_equal(dataset.train_x, [[0, 0], [0, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(dataset.held_out_y, [0, 1, 1, 0])
    assert dataset.train_x.dtype == np.float32
    assert dataset.majority_accuracy == 0.5


@pytest.mark.parametrize(
    ("inputs", "outputs"), [(((0, 1),), (0, 1)), (((0,), (0, 1)), (0, 1)), ((), ())]
)
def test_ragged_truth_table_is_refused(
    inputs: tuple[tuple[float, ...], ...], outputs: tuple[int, ...]
) -> None:
    with pytest.raises(DataError, match="truth_table: "):
        truth_table.truth_table(inputs=inputs, outputs=outputs)


# --- arrays of one's own -------------------------------------------------------------------


def load_own(folder: Path, **changes: np.ndarray | None) -> Dataset:
    npz(folder, **changes)
    table = small_file(folder).read_text(encoding="utf-8")
    start, end = table.index("data:"), table.index("layers:")
    file = folder / "mine.yaml"
    recipe = "data: {recipe: arrays, file: mine.npz}\n\n"
    file.write_text(table[:start] + recipe + table[end:], encoding="utf-8")
    return datasets.load(config_files.load(file))


def test_own_arrays_stand_beside_the_config(tmp_path: Path) -> None:
    dataset = load_own(tmp_path, train_x=np.arange(8.0).reshape(4, 2))
    assert (dataset.train_x.dtype, dataset.train_y.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(dataset.train_x, np.arange(8.0).reshape(4, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held_out_y": None}, "has no array 'held_out_y'"),
        ({"train_x": np.array([[np.nan, 1.0]] * 4)}, "train_x holds 4 numbers that are not finite"),
        ({"held_out_x": np.array([[np.inf, 1.0]] * 4)}, "held_out_x holds 4 numbers that are not"),
        ({"train_x": np.zeros((0, 2)), "train_y": np.zeros(0, int)}, "train_x holds no examples"),
        ({"train_y": np.array([0, 1, 1])}, "train has 4 inputs but 3 targets"),
        ({"held_out_y": np.array([0, 1, 1])}, "held_out has 4 inputs but 3 targets"),
        ({"train_x": np.array([["a", "b"]] * 4)}, "train_x"),
        ({"train_x": np.array(3.0)}, "train_x"),
        ({"train_x": np.array([[1j, 2.0]] * 4)}, "train_x"),
        ({"train_x": np.array([[1e39, 2.0]] * 4)}, "train_x holds 4 numbers that are not finite"),
        ({"held_out_x": np.zeros((4, 3))}, "held_out_x"),
    ],
)  # fmt: skip
def test_unfit_own_arrays_are_refused(
    changes: dict[str, np.ndarray | None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        load_own(tmp_path, **changes)
    assert message in str(caught.value)
    assert "mine.npz" in str(caught.value) or "small: " in str(caught.value)


def test_missing_own_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.npz is missing") as caught:
        arrays.arrays(file="gone.npz", folder=tmp_path)
    assert "relative to the config" in caught.value.hint


def test_unknown_recipe_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown recipe 'digit'. Did you mean 'digits'\?"):
        datasets.recipe("digit")


@pytest.mark.parametrize("name", datasets.available())
def test_recipe_is_a_documented_function_of_its_name(name: str) -> None:
    assert datasets.recipe(name).__doc__


def test_digest_tells_numbers_types_and_shapes_apart() -> None:
    x, y = np.zeros((2, 2), dtype=np.float32), np.array([0, 1])
    base = Dataset(x, y, x, y).digest
    others = [
        Dataset(x + 1, y, x, y),
        Dataset(x.astype(float), y, x, y),
        Dataset(x.reshape(2, 2, 1), y, x, y),
        Dataset(x, y[::-1], x, y),
    ]
    assert base not in {dataset.digest for dataset in others}
    assert Dataset(x.copy(), y.copy(), x, y).digest == base


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
