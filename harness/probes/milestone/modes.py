"""What must not matter to a model: its mode, unless a layer says so, and the batch around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from harness.measurement import Measurement
from harness.model import Model
from harness.probes.comparing import FLOOR, compared, missing
from harness.probes.models.dependence import split
from harness.probes.models.specimen import Specimen
from harness.probes.models.walking import Stop, all_nodes, leaves, output, specs, walk

EXAMPLES = 4
# Layers that say that their mode matters, by the beginning of their type.
MODAL = ("Dropout", "BatchNorm")
# Numbers that are dropped while others stay: with as many, chance drops some, and not the same.
ENOUGH = 20
# What is dropped, or stays, more rarely than that would need too many.
RARE = 1e-3
# What modes may differ by where no layer asks for it: rounding.
NOTICEABLE = 1e-9


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """Rows for the outputs in either mode, and for batches in another order and twice over."""
    x, y = specimen.examples(EXAMPLES)
    x = specimen.wide(x)
    model = specimen.wide_model()
    before = [array.copy() for array in specimen.backend.arrays(list(model.parameters.values()))]
    model.set_training(False)
    evaluated = specimen.outputs(model, x).copy()
    stops = walk(model, x)

    def beside(what: str) -> Iterator[Measurement]:
        """The outputs now, and those of single layers where they differ."""
        row = compared("the model", f"outputs {what}", specimen.outputs(model, x), evaluated)
        if not row.error <= NOTICEABLE:
            yield from _layers(model, stops, what)
        yield row

    yield from beside("in evaluation, a second time")
    model.set_training(True)
    if specimen.has(*MODAL):
        yield from _layers(model, stops, "in training beside evaluation")
        yield from _dropped(specimen, model, x)
    else:
        yield from beside("in training beside evaluation")
    model.set_training(False)
    yield from beside("in evaluation after training mode")
    yield from _unchanged(specimen, model, before)
    yield from _batches(specimen, model, x, y, evaluated)


def _layers(model: Model, stops: Sequence[Stop], what: str) -> Iterator[Measurement]:
    """Layers whose mode should not matter, on the same inputs as before.

    A container only where all layers in it are such, and none of them explains it.
    """
    kept: set[str] = set()
    for stop in stops:
        if stop.node.type.startswith(MODAL) or any(
            inner.label not in kept for inner in all_nodes(stop.node.children)
        ):
            continue
        got = output(model.backend, stop.node.layer, stop.x)
        row = compared(stop.node.type, f"output of {stop.name} {what}", got, stop.y)
        if row.error <= NOTICEABLE:
            kept.add(stop.name)
        yield row


def _dropped(specimen: Specimen, model: Model, x: np.ndarray) -> Iterator[Measurement]:
    """Dropout in training mode drops something, and not the same twice."""
    for stop in leaves(walk(model, x)):
        if not stop.node.type.startswith("Dropout"):
            continue
        share = float(specs(specimen.config.layers)[stop.name].arguments.get("p", 0.5))
        if not RARE <= share <= 1.0 - RARE:
            continue
        times = 1 + int(ENOUGH / (share * (1.0 - share) * stop.x.size))
        ones = np.ones((times * len(stop.x), *stop.x.shape[1:]))
        first, second = (output(specimen.backend, stop.node.layer, ones).copy() for _ in range(2))
        for what, other in (("its input", ones), ("an earlier pass", second)):
            if np.array_equal(first, other):
                what = f"difference of {stop.name} in training from {what}"
                yield missing(stop.node.type, what, share)


def _unchanged(specimen: Specimen, model: Model, before: list[np.ndarray]) -> Iterator[Measurement]:
    """The tensors after so many forward passes."""
    after = specimen.backend.arrays(list(model.parameters.values()))
    for label, now, then in zip(model.parameters, after, before, strict=True):
        if not np.array_equal(now, then):
            yield compared(label, "numbers after forward passes", now, then)


def _batches(
    specimen: Specimen, model: Model, x: np.ndarray, y: np.ndarray, outputs: np.ndarray
) -> Iterator[Measurement]:
    """The same examples in another order, and every one twice."""
    order = np.roll(np.arange(len(x)), 1)
    rows, moved = split(outputs, len(x)), split(specimen.outputs(model, x[order]), len(x))
    if rows is not None and moved is not None:
        what = "outputs for the same examples in another order"
        yield compared("the model", what, moved, rows[order])
    once = _engine_loss(specimen, outputs, y)
    twice = _engine_loss(specimen, np.concatenate([outputs] * 2), np.concatenate([y] * 2))
    name = specimen.config.training.loss
    yield compared(name, "mean loss with every example twice", twice, once, FLOOR)


def _engine_loss(specimen: Specimen, logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    loss = specimen.engine_loss(specimen.backend.tensor(logits), y)
    return specimen.backend.array(loss).copy()
