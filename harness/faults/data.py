"""Examples and targets that are not what the recipe gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from harness.datasets.base import Dataset
from harness.faults.base import fault
from harness.faults.ground import Ground

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_DIGITS = ("mlp", "cnn")
_DATA = ("the data",)
_RECORDED = ("data_are_as_recorded",)


def _change_digits(ground: Ground, change: Callable[[Dataset], Dataset]) -> None:
    """Change the data whose inputs are images that vary; leave all others."""
    ground.change_data(lambda dataset: change(dataset) if dataset.vary else dataset)


def _change_inputs(dataset: Dataset, change: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    """`change` of all inputs: of the held-out ones and of those that training sees."""

    def vary(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return change(dataset.vary(x, rng) if dataset.vary else x)

    return replace(dataset, held_out_x=change(dataset.held_out_x), vary=vary)


# --- targets ----------------------------------------------------------------------------------


@fault(*_ALL, component=_DATA, seen_by=_RECORDED)
def data_labels_permuted(ground: Ground) -> None:
    """Training targets are in a random order."""

    def change(dataset: Dataset) -> Dataset:
        order = np.random.default_rng(0).permutation(len(dataset.train_y))
        return replace(dataset, train_y=dataset.train_y[order])

    ground.change_data(change)


@fault(*_ALL, component=_DATA, seen_by=_RECORDED)
def data_shift_labels_by_one(ground: Ground) -> None:
    """Training targets are one row late."""
    ground.change_data(lambda data: replace(data, train_y=np.roll(data.train_y, 1, axis=0)))


@fault(*_DIGITS, component=_DATA, seen_by=_RECORDED)
def data_class_missing(ground: Ground) -> None:
    """One class is missing from the training examples."""

    def change(dataset: Dataset) -> Dataset:
        kept = dataset.train_y != 9
        return replace(dataset, train_x=dataset.train_x[kept], train_y=dataset.train_y[kept])

    _change_digits(ground, change)


@fault(*_DIGITS, component=_DATA, seen_by=_RECORDED)
def data_two_classes_merged(ground: Ground) -> None:
    """Eights are labelled as threes, in training and held out: an easier task."""
    _change_digits(ground, lambda data: _relabelled(data, lambda y: np.where(y == 8, 3, y)))


@fault(*_DIGITS, component=_DATA, seen_by=_RECORDED)
def data_classes_rotated(ground: Ground) -> None:
    """Every digit carries the label of the next, in training and held out: as easy as before."""
    _change_digits(ground, lambda data: _relabelled(data, lambda y: (y + 1) % 10))


def _relabelled(dataset: Dataset, change: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    return replace(dataset, train_y=change(dataset.train_y), held_out_y=change(dataset.held_out_y))


@fault("xor", component=_DATA, seen_by=_RECORDED)
def data_xor_is_or(ground: Ground) -> None:
    """The truth table is that of OR, which a line can tell apart."""

    def change(dataset: Dataset) -> Dataset:
        if dataset.train_x.shape != (4, 2):
            return dataset
        answers = (dataset.train_x > 0).any(axis=1).astype(dataset.train_y.dtype)
        return replace(dataset, train_y=answers, held_out_y=answers)

    ground.change_data(change)


@fault("transformer", component=_DATA, seen_by=_RECORDED)
def data_target_not_shifted(ground: Ground) -> None:
    """The targets are the inputs, not the next tokens: copying is all there is to learn."""

    def change(dataset: Dataset) -> Dataset:
        if dataset.train_y.shape != dataset.train_x.shape:
            return dataset
        return replace(dataset, train_y=dataset.train_x, held_out_y=dataset.held_out_x)

    ground.change_data(change)


# --- inputs -----------------------------------------------------------------------------------


@fault(*_DIGITS, component=_DATA, seen_by=_RECORDED)
def data_unnormalised(ground: Ground) -> None:
    """Pixels are left as they are stored, from 0 to 16."""

    def change(dataset: Dataset) -> Dataset:
        return _change_inputs(dataset, lambda x: 16.0 * _ink(dataset, x))

    _change_digits(ground, change)


@fault(*_DIGITS, component=_DATA, seen_by=_RECORDED)
def data_test_unnormalised(ground: Ground) -> None:
    """Only the training examples are normalised."""
    _change_digits(
        ground, lambda data: replace(data, held_out_x=_ink(data, data.held_out_x))
    )  # fmt: skip


@fault(*_DIGITS, component=_DATA, seen_by=_RECORDED)
def norm_stats_full_data(ground: Ground) -> None:
    """Inputs are normalised with the mean and spread of all examples, held-out ones included."""

    def change(dataset: Dataset) -> Dataset:
        x, _ = dataset.epoch(np.random.default_rng(0))
        pixels = np.concatenate([x, dataset.held_out_x])
        mean, spread = pixels.mean(), pixels.std()
        return _change_inputs(dataset, lambda x: (x - mean) / spread)

    _change_digits(ground, change)


def _ink(dataset: Dataset, x: np.ndarray) -> np.ndarray:
    """Normalised pixels as ink from 0 to 1 again: some pixels are blank and some are full."""
    blank, full = dataset.held_out_x.min(), dataset.held_out_x.max()
    return np.asarray((x - blank) / (full - blank))


@fault(*_DIGITS, component=_DATA, seen_by=_RECORDED)
def data_transposed_test(ground: Ground) -> None:
    """Held-out images have their rows and columns swapped."""
    _change_digits(
        ground, lambda data: replace(data, held_out_x=data.held_out_x.swapaxes(-1, -2).copy())
    )


@fault(*_DIGITS, component=_DATA, seen_by=_RECORDED)
def data_flipped_in_training(ground: Ground) -> None:
    """Half of the training digits are mirrored, as if the direction of writing did not matter."""

    def change(dataset: Dataset) -> Dataset:
        def vary(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            placed = dataset.vary(x, rng) if dataset.vary else x
            mirrored = rng.random(len(x)) < 0.5
            return np.where(mirrored[:, None, None, None], placed[..., ::-1], placed)

        return replace(dataset, vary=vary)

    _change_digits(ground, change)


@fault("perceptron", "xor", component=_DATA, seen_by=_RECORDED)
def data_feature_x100(ground: Ground) -> None:
    """The first feature is in another unit: a hundred times as large."""

    def change(dataset: Dataset) -> Dataset:
        if dataset.train_x.ndim != 2 or dataset.train_x.dtype.kind != "f":
            return dataset
        factors = np.array([100.0] + [1.0] * (dataset.train_x.shape[1] - 1), dtype=np.float32)
        train_x, held_out_x = factors * dataset.train_x, factors * dataset.held_out_x
        return replace(dataset, train_x=train_x, held_out_x=held_out_x)

    ground.change_data(change)


# --- which examples ---------------------------------------------------------------------------


@fault("mlp", "cnn", "transformer", component=_DATA, seen_by=_RECORDED)
def data_tiny_subset(ground: Ground) -> None:
    """Only the first 100 rows are trained on."""
    ground.change_data(
        lambda data: replace(data, train_x=data.train_x[:100], train_y=data.train_y[:100])
    )


@fault("perceptron", "mlp", "cnn", "transformer", component=_DATA, seen_by=_RECORDED)
def data_held_out_is_train(ground: Ground) -> None:
    """The model is judged on examples that it was trained on."""

    def change(dataset: Dataset) -> Dataset:
        x, y = dataset.epoch(np.random.default_rng(0))
        count = len(dataset.held_out_x)
        return replace(dataset, held_out_x=x[:count], held_out_y=y[:count])

    ground.change_data(change)


@fault("perceptron", "transformer", component=_DATA, seen_by=_RECORDED)
def data_held_out_leaks(ground: Ground) -> None:
    """The first training examples are held-out ones."""

    def change(dataset: Dataset) -> Dataset:
        if dataset.vary:
            return dataset
        count = min(len(dataset.held_out_x), len(dataset.train_x) // 2)
        x, y = dataset.train_x.copy(), dataset.train_y.copy()
        x[:count], y[:count] = dataset.held_out_x[:count], dataset.held_out_y[:count]
        return replace(dataset, train_x=x, train_y=y)

    ground.change_data(change)
