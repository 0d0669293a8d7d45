"""Where a training's random generators begin: no two of them in one state, however it draws.

Equal generators give equal numbers, so that what should be independent goes together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import wraps
from typing import Any, cast

import numpy as np

from harness import training
from harness.arguments import accepts
from harness.backends.base import Backend, Factory, Namespace
from harness.datasets.base import Dataset
from harness.measurement import Measurement
from harness.model import build
from harness.probes.counting import counted
from harness.probes.models.specimen import Specimen
from harness.probes.models.walking import specs
from harness.probes.runs.short_run import changed

# So many examples in batches of so many: no order of theirs comes about twice by chance.
_ROWS, _SIZE = 24, 2
# Ways to draw an order of so many examples.
_WAYS: tuple[Callable[[np.random.Generator], np.ndarray], ...] = (
    lambda rng: rng.permutation(_ROWS),
    lambda rng: rng.choice(_ROWS, _ROWS, replace=False),
    lambda rng: np.argsort(rng.random(_ROWS)),
)


def measure_births(subject: str, specimen: Specimen) -> Iterator[Measurement]:
    """Rows about the generators of layers, of data that vary, and of the order of examples."""
    born = _layers(specimen)
    order = _order(specimen, born)
    states = [repr(rng.bit_generator.state) for rng in born]
    twins = len(states) - len(set(states))
    yield counted(subject, "generators that begin where another does", twins, 0)
    batches = _as_batches(order), _as_batches(order[::-1])
    alike = sum(
        any(_as_batches(way(deepcopy(rng))) in batches for way in _WAYS)
        for rng in {repr(rng.bit_generator.state): rng for rng in born}.values()
    )
    what = "orders of examples drawn from where another generator begins"
    yield counted(subject, what, alike, 0)


def _layers(specimen: Specimen) -> list[np.random.Generator]:
    """A copy of the generator of every layer, as the layer gets it."""
    used = {spec.type for spec in specs(specimen.config.layers).values()}
    spy = _Spy(specimen.backend, used)
    build(specimen.config.layers, cast(Backend, spy), specimen.seed)
    return spy.born


class _Spy:
    """A backend whose layers leave a copy of their generators."""

    def __init__(self, backend: Backend, used: set[str]) -> None:
        self._backend = backend
        self.born: list[np.random.Generator] = []
        layers = dict(backend.namespace.layers)
        layers |= {name: self._noting(layers[name]) for name in used & layers.keys()}
        self.namespace: Namespace = replace(backend.namespace, layers=layers)

    def __getattr__(self, name: str) -> Any:  # whatever a backend has
        return getattr(self._backend, name)

    def _noting(self, factory: Factory) -> Factory:
        if not accepts(factory, "rng"):
            return factory

        @wraps(factory, updated=())
        def noting(*layers: Any, **given: Any) -> Any:  # whatever the factory takes
            self.born.append(deepcopy(given["rng"]))
            return factory(*layers, **given)

        return noting


def _order(specimen: Specimen, born: list[np.random.Generator]) -> np.ndarray:
    """The order of an epoch of numbered examples; the generator of its data joins the others."""
    noted: list[np.random.Generator] = []

    def vary(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noted.append(deepcopy(rng))
        rng.random(_ROWS + 1)  # one that goes on to draw the order, too, is past its beginning
        return x

    numbers = np.arange(_ROWS)
    dataset = Dataset(numbers, numbers, numbers, numbers, vary=vary)
    config = changed(specimen.config, epochs=1, batch_size=_SIZE)
    batches = list(training.batches(config, dataset, specimen.seed))
    born += noted[:1]
    return np.concatenate([numbers[:0], *(y for _, y in batches)])


def _as_batches(order: np.ndarray) -> list[list[int]]:
    """Inside a batch the order does not matter."""
    rows = order.tolist()
    return [sorted(rows[start : start + _SIZE]) for start in range(0, len(rows), _SIZE)]
