"""`OpCase`: a sample call of an op, kept beside the op and run by the generic tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class OpCase:
    """One call of `op`: inputs by shape (drawn, differentiated) or as arrays (held fixed).

    `positive` keeps the drawn values above zero (log, sqrt). `adapt` calls the op where
    `op(*inputs, **kwargs)` does not do: inputs as a list, a fixed seed. `kwargs` holds `Any`
    because each op has arguments of its own.
    """

    op: Callable[..., Tensor]
    inputs: Sequence[Shape | np.ndarray]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    positive: bool = False
    adapt: Callable[..., Tensor] | None = None

    def __str__(self) -> str:
        shapes = [str(np.shape(i) if isinstance(i, np.ndarray) else i) for i in self.inputs]
        extra = [f"{key}={_short(value)}" for key, value in self.kwargs.items()]
        return f"{self.op.__name__}({', '.join(shapes + extra)})"

    def draw(self, rng: np.random.Generator) -> list[np.ndarray]:
        """The inputs as arrays: float64 values, all different and away from zero.

        Different values keep maxima apart and values away from zero keep off the kink of
        ReLU, so finite differences with small steps stay on one side.
        """
        return [i if isinstance(i, np.ndarray) else self._values(i, rng) for i in self.inputs]

    def _values(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        size = int(np.prod(shape))
        magnitudes = rng.permutation(np.linspace(0.2, 1.8, size)).reshape(shape)
        signs = 1.0 if self.positive else rng.choice([-1.0, 1.0], size=shape)
        return np.asarray(magnitudes * signs)

    @property
    def varied(self) -> list[int]:
        """Positions of the inputs that a gradient is wanted for."""
        return [i for i, given in enumerate(self.inputs) if not isinstance(given, np.ndarray)]

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The output of the op for these inputs."""
        return (self.adapt or self.op)(*inputs, **self.kwargs)


def all_cases() -> Iterator[OpCase]:
    """Every case of every module in `ops/`, found by looking there."""
    package = import_module("harness.autograd.ops")
    for module in iter_modules(package.__path__):
        yield from import_module(f"{package.__name__}.{module.name}").CASES


def _short(value: object) -> str:
    return f"array{value.shape}" if isinstance(value, np.ndarray) else repr(value)
