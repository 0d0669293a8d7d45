"""Runs the numpy calls of a step again, without the Python around them.

The first steps run as they are written. One of them is watched, and if it hangs on nothing but
its numbers, the next one is recorded; from then on its calls are run, and every so often the step
itself beside them, as the judge: where they differ in a single bit, or the calls are not all that
a step does, it is run as it is written, for good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np

from harness.autograd.flat import Flat
from harness.autograd.memory import owner, shared, without_copies
from harness.autograd.recording import Call, DivergedError, Tape, plain
from harness.autograd.tensor import Tensor
from harness.autograd.witness import Witness, is_own

Array = np.ndarray
Arrays = tuple[Array, ...]
# From the arrays of a batch to what is wanted of it; gradients are then with the parameters.
Step = Callable[..., Arrays]
# The step that is watched, counted from 0: a training of fewer is not worth it.
_FIRST = 10
# So many steps lie between those that are judged.
_EVERY = 64


class Replayed:
    """A step that gets faster; to be called as the step itself.

    What it returns is the caller's; gradients are where an optimizer has put its buffers. A step
    that `sends_gradients` finds none when it begins; any other leaves them as they are, and is
    run again only while the one that trains the same parameters is. It stays
    as it is when it runs code in a file that is not to be trusted; see `Witness`.
    """

    def __init__(
        self,
        step: Step,
        parameters: Sequence[Tensor],
        sends_gradients: bool = True,
        trusts: Callable[[str], bool] = is_own,
    ) -> None:
        self._step = step
        self._parameters = list(parameters)
        self._sends_gradients = sends_gradients
        self._trusts = trusts
        self._count = 0
        self._recorded: _Recorded | None = None
        self._is_pure = self._is_given_up = False

    def __call__(self, *batch: Array) -> Arrays:
        if self._sends_gradients:
            return self._next(batch)
        if not all(flat.is_replayed for flat in self._flats()):
            return self._step(*batch)  # what training keeps in Python may be looked at here
        kept = [parameter.grad for parameter in self._parameters]
        self._leave([None] * len(kept))
        try:
            return self._next(batch)
        finally:
            self._leave(kept)

    def _next(self, batch: Arrays) -> Arrays:
        count, self._count = self._count, self._count + 1
        if count < _FIRST or self._is_given_up or not self._is_clean():
            return self._step(*batch)
        if self._recorded is None:
            return self._record(batch) if self._is_pure else self._witnessed(batch)
        if not self._recorded.fits(batch):
            return self._step(*batch)
        if count == _FIRST + 2 or count % _EVERY == 0:
            return self._judged(self._recorded, batch)
        try:
            return self._recorded.run(batch)
        except DivergedError:
            return self._step(*batch)
        except Exception:  # what the step itself would raise, or perhaps would not
            self._give_up()
            return self._step(*batch)

    def _flats(self) -> list[Flat]:
        return list({id(p._flat): p._flat for p in self._parameters if p._flat}.values())

    def _is_clean(self) -> bool:
        """Whether no gradient is there: it would have to be added to."""
        for parameter in self._parameters:  # noqa: SIM110  (asked at every step; all() is slower)
            if parameter.grad is not None:
                return False
        return True

    def _witnessed(self, batch: Arrays) -> Arrays:
        numbers = [parameter.data for parameter in self._parameters]
        numbers += [each._grad_buffer for each in self._parameters if each._grad_buffer is not None]
        with Witness(self._step, [*numbers, *batch], self._trusts) as witness:
            outputs = self._step(*batch)
        self._is_pure = witness.is_pure
        self._is_given_up = not witness.is_pure
        return outputs

    def _record(self, batch: Arrays) -> Arrays:
        outputs, gradients, expected = self._as_written(batch)
        recorded = None
        with suppress(Exception):  # of arrays that tell of themselves the step does not know
            recorded, again = self._noted(batch)
            if not all(map(_is_same, again, (*outputs, *expected))):
                recorded = None
        self._recorded = recorded
        self._give_up(recorded is None)
        self._restore(gradients, expected)
        return outputs

    def _noted(self, batch: Arrays) -> tuple[_Recorded | None, list[Array | None]]:
        """The step with its calls noted, if they are all of it, and what it gave."""
        if any(parameter._grad_buffer is None for parameter in self._parameters):
            return None, []
        tape, memory = Tape(), tuple(array.copy() for array in batch)
        with _telling(tape, self._parameters):
            outputs = tuple(map(plain, self._step(*map(tape.noted, memory))))
        given = [*outputs, *self._gradients()]
        if tape.kept or not _is_whole(tape, self._parameters):
            return None, given
        calls = shared(without_copies(tape.calls, tape.made), tape.made, outputs)
        return _Recorded(calls, memory, self._parameters, outputs), given

    def _judged(self, recorded: _Recorded, batch: Arrays) -> Arrays:
        """What the step gives, which is done once whatever comes of the judgement."""
        outputs, gradients, expected = self._as_written(batch)
        with suppress(Exception):  # whatever it is, the step itself does not know of it
            again = (*recorded.run(batch), *self._gradients())
            if all(map(_is_same, again, (*outputs, *expected))):
                return outputs
        self._give_up()
        self._restore(gradients, expected)
        return outputs

    def _give_up(self, is_final: bool = True) -> None:
        self._is_given_up = is_final
        if self._sends_gradients:
            for flat in self._flats():
                flat.is_replayed = not is_final

    def _as_written(self, batch: Arrays) -> tuple[Arrays, list[Array | None], list[Array | None]]:
        """The step's outputs and gradients, and copies of the latter; no gradient is left."""
        outputs = tuple(output.copy() for output in self._step(*batch))
        gradients = self._gradients()
        copies = [None if each is None else each.copy() for each in gradients]
        self._leave([None] * len(gradients))
        return outputs, gradients, copies

    def _restore(self, gradients: list[Array | None], right: list[Array | None]) -> None:
        """Put gradients back where they were, with their numbers."""
        self._leave(gradients)
        for gradient, numbers in zip(gradients, right, strict=True):
            if gradient is not None and numbers is not None:
                np.copyto(gradient, numbers)

    def _gradients(self) -> list[Array | None]:
        return [parameter.grad for parameter in self._parameters]

    def _leave(self, gradients: list[Array | None]) -> None:
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient


