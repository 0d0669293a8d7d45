"""Where training starts: the first loss, the size of every tensor, and what must not be alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from harness.measurement import Measurement
from harness.model import Model
from harness.probes.models.specimen import Specimen

EXAMPLES = 64
# How far the first loss may be from that of a model that knows nothing, as a factor; inputs of
# a size above 1 may take it as much farther.
FIRST_LOSS_BELOW, FIRST_LOSS_ABOVE = 2.0, 4.0
# Between PyTorch's default 1/sqrt(3 fan_in), the smallest way to start that is in use, and
# He's sqrt(2/fan_in), the largest, a fan-in may be read in two ways; then some room.
SMALLEST, LARGEST = 0.25 / math.sqrt(3.0), 1.5 * math.sqrt(2.0)
# Small random numbers for every layer, N(0, 0.01^2), are in use where the fan-in is large.
SMALL_NORMAL, SMALLEST_OF_ALL = 0.01, 0.05 / math.sqrt(3.0)
# A row of an embedding is no sum: its size does not depend on how many rows there are.
EMBEDDING = (0.015, 1.5)
# Biases, gains: zeros, ones, small random numbers.
VECTOR = (0.0, 2.0)
# Normal numbers are beyond so many standard deviations less often than once in 10,000 tensors.
_DEVIATIONS = 4.0
# The same for means, which have no room beside: less often than once in a million.
_MEAN = 5.0
# Numbers at the beginning of two tensors that tell whether they are the same draws.
_PREFIX = 8
_ALIKE = 1e-4


@dataclass(frozen=True)
class Tensor:
    """A parameter before training: its label, the type of its layer, its numbers in float64."""

    label: str
    layer: str
    array: np.ndarray

    @property
    def is_constant(self) -> bool:
        """Whether all numbers are one."""
        return bool((self.array == self.array.flat[0]).all()) if self.array.size else True


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """Rows whose error is 0 within what is plausible, else how far beyond it."""
    model = specimen.model()
    tensors = _tensors(specimen, model)
    yield from _first_loss(specimen, model)
    for tensor in tensors:
        yield _size(tensor)
        if tensor.array.ndim >= 2 and tensor.array.size > 1:
            yield from _numbers(tensor)
    yield from same_draws(tensors)


def _tensors(specimen: Specimen, model: Model) -> list[Tensor]:
    """Every parameter with the type of its layer, in float64."""
    backend, found = specimen.backend, []
    for leaf in (leaf for node in model.nodes for leaf in node.leaves()):
        for name, parameter in backend.parameters(leaf.layer).items():
            (array,) = backend.arrays([parameter])
            found.append(Tensor(f"{leaf.label}.{name}", leaf.type, array.astype(np.float64)))
    return found


def _within(subject: str, what: str, got: float, low: float, high: float) -> Measurement:
    """A row for a number that should lie in a range."""
    nearest = min(max(got, low), high) if math.isfinite(got) else low
    off = abs(got - nearest) / max(abs(nearest), 1e-12) if math.isfinite(got) else math.inf
    return Measurement(subject, f"{what} (plausible: {low:.3g} to {high:.3g})", got, nearest, off)


def _alike(subject: str, what: str, count: int) -> Measurement:
    """A row for something that should not occur."""
    return Measurement(subject, what, count, 0.0, float(count))


# --- the loss before the first step --------------------------------------------------------


def _first_loss(specimen: Specimen, model: Model) -> Iterator[Measurement]:
    """ln C for C classes, ln 2 for yes or no: the loss of a model that knows nothing."""
    x, y = specimen.examples(EXAMPLES)
    model.set_training(False)
    logits = specimen.outputs(model, x)
    name = specimen.config.training.loss
    classes = {"CrossEntropyLoss": logits.shape[-1], "BCEWithLogitsLoss": 2}.get(name, 0)
    if classes < 2:
        return
    size = _rms(x.astype(np.float64)) if x.dtype.kind == "f" else 1.0
    room, ignorant = max(1.0, size), math.log(classes)
    low, high = ignorant / (FIRST_LOSS_BELOW * room), ignorant * FIRST_LOSS_ABOVE * room
    yield _within("the first loss", f"of {len(x)} examples", specimen.loss(logits, y), low, high)


# --- one tensor ----------------------------------------------------------------------------


def _size(tensor: Tensor) -> Measurement:
    """The root mean square, against all ways to start that are in use."""
    low, high = _plausible_size(tensor)
    what = f"root mean square of {tensor.label} {tensor.array.shape}"
    return _within(tensor.layer, what, _rms(tensor.array), low, high)


def _plausible_size(tensor: Tensor) -> tuple[float, float]:
    """By fan-in, either way round: (out, in) or (in, out); few numbers may differ by chance."""
    shape, count = tensor.array.shape, tensor.array.size
    if len(shape) < 2 or count == 0:
        low, high = VECTOR
    elif tensor.layer == "Embedding":
        low, high = EMBEDDING
    else:
        fans = [count / shape[0], count / shape[1 if len(shape) == 2 else -1]]
        usual, least = SMALLEST / math.sqrt(max(fans)), SMALLEST_OF_ALL / math.sqrt(max(fans))
        low, high = min(usual, max(SMALL_NORMAL, least)), LARGEST / math.sqrt(min(fans))
    return low * _by_chance(count, -_DEVIATIONS), high * _by_chance(count, _DEVIATIONS)


def _by_chance(count: int, deviations: float) -> float:
    """The root mean square of so many normal numbers, so many standard deviations off.

    Source: Wilson and Hilferty 1931, the cube root of chi-square is nearly normal.
    """
    part = 2.0 / (9.0 * max(count, 1))
    return float(max(1.0 - part + deviations * math.sqrt(part), 0.0) ** 1.5)


def _rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(array * array))) if array.size else 0.0


def _numbers(tensor: Tensor) -> Iterator[Measurement]:
    """Random numbers around zero, and no two units with the same weights."""
    flat, label = tensor.array.ravel(), tensor.label
    if tensor.is_constant:
        what = f"numbers of {label} {tensor.array.shape} that are all the same"
        yield _alike(tensor.layer, what, flat.size)
        return
    size = _rms(flat) / math.sqrt(flat.size)
    what = f"mean of {label} in standard errors"
    yield _within(tensor.layer, what, float(flat.mean()) / size, -_MEAN, _MEAN)
    for axis, unit in ((0, "rows"), (1, "columns")):
        units = np.moveaxis(tensor.array, axis, 0).reshape(tensor.array.shape[axis], -1)
        if units.shape[1] > 1:  # of single numbers in float32 two may well be equal
            yield _alike(tensor.layer, f"{unit} of {label} that are alike", _twins(units))
    repeated = int((np.diff(np.sort(flat)) == 0.0).sum())
    what = f"numbers of {label} that stand there twice, of {flat.size}"
    yield _alike(tensor.layer, what, repeated if repeated > flat.size / 2 else 0)


def _twins(units: np.ndarray) -> int:
    """How many rows have an equal among the others: seen in one number for each."""
    weights = np.cos(np.arange(1, units.shape[1] + 1, dtype=np.float64))
    keys = np.sort(units @ weights)
    return int((np.diff(keys) <= 1e-12 * _rms(units)).sum())


# --- several tensors -----------------------------------------------------------------------


def same_draws(tensors: Sequence[Tensor]) -> Iterator[Measurement]:
    """Two tensors whose first numbers are the same but for a factor: one seed used twice."""
    random = [t for t in tensors if not t.is_constant and np.isfinite(t.array).all()]
    large = [tensor for tensor in random if tensor.array.size >= _PREFIX]
    readings = [_readings(tensor.array) for tensor in large]
    pairs = [
        (one.label, other)
        for (one, a), (other, b) in combinations(zip(large, readings, strict=True), 2)
        if np.abs(a @ b.T).max() > 1.0 - _ALIKE
    ]
    pairs += [
        (one.label, other)
        for one, other in combinations([t for t in random if t.array.size < _PREFIX], 2)
        if one.array.size > 1 and np.array_equal(one.array, other.array)
    ]
    for first, other in pairs:
        yield _alike(other.layer, f"{other.label} starts with the numbers of {first}: copies", 1)


def _readings(array: np.ndarray) -> np.ndarray:
    """The first numbers by rows and by columns, each less its mean and of length 1."""
    first = np.stack([array.ravel()[:_PREFIX], array.T.ravel()[:_PREFIX]])
    first = first - first.mean(axis=1, keepdims=True)
    return np.asarray(first / np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-30))
