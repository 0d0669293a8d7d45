"""Watches single steps closely: fingerprints of batch, outputs, gradients and parameters."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from harness.backends.base import Backend, Parameter
from harness.fingerprints import WIDTH, checksum, sketch
from harness.record import Checkpoints


def doubling(steps: int) -> list[int]:
    """0, 1, 2, 4, 8, ... and the last of so many steps."""
    powers = [1 << exponent for exponent in range(max(steps - 1, 0).bit_length())]
    return sorted({0, steps - 1, *(each for each in powers if each < steps)}) if steps else []


class CheckpointWatch:
    """Call `after_backward` and `after_step` at every step, which are counted from 0."""

    def __init__(
        self, backend: Backend, parameters: Sequence[Parameter], steps: Collection[int]
    ) -> None:
        self._backend = backend
        self._parameters = list(parameters)
        self._wanted = frozenset(steps)
        self._step = 0
        self._start = _prints(self._arrays())
        self._seen: list[int] = []
        self._batches: list[int] = []
        self._outputs: list[tuple[int, np.ndarray]] = []
        self._gradients: list[tuple[np.ndarray, np.ndarray]] = []
        self._values: list[tuple[np.ndarray, np.ndarray]] = []

    def _arrays(self) -> list[np.ndarray]:
        return self._backend.arrays(self._parameters)

    def after_backward(self, x: np.ndarray, y: np.ndarray, outputs: np.ndarray) -> None:
        """Of this step's batch, what the model made of it, and the gradients."""
        if self._step not in self._wanted:
            return
        self._seen.append(self._step)
        self._batches.append(checksum(x, y))
        self._outputs.append((checksum(outputs), sketch(outputs)))
        self._gradients.append(_prints([self._backend.gradient(p) for p in self._parameters]))

    def after_step(self) -> None:
        """Of the parameters that the step has left."""
        if self._step in self._wanted:
            self._values.append(_prints(self._arrays()))
        self._step += 1

    def finish(self) -> Checkpoints:
        """All that was seen; steps that never came are not in it."""
        if not self._seen:
            return Checkpoints(start_checksum=self._start[0], start_sketch=self._start[1])
        return Checkpoints(
            steps=np.array(self._seen),
            start_checksum=self._start[0],
            start_sketch=self._start[1],
            batch_checksum=np.array(self._batches, dtype=np.uint64),
            output_checksum=np.array([each[0] for each in self._outputs], dtype=np.uint64),
            output_sketch=np.stack([each[1] for each in self._outputs]),
            gradient_checksum=np.stack([each[0] for each in self._gradients]),
            gradient_sketch=np.stack([each[1] for each in self._gradients]),
            value_checksum=np.stack([each[0] for each in self._values]),
            value_sketch=np.stack([each[1] for each in self._values]),
        )


def _prints(arrays: Sequence[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray]:
    """(t,) checksums and (t, WIDTH) sketches."""
    sums = [0 if array is None else checksum(array) for array in arrays]
    sketches = [np.full(WIDTH, np.nan) if array is None else sketch(array) for array in arrays]
    return np.array(sums, dtype=np.uint64), np.stack(sketches)
