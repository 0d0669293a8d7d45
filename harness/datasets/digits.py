"""Handwritten digits, placed on a larger canvas: where a digit stands must not matter."""

from __future__ import annotations

import numpy as np

from harness.datasets.base import Dataset
from harness.datasets.files import shipped_arrays
from harness.errors import DataError

SIZE = 8


def digits(*, canvas: int, train_rows: int, held_out_places: int) -> Dataset:
    """8x8 digits on a canvas x canvas field; the writers after row `train_rows` are held out.

    Training digits are placed at random, anew in every epoch. Each held-out digit is judged
    at `held_out_places` fixed places, spread evenly over all of them from digit to digit.
    Shapes: x (N, 1, canvas, canvas) in [0, 1], y (N,) of 0 to 9.
    Source: Alpaydin and Kaynak 1998.
    """
    arrays = shipped_arrays("digits")
    images, labels = arrays["images"].astype(np.float32) / 16.0, arrays["labels"].astype(np.int64)
    places = (canvas - SIZE + 1) ** 2
    if canvas < SIZE or not 1 <= held_out_places <= places or not 0 < train_rows < len(images):
        raise DataError(
            f"digits: canvas {canvas}, train_rows {train_rows} and held_out_places "
            f"{held_out_places} do not fit {len(images)} digits of {SIZE}x{SIZE}"
        )
    held_out = np.repeat(images[train_rows:], held_out_places, axis=0)
    chosen = np.arange(len(held_out)) * places // held_out_places
    turns = np.arange(len(held_out)) // held_out_places
    return Dataset(
        train_x=images[:train_rows],
        train_y=labels[:train_rows],
        held_out_x=_placed(held_out, (chosen + turns) % places, canvas),
        held_out_y=np.repeat(labels[train_rows:], held_out_places),
        vary=_Placing(canvas),
    )


class _Placing:
    """Puts every digit somewhere at random."""

    def __init__(self, canvas: int) -> None:
        self.canvas = canvas

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        places = rng.integers(0, (self.canvas - SIZE + 1) ** 2, size=len(images))
        return _placed(images, places, self.canvas)


def _placed(images: np.ndarray, places: np.ndarray, canvas: int) -> np.ndarray:
    """(N, 8, 8) and a place for each, counted row by row -> (N, 1, canvas, canvas)."""
    field = np.zeros((len(images), 1, canvas, canvas), dtype=np.float32)
    for place in range((canvas - SIZE + 1) ** 2):
        top, left = divmod(place, canvas - SIZE + 1)
        here = np.flatnonzero(places == place)
        field[here, 0, top : top + SIZE, left : left + SIZE] = images[here]
    return field
