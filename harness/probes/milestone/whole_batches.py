"""Every layer on a whole batch, in the type that trains, beside piece by piece in float64.

What depends on how many examples come at once, on what came in the same shape before, or on
how numbers are rounded is one way on a few examples in float64, where most probes look, and
another in training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from harness.measurement import Measurement, NotMeasurableError
from harness.model import Model
from harness.probes.comparing import compared, missing
from harness.probes.models.blame import loss_rows
from harness.probes.models.isolated import INPUT, Isolated, by_itself
from harness.probes.models.specimen import Specimen
from harness.probes.models.walking import leaves, walk

# Of unequal length, so that no piece has the shape of another, or of the whole.
FIRST_PIECE = 0.3
# Gradients below this share of the largest of their layer cancel, all but for rounding.
NULL = 0.1


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """Rows for each layer's output and gradients, then for the loss's."""
    size = specimen.config.training.batch_size
    x, y = specimen.examples(2 * size)
    half = -(-len(x) // 2) if len(x) >= 2 * size else 0  # few examples come twice
    before, batch, targets = x[: half or None], x[half:], y[half:]
    model = specimen.model()
    if specimen.has("BatchNorm") or specimen.draws(model, before):
        raise NotMeasurableError("its layers draw at random, or look at the batch as a whole")
    wide = _in_float64(specimen)
    came_before = {stop.name: stop.x for stop in leaves(walk(model, before))}
    stops = list(leaves(walk(model, batch)))
    for stop in stops:
        rng = specimen.rng("whole batches", stop.name)
        weights = rng.standard_normal(stop.y.shape)
        narrow = by_itself(lambda: model, stop.name, stop.x)
        _look(by_itself(lambda: model, stop.name, came_before[stop.name]), None, rng)
        got = _look(narrow, weights, rng)
        expected = _in_pieces(lambda: wide, stop.name, stop.x, weights, len(batch))
        if expected is not None:
            yield from _beside(narrow, got, expected)
    for row in loss_rows(specimen, stops[-1].y, targets):
        yield replace(row, what=f"{row.what} on a whole batch")


def _in_float64(specimen: Specimen) -> Model:
    """The model with the same numbers."""
    model, backend = specimen.model(), specimen.backend
    for parameter in model.parameters.values():
        (array,) = backend.arrays([parameter])
        backend.set_value(parameter, array.astype(np.float64))
    return model


@dataclass(frozen=True)
class _Seen:
    """What a layer gave, and its gradients of the weighted sum of that."""

    output: np.ndarray
    gradients: dict[str, np.ndarray | None]


def _look(part: Isolated, weights: np.ndarray | None, rng: np.random.Generator) -> _Seen:
    output = part.output()
    weights = rng.standard_normal(output.shape) if weights is None else weights
    found = part.gradients(weights.astype(output.dtype))
    copies = {name: None if each is None else each.copy() for name, each in found.items()}
    return _Seen(output, copies)


def _in_pieces(
    model: Callable[[], Model], label: str, x: np.ndarray, weights: np.ndarray, examples: int
) -> _Seen | None:
    """The same from pieces of the batch, last example first: no place in a batch is special.

    Outputs end to end, gradients of tensors added up. None where outputs do not belong to
    examples.
    """
    if len(x) % examples or len(weights) % examples:
        return None
    backwards, back = (_from_the_last(len(each), examples) for each in (x, weights))
    wide = x[backwards].astype(np.float64) if x.dtype.kind == "f" else x[backwards]
    cut = max(1, int(FIRST_PIECE * examples))
    seen = []
    for start, end in ((0, cut), (cut, examples)) if examples > 1 else ((0, 1),):
        rows, outputs = (len(each) // examples for each in (x, weights))
        part = by_itself(model, label, wide[start * rows : end * rows])
        own = weights[back][start * outputs : end * outputs]
        seen.append(_look(part, own, np.random.default_rng(0)))
    joined = {name: _joined([each.gradients[name] for each in seen], backwards if name == INPUT
                            else None) for name in seen[0].gradients}  # fmt: skip
    return _Seen(np.concatenate([each.output for each in seen])[back], joined)


def _from_the_last(rows: int, examples: int) -> np.ndarray:
    """The rows of all examples, the last example's first; the way there is the way back."""
    return np.arange(rows).reshape(examples, -1)[::-1].reshape(-1)


def _joined(pieces: list[np.ndarray | None], back: np.ndarray | None) -> np.ndarray | None:
    """Gradients of pieces put in order, or added up; None where one is missing."""
    known = [piece for piece in pieces if piece is not None]
    if len(known) < len(pieces):
        return None
    return np.asarray(sum(known[1:], known[0])) if back is None else np.concatenate(known)[back]


def _beside(part: Isolated, got: _Seen, expected: _Seen) -> Iterator[Measurement]:
    yield compared(
        part.kind, f"output of {part.label} on a whole batch", got.output, expected.output
    )
    sizes = [
        float(np.linalg.norm(each)) for each in expected.gradients.values() if each is not None
    ]
    floor = NULL * max(sizes, default=0.0)
    for name, gradient in got.gradients.items():
        what = f"gradient that {part.label} passes back to {name or 'its input'} on a whole batch"
        right = expected.gradients[name]
        if right is None:
            continue  # nothing arrives in float64, which other probes tell
        if gradient is None:
            yield missing(part.kind, f"{what}, where none arrives", float(np.abs(right).max()))
        else:
            yield compared(part.kind, what, gradient, right, floor)
