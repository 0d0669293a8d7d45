"""One flat buffer for all parameters and one for their gradients.

Parameters become views into it, so that an optimizer step is a handful of numpy calls
however many tensors there are. A gradient's memory is used again in the next backward pass:
copy `parameter.grad` to keep it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from harness.autograd.errors import ShapeError
from harness.autograd.tensor import Tensor


class Flat:
    """Parameters of one dtype, laid end to end in `data`, their gradients in `grad`.

    `is_replayed` says that the step which trains them is run again from its calls.
    """

    is_replayed = False

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = list(parameters)
        sizes = [parameter.size for parameter in self.parameters]
        self.ends = np.cumsum(sizes).tolist()
        self.starts = [0, *self.ends[:-1]]
        self._attach()

    def _attach(self) -> None:
        """Lay out what the parameters hold now, and make them views of that."""
        self.data = np.concatenate([parameter.data.ravel() for parameter in self.parameters])
        self.grad = np.zeros_like(self.data)
        data_views = [self._view(self.data, i) for i in range(len(self.parameters))]
        grad_views = [self._view(self.grad, i) for i in range(len(self.parameters))]
        self._views = list(zip(self.parameters, data_views, grad_views, strict=True))
        for parameter, data, grad in self._views:
            parameter.data = data
            parameter._grad_buffer = grad
            parameter._flat = self

    @property
    def _is_torn(self) -> bool:
        """Whether the views look elsewhere, as those of a copy (deepcopy, pickle) do."""
        return self._views[0][1].base is not self.data

    def _view(self, buffer: np.ndarray, i: int) -> np.ndarray:
        return buffer[self.starts[i] : self.ends[i]].reshape(self.parameters[i].shape)

    def gather(self) -> list[bool]:
        """Bring the buffers up to date and say which parameters have a gradient.

        Data or gradients that somebody assigned since the last step are copied in, so
        `parameter.grad = array` and `parameter.data = array` keep their meaning.
        """
        if self._is_torn:
            self._attach()
        if self._has_all_data and self._has_all_grad:
            return [True] * len(self.parameters)
        arrived = []
        for parameter, data, grad in self._views:
            if parameter.data is not data:
                _fill(data, parameter.data, "data")
                parameter.data = data
            if parameter.grad is not None and parameter.grad is not grad:
                _fill(grad, parameter.grad, "gradient")
            arrived.append(parameter.grad is not None)
        return arrived

    def runs(
        self, arrived: Sequence[bool], steps: Sequence[int]
    ) -> Iterator[tuple[slice | None, int]]:
        """Stretches of the buffers whose parameters all have a gradient and equal step counts.

        None stands for the whole.
        """
        if all(arrived) and steps.count(steps[0]) == len(steps):
            yield None, steps[0]
            return
        for i, has_gradient in enumerate(arrived):
            if has_gradient:
                yield slice(self.starts[i], self.ends[i]), steps[i]

    def _is_of(self, parameters: Sequence[Tensor]) -> bool:
        """Whether the buffers hold just these parameters, and their views look into them."""
        is_same = self.parameters is parameters or self.parameters == parameters
        return is_same and not self._is_torn

    # Both are asked at every step: a loop takes half as long as all(...) would.
    @property
    def _has_all_data(self) -> bool:
        for parameter, data, _ in self._views:  # noqa: SIM110
            if parameter.data is not data:
                return False
        return True

    @property
    def _has_all_grad(self) -> bool:
        for parameter, _, grad in self._views:  # noqa: SIM110
            if parameter.grad is not grad:
                return False
        return True

    def all_data(self, parameters: Sequence[Tensor]) -> np.ndarray | None:
        """The data of just these parameters end to end; None when some is not in the buffer."""
        return self.data if self._is_of(parameters) and self._has_all_data else None

    def all_grad(self, parameters: Sequence[Tensor]) -> np.ndarray | None:
        """Their gradients end to end; None when one has not arrived or is somewhere else."""
        return self.grad if self._is_of(parameters) and self._has_all_grad else None


def _fill(view: np.ndarray, assigned: np.ndarray, what: str) -> None:
    if assigned.shape != view.shape:
        raise ShapeError(
            f"a parameter of shape {view.shape} was given {what} of shape {assigned.shape}"
        )
    view[...] = assigned
