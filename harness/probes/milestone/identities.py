"""What mathematics says of gradients without asking what the model is.

The gradient of a loss has a closed form; rows of a table that nobody looked up get none, nor
do tensors that are declared null; a batch twice over has the same gradients; and a small step
against those of a whole batch lowers its loss by as much as they promise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from harness.datasets.summary import kinds_of
from harness.measurement import Measurement
from harness.model import Model
from harness.probes.comparing import compared
from harness.probes.differences import AGREES, slope_row, uphill
from harness.probes.models.blame import loss_rows, wrong_parts
from harness.probes.models.objective import Gradients, Objective, gradients
from harness.probes.models.specimen import Specimen
from harness.probes.models.walking import leaves, walk

EXAMPLES = 4
# Logits as a well trained model has them, where a loss is nearly flat or nearly a line.
LARGE = 8.0
# A gradient this small beside the largest of the model is rounding, in float64.
NULL = 1e-11


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """Rows of the loss first, then of single tensors, then of the model."""
    x, y = specimen.examples(specimen.config.training.batch_size)
    batch = Objective(specimen, x, y, training=True)
    if batch.is_random:
        batch = Objective(specimen, x, y, training=False)
    logits = specimen.outputs(batch.model(), x)
    spread = LARGE * specimen.rng("identities").standard_normal(logits.shape)
    for each in (logits, spread):
        yield from loss_rows(specimen, each, y)
    few = x[:EXAMPLES], y[:EXAMPLES]
    found = gradients(specimen, batch.model(), *few)
    yield from _unused_rows(specimen, batch.model(), x[:1], y[:1])
    yield from _nulls(specimen, found)
    yield from _twice(specimen, batch.model(), *few, found)
    yield from _descent(batch)


def _unused_rows(
    specimen: Specimen, model: Model, x: np.ndarray, y: np.ndarray
) -> Iterator[Measurement]:
    """Layers that look integers up in a table: the rows that were not looked up."""
    if x.dtype.kind == "f":
        return
    found = gradients(specimen, model, x, y)
    for stop in leaves(walk(model, x)):
        gradient = found.get(f"{stop.name}.weight")
        if stop.x.dtype.kind == "f" or gradient is None:
            continue
        unused = np.delete(gradient, kinds_of(stop.x)[0], axis=0)
        what = f"gradient of rows of {stop.name}.weight that were not looked up"
        yield compared(stop.node.type, what, unused, np.zeros_like(unused))


def _nulls(specimen: Specimen, found: Gradients) -> Iterator[Measurement]:
    """Norms of tensors that are declared null, beside the largest of all."""
    norms = {
        label: float(np.linalg.norm(each)) for label, each in found.items() if each is not None
    }
    largest = max(norms.values(), default=0.0)
    for label in specimen.config.expectations.null_gradients:
        if label in norms and largest:
            share = norms[label] / largest
            what = "gradient as a share of the largest, zero by mathematics"
            yield Measurement(label, what, share, 0.0, share if share <= NULL else math.inf)


def _twice(
    specimen: Specimen, model: Model, x: np.ndarray, y: np.ndarray, found: Gradients
) -> Iterator[Measurement]:
    """Every example twice: the mean and all its gradients stay; the nearest to the loss first."""
    again = gradients(specimen, model, np.concatenate([x, x]), np.concatenate([y, y]))
    kinds = {leaf.label: leaf.type for node in model.nodes for leaf in node.leaves()}
    for label in reversed(found):
        once, twice = found[label], again[label]
        if once is not None and twice is not None:
            what = f"gradient of {label} with every example twice"
            yield compared(kinds[label.split(".")[0]], what, twice, once)


def _descent(batch: Objective) -> Iterator[Measurement]:
    """One small step against the gradient: the loss falls by its length times the step's."""
    gradient = batch.end_to_end(batch.gradients())
    directions = uphill(gradient, batch.specimen.rng("descent"))
    what = "fall of the loss of a batch by a small step against its gradient, over its length"
    row = slope_row("the model", what, batch.moved_together, gradient, directions)
    if not row.error <= AGREES:
        yield from wrong_parts(batch)
    yield row
