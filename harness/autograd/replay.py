"""Runs the numpy calls of a step again, without the Python around them.

The first steps run as they are written. One of them is recorded; from then on its tape is run,
and every so often the step itself beside it, as the judge: where they differ in a single bit, or
the tape cannot tell, the step is run as it is written, for good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from operator import is_

import numpy as np

from harness.autograd.memory import shared
from harness.autograd.recording import DivergedError, NotRecordableError, Tape, plain
from harness.autograd.tensor import Tensor

Array = np.ndarray
# From the arrays of a batch to what is wanted of it; gradients are then with the parameters.
Step = Callable[..., tuple[Array, ...]]
# The step that is recorded, counted from 0: a training of fewer is not worth it.
_FIRST = 4
# So many steps lie between those that are judged.
_EVERY = 64


class Replayed:
    """A step that gets faster; to be called as the step itself.

    What it returns is the caller's; gradients are where an optimizer has put its buffers. A step
    that `sends_gradients` finds none when it begins; any other leaves them as they are.
    """

    def __init__(
        self, step: Step, parameters: Sequence[Tensor], sends_gradients: bool = True
    ) -> None:
        self._step = step
        self._parameters = list(parameters)
        self._sends_gradients = sends_gradients
        self._count = 0
        self._recorded: _Recorded | None = None
        self._is_given_up = False

    def __call__(self, *batch: Array) -> tuple[Array, ...]:
        if self._sends_gradients:
            return self._next(batch)
        kept = self._gradients()
        self._forget()
        try:
            return self._next(batch)
        finally:
            self._leave(kept)

    def _next(self, batch: tuple[Array, ...]) -> tuple[Array, ...]:
        count, self._count = self._count, self._count + 1
        is_early = count < _FIRST or self._is_given_up
        # Gradients that are there already would have to be added to.
        if is_early or any(gradient is not None for gradient in self._gradients()):
            return self._step(*batch)
        if self._recorded is None:
            return self._record(batch)
        if not self._recorded.fits(batch):
            return self._step(*batch)
        if count == _FIRST + 1 or count % _EVERY == 0:
            return self._judged(self._recorded, batch)
        with suppress(DivergedError):
            return self._recorded.run(batch)
        return self._step(*batch)

    def _record(self, batch: tuple[Array, ...]) -> tuple[Array, ...]:
        try:
            self._recorded = _Recorded(self._step, self._parameters, batch)
        except NotRecordableError:
            self._is_given_up = True
            self._forget()
            return self._step(*batch)
        return self._recorded.outputs

    def _judged(self, recorded: _Recorded, batch: tuple[Array, ...]) -> tuple[Array, ...]:
        expected = [_copy(each) for each in (*self._step(*batch), *self._gradients())]
        self._forget()
        with suppress(DivergedError):
            outputs = recorded.run(batch)
            if all(map(_is_same, (*outputs, *self._gradients()), expected)):
                return outputs
        self._is_given_up = True
        self._forget()
        return self._step(*batch)

    def _forget(self) -> None:
        self._leave([None] * len(self._parameters))

    def _leave(self, gradients: list[Array | None]) -> None:
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient

    def _gradients(self) -> list[Array | None]:
        return [parameter.grad for parameter in self._parameters]


class _Recorded:
    """One step on memory of its own; raises NotRecordableError where that cannot be."""

    def __init__(self, step: Step, parameters: list[Tensor], batch: tuple[Array, ...]) -> None:
        self._parameters = parameters
        self._batch = [array.copy() for array in batch]
        tape = Tape()
        self._data = [parameter.data for parameter in parameters]
        self._wanted = [parameter.requires_grad for parameter in parameters]
        buffers = list(map(_buffer, parameters))
        try:
            for parameter, buffer in zip(parameters, buffers, strict=True):
                parameter.data = tape.noted(parameter.data)
                parameter._grad_buffer = tape.noted(buffer)
            outputs = step(*map(tape.noted, self._batch))
        finally:
            for parameter, data, buffer in zip(parameters, self._data, buffers, strict=True):
                parameter.data, parameter._grad_buffer = data, buffer
        self._gradients = [
            None if parameter.grad is None else buffer
            for parameter, buffer in zip(parameters, buffers, strict=True)
        ]
        self._leave_gradients()
        self._outputs = tuple(map(plain, outputs))
        calls = shared(tape.calls, tape.made, self._outputs)
        self._calls = [
            (partial(call.function, **call.options) if call.options else call.function, call.given)
            for call in calls
        ]

    @property
    def outputs(self) -> tuple[Array, ...]:
        """What the step has returned, for the caller to keep."""
        return tuple(output.copy() for output in self._outputs)

    def fits(self, batch: tuple[Array, ...]) -> bool:
        """Whether a batch and the parameters are as they were, but for their numbers."""
        parameters = self._parameters
        return (
            all(map(_is_alike, batch, self._batch))
            and all(map(is_, [parameter.data for parameter in parameters], self._data))
            and [parameter.requires_grad for parameter in parameters] == self._wanted
        )

    def run(self, batch: tuple[Array, ...]) -> tuple[Array, ...]:
        """The step for another batch."""
        for memory, array in zip(self._batch, batch, strict=True):
            np.copyto(memory, array)
        for function, given in self._calls:
            function(*given)
        self._leave_gradients()
        return self.outputs

    def _leave_gradients(self) -> None:
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient


def _buffer(parameter: Tensor) -> Array:
    """Where an optimizer wants the gradient."""
    if parameter._grad_buffer is None:
        raise NotRecordableError("a parameter without a buffer for its gradient")
    return parameter._grad_buffer


def _is_alike(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype


def _copy(array: Array | None) -> Array | None:
    return None if array is None else array.copy()


def _is_same(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None:
        return a is b
    return _is_alike(a, b) and a.tobytes() == b.tobytes()
