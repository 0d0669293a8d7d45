"""What a record says of a training, beside what was so: norms, movements, counts, digests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from harness import training
from harness.backends.base import Backend
from harness.config import LayerSpec, MilestoneConfig
from harness.datasets.base import Dataset
from harness.measurement import Measurement
from harness.probes.counting import counted
from harness.probes.models.specimen import Specimen
from harness.probes.runs.short_run import changed
from harness.probes.runs.witnessed import Witnessed
from harness.record import RunRecord
from harness.watches.gradients import GradientWatch

WATCH = "the gradient watch"
RECORD = "the record"
SUBJECTS = (WATCH, RECORD)

# More steps than a watch sums up at once (64), twice over, and a remainder.
_STEPS = 131
# Two tensors in a row of numbers; one of them has no gradient once in so many steps.
_PLACES = (slice(0, 3), slice(3, 5))
_NUMBERS, _SELDOM = 5, 13
# Where squares leave the range of single precision, a training went astray.
_ASTRAY = 1e15
# Too small for a step of single or double precision to be felt.
_NO_RATE, _SOME_RATE = 1e-300, 0.1


# --- a real training --------------------------------------------------------------------------


def measure_record(run: Witnessed) -> Iterator[Measurement]:
    """The record of a short training, from what a witness of it saw."""
    record, dataset, section = run.record, run.dataset, run.config.training
    first = np.array([_norm(array) for array in run.values[0]])
    yield _norms(RECORD, "norms before the first step", record.initial_norm, first)
    gradients = np.array([[_norm(array) for array in step] for step in run.gradients])
    moves = np.array([_moves(*pair) for pair in zip(run.values, run.values[1:], strict=False)])
    if not (gradients > _ASTRAY).any() and (moves <= _ASTRAY).all():  # else others say so
        yield _norms(WATCH, "gradient norms of a short training", record.gradient_norm, gradients)
        yield _norms(WATCH, "movements of a short training", record.movement, moves)
    planned = section.epochs * math.ceil(len(dataset.train_x) / section.batch_size)
    for what, got, expected in (
        ("planned steps", record.planned_steps, planned),
        ("size of a batch", record.batch_size, section.batch_size),
        ("held-out examples", record.held_out_examples, len(dataset.held_out_x)),
        ("targets of an example", record.targets_per_example, dataset.held_out_y[0].size),
        ("shapes of tensors", sum(map(math.prod, record.shapes)), sum(a.size for a in run.ending)),
    ):
        yield counted(RECORD, what, got, expected)
    yield _majority(record.majority_accuracy, dataset)


def _majority(got: float, dataset: Dataset) -> Measurement:
    """What the most frequent of the targets that count gets, to the last example."""
    mask, y = dataset.scored, dataset.held_out_y
    counts = np.ones(y.shape, dtype=bool) if mask is None else np.broadcast_to(mask, y.shape)
    answers = y[counts].tolist()
    expected = max(Counter(answers).values()) / len(answers)
    what = "accuracy of always the same answer"
    return Measurement(RECORD, what, got, expected, abs(got - expected) * len(answers))


# --- the watch by itself ----------------------------------------------------------------------


def measure_watch(backend: Backend, rng: np.random.Generator) -> Iterator[Measurement]:
    """A watch on two tensors that are moved by hand, over more steps than it keeps."""
    values, gradients = _walk(rng), _gradients(rng)
    parameters = [backend.leaf(_part(values[0], place)) for place in _PLACES]
    watch = GradientWatch(backend, parameters)
    for step in range(_STEPS):
        for parameter, place in zip(parameters, _PLACES, strict=True):
            is_missing = step % _SELDOM == place.start
            gradient = None if is_missing else _part(gradients[step], place)
            backend.set_gradient(parameter, gradient)
        watch.after_backward()
        for parameter, place in zip(parameters, _PLACES, strict=True):
            backend.set_value(parameter, _part(values[step + 1], place))
        watch.after_step()
    norms, moves = _lengths(gradients), _lengths(np.diff(values.astype(np.float64), axis=0))
    for column, place in enumerate(_PLACES):
        norms[place.start :: _SELDOM, column] = np.nan
    seen = watch.finish()
    yield _norms(WATCH, f"gradient norms of {_STEPS} steps", seen[0], norms)
    yield _norms(WATCH, f"movements of {_STEPS} steps", seen[1], moves)


def _gradients(rng: np.random.Generator) -> np.ndarray:
    """(steps, numbers) of several sizes; now and then one is no number."""
    sizes = 10.0 ** (np.arange(_STEPS) % 7 - 3)
    found = (sizes[:, None] * rng.standard_normal((_STEPS, _NUMBERS))).astype(np.float32)
    found[5::_SELDOM, 1], found[9::_SELDOM, 4] = np.nan, np.inf
    return found


def _walk(rng: np.random.Generator) -> np.ndarray:
    """(steps + 1, numbers) moved in steps of several sizes, and resting in some."""
    sizes = np.where(np.arange(_STEPS + 1) % 5 == 3, 0.0, 10.0 ** -(np.arange(_STEPS + 1) % 4.0))
    moves = sizes[:, None] * rng.standard_normal((_STEPS + 1, _NUMBERS))
    return moves.cumsum(axis=0).astype(np.float32)


def _part(row: np.ndarray, place: slice) -> np.ndarray:
    return row[place].copy()


def _lengths(rows: np.ndarray) -> np.ndarray:
    """(steps, tensors) Euclidean norms; inf for what is no number."""
    wide = rows.astype(np.float64)
    norms = np.stack([np.linalg.norm(wide[:, place], axis=1) for place in _PLACES], axis=1)
    return np.where(np.isfinite(norms), norms, np.inf)


def _norm(array: np.ndarray | None) -> float:
    """NaN for a gradient that is missing, inf for one that is no number."""
    if array is None:
        return math.nan
    norm = float(np.linalg.norm(array.astype(np.float64).ravel()))
    return norm if math.isfinite(norm) else math.inf


def _moves(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> list[float]:
    pairs = zip(before, after, strict=True)
    return [_norm(np.subtract(new, old, dtype=np.float64)) for old, new in pairs]


def _norms(subject: str, what: str, got: np.ndarray, expected: np.ndarray) -> Measurement:
    """A row about norms, each right by itself: the error is the worst, and so are the numbers."""
    if got.shape != expected.shape:
        what = f"{what}, of shape {got.shape} instead of {expected.shape}"
        return Measurement(subject, what, math.nan, math.nan, math.inf)
    if got.size == 0:
        return Measurement(subject, what, 0.0, 0.0, 0.0)
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.where(same, 0.0, np.abs(got - expected) / np.maximum(np.abs(expected), 1e-30))
    off = np.where(np.isfinite(off), off, np.inf)
    at = int(off.argmax())
    return Measurement(subject, what, got.flat[at], expected.flat[at], float(off.flat[at]))


# --- digests ----------------------------------------------------------------------------------


def measure_digests(specimen: Specimen) -> Iterator[Measurement]:
    """Whether trainings of one step are told apart by their losses alone, and by weights alone."""
    if "Linear" not in specimen.backend.namespace.layers:
        return
    config, points = _line(specimen.config)
    other = replace(points, train_y=1 - points.train_y)

    def run(rate: float, dataset: Dataset) -> RunRecord:
        asked = changed(config, lr=rate)
        return training.train(asked, specimen.backend, dataset, specimen.seed)

    resting = run(_NO_RATE, points)
    yield _majority(resting.majority_accuracy, points)
    others = {"losses": run(_NO_RATE, other), "weights": run(_SOME_RATE, points)}
    is_other = {
        "losses": not np.array_equal(others["losses"].loss, resting.loss),
        "weights": bool((others["weights"].movement > 0).any()),
    }
    for what, record in others.items():
        same = int(record.digest == resting.digest and is_other[what])
        yield counted(RECORD, f"trainings of other {what} that have the same digest", same, 0)


def _line(config: MilestoneConfig) -> tuple[MilestoneConfig, Dataset]:
    """The smallest model there is, for the loss of a config, and one batch of points."""
    outputs = 2 if config.training.loss == "CrossEntropyLoss" else 1
    layer = LayerSpec.model_validate({"type": "Linear", "in_features": 2, "out_features": outputs})
    asked = changed(config, epochs=1, batch_size=3, evaluate_every=2, lr_decay=None)
    x = np.array([[0.0, 1.0], [2.0, 1.0], [1.0, -1.0]], dtype=np.float32)
    points = Dataset(x, np.array([0, 1, 1]), x, np.array([0, 1, 1]))
    return asked.model_copy(update={"layers": {"output": layer}}), points
