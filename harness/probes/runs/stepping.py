"""`Steps`: what an optimizer was given, step by step, and what it did: held against its rule.

`disagreement` says how far each step of each tensor is from what a rule makes of the gradients;
`fitting` tries all right readings of a rule. Every step starts from the numbers that were really
there, so that one wrong step does not spoil the next.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from harness.backends.base import Backend, Optimizer, Parameter, Place
from harness.measurement import Measurement
from harness.oracles.optimizers import Rule
from harness.probes.runs.journal import Journal

# A number is stored to half a unit in the last place, and read twice.
STORED = 2.0
# A step is computed to some hundreds of units: 1 - 0.999**1 alone costs three digits.
COMPUTED = 1e3
# Excess over that which no rule explains; what disagrees by less fits.
FITS = 1e-6

Gradients = Sequence[np.ndarray | None]


@dataclass(frozen=True)
class Steps:
    """All tensors end to end: `values` (steps + 1, numbers), `gradients` (steps, numbers).

    `arrived` (steps, tensors) says which tensors had a gradient, `shapes` what they look like.
    """

    shapes: tuple[tuple[int, ...], ...]
    values: np.ndarray
    gradients: np.ndarray
    arrived: np.ndarray
    rates: Sequence[float]

    @cached_property
    def slices(self) -> list[slice]:
        """Where each tensor stands."""
        ends = list(accumulate(math.prod(shape) for shape in self.shapes))
        return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    @cached_property
    def changes(self) -> np.ndarray:
        """(steps, numbers) what each step added, in float64."""
        return np.diff(self.values.astype(np.float64, copy=False), axis=0)


class Recorder:
    """Writes Steps: `gradients` before each step of an optimizer, `values` before and after.

    `latest` are the values at the last look.
    """

    latest: np.ndarray

    def __init__(self, backend: Backend, parameters: Sequence[Parameter]) -> None:
        self._backend, self._parameters = backend, list(parameters)
        arrays = backend.arrays(self._parameters)
        self._dtype = np.result_type(*arrays)
        self._shapes = tuple(array.shape for array in arrays)
        self._size = sum(map(math.prod, self._shapes))
        self._values, self._gradients = Journal(), Journal()
        self._arrived: list[list[bool]] = []
        self.stepped()

    def look(self) -> np.ndarray:
        """All numbers now, end to end."""
        out = np.empty(self._size, self._dtype)
        self._backend.copy_values(self._parameters, out)
        return out

    def given(self, gradients: Gradients) -> None:
        """What the next step has to work with."""
        pairs = list(zip(gradients, self._shapes, strict=True))
        parts = [np.zeros(shape) if g is None else g for g, shape in pairs]
        self._gradients.append(np.concatenate(parts, axis=None))
        self._arrived.append([g is not None for g in gradients])

    def stepped(self) -> None:
        """Look at what the step did."""
        self.latest = self.look()
        self._values.append(self.latest)

    @property
    def count(self) -> int:
        """How many steps are whole."""
        return min(len(self._gradients), len(self._values) - 1)

    def steps(self, rates: Sequence[float]) -> Steps:
        """All that was written."""
        return self.part(0, len(self._gradients), rates)

    def part(self, start: int, end: int, rates: Sequence[float]) -> Steps:
        """Some of the steps that were written; `rates` are those of all."""
        return Steps(
            self._shapes,
            np.array(self._values.read(start, end + 1)),
            np.array(self._gradients.read(start, end)),
            np.array(self._arrived[start:end]),
            rates[start:end],
        )


def run(
    backend: Backend,
    optimizer: Optimizer,
    parameters: Sequence[Parameter],
    gradients: Iterable[Gradients],
    rates: Sequence[float],
) -> Steps:
    """What an optimizer does with some gradients and learning rates, the first its own."""
    recorder = Recorder(backend, parameters)
    for step, (given, rate) in enumerate(zip(gradients, rates, strict=True)):
        if step and rate != rates[step - 1]:
            backend.set_lr(optimizer, rate)
        take(backend, optimizer, parameters, given, recorder)
    return recorder.steps(rates)


def take(
    backend: Backend,
    optimizer: Optimizer,
    parameters: Sequence[Parameter],
    gradients: Gradients,
    recorder: Recorder,
) -> None:
    """One step with these gradients."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        backend.set_gradient(parameter, None if gradient is None else gradient.copy())
    recorder.given(gradients)
    optimizer.step()
    recorder.stepped()