class _Recorded:
    """The calls of one step, where they read its batch, and what they leave behind."""

    def __init__(
        self, calls: Sequence[Call], memory: Arrays, parameters: list[Tensor], outputs: Arrays
    ) -> None:
        self._calls = list(map(_bound, calls))
        self._memory, self._outputs = memory, outputs
        self._before = [(each, each.data, each.requires_grad) for each in parameters]
        self._after = [(each, each.grad) for each in parameters]

    def fits(self, batch: Arrays) -> bool:
        """Whether a batch and the parameters are as they were, but for their numbers."""
        for array, memory in zip(batch, self._memory, strict=True):
            if array.shape != memory.shape or array.dtype != memory.dtype:
                return False
        for parameter, data, wanted in self._before:
            if parameter.data is not data or parameter.requires_grad is not wanted:
                return False
        return True

    def run(self, batch: Arrays) -> Arrays:
        """The step for another batch; raises DivergedError where it would take another way."""
        for memory, array in zip(self._memory, batch, strict=True):
            np.copyto(memory, array)
        for function, given in self._calls:
            function(*given)
        for parameter, gradient in self._after:
            parameter.grad = gradient
        return tuple(output.copy() for output in self._outputs)


@contextmanager
def _telling(tape: Tape, parameters: Sequence[Tensor]) -> Iterator[None]:
    """Inside, a tape is told what is done with parameters and their gradients."""
    before = [(parameter, parameter.data, parameter._grad_buffer) for parameter in parameters]
    for parameter, data, buffer in before:
        parameter.data = tape.noted(data)
        parameter._grad_buffer = None if buffer is None else tape.noted(buffer)
    try:
        yield
    finally:
        for parameter, data, buffer in before:
            parameter.data, parameter._grad_buffer = data, buffer
            parameter.grad = plain(parameter.grad)
        tape.close()


def _is_whole(tape: Tape, parameters: Sequence[Tensor]) -> bool:
    """Whether a tape holds all that a step does, and it can be done twice, as a judge does.

    It cannot where an array is changed that is not the step's own.
    """
    buffers = [each._grad_buffer for each in parameters if each._grad_buffer is not None]
    own = {id(owner(each)) for each in (*tape.made, *buffers)}
    is_own = all(call.filled is None or id(owner(call.filled)) in own for call in tape.calls)
    in_place = all(each.grad is None or each.grad is each._grad_buffer for each in parameters)
    return not tape.problem and is_own and in_place


def _bound(call: Call) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A call as it costs least."""
    function = partial(call.function, **call.options) if call.options else call.function
    return function, call.given


def _is_same(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
