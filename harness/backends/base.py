"""What the harness needs of an engine: a namespace of factories and a few functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

# An engine's own objects. The harness hands them back to the engine and looks at none.
Layer = Callable[[Any], Any]
Parameter = Any
EngineTensor = Any
Optimizer = Any
Factory = Callable[..., Any]


@dataclass(frozen=True)
class Namespace:
    """From PyTorch's names to the engine's factories, with PyTorch's arguments and meanings.

    A layer's factory may take `rng`, a numpy Generator, and then draws from nothing else;
    a container's takes the layers in it as positional arguments.
    """

    layers: Mapping[str, Factory]
    losses: Mapping[str, Factory]
    optimizers: Mapping[str, Factory]


def lay_out(arrays: Sequence[np.ndarray], out: np.ndarray) -> None:
    """Write arrays end to end into a vector: what copy_values does when there is no better way."""
    np.concatenate([array.reshape(-1) for array in arrays], out=out)


class Backend(Protocol):
    """One engine."""

    name: str
    version: str
    namespace: Namespace

    def tensor(self, array: np.ndarray) -> EngineTensor:
        """The engine's tensor for an array; it needs no gradient."""

    def array(self, tensor: EngineTensor) -> np.ndarray:
        """The numbers of a tensor."""

    def parameters(self, layer: Layer) -> Mapping[str, Parameter]:
        """The trainable tensors of one layer by name ("weight", "key.bias"), in order."""

    def arrays(self, parameters: Sequence[Parameter]) -> list[np.ndarray]:
        """The numbers of each parameter now."""

    def copy_values(self, parameters: Sequence[Parameter], out: np.ndarray) -> None:
        """Write the numbers of all parameters, end to end, into `out`, a vector."""

    def copy_gradients(self, parameters: Sequence[Parameter], out: np.ndarray) -> list[int]:
        """Write all gradients, end to end, into `out`: zeros where none has arrived.

        Returns the positions of the parameters without one.
        """

    def backward(self, loss: EngineTensor) -> None:
        """Send gradients from the loss to the parameters; nothing when no graph leads there."""

    def set_lr(self, optimizer: Optimizer, lr: float) -> None:
        """Change the learning rate from the next step on."""

    def clip_grad_norm(self, parameters: Sequence[Parameter], max_norm: float) -> None:
        """Scale all gradients together so that their norm is at most `max_norm`."""

    def set_training(self, layers: Sequence[Layer], mode: bool) -> None:
        """Switch layers between training and evaluation."""

    def no_grad(self) -> AbstractContextManager[None]:
        """Inside, no gradients are wanted."""
