"""Cases of losses, as ops and as objects: both reductions, near and far, one class and many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.probes.trials.cases.case import (
    ROWS,
    Array,
    Case,
    Input,
    Numbers,
    exactly,
    scaled,
    spares,
)

_ZEROS = exactly(np.zeros((3, 5)))
# Around 100, the right class last and far from the largest.
_FAR_OFF = exactly([[100.0, 3.0, -90.0], [98.0, 101.0, -40.0], [-100.0, 90.0, 100.0]])
_CLASSIFIED: list[tuple[Input, Array]] = [
    ((ROWS, 3), np.arange(ROWS) * 7 % 3),
    ((4, 4), np.array([3, 0, 1, 2])),
    ((2, 3, 4), np.array([[0, 1, 2, 2], [1, 1, 0, 2]])),
    ((2, 2, 2, 2), np.array([[[0, 1], [1, 1]], [[0, 0], [1, 0]]])),
    ((1, 2), np.array([1])),
    (_ZEROS, np.array([1, 0, 4])),
    (_FAR_OFF, np.array([2, 2, 2])),
    (scaled(1e3, 3, 4), np.array([3, 3, 0])),
]
# Another class than the right one has no chance; held fixed, since -inf cannot be moved.
_RULED_OUT = np.array([[0.3, -np.inf, 1.2], [0.4, 0.1, -np.inf]])
_LABELS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def _targets(*shape: int) -> Numbers:
    """Between 0 and 1; not every engine gives them a gradient."""
    size = int(np.prod(shape))
    values = (np.arange(size).reshape(shape) * 0.29 + 0.07) % 1.0
    return Numbers(shape, "exact", values=values, may_lack=True)


_BINARY: list[tuple[Input, Input]] = [
    ((ROWS, 3), np.arange(3.0 * ROWS).reshape(ROWS, 3) * 5.0 % 7.0 % 2.0),
    ((4, 1), np.array([[0.0], [1.0], [1.0], [0.0]])),
    ((5,), np.array([0.0, 1.0, 1.0, 0.0, 0.0])),
    ((2, 2, 3), _targets(2, 2, 3)),
    ((1, 1), np.array([[1.0]])),
    (exactly(np.zeros((3, 2))), _LABELS),
    (scaled(1e3, 3, 2), _LABELS),
]


def _distant(*shape: int) -> Numbers:
    return Numbers(shape, "signed", 2.0, may_lack=True)


_SQUARED: list[tuple[Input, Input]] = [
    ((ROWS, 3), _distant(ROWS, 3)),
    ((4, 1), _distant(4, 1)),
    ((5,), _distant(5)),
    ((2, 3, 2), _distant(2, 3, 2)),
    ((1, 1), _distant(1, 1)),
    ((), _distant()),
]


def _reduced(pairs: Sequence[tuple[Input, Input]], spare: tuple[Input, Input]) -> list[Case]:
    """Every pair as a mean, which the first does not say; every other one also as a sum."""
    means = [Case(pair, {"reduction": "mean"}) for pair in pairs[1:]]
    sums = [Case(pair, {"reduction": "sum"}) for pair in pairs[::2]]
    return [Case(pairs[0]), *means, *sums, *spares(Case(spare), Case(spare, {"reduction": "sum"}))]


CASES: dict[str, list[Case]] = {
    "mse_loss": _reduced(_SQUARED, ((3, 2), _distant(3, 2))),
    "binary_cross_entropy_with_logits": _reduced(_BINARY, ((3, 2), _LABELS)),
    "cross_entropy": [
        *_reduced(_CLASSIFIED, ((3, 5), np.array([0, 4, 4]))),
        Case(((2, 3), np.array([2, 0], dtype=np.int32)), may_refuse=True),
        Case((_RULED_OUT, np.array([2, 0])), {"reduction": "mean"}),
    ],
}
