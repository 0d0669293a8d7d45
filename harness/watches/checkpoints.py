"""Watches single steps closely: fingerprints of batch, outputs, gradients and parameters.

A step only copies what it holds; the fingerprints of several steps are taken at once, which
is cheaper by far: what differs from step to step is little beside what is asked of each array.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

import numpy as np

from harness.fingerprints import WIDTH, Fingerprints, checksum, fingerprints
from harness.model import Model
from harness.record import Checkpoints

# Copies are held until they come to so many bytes.
_HELD = 1 << 20


def doubling(steps: int) -> list[int]:
    """0, 1, 2, 4, 8, ... and the last of so many steps."""
    powers = [1 << exponent for exponent in range(max(steps - 1, 0).bit_length())]
    return sorted({0, steps - 1, *(each for each in powers if each < steps)}) if steps else []


class CheckpointWatch:
    """Call its three methods at every step, in their order; steps are counted from 0."""

    def __init__(self, model: Model, steps: Collection[int]) -> None:
        self._model = model
        self._backend = model.backend
        self._parameters = list(model.parameters.values())
        self._wanted = frozenset(steps)
        self._step = 0
        self._seen: list[int] = []
        self._batches: list[int] = []
        start, self._outputs, self._gradients, self._values = (_Kept() for _ in range(4))
        start.add(self._backend.arrays(self._parameters) if steps else [])
        crcs, norms, sketches = start.finish()
        self._start = crcs[0], norms[0], sketches[0]

    def before_forward(self) -> None:
        """Ask for the outputs of this step's layers, if it is one that is wanted."""
        if self._step in self._wanted:
            self._model.seen = {}

    def after_backward(self, x: np.ndarray, y: np.ndarray) -> None:
        """Of this step's batch, what each layer made of it, and the gradients."""
        if self._step not in self._wanted:
            return
        # Given back at once, or the graph of this step would outlive it.
        given, self._model.seen = self._model.seen or {}, None
        outputs = [given.get(node.label) for node in self._model.nodes]
        self._seen.append(self._step)
        self._batches.append(checksum(x, y))
        self._outputs.add([None if each is None else self._backend.array(each) for each in outputs])
        self._gradients.add([self._backend.gradient(p) for p in self._parameters])

    def after_step(self) -> None:
        """Of the parameters that the step has left."""
        if self._step in self._wanted:
            self._values.add(self._backend.arrays(self._parameters))
        self._step += 1

    def finish(self) -> Checkpoints:
        """All that was seen; steps that never came are not in it."""
        steps = np.array(self._seen, dtype=np.int64)
        if not self._seen:
            return Checkpoints(steps, *self._start)
        return Checkpoints(
            steps,
            *self._start,
            np.array(self._batches, dtype=np.uint64),
            *self._outputs.finish(),
            *self._gradients.finish(),
            *self._values.finish(),
        )


class _Kept:
    """The same t arrays of several steps: copies, and fingerprints of those before."""

    def __init__(self) -> None:
        self._copies: list[list[np.ndarray | None]] = []
        self._bytes = 0
        self._done: list[Fingerprints] = []

    def add(self, arrays: Sequence[np.ndarray | None]) -> None:
        """Copy what there is of one step."""
        copies = [None if array is None else np.array(array, order="C") for array in arrays]
        self._copies.append(copies)
        self._bytes += sum(copy.nbytes for copy in copies if copy is not None)
        if self._bytes >= _HELD:
            self._sum_up()

    def _sum_up(self) -> None:
        steps = len(self._copies)
        columns = [_of_column(column) for column in zip(*self._copies, strict=True)]
        crcs, norms, sketches = zip(*columns, strict=True) if columns else ([], [], [])
        self._done.append((
            np.array(crcs, np.uint64).reshape(-1, steps).T,
            np.array(norms).reshape(-1, steps).T,
            np.array(sketches).reshape(-1, steps, WIDTH).swapaxes(0, 1),
        ))  # fmt: skip
        self._copies, self._bytes = [], 0

    def finish(self) -> Fingerprints:
        """(k, t) checksums, (k, t) norms and (k, t, WIDTH) sketches."""
        if self._copies:
            self._sum_up()
        return _joined(self._done)


def _of_column(arrays: Sequence[np.ndarray | None]) -> Fingerprints:
    """One array at several steps; it may be missing at some, and smaller in the last batch."""
    parts = []
    for size, run in groupby(arrays, key=lambda array: -1 if array is None else array.size):
        of_a_size = list(run)
        parts.append(_missing(len(of_a_size)) if size < 0 else fingerprints(of_a_size))  # type: ignore[arg-type]  # none is None
    return _joined(parts)


def _joined(parts: Sequence[Fingerprints]) -> Fingerprints:
    crcs, norms, sketches = zip(*parts, strict=True)
    return np.concatenate(crcs), np.concatenate(norms), np.concatenate(sketches)


def _missing(steps: int) -> Fingerprints:
    return np.zeros(steps, np.uint64), np.full(steps, np.nan), np.full((steps, WIDTH), np.nan)
