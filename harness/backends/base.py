"""What the harness needs of an engine: a namespace of factories and a few functions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.measurement import NotMeasurableError

# An engine's own objects. The harness hands them back to the engine and looks at none.
Layer = Any  # called with a tensor
Parameter = Any
EngineTensor = Any
Optimizer = Any
Factory = Callable[..., Any]
Step = Callable[..., tuple[np.ndarray, ...]]


@dataclass(frozen=True)
class Namespace:
    """From PyTorch's names to the engine's factories, with PyTorch's arguments and meanings.

    A layer's factory may take `rng`, a numpy Generator, and then draws from nothing else;
    a container's takes the layers in it as positional arguments.
    """

    layers: Mapping[str, Factory]
    losses: Mapping[str, Factory]
    optimizers: Mapping[str, Factory]
    # Ops as functions of tensors ("softmax", "matmul"); an engine may offer none.
    ops: Mapping[str, Factory] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """A line of code: its file, its number, and the function that it stands in."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{shown_path(self.file)}:{self.line}"


def shown_path(file: str) -> str:
    """The path as a reader or CI wants it: from the current folder where that is shorter."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file


@dataclass(frozen=True)
class Event:
    """One tensor that came into being while a model ran.

    `key` and `inputs` are the id() of engine tensors. `op` is the class of the backward
    function and `inputs` what that function links to; both empty for a tensor that carries
    no history. `sources` is what the op was called with, whether or not that is remembered,
    as far as the engine can tell. `places` is the stack that made it, innermost first, without
    the engine's tensor class itself; `apply` is where the backward half of the op is written.
    """

    key: int
    array: np.ndarray
    op: str
    inputs: tuple[int, ...]
    sources: tuple[int, ...]
    places: tuple[Place, ...]
    apply: Place | None


@dataclass(frozen=True)
class Trace:
    """All tensors that a call made, in order, and what it returned.

    Holds the tensors themselves, so that no id() is given twice. `leaves` are the inputs of
    backward functions that were there before the call, by id().
    """

    events: tuple[Event, ...]
    output: EngineTensor
    tensors: tuple[EngineTensor, ...]
    leaves: Mapping[int, EngineTensor]


def lay_out(arrays: Sequence[np.ndarray], out: np.ndarray) -> None:
    """Write arrays end to end into a vector."""
    np.concatenate([array.reshape(-1) for array in arrays], out=out)


class Backend(ABC):
    """One engine, as the harness sees it.

    Ten functions are asked of every engine. The others have an answer here that is right for
    all; an engine gives its own where it knows better, or can tell what is not known here.
    """

    name: str
    version: str
    namespace: Namespace

    # --- asked of every engine ----------------------------------------------------------

    @abstractmethod
    def tensor(self, array: np.ndarray) -> EngineTensor:
        """The engine's tensor for an array; it needs no gradient."""

    @abstractmethod
    def leaf(self, array: np.ndarray) -> EngineTensor:
        """A tensor of the array's dtype that wants a gradient, as a parameter does."""

    @abstractmethod
    def array(self, tensor: EngineTensor) -> np.ndarray:
        """The numbers of a tensor."""

    @abstractmethod
    def parameters(self, layer: Layer) -> Mapping[str, Parameter]:
        """The trainable tensors of one layer by name ("weight", "key.bias"), in order."""

    @abstractmethod
    def backward(self, output: EngineTensor, gradient: np.ndarray | None = None) -> None:
        """Send gradients from a tensor to all leaves; nothing when no graph leads there.

        `gradient` is the gradient of the output itself, needed unless it is one number.
        """

    @abstractmethod
    def gradient(self, tensor: EngineTensor) -> np.ndarray | None:
        """The gradient that arrived at a leaf or a parameter, if one did."""

    @abstractmethod
    def set_value(self, parameter: Parameter, array: np.ndarray) -> None:
        """Give a parameter other numbers, and with them their dtype."""

    @abstractmethod
    def set_gradient(self, parameter: Parameter, array: np.ndarray | None) -> None:
        """Put a gradient where backward() would have put it."""

    @abstractmethod
    def set_lr(self, optimizer: Optimizer, lr: float) -> None:
        """Change the learning rate from the next step on."""

    @abstractmethod
    def set_training(self, layers: Sequence[Layer], mode: bool) -> None:
        """Switch layers between training and evaluation."""

    # --- answered for an engine that says nothing ---------------------------------------

    def no_grad(self) -> AbstractContextManager[None]:
        """Inside, no gradients are wanted. Without it, evaluation builds a graph in vain."""
        return nullcontext()

    def arrays(self, parameters: Sequence[Parameter]) -> list[np.ndarray]:
        """The numbers of each parameter now."""
        return [self.array(parameter) for parameter in parameters]

    def copy_values(self, parameters: Sequence[Parameter], out: np.ndarray) -> None:
        """Write the numbers of all parameters, end to end, into `out`, a vector."""
        lay_out(self.arrays(parameters), out)

    def copy_gradients(self, parameters: Sequence[Parameter], out: np.ndarray) -> list[int]:
        """Write all gradients, end to end, into `out`: zeros where none has arrived.

        Returns the positions of the parameters without one.
        """
        gradients = [self.gradient(parameter) for parameter in parameters]
        lay_out(
            [
                np.zeros_like(self.array(parameter)) if gradient is None else gradient
                for parameter, gradient in zip(parameters, gradients, strict=True)
            ],
            out,
        )
        return [i for i, gradient in enumerate(gradients) if gradient is None]

    def clip_grad_norm(self, parameters: Sequence[Parameter], max_norm: float) -> None:
        """Scale all gradients together so that their norm is at most `max_norm`.

        As in PyTorch, 1e-6 is added to the norm in the division. Source: Pascanu et al. 2013.
        """
        arrived = [(each, self.gradient(each)) for each in parameters]
        norm = math.sqrt(sum(float(np.vdot(g, g)) for _, g in arrived if g is not None))
        if norm > max_norm:
            for parameter, gradient in arrived:
                if gradient is not None:
                    self.set_gradient(parameter, gradient * (max_norm / (norm + 1e-6)))

    def replayed(
        self, step: Step, parameters: Sequence[Parameter], sends_gradients: bool = True
    ) -> Step:
        """The same step, faster once it was seen; the step itself where there is no such way.

        `step` takes the arrays of a batch and returns arrays; it leaves gradients with these
        parameters if it `sends_gradients`. Only the numbers in all these will change.
        """
        return step

    def keep_gradient(self, tensor: EngineTensor) -> None:
        """Let the next backward pass leave a gradient also here, at a tensor that a call made.

        It may be one without history, which otherwise wants none. An engine that cannot do
        that raises NotMeasurableError: what is measured that way is then not judged.
        """
        raise NotMeasurableError(f"{self.name} keeps no gradients inside a model")

    def trace(self, call: Callable[[], EngineTensor]) -> Trace | None:
        """Call, and note every tensor that is made; None when the engine cannot tell."""
        return None
