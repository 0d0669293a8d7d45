"""Arrays of one's own: an .npz file beside the config."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.datasets.base import Dataset
from harness.datasets.files import read_arrays
from harness.errors import DataError

_PARTS = ("train_x", "train_y", "held_out_x", "held_out_y")


def arrays(*, file: str, folder: Path) -> Dataset:
    """The four arrays train_x, train_y, held_out_x and held_out_y of an .npz file.

    `file` is relative to the config. Numbers become float32, integers int64.
    """
    path = folder / file
    found = read_arrays(path, f"data.file is relative to the config: {folder}")
    missing = [part for part in _PARTS if part not in found]
    if missing:
        raise DataError(f"{path} has no array '{missing[0]}'", f"It needs {', '.join(_PARTS)}.")
    train_x, train_y, held_out_x, held_out_y = (
        _as_trained(found[part], f"{path}: {part}") for part in _PARTS
    )
    return Dataset(train_x, train_y, held_out_x, held_out_y)


def _as_trained(array: np.ndarray, what: str) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} holds {array.dtype}, expected real numbers")
    with np.errstate(over="ignore"):  # what becomes infinite is refused like what was
        return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
