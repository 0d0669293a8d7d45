"""Which part passes on wrong gradients: every layer, and the loss, by itself.

Asked only where the gradients of a whole model are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from harness.measurement import Measurement
from harness.metrics import targets_for
from harness.oracles.losses import GRADIENTS
from harness.probes.comparing import compared, missing
from harness.probes.differences import AGREES, Directions, alike, random_directions, slope_row
from harness.probes.models.isolated import by_itself
from harness.probes.models.objective import Objective
from harness.probes.models.specimen import JITTER, Specimen
from harness.probes.models.walking import Stop, all_nodes, walk
from harness.probes.trials.uses import ROUNDED, TAPE, has_arithmetic, used_often

# The input of a layer, and the directions in which it is moved.
Look = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, Directions]]


def wrong_parts(objective: Objective) -> list[Measurement]:
    """One row for every wrong gradient of the loss or of a layer that gets a right one.

    Where it is what they share that is wrong, the backward pass comes first.
    """
    specimen, model = objective.specimen, objective.model()
    outputs = specimen.outputs(model, objective.x)
    loss = [row for row in loss_rows(specimen, outputs, objective.y) if not row.error <= AGREES]
    stops = walk(model, specimen.wide(objective.x))
    found = _wrong_layers(objective, stops, _away_from_kinks)
    if not loss and not any(found.values()):
        found = _wrong_layers(objective, stops, _at_ties)
    rows = [*loss, *(row for name in reversed(found) for row in found[name])]
    leaves = [found[stop.name] for stop in stops if not stop.node.children]
    if rows and (_all_wrong(loss, leaves) or (not any([loss, *leaves]) and _loses_uses(specimen))):
        what = f"every gradient that comes together, such as that of {rows[0].subject}"
        rows.insert(0, replace(rows[0], subject=TAPE, what=what))
    return rows


def _all_wrong(loss: list[Measurement], leaves: list[list[Measurement]]) -> bool:
    return bool(loss) and all(leaves)


def _loses_uses(specimen: Specimen) -> bool:
    """Whether gradients of several uses do not add up, whatever uses a tensor twice."""
    if not has_arithmetic(specimen.backend):
        return False
    return any(not row.error <= ROUNDED for row in used_often(specimen.backend))


def loss_rows(specimen: Specimen, logits: np.ndarray, y: np.ndarray) -> Iterator[Measurement]:
    """The engine's gradient of the loss for logits, against its closed form."""
    backend, name = specimen.backend, specimen.config.training.loss
    targets = targets_for(name, logits, y)
    leaf = backend.leaf(logits.copy())
    backend.backward(specimen.engine_loss(leaf, y.copy()))
    got, expected = backend.gradient(leaf), GRADIENTS[name](logits.astype(np.float64), targets)
    what = "gradient for its logits"
    if got is None:
        yield missing(name, f"no {what}", float(expected.flat[0]))
    else:
        yield compared(name, what, got, expected)


# --- layer by layer ---------------------------------------------------------------------------


def _away_from_kinks(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Directions]:
    """Near the examples, but on none of the kinks and ties that these may be on."""
    is_token = x.dtype.kind != "f"
    near = x if is_token else x + JITTER * rng.standard_normal(x.shape)
    return near, random_directions(x.shape, rng)


def _at_ties(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Directions]:
    """Just where the examples are, for what is wrong nowhere else."""
    return x, alike(x, rng)


def _wrong_layers(
    objective: Objective, stops: list[Stop], look: Look
) -> dict[str, list[Measurement]]:
    """By label, the wrong gradients of each layer; a container's only if all in it are right."""
    found: dict[str, list[Measurement]] = {}
    for stop in stops:
        has_culprit = any(found[inner.label] for inner in all_nodes(stop.node.children))
        found[stop.name] = [] if has_culprit else list(_wrong(objective, stop, look))
    return found


def _wrong(objective: Objective, stop: Stop, look: Look) -> Iterator[Measurement]:
    """Rows of a layer's own gradients that are no slopes of what it computes."""
    node, rng = stop.node, objective.specimen.rng("blame", stop.name)
    weights = rng.standard_normal(stop.y.shape)
    x, along = look(stop.x, rng)
    layer = by_itself(objective.model, stop.name, x)
    arrays = layer.arrays()
    for name, gradient in layer.gradients(weights).items():
        what = f"gradient that {stop.name} passes back to {name or 'its input'}"
        directions = random_directions(arrays[name].shape, rng) if name else along
        moved = partial(layer.moved, name, weights)
        row = slope_row(node.type, what, moved, gradient, directions)
        if not row.error <= AGREES:
            yield row
