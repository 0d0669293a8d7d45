"""What a dataset holds, as named numbers: `describe` takes them, `put_on_record` with tolerances.

Two descriptions differ where the data differ, and the name of the number says how. The order
of the examples does not matter, which target belongs to which input does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from harness.datasets.base import Dataset

# A value that is not a number stands in the name, after this word.
IS = " is "
# The name of a number that tells of a leak.
KNOWN = "count of held-out inputs that training has, too"
# Targets of more kinds than these are not counted kind by kind.
MOST_KINDS = 32
_DRAWS = 24
_PROJECTIONS = 3
_WEIGHTS_SEED = 1725
# Another processor may round float32 otherwise: 6e-8 of each number.
_ROUNDING = 1e-6
_ROUNDING_OF_FINGERPRINTS = 3e-7
# Data that vary are drawn anew by every run: so many standard deviations are still usual.
_USUAL = 8.0

Recorded = dict[str, Any]  # plain JSON


def describe(dataset: Dataset, rng: np.random.Generator) -> dict[str, float]:
    """Named numbers, the most telling first. Data that vary are drawn with `rng`."""
    train_x, train_y = dataset.epoch(rng)
    found: dict[str, float] = {}
    halves = {"train": (train_x, train_y), "held_out": (dataset.held_out_x, dataset.held_out_y)}
    for half, (x, y) in halves.items():
        found |= _form(f"{half}_x", x) | _form(f"{half}_y", y)
    for half, (x, y) in halves.items():
        found |= _kinds(f"{half}_y", y) | _size(f"{half}_x", x)
    for half, (x, y) in halves.items():
        found |= _fingerprints(f"{half}_x", x, f"{half}_y", y)
    if dataset.vary:
        found |= _fingerprints("train_x before it is varied", dataset.train_x, "train_y", train_y)
        found |= _fingerprints("train_x wherever it stands", _moments(train_x), "train_y", train_y)
        found |= _places("train_x", train_x)
    return found | _overlap(halves) | _scored(dataset)


def put_on_record(spec: Mapping[str, object], dataset: Dataset) -> Recorded:
    """What to expect of the data that `spec`, the data section of a config, describes.

    Each number has its tolerance beside it.
    """
    draws = _DRAWS if dataset.vary else 1
    seen = [describe(dataset, np.random.default_rng(draw)) for draw in range(draws)]
    numbers = {}
    for name in {name: None for each in seen for name in each}:
        values = np.array([each.get(name, 0.0) for each in seen])
        noise = _ROUNDING_OF_FINGERPRINTS if name.startswith("fingerprint") else _ROUNDING
        usual = noise * max(1.0, float(np.abs(values).max())) + _USUAL * float(values.std())
        numbers[name] = [float(f"{values.mean():.9g}"), float(f"{usual:.3g}")]
    return {"of": dict(spec), "numbers": numbers}


def row_codes(array: np.ndarray) -> np.ndarray:
    """A number for each row, equal where the rows are equal to the last bit: (N, ...) -> (N,)."""
    rows = np.ascontiguousarray(array).reshape(len(array), -1)
    if rows.dtype.itemsize not in (4, 8):
        rows = rows.astype(np.float64)
    bits = rows.view(np.uint32 if rows.dtype.itemsize == 4 else np.uint64)
    return np.asarray(bits.astype(np.uint64) @ _odd_numbers(bits.shape[1]))


def pair_codes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A number for each pair of an input and a target, from their codes."""
    return np.asarray(x * np.uint64(3) + y)


