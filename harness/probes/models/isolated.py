"""`Isolated`: a layer, or the loss, by itself, as a function of named arrays.

Its tensors go by their labels ("conv1.weight"), its input by "".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from harness.backends.base import Backend, EngineTensor, Layer, Parameter, Trace
from harness.model import Model
from harness.probes.models.walking import node_of

INPUT = ""

# The layer and its tensors by label; made anew for every look where it draws at random.
Made = tuple[Layer, Mapping[str, Parameter]]
Shifts = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Isolated:
    """`kind` is what a sentence blames ("Conv2d"), `label` where it stands ("conv1").

    `make` gives the layer with its tensors, and `x` is what comes to it; floats in float64.
    """

    backend: Backend
    kind: str
    label: str
    make: Callable[[], Made]
    x: np.ndarray

    @property
    def takes_numbers(self) -> bool:
        """Whether its input can be moved a little: tokens cannot."""
        return self.x.dtype.kind == "f"

    def arrays(self) -> dict[str, np.ndarray]:
        """All that can be moved, by name; the input last."""
        _, tensors = self.make()
        arrays = self.backend.arrays(list(tensors.values()))
        own = {name: each.copy() for name, each in zip(tensors, arrays, strict=True)}
        return {**own, INPUT: self.x} if self.takes_numbers else own

    def trace(self, shifts: Shifts) -> tuple[Trace | None, dict[str, EngineTensor]]:
        """What one call makes when some arrays are moved, and the sources that it had."""
        with self._moved(shifts) as (layer, source, sources):
            return self.backend.trace(lambda: layer(source)), sources

    def output(self) -> np.ndarray:
        """What one call gives, without a graph."""
        with self._moved({}) as (layer, source, _), self.backend.no_grad():
            return self.backend.array(layer(source)).copy()

    def gradients(self, weights: np.ndarray) -> dict[str, np.ndarray | None]:
        """The engine's gradients of the weighted sum of outputs, None where none arrives."""
        with self._moved({}) as (layer, source, sources):
            for name, tensor in sources.items():
                if name != INPUT:
                    self.backend.set_gradient(tensor, None)
            self.backend.backward(layer(source), weights.copy())
            return {name: self.backend.gradient(tensor) for name, tensor in sources.items()}

    def moved(self, name: str, weights: np.ndarray, shift: np.ndarray) -> float:
        """The weighted sum of outputs when one array is moved."""
        with self._moved({name: shift}) as (layer, source, _), self.backend.no_grad():
            return float(np.vdot(self.backend.array(layer(source)), weights))

    @contextmanager
    def _moved(
        self, shifts: Shifts
    ) -> Iterator[tuple[Layer, EngineTensor, dict[str, EngineTensor]]]:
        """The layer, its input and all sources by name; tensors are put back afterwards."""
        layer, tensors = self.make()
        named = {name: tensors[name] for name in shifts if name != INPUT}
        before = self.backend.arrays(list(named.values()))
        for (name, tensor), array in zip(named.items(), before, strict=True):
            self.backend.set_value(tensor, array + shifts[name])
        x = self.x.copy() + shifts[INPUT] if INPUT in shifts else self.x.copy()
        source = self.backend.leaf(x) if self.takes_numbers else self.backend.tensor(x)
        sources = {**tensors, INPUT: source} if self.takes_numbers else dict(tensors)
        try:
            yield layer, source, sources
        finally:
            for tensor, array in zip(named.values(), before, strict=True):
                self.backend.set_value(tensor, array)


def by_itself(model: Callable[[], Model], label: str, x: np.ndarray) -> Isolated:
    """A layer of a model with its own tensors, or a container with those of all layers in it.

    `model` gives the model for one look.
    """

    def make() -> Made:
        fresh = model()
        node, own = node_of(fresh, label), fresh.backend.parameters
        return node.layer, {
            f"{leaf.label}.{name}": tensor
            for leaf in node.leaves()
            for name, tensor in own(leaf.layer).items()
        }

    now = model()
    return Isolated(now.backend, node_of(now, label).type, label, make, x)
