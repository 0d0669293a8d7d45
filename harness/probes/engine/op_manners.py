"""What every op, loss and layer leaves alone, forward and back, and what it keeps to itself.

In float32, as training works: inputs, outputs and gradients stay as they are, nothing is shared,
a call knows nothing of the one before, and the type of the numbers stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from harness.backends.base import Backend
from harness.measurement import Measurement
from harness.probes.comparing import compared
from harness.probes.rounding import SINGLE, in_single
from harness.probes.runs.stepping import crashed
from harness.probes.trials import dropout_manners, layer_manners, shared_causes
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.locating import backward_place, forward_place, placed
from harness.probes.trials.of_engine import all_trials
from harness.probes.trials.shared_causes import Look
from harness.probes.trials.trial import Run, Trial

Array = np.ndarray
# Every so many-th case of an op, beginning with the first.
EVERY = 3
STREAMS = "random streams"
# Less than that is chance, such as numbers too small for float32.
AGREES = 1e-7
# What an op may do on the way back and only the backward pass can make all of them do.
CAME_IN = "the gradient that came in"
SHARED = "memory shared by"
BITS = "bits of a gradient"
SECOND = "gradient of a second pass"
BACKWARD = (CAME_IN, SHARED, BITS, SECOND)
# What comes in at the second pass, of what came in at the first. Of no number type is a gradient
# rounded otherwise for its sign, however small it is.
TIMES = -1.0


def measure(backend: Backend, seed: int = 0) -> Iterator[Measurement]:
    """A row for each case that behaves, and one for each thing that does not."""
    pool = Pool(seed, 3)
    trials = [each for each in all_trials(backend, pool, every=EVERY) if each]
    of_ops = [each for each in trials if each[0].is_op]
    layers = backend.namespace.layers
    looks = _of_trials(backend, of_ops, pool)
    yield from shared_causes.of_each_property(BACKWARD, looks, AGREES)
    for look in looks:
        yield from look.rows
    if "dropout" in backend.namespace.ops:
        yield from _of_dropout(backend, "dropout", dropout_manners.of_op, trials, pool)
    drawn = {name: list(_guarded(name, layer_manners.draws, backend, pool)) for name in layers}
    yield from _shared_streams(drawn)
    for look in _of_trials(backend, [each for each in trials if not each[0].is_op], pool):
        yield from look.rows
    if "Dropout" in layers:
        yield from _of_dropout(backend, "Dropout", dropout_manners.of_layer, trials, pool)
    for name in layers:
        yield from drawn[name]
        yield from _guarded(name, layer_manners.modes, backend, pool)
        yield from _guarded(name, layer_manners.lists, backend, pool)


# Rows about one name.
Probe = Callable[[Backend, str, Pool], Iterator[Measurement]]


def _guarded(name: str, probe: Probe, backend: Backend, pool: Pool) -> Iterator[Measurement]:
    try:
        yield from probe(backend, name, pool)
    except Exception as error:  # a broken engine may raise anything
        yield crashed(name, "its manners", error)


def _of_dropout(
    backend: Backend, name: str, probe: Probe, trials: Sequence[Sequence[Trial]], pool: Pool
) -> Iterator[Measurement]:
    """The rows, with the line where its output is made where one is wrong."""
    first = next((each[0] for each in trials if each[0].subject == name), None)
    for row in _guarded(name, probe, backend, pool):
        if row.error <= 0.0 or first is None or row.subject != name:
            yield row
        else:
            yield from placed([row], forward_place(backend, first))


def _shared_streams(drawn: Mapping[str, Sequence[Measurement]]) -> Iterator[Measurement]:
    """What goes wrong for every layer that draws is the fault of what all draw from."""
    rows = [row for some in drawn.values() for row in some]
    bad = [row for row in rows if not row.error <= 0.0]
    names = {row.subject for row in rows}
    if len(names) > 1 and {row.subject for row in bad} == names:
        what = f"those of all layers: {bad[0].subject}: {bad[0].what}"
        yield replace(bad[0], subject=STREAMS, what=what)


def _of_trials(backend: Backend, groups: Sequence[Sequence[Trial]], pool: Pool) -> list[Look]:
    return [_look(backend, trial, pool) for trials in groups for trial in trials]


def _look(backend: Backend, trial: Trial, pool: Pool) -> Look:
    behaviour = _Behaviour(backend, trial, pool)
    try:
        rows = list(behaviour.bad())
    except Exception as error:  # a broken engine may raise anything
        if trial.may_refuse:
            return Look(trial.subject, None, [])
        rows = [crashed(trial.subject, f"two calls for {trial.what}", error)]
    fine = Measurement(trial.subject, f"what {trial.what} leaves alone", 0.0, 0.0, 0.0)
    is_unary = len(trial.varied) == 1 and not trial.fans_out
    return Look(trial.subject, behaviour.shape, rows or [fine], is_unary=is_unary)


def bad_rows_of(backend: Backend, trial: Trial, pool: Pool) -> list[Measurement]:
    """A row for each thing that one trial does not leave alone; raises what the engine raises."""
    return list(_Behaviour(backend, trial, pool).bad())


class _Behaviour:
    """Two calls of one trial and one of another, and what they did to each other."""

    def __init__(self, backend: Backend, trial: Trial, pool: Pool) -> None:
        self.backend, self.trial, self.pool = backend, trial, pool
        self.shape: tuple[int, ...] | None = None

    def bad(self) -> Iterator[Measurement]:
        """A row for each thing that is not as it should be."""
        backend, trial = self.backend, self.trial
        given = in_single(trial.arrays)
        run = trial.run(given, trial.varied)
        output = backend.array(run.output)
        first = output.copy()
        self.shape = first.shape
        if first.dtype.kind != "f" or not trial.is_known:
            return
        cotangent = self.pool.normal(first.shape).astype(np.float32)
        sent = cotangent.copy()
        backend.backward(run.output, sent)
        yield from self._changed(run)
        yield from self._same(f"{CAME_IN}, after the backward pass", sent, cotangent)
        yield from self._same("its output after the backward pass", output, first)
        found = self._gradients(run)
        yield from self._types(first, found)
        yield from self._shared(found, sent, run)
        kept = [None if gradient is None else gradient.copy() for gradient in found]
        yield from self._second_pass(run, kept, cotangent)
        yield from self._again(first, kept, cotangent)

    def _second_pass(
        self, run: Run, found: Sequence[Array | None], cotangent: Array
    ) -> Iterator[Measurement]:
        """Another gradient that comes in, by the same graph; an engine may have given that up."""
        backend, trial = self.backend, self.trial
        for i in trial.varied:
            backend.set_gradient(run.tensors[i], None)
        try:
            backend.backward(run.output, np.asarray(TIMES * cotangent, dtype=SINGLE))
        except Exception:  # whatever an engine that frees its graphs says
            return
        for i, got, right in zip(trial.varied, self._gradients(run), found, strict=True):
            if got is not None and right is not None:
                what = f"{SECOND} for {trial.names[i]}"
                yield from self._same(what, got, np.asarray(TIMES * right, dtype=right.dtype))

    def _again(
        self, first: Array, found: Sequence[Array | None], cotangent: Array
    ) -> Iterator[Measurement]:
        """The same call once more, with another between it and its backward pass."""
        backend, trial = self.backend, self.trial
        run = trial.run(in_single(trial.arrays), trial.varied)
        output = backend.array(run.output)
        yield from self._same("output of a second call", output, first)
        other = [
            array if array is None or i in trial.parameters else np.flip(array).copy()
            for i, array in enumerate(in_single(trial.arrays))
        ]
        trial.run(other, trial.varied)
        yield from self._same("its output after another call", output, first)
        backend.backward(run.output, cotangent.copy())
        for i, got, right in zip(trial.varied, self._gradients(run), found, strict=True):
            if got is not None and right is not None:
                what = f"gradient of {trial.names[i]}, with another call in between"
                yield from self._same(what, got, right)

    def _gradients(self, run: Run) -> list[Array | None]:
        return [self.backend.gradient(run.tensors[i]) for i in self.trial.varied]

    def _changed(self, run: Run) -> Iterator[Measurement]:
        """Inputs whose numbers are not what they were."""
        for i, right in enumerate(self.trial.arrays):
            if right is not None:
                got = self._values(i, run.tensors[i])
                what = f"numbers of {self.trial.names[i]} after the call"
                yield from self._same(what, got, right.astype(got.dtype))

    def _values(self, i: int, tensor: object) -> Array:
        if i in self.trial.varied:
            return self.backend.arrays([tensor])[0]
        return self.backend.array(tensor)

    def _same(self, what: str, got: Array, right: Array) -> Iterator[Measurement]:
        is_same = got.shape == right.shape and bool((got == right).all())
        if not is_same and not np.array_equal(got, right, equal_nan=True):
            trial = self.trial
            row = compared(trial.subject, f"{what}, for {trial.what}", got, right)
            yield from placed([row], self._place("gradient" in what or "backward" in what))

    def _types(self, first: Array, found: Sequence[Array | None]) -> Iterator[Measurement]:
        """float32 stays float32, forward and back."""
        types = [("bits of its output", first.dtype)]
        types += [(BITS, gradient.dtype) for gradient in found if gradient is not None]
        # What comes of integers and floats together is a convention.
        for what, dtype in types if not self.trial.may_refuse else ():
            if dtype != SINGLE:
                what = f"{what} for {self.trial.what} in float32"
                bits = 8.0 * dtype.itemsize
                row = Measurement(self.trial.subject, what, bits, 32.0, math.inf)
                yield from placed([row], self._place(is_backward=False))

    def _shared(
        self, found: Sequence[Array | None], sent: Array, run: Run
    ) -> Iterator[Measurement]:
        """Gradients that share their memory: what is done to one happens to the other."""
        named = [
            (f"the gradient of {self.trial.names[i]}", gradient)
            for i, gradient in zip(self.trial.varied, found, strict=True)
            if gradient is not None and gradient.size
        ]
        values = [(f"the numbers of {self.trial.names[i]}", self._values(i, run.tensors[i]))
                  for i in self.trial.varied]  # fmt: skip
        others = [(CAME_IN, sent), *values]
        for (a, one), (b, other) in [
            *combinations(named, 2),
            *((mine, theirs) for mine in named for theirs in others),
        ]:
            if np.may_share_memory(one, other) and np.shares_memory(one, other):
                what = f"{SHARED} {a} and {b}, for {self.trial.what}"
                row = Measurement(self.trial.subject, what, 1.0, 0.0, math.inf)
                yield from placed([row], self._place(True))

    def _place(self, is_backward: bool) -> str:
        find = backward_place if is_backward else forward_place
        return find(self.backend, self.trial)
