"""Handwritten digits, placed on a larger canvas: where a digit stands must not matter."""

from __future__ import annotations

import numpy as np

from harness.datasets.base import Dataset
from harness.datasets.files import shipped_arrays
from harness.errors import DataError

SIZE = 8
# Fixed: where the held-out digits stand is part of the task, not of a run's luck.
_PLACES_SEED = 1998


def digits(
    *, canvas: int, train_rows: int, held_out_places: int, mean: float = 0.0, std: float = 1.0
) -> Dataset:
    """8x8 digits on a canvas x canvas field; the writers after row `train_rows` are held out.

    Training digits are placed at random, anew in every epoch. Each held-out digit is judged
    at `held_out_places` different places, fixed for ever.
    Shapes: x (N, 1, canvas, canvas), ink from 0 to 1 less `mean` over `std`; y (N,) of 0 to 9.
    Source: Alpaydin and Kaynak 1998.
    """
    arrays = shipped_arrays("digits")
    images, labels = arrays["images"].astype(np.float32) / 16.0, arrays["labels"].astype(np.int64)
    places = (canvas - SIZE + 1) ** 2
    fits = canvas >= SIZE and 1 <= held_out_places <= places and 0 < train_rows < len(images)
    if not fits or std <= 0.0:
        raise DataError(
            f"digits: canvas {canvas}, train_rows {train_rows}, held_out_places {held_out_places} "
            f"and std {std} do not fit {len(images)} digits of {SIZE}x{SIZE}"
        )
    placing = _Placing(canvas, mean, std)
    # RandomState, because its numbers are frozen across numpy versions (NEP 19).
    draws = np.random.RandomState(_PLACES_SEED).random_sample((len(images) - train_rows, places))
    chosen = np.argsort(draws, axis=1)[:, :held_out_places].ravel()
    held_out = np.repeat(images[train_rows:], held_out_places, axis=0)
    return Dataset(
        train_x=images[:train_rows],
        train_y=labels[:train_rows],
        held_out_x=placing.at(chosen, held_out),
        held_out_y=np.repeat(labels[train_rows:], held_out_places),
        vary=placing,
    )


class _Placing:
    """Puts every digit somewhere at random, and scales."""

    def __init__(self, canvas: int, mean: float, std: float) -> None:
        self.canvas = canvas
        self.mean = mean
        self.std = std

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.at(rng.integers(0, (self.canvas - SIZE + 1) ** 2, size=len(images)), images)

    def at(self, places: np.ndarray, images: np.ndarray) -> np.ndarray:
        """(N, 8, 8) and a place for each, counted row by row -> (N, 1, canvas, canvas)."""
        side = self.canvas - SIZE + 1
        field = np.zeros((len(images), 1, self.canvas, self.canvas), dtype=np.float32)
        for place in range(side**2):
            top, left = divmod(place, side)
            here = np.flatnonzero(places == place)
            field[here, 0, top : top + SIZE, left : left + SIZE] = images[here]
        with np.errstate(over="ignore", invalid="ignore"):  # not finite is refused on loading
            field -= self.mean
            field /= self.std
        return field
