"""Watches single steps closely: fingerprints of batch, outputs, gradients and parameters."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from harness.fingerprints import WIDTH, checksum, norm, sketch
from harness.model import Model
from harness.record import Checkpoints

# Checksums, norms and sketches of some arrays.
Prints = tuple[np.ndarray, np.ndarray, np.ndarray]


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
        self._start = _prints(self._backend.arrays(self._parameters) if steps else [])
        self._seen: list[int] = []
        self._batches: list[int] = []
        self._outputs: list[Prints] = []
        self._gradients: list[Prints] = []
        self._values: list[Prints] = []

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
        self._outputs.append(
            _prints([None if each is None else self._backend.array(each) for each in outputs])
        )
        self._gradients.append(_prints([self._backend.gradient(p) for p in self._parameters]))

    def after_step(self) -> None:
        """Of the parameters that the step has left."""
        if self._step in self._wanted:
            self._values.append(_prints(self._backend.arrays(self._parameters)))
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
            *_stacked(self._outputs),
            *_stacked(self._gradients),
            *_stacked(self._values),
        )


def _stacked(prints: Sequence[Prints]) -> Prints:
    checksums, norms, sketches = zip(*prints, strict=True)
    return np.stack(checksums), np.stack(norms), np.stack(sketches)


def _prints(arrays: Sequence[np.ndarray | None]) -> Prints:
    """(t,) checksums, (t,) norms and (t, WIDTH) sketches."""
    sums = [0 if array is None else checksum(array) for array in arrays]
    # Norm and sketch are both of float64: converted once.
    wide = [None if array is None else np.asarray(array, dtype=np.float64) for array in arrays]
    sketches = [np.full(WIDTH, np.nan) if array is None else sketch(array) for array in wide]
    norms = [np.nan if array is None else norm(array) for array in wide]
    return (
        np.array(sums, dtype=np.uint64),
        np.array(norms),
        np.array(sketches).reshape(len(arrays), WIDTH),
    )
