"""The examples of a milestone beside those that its recipe, written out anew, should give."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.config import DataSpec
from harness.datasets.base import Dataset
from harness.datasets.files import read_arrays
from harness.measurement import Measurement
from harness.oracles.recipes import RECIPES, Expected, Pair
from harness.probes.counting import counted
from harness.resources import root

# Numbers are rounded to single precision, and sums of some hundred of them lose two digits.
_ROUNDING = 1e-4
_WEIGHTS_SEED, _PROJECTIONS = 1957, 3


def measure_recipe(
    subject: str, spec: DataSpec, dataset: Dataset, rng: np.random.Generator
) -> Iterator[Measurement]:
    """How many examples are others than they should be, in whatever order they stand."""
    expected = _expected(spec)
    if expected is None:
        return
    halves = {
        "train": (dataset.epoch(rng), expected.train),
        "held-out": ((dataset.held_out_x, dataset.held_out_y), expected.held_out),
    }
    for half, (got, should) in halves.items():
        x = _ink(got[0]) if expected.is_ink else got[0]
        what = f"{half} examples that recipe '{spec.recipe}' does not give"
        yield counted(subject, what, _others((x, got[1]), should), 0)
    same = _same_mask(dataset, expected)
    yield counted(subject, "sets of targets that count for accuracy as declared", int(same), 1)


def _expected(spec: DataSpec) -> Expected | None:
    """None for a recipe of which nothing is known."""
    if spec.recipe not in RECIPES:
        return None
    oracle, file = RECIPES[spec.recipe]
    arrays = read_arrays(root("data") / f"{file}.npz", "") if file else {}
    return oracle(arrays, **spec.arguments)


def _ink(images: np.ndarray) -> np.ndarray:
    """Totals of each image, and of its squares, which do not depend on where it stands: (N, 2)."""
    rows = images.reshape(len(images), -1).astype(np.float64)
    return np.stack([rows.sum(axis=1), np.vecdot(rows, rows)], axis=1)


def _others(got: Pair, expected: Pair) -> int:
    """How many pairs are on neither side what one on the other is."""
    table, other = _table(got), _table(expected)
    if table.shape != other.shape:
        return max(len(table), len(other))
    moved = ~np.isclose(table, other, rtol=_ROUNDING, atol=_ROUNDING).all(axis=1)
    if not moved.any():
        return 0
    return _unlike_in_any_order(table[moved], other[moved])


def _unlike_in_any_order(some: np.ndarray, others: np.ndarray) -> int:
    """How many rows differ once sorted: by single numbers, where rounding changes no place."""
    draw = np.random.default_rng(_WEIGHTS_SEED)  # any numbers will do, if they are the same
    weights = draw.uniform(0.5, 1.5, (some.shape[1], _PROJECTIONS))
    room = _ROUNDING * (1.0 + float((np.abs(others) @ weights).max()))
    sides = [np.sort(rows @ weights, axis=0) for rows in (some, others)]
    return int((np.abs(sides[0] - sides[1]) > room).any(axis=1).sum())


def _table(pair: Pair) -> np.ndarray:
    """(N, numbers) of targets and inputs together."""
    x, y = pair
    parts = [y.reshape(len(y), -1), x.reshape(len(x), -1)]
    return np.concatenate(parts, axis=1, dtype=np.float64, casting="unsafe")


def _same_mask(dataset: Dataset, expected: Expected) -> bool:
    """Whether the same places of an example are scored; no mask is all of them."""
    shape = dataset.held_out_y.shape
    got, should = (
        np.ones(shape, dtype=bool) if mask is None else np.broadcast_to(mask, shape)
        for mask in (dataset.scored, expected.scored)
    )
    return bool(np.array_equal(got, should))