@dataclass(frozen=True)
class Comparison:
    """`expected` (steps, numbers) changes, and `errors` (steps, tensors) of those that were made.

    An error is what rounding does not explain, as a share of the expected change.
    """

    expected: np.ndarray
    errors: np.ndarray

    @property
    def fits(self) -> bool:
        """Whether nothing is left to explain."""
        return bool((self.errors <= FITS).all())

    @property
    def first_wrong(self) -> tuple[int, int] | None:
        """(step, tensor) where it first does not fit: the worst tensor of that step."""
        steps = np.flatnonzero(~(self.errors <= FITS).all(axis=1))
        if not len(steps):
            return None
        errors = self.errors[steps[0]]
        return int(steps[0]), int(np.argmax(np.where(np.isnan(errors), np.inf, errors)))


# A rule for some numbers, made anew, and the learning rate of every step.
Reading = tuple[Callable[[], Rule], Sequence[float]]


def fitting(steps: Steps, readings: Iterable[Reading]) -> Comparison:
    """The comparison with the first reading that fits, else with the first of all."""
    first: Comparison | None = None
    for rule, rates in readings:
        comparison = disagreement(steps, expected_changes(steps, rule, rates))
        if comparison.fits:
            return comparison
        first = first or comparison
    assert first is not None
    return first


def expected_changes(steps: Steps, rule: Callable[[], Rule], rates: Sequence[float]) -> np.ndarray:
    """(steps, numbers) what each step should have added: one rule for all that came together."""
    expected = np.zeros(steps.gradients.shape)
    for numbers, arrived in _together(steps):
        own = rule()
        for step, has_gradient in enumerate(arrived):
            if has_gradient:
                p, g = steps.values[step, numbers], steps.gradients[step, numbers]
                expected[step, numbers] = own.change(p, g, rates[step])
            else:
                own.rest()
    return expected


def _together(steps: Steps) -> list[tuple[np.ndarray | slice, np.ndarray]]:
    """Numbers whose gradients arrived in the same steps, and which steps these are."""
    if steps.arrived.all():
        return [(slice(None), steps.arrived[:, 0])]
    sizes = [place.stop - place.start for place in steps.slices]
    patterns, group = np.unique(steps.arrived, axis=1, return_inverse=True)
    owner = np.repeat(group.reshape(-1), sizes)
    return [(np.flatnonzero(owner == i), patterns[:, i]) for i in range(patterns.shape[1])]


def disagreement(steps: Steps, expected: np.ndarray) -> Comparison:
    """How far the changes are from those expected, beyond what the dtype rounds away."""
    unit = float(np.finfo(steps.values.dtype).eps)
    wide = np.abs(steps.values.astype(np.float64, copy=False))
    stored = STORED * unit * np.maximum(wide[:-1], wide[1:])
    off = np.maximum(np.abs(steps.changes - expected) - stored, 0.0)
    starts = [place.start for place in steps.slices]

    def norms(numbers: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(np.add.reduceat(numbers * numbers, starts, axis=1)))

    size, got = norms(expected), norms(off)
    excess = np.maximum(got - COMPUTED * unit * _terms(steps, size, norms), 0.0)
    errors = np.full(size.shape, np.inf)
    np.divide(excess, size, out=errors, where=size > 0.0)
    errors[excess == 0.0] = 0.0
    errors[~np.isfinite(got)] = np.inf
    return Comparison(expected, errors)


def row(subject: str, what: str, steps: Steps, comparison: Comparison) -> Measurement:
    """The number that is furthest off in the first wrong step, and its tensor."""
    if comparison.first_wrong is None:
        return Measurement(subject, what, 0.0, 0.0, float(comparison.errors.max(initial=0.0)))
    step, tensor = comparison.first_wrong
    place = steps.slices[tensor]
    got, expected = steps.changes[step, place], comparison.expected[step, place]
    distance = np.abs(got - expected)
    at = int(np.argmax(np.where(np.isfinite(distance), distance, np.inf)))
    what = f"{what}: change of a tensor of shape {steps.shapes[tensor]} in step {step + 1}"
    error = float(comparison.errors[step, tensor])
    return Measurement(subject, what, float(got[at]), float(expected[at]), error)


def crashed(subject: str, what: str, error: Exception) -> Measurement:
    """A row about something that raised, with the line that did."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = str(Place(frame.filename, frame.lineno or 0, frame.name))
    what = f"{what}: {type(error).__name__}: {error}"
    return Measurement(subject, what, math.nan, math.nan, math.inf, place)


def _terms(steps: Steps, size: np.ndarray, norms: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(steps, tensors) how large the terms are that a step is the sum of: they may cancel.

    The step before stands for the moments. A step of Adam is about the learning rate, however
    large the gradient.
    """
    before = np.vstack([np.zeros(size.shape[1]), size[:-1]])
    counts = np.sqrt([max(place.stop - place.start, 1) for place in steps.slices])
    rates = np.asarray(steps.rates, dtype=np.float64)[:, None]
    gradient = rates * np.minimum(norms(steps.gradients), counts)
    return np.asarray(np.maximum(np.maximum(size, before), gradient))
