"""The gradient of every op, loss and layer with respect to all that it takes.

In float64 against central differences of its own value, along a random direction, with a random
gradient coming in; in float32, one input by itself, against the gradient in float64. Large
inputs come after others of the same shape, so that what is kept of those is seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from harness.backends.base import Backend
from harness.measurement import Measurement
from harness.probes.comparing import missing
from harness.probes.differences import slope_row, unit
from harness.probes.rounding import (
    SINGLE,
    compared_in_single,
    in_double,
    in_single,
    size_of,
    was_single,
)
from harness.probes.runs.stepping import crashed
from harness.probes.trials import shared_causes
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.layouts import laid_out
from harness.probes.trials.locating import backward_place, placed
from harness.probes.trials.of_engine import all_trials
from harness.probes.trials.shared_causes import Look
from harness.probes.trials.trial import Lead, Trial

# A row with more than that is looked into, input by input, and traced to a line of code.
AGREES = 1e-7
# What an input comes out of, so that it is not always a leaf. The first of all ops.
LEAD = "add"
# Every so many-th case is tried in float32, too, and each with large numbers.
IN_SINGLE = 3
TWICE = "gradients of all ops that get one tensor twice"
# Of many numbers in float32, whoever adds them up one after the other may be off by more.
AGREES_LARGE = 1e-4

Array = np.ndarray


def measure(backend: Backend, seed: int = 0) -> Iterator[Measurement]:
    """Rows for each case, for each input where it is wrong; a broken backward pass first."""
    pool = Pool(seed, 2)
    whole: list[Look] = []
    twice: list[Look] = []
    ops: list[Measurement] = []
    others: list[Measurement] = []
    lead: Lead | None = None
    for trials in all_trials(backend, pool):
        for turn, trial in enumerate(trials):
            own = lead if trial.is_op and not trial.fans_out else None
            look = _Measured(backend, trial, pool, turn, own).look()
            if look.rows and trial.is_op:
                (twice if trial.fans_out else whole).append(look)
            (ops if trial.is_op else others).extend(look.rows)
        if trials and trials[0].is_op and trials[0].subject == LEAD:
            lead = _passing_on(backend, ops)
    yield from shared_causes.of_each("gradients of all ops", whole, AGREES)
    yield from shared_causes.of_each(TWICE, twice, AGREES)
    yield from shared_causes.of_each_shape(whole, AGREES)
    yield from shared_causes.of_single(whole, AGREES)
    yield from shared_causes.of_led(whole, AGREES)
    yield from ops
    yield from others


def rows_of(backend: Backend, trial: Trial, pool: Pool, turn: int) -> list[Measurement]:
    """The rows of one trial by itself; raises what the engine raises."""
    rows = list(_Measured(backend, trial, pool, turn)._rows()) if trial.varied else []
    if all(row.error <= AGREES for row in rows):
        return rows
    return placed(rows, backward_place(backend, trial))


def _passing_on(backend: Backend, rows: Sequence[Measurement]) -> Lead | None:
    """An op that gives what it is given, if these rows about it are right."""
    if not all(row.error <= AGREES for row in rows):
        return None
    add = backend.namespace.ops[LEAD]
    return lambda x: add(x, backend.tensor(np.zeros_like(backend.array(x))))


class _Measured:
    """One trial, the gradient that came in, and the gradients that came out."""

    def __init__(
        self, backend: Backend, trial: Trial, pool: Pool, turn: int, lead: Lead | None = None
    ) -> None:
        self.backend, self.trial, self.pool = backend, trial, pool
        self.turn, self.lead = turn, lead
        self.shape: tuple[int, ...] | None = None
        self.cotangent = np.zeros(0)
        self.found: dict[int, Array | None] = {}
        self.single: list[Measurement] = []
        self.is_led = False

    def look(self) -> Look:
        """What came of it; nothing where nothing is varied."""
        rows = self._placed() if self.trial.varied else []
        is_unary = len(self.trial.varied) == 1 and not self.trial.fans_out
        return Look(self.trial.subject, self.shape, rows, self.single, is_unary, self.is_led)

    def _placed(self) -> list[Measurement]:
        """All rows, with the line of the backward half where one is wrong."""
        trial = self.trial
        try:
            rows = list(self._rows())
        except Exception as error:  # a broken engine may raise anything
            if trial.may_refuse:
                return []
            row = crashed(trial.subject, f"gradient for {trial.what}", error)
            return [replace(row, place=backward_place(self.backend, trial) or row.place)]
        if all(row.error <= AGREES for row in rows):
            return rows
        return placed(rows, backward_place(self.backend, trial))

    def _rows(self) -> Iterator[Measurement]:
        backend, trial = self.backend, self.trial
        wide = [None if array is None else laid_out(array, self.turn) for array in trial.arrays]
        if trial.is_large:
            self._leave_traces()
        run = trial.run(wide, trial.varied)
        self.shape = backend.array(run.output).shape
        self.cotangent = self.pool.normal(self.shape)
        if trial.is_known or self._is_differentiable():
            backend.backward(run.output, laid_out(self.cotangent, self.turn + 1))
            for i in trial.varied:
                gradient = backend.gradient(run.tensors[i])
                self.found[i] = None if gradient is None else np.array(gradient)
            yield from self._judged()

    def _leave_traces(self) -> None:
        """A pass with the same numbers at other places."""
        others = [
            np.flip(array).copy() if array is not None and i in self.trial.varied else array
            for i, array in enumerate(self.trial.arrays)
        ]
        run = self.trial.run(others, self.trial.varied)
        self.backend.backward(run.output, np.ones_like(self.backend.array(run.output)))

    def _is_differentiable(self) -> bool:
        """Whether an op of which nothing is known gives floats, and the same ones again."""
        first, again = (self._output(self.trial.arrays) for _ in range(2))
        return first.dtype.kind == "f" and np.array_equal(first, again, equal_nan=True)

    def _output(self, arrays: Sequence[Array | None]) -> Array:
        with self.backend.no_grad():
            return self.backend.array(self.trial.run(arrays, ()).output)

    def _judged(self) -> Iterator[Measurement]:
        """All inputs moved at once; each by itself where that disagrees or one has no gradient."""
        trial = self.trial
        positions = [i for i in trial.varied if self.found[i] is not None or self._is_due(i)]
        if not positions:
            return
        arrived = [i for i in positions if self._has_arrived(i)]
        if arrived == positions:
            row = self._slope(positions, f"gradient for {trial.what}")
            if row.error <= AGREES:
                yield row
                if self.turn % IN_SINGLE == 0 or trial.is_hard or trial.is_large:
                    self._look_in_single(positions)
                yield from self.single
                return
        for i in positions:
            yield self._of_one(i)

    def _is_due(self, i: int) -> bool:
        """Whether an input should have a gradient: not where it holds nothing or may lack it."""
        numbers = self.trial.numbers[i]
        assert numbers is not None
        is_known = self.trial.is_known or any(g is not None for g in self.found.values())
        return is_known and not numbers.may_lack and math.prod(numbers.shape) > 0

    def _has_arrived(self, i: int) -> bool:
        array, gradient = self.trial.arrays[i], self.found[i]
        assert array is not None
        if gradient is None or gradient.shape != array.shape:
            return False
        return gradient.dtype != SINGLE and not was_single(gradient)

    def _of_one(self, i: int) -> Measurement:
        trial, gradient, array = self.trial, self.found[i], self.trial.arrays[i]
        what = f"gradient of {trial.names[i]} for {trial.what}"
        if gradient is None or self._has_arrived(i):
            return self._slope([i], what)
        assert array is not None
        if gradient.shape != array.shape:
            return missing(trial.subject, f"{what}, of shape {gradient.shape}", math.nan)
        size = size_of(gradient)
        return Measurement(trial.subject, f"{what}, rounded to float32", size, size, math.inf)

    def _slope(self, positions: Sequence[int], what: str) -> Measurement:
        """The row of some inputs that are moved together."""
        trial = self.trial
        sizes = [math.prod(numbers.shape) for i in positions if (numbers := trial.numbers[i])]
        cuts = list(accumulate(sizes, initial=0))

        def value(shift: Array) -> float:
            moved = list(trial.arrays)
            for i, start, end in zip(positions, cuts, cuts[1:], strict=False):
                array = moved[i]
                assert array is not None
                moved[i] = array + shift[start:end].reshape(array.shape)
            return float(np.vdot(self.cotangent, self._output(moved)))

        def direction() -> Array:
            parts = [self._direction(i).reshape(-1) for i in positions]
            return unit(np.concatenate(parts) if len(parts) > 1 else parts[0])

        found = [self.found[i] for i in positions]
        arrived = [gradient.reshape(-1) for gradient in found if gradient is not None]
        together = np.concatenate(arrived) if len(arrived) > 1 else arrived[0] if arrived else None
        return slope_row(trial.subject, what, value, together, direction)

    def _direction(self, i: int) -> Array:
        array, numbers = self.trial.arrays[i], self.trial.numbers[i]
        assert array is not None
        assert numbers is not None
        return numbers.direction(array, self.pool)

    def _look_in_single(self, positions: Sequence[int]) -> None:
        self.single = list(self._in_single(positions, self.lead))
        if self.lead and not all(row.error <= AGREES for row in self.single):
            alone = list(self._in_single(positions, None))
            self.is_led = all(row.error <= AGREES for row in alone)

    def _in_single(self, positions: Sequence[int], lead: Lead | None) -> Iterator[Measurement]:
        """One input by itself, another one from case to case; parameters of a layer together.

        All of large ones, which are few.
        """
        backend, trial = self.backend, self.trial
        inputs = [i for i in positions if i not in trial.parameters]
        groups = [[i] for i in inputs]
        groups += [list(trial.parameters)] if trial.parameters else []
        group = positions if trial.is_large else groups[self.turn // IN_SINGLE % len(groups)]
        run = trial.run(in_single(trial.arrays), [i for i in group if i in inputs], lead)
        backend.backward(run.output, self.cotangent.astype(np.float32))
        for i in group:
            right, got = self.found[i], backend.gradient(run.tensors[i])
            if right is None:
                continue
            what = f"gradient of {trial.names[i]} for {trial.what}"
            if got is None:
                what = f"{what}, by itself, out of another op"
                yield missing(trial.subject, what, size_of(right))
                continue
            row = self._compared(what, got, right)
            yield row if row.error <= 0.0 else self._compared(what, got, self._of_rounded(i, right))

    def _compared(self, what: str, got: Array, right: Array) -> Measurement:
        trial, floor = self.trial, size_of(self.cotangent)
        row = compared_in_single(trial.subject, what, got, right, trial.arrays, floor)
        is_rounded = trial.is_large and row.error <= AGREES_LARGE
        return replace(row, error=0.0) if is_rounded else row

    def _of_rounded(self, i: int, right: Array) -> Array:
        """The gradient in float64 for the inputs of float32: they were rounded first."""
        wide = [
            None if array is None else in_double(array) for array in in_single(self.trial.arrays)
        ]
        run = self.trial.run(wide, self.trial.varied)
        self.backend.backward(run.output, self.cotangent.astype(np.float32).astype(np.float64))
        gradient = self.backend.gradient(run.tensors[i])
        return right if gradient is None else np.array(gradient)
