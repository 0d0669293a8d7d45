"""`Specimen`: one milestone laid out for probes, which build as many fresh models as they like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.backends.base import Backend, EngineTensor
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.metrics import LOSSES, targets_for
from harness.model import Model, build
from harness.probes.models.walking import specs
from harness.streams import stream

# How far from its start a model is looked at: a share of each tensor's own size. Some faults
# are exact at the start (a gamma of 1, a bias of 0), and so are some kinks.
JITTER = 0.1


def jitter(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A small move of some numbers, a share of their own size, in float64."""
    size = float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0
    return np.asarray(JITTER * max(size, JITTER) * rng.standard_normal(array.shape))


def spread(count: int, total: int) -> np.ndarray:
    """So many of all rows at most, evenly: neighbours are often alike."""
    count = min(count, total)
    return np.arange(count) * total // max(count, 1)


@dataclass(frozen=True)
class Specimen:
    """A milestone, an engine, its data and a seed."""

    config: MilestoneConfig
    backend: Backend
    dataset: Dataset
    seed: int

    def model(self) -> Model:
        """The model as training starts with it; equal at every call."""
        return build(self.config.layers, self.backend, self.seed)

    def wide_model(self) -> Model:
        """The model in float64, every tensor a little away from where it starts."""
        model = self.model()
        rng = self.rng("jitter")
        for parameter in model.parameters.values():
            (array,) = self.backend.arrays([parameter])
            self.backend.set_value(parameter, array.astype(np.float64) + jitter(array, rng))
        return model

    def uses(self) -> list[str]:
        """What the model is made of: layer types, loss, optimizer, and ops where known."""
        model, training = self.model(), self.config.training
        x, _ = self.examples(2)
        trace = self.backend.trace(lambda: model(self.backend.tensor(x)))
        events = trace.events if trace else ()
        ops = [event.places[0].function for event in events if event.op and event.places]
        types = [leaf.type for node in model.nodes for leaf in (node, *node.leaves())]
        return sorted({training.loss, training.optimizer, *types, *ops})

    def has(self, *kinds: str) -> bool:
        """Whether the config has a layer whose type begins with one of these words."""
        return any(spec.type.startswith(kinds) for spec in specs(self.config.layers).values())

    def rng(self, *name: str) -> np.random.Generator:
        """A stream of random numbers for a probe."""
        return stream(self.seed, "probe", *name)

    def examples(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """At most `count` training examples, spread over all: x and y as training sees them."""
        x, y = self.dataset.epoch(self.rng("data"))
        rows = spread(count, len(x))
        return x[rows], y[rows]

    def wide(self, x: np.ndarray) -> np.ndarray:
        """Inputs as a model in float64 takes them: floats in float64, tokens as they are."""
        return x.astype(np.float64) if x.dtype.kind == "f" else x

    def input(self, x: np.ndarray) -> EngineTensor:
        """The engine's tensor for inputs: floats in float64, tokens as they are."""
        return self.backend.tensor(self.wide(x))

    def outputs(self, model: Model, x: np.ndarray) -> np.ndarray:
        """The model's logits for x in its present mode, without a graph."""
        with self.backend.no_grad():
            return self.backend.array(model(self._fitting(model, x)))

    def _fitting(self, model: Model, x: np.ndarray) -> EngineTensor:
        """Inputs in float64 for a model in float64 only: not every engine mixes types."""
        arrays = self.backend.arrays(list(model.parameters.values()))
        is_wide = all(each.dtype == np.float64 for each in arrays)
        return self.input(x) if is_wide else self.backend.tensor(x)

    def draws(self, model: Model, x: np.ndarray) -> bool:
        """Whether the model draws at random in its present mode: passes differ, or may do so."""
        if self.has("Dropout"):  # rare drops may be the same twice
            return True
        first, second = self.outputs(model, x), self.outputs(model, x)
        return not np.array_equal(first, second, equal_nan=True)

    def engine_loss(self, logits: EngineTensor, y: np.ndarray) -> EngineTensor:
        """The engine's own loss of logits, with its graph."""
        name = self.config.training.loss
        targets = self.backend.tensor(targets_for(name, self.backend.array(logits), y))
        return self.backend.namespace.losses[name]()(logits, targets)

    def loss(self, outputs: np.ndarray, y: np.ndarray) -> float:
        """The harness's own mean loss of logits, in float64."""
        name = self.config.training.loss
        return float(LOSSES[name][0](outputs, targets_for(name, outputs, y)))
