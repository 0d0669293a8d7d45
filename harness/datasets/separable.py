"""Fisher's iris, two of its three species, which two measurements tell apart by a line."""

from __future__ import annotations

import numpy as np

from harness.datasets.base import Dataset
from harness.datasets.files import shipped_arrays
from harness.errors import DataError

SPECIES = ("setosa", "versicolor", "virginica")
MEASUREMENTS = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def separable(
    *, species: tuple[str, str], measurements: tuple[str, ...], held_out_per_species: int
) -> Dataset:
    """Flowers of two species: which is it? The last rows of each species are held out.

    Shapes: x (N, measurements) in centimetres, y (N,) of 0 and 1. Source: Fisher 1936.
    """
    unknown = [*set(species) - set(SPECIES), *set(measurements) - set(MEASUREMENTS)]
    if unknown:
        raise DataError(
            f"separable: unknown {unknown[0]!r}",
            f"Species: {', '.join(SPECIES)}. Measurements: {', '.join(MEASUREMENTS)}.",
        )
    arrays = shipped_arrays("iris")
    columns = [MEASUREMENTS.index(name) for name in measurements]
    rows = [np.flatnonzero(arrays["species"] == SPECIES.index(name)) for name in species]
    if not 0 < held_out_per_species < min(map(len, rows)):
        raise DataError(f"separable: cannot hold out {held_out_per_species} of {len(rows[0])}")
    train = np.concatenate([each[:-held_out_per_species] for each in rows])
    held_out = np.concatenate([each[-held_out_per_species:] for each in rows])
    x = (arrays["measurements"][:, columns] / 10.0).astype(np.float32)
    y = (arrays["species"] == SPECIES.index(species[1])).astype(np.int64)
    return Dataset(x[train], y[train], x[held_out], y[held_out])