def among(codes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which codes are among some known ones: (N,) of bool."""
    ordered = np.sort(known)
    at = np.searchsorted(ordered, codes)
    return np.asarray(ordered[np.minimum(at, len(ordered) - 1)] == codes)


@lru_cache(maxsize=16)
def _odd_numbers(count: int) -> np.ndarray:
    words = np.random.RandomState(_WEIGHTS_SEED).bytes(8 * count)
    return np.frombuffer(words, dtype=np.uint64) | np.uint64(1)


def _form(name: str, array: np.ndarray) -> dict[str, float]:
    return {f"dtype of {name}{IS}{array.dtype}": 1.0, f"shape of {name}{IS}{array.shape}": 1.0}


def _kinds(name: str, array: np.ndarray) -> dict[str, float]:
    """How often each target occurs."""
    kinds, counts = kinds_of(array)
    if len(kinds) > MOST_KINDS:
        return {f"count of different numbers in {name}": float(len(kinds))}
    pairs = zip(kinds.tolist(), counts.tolist(), strict=True)
    return {f"count of {kind:g} in {name}": float(count) for kind, count in pairs}


def kinds_of(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different numbers of an array, and how often each is there."""
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= MOST_KINDS:
        counts = np.bincount(array.ravel())  # far faster than sorting
        kinds = np.flatnonzero(counts)
        return kinds, counts[kinds]
    return np.unique(array, return_counts=True)


def _size(name: str, array: np.ndarray) -> dict[str, float]:
    wide = array.astype(np.float64).ravel()
    mean = float(wide.mean())
    return {
        f"lowest number of {name}": float(array.min()),
        f"highest number of {name}": float(array.max()),
        f"mean of {name}": mean,
        f"spread of {name}": max(float(wide @ wide) / wide.size - mean * mean, 0.0) ** 0.5,
    }


def _fingerprints(x_name: str, x: np.ndarray, y_name: str, y: np.ndarray) -> dict[str, float]:
    """Means of arrows: every row points somewhere, and the mean forgets their order.

    The arrow of a pair is that of its input turned by that of its target, so that targets
    that change places change the mean.
    """
    of_x, of_y = _arrows(x, "x"), _arrows(y, "y")
    means = {x_name: of_x, y_name: of_y, f"{x_name} with {y_name}": of_x * of_y}
    found = {}
    for what, arrows in means.items():
        for i, mean in enumerate(arrows.mean(axis=0).tolist(), start=1):
            found[f"fingerprint {i}a of {what}"] = mean.real
            found[f"fingerprint {i}b of {what}"] = mean.imag
    return found


def _arrows(array: np.ndarray, part: str) -> np.ndarray:
    """(N, ...) -> (N, projections) of complex numbers of length 1."""
    rows = array.reshape(len(array), -1).astype(np.float64)
    angles = rows @ _weights(rows.shape[1], part)
    arrows = np.empty(angles.shape, dtype=np.complex128)
    arrows.real, arrows.imag = np.cos(angles), np.sin(angles)
    return arrows


def _moments(array: np.ndarray) -> np.ndarray:
    """What of each image stays as it is when the image moves on an empty field: (N, 9).

    Its ink above the lightest number, the squares of it, and the second and third moments
    about its own centre.
    """
    ink = _ink(array)
    rows, columns = ink.sum(axis=2), ink.sum(axis=1)
    total = np.maximum(rows.sum(axis=1), np.finfo(np.float64).tiny)
    u, v = _about_centre(rows, total), _about_centre(columns, total)
    moments = [total / ink[0].size, np.sqrt((ink * ink).mean(axis=(1, 2)))]
    powers = [np.ones_like(v), v, v * v, v * v * v]
    along = [columns, *(np.matmul(each[:, None], ink)[:, 0] for each in (u, u * u, u * u * u))]
    for i, j in ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3)):
        moments.append(np.vecdot(along[i], powers[j]) / total)
    return np.stack(moments, axis=1)


def _places(name: str, array: np.ndarray) -> dict[str, float]:
    """Where the ink of the images has its centre, and how far that goes about."""
    ink, found = _ink(array), {}
    for axis, along in (("down", ink.sum(axis=2)), ("across", ink.sum(axis=1))):
        total = np.maximum(along.sum(axis=1), np.finfo(np.float64).tiny)
        centres = along @ np.arange(along.shape[1]) / total
        found[f"mean place of {name}, {axis}"] = float(centres.mean())
        found[f"spread of places of {name}, {axis}"] = float(centres.std())
    return found


def _ink(array: np.ndarray) -> np.ndarray:
    """(N, ..., H, W) -> (N, H, W) above the lightest number; fewer axes are lines, or points."""
    ink = array.reshape(len(array), -1, *(1, 1, *array.shape[1:])[-2:]).sum(axis=1)
    ink = ink.astype(np.float64)
    return np.asarray(ink - ink.min(axis=(1, 2), keepdims=True))


def _about_centre(ink: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Places along one axis, from the centre of the ink: (N, places)."""
    places = np.arange(ink.shape[1], dtype=np.float64)
    return np.asarray(places - (ink @ places / total)[:, None])


@lru_cache(maxsize=16)
def _weights(count: int, part: str) -> np.ndarray:
    """(count, projections), none near 0. RandomState: frozen across numpy versions (NEP 19)."""
    draw = np.random.RandomState(_WEIGHTS_SEED + ord(part))
    size = draw.uniform(0.5, 1.5, (count, _PROJECTIONS))
    return np.asarray(size * draw.choice([-1.0, 1.0], size.shape) / np.sqrt(count))


def _overlap(halves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Held-out inputs that training has, and those that have another target there."""
    (train_x, train_y), (x, y) = halves["train"], halves["held_out"]
    if train_x.dtype != x.dtype or train_x.shape[1:] != x.shape[1:]:
        return {}
    codes, train_codes = row_codes(x), row_codes(train_x)
    known = among(codes, train_codes)
    agreeing = among(pair_codes(codes, row_codes(y)), pair_codes(train_codes, row_codes(train_y)))
    return {
        KNOWN: float(known.sum()),
        "count of held-out inputs that training has with another target": float(
            (known & ~agreeing).sum()
        ),
    }


def _scored(dataset: Dataset) -> dict[str, float]:
    mask = dataset.scored
    if mask is None:
        return {f"what counts for accuracy{IS}every target": 1.0}
    marks = "".join("x" if each else "-" for each in np.ravel(mask).tolist())
    short = marks if len(marks) <= 64 else hashlib.sha256(marks.encode()).hexdigest()
    return {f"what counts for accuracy{IS}{short}": 1.0}
