"""Curves: how loss, gradients and movement of a training run, from its first step to its last.

`curves` draws those of a record in a few cells each. Plain numbers, no engine and no files.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.record import RunRecord

# A curve is looked at in so many cells of equal length; fewer when it has fewer points.
CELLS = 40
_MOST_DESCENT = 1e3
_TINY = 1e-30


@dataclass(frozen=True)
class Quantity:
    """Something that has a curve: of the run, or of each tensor.

    `is_ratio` compares by factors, else by differences. `least_spread` is the spread that
    is granted at least: some relations are exact but for rounding, and other engines round
    differently. `slow` is the side of a run that learns late, if there is one: its gradients
    are still large when those of others have come to rest.
    """

    name: str
    is_ratio: bool
    least_spread: float
    slow: Literal["up", "down"] | None = None


LOSS = "loss"
HELD_OUT_LOSS = "held-out loss"
HELD_OUT_ACCURACY = "held-out accuracy"
GRADIENT = "gradient norm"
MOVEMENT = "movement"
PER_GRADIENT = "movement per gradient"
DESCENT = "descent"
QUANTITIES = {
    each.name: each
    for each in (
        Quantity(LOSS, True, 0.01, slow="up"),
        Quantity(HELD_OUT_LOSS, True, 0.01, slow="up"),
        Quantity(HELD_OUT_ACCURACY, False, 0.03, slow="down"),
        Quantity(GRADIENT, True, 0.02, slow="up"),
        Quantity(MOVEMENT, True, 0.02, slow="up"),
        Quantity(PER_GRADIENT, True, 0.02),
        Quantity(DESCENT, False, 0.02),
    )
}


@dataclass(frozen=True)
class Curves:
    """The curves of one quantity as cell means: logarithms where it is compared by factors.

    `edges` are the first step of each cell, and the last of all. Shape of values:
    (subjects, cells).
    """

    quantity: Quantity
    subjects: tuple[str, ...]
    edges: tuple[int, ...]
    values: np.ndarray


def curves(record: RunRecord, null: Collection[str] = ()) -> list[Curves]:
    """All curves of a record, but for the tensors in `null`, which have no gradient.

    Movement leaves out the first step: a schedule may start at a learning rate of 0.
    """
    if record.steps < 2:
        return []
    at, seen = np.arange(1, record.steps + 1), record.evaluated_at
    labels = tuple(label for label in record.labels if label not in null)
    columns = [record.labels.index(label) for label in labels]
    norms = np.nan_to_num(record.gradient_norm, posinf=1 / _TINY)
    moves = np.nan_to_num(record.movement, posinf=1 / _TINY)
    g, m = norms[1:, columns], moves[1:, columns]
    return [
        _curves(LOSS, (LOSS,), at, record.loss[:, None]),
        _curves(HELD_OUT_LOSS, (HELD_OUT_LOSS,), seen, record.held_out_loss[:, None]),
        _curves(HELD_OUT_ACCURACY, (HELD_OUT_ACCURACY,), seen, record.accuracy[:, None]),
        _curves(GRADIENT, labels, at, norms[:, columns]),
        _curves(MOVEMENT, labels, at[1:], m),
        _curves(PER_GRADIENT, labels, at[1:], m, g),
        _descent(at, record.loss, (norms * moves).sum(axis=1)),
    ]


def _curves(
    name: str,
    subjects: tuple[str, ...],
    at: np.ndarray,
    values: np.ndarray,
    divisor: np.ndarray | None = None,
) -> Curves:
    quantity, edges = QUANTITIES[name], _edges(len(values))
    means = _means(values, edges)
    if divisor is not None:
        means = means / np.maximum(_means(divisor, edges), _TINY)
    if quantity.is_ratio:
        means = np.log(np.clip(np.nan_to_num(means), _TINY, 1 / _TINY))
    return Curves(quantity, subjects, _steps(at, edges), np.nan_to_num(means).T)


def _descent(at: np.ndarray, loss: np.ndarray, work: np.ndarray) -> Curves:
    """By how much the loss falls as a share of gradient norm times movement, summed.

    To first order a step changes the loss by gradient times movement: 1 for plain descent
    with a gradient that is the slope of the loss, half for one that is twice the slope.
    """
    edges = _edges(len(loss))
    means = np.nan_to_num(_means(loss, edges))
    sums = _means(work, edges) * np.diff(edges)
    done = np.gradient(np.cumsum(sums) - sums / 2.0)
    share = np.nan_to_num(-np.gradient(means) / np.maximum(done, _TINY))
    values = np.clip(share, -_MOST_DESCENT, _MOST_DESCENT)[None]
    return Curves(QUANTITIES[DESCENT], (LOSS,), _steps(at, edges), values)


def _edges(points: int) -> np.ndarray:
    return np.linspace(0, points, min(CELLS, points) + 1).astype(int)


def _means(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(points, ...) -> (cells, ...)."""
    with np.errstate(all="ignore"):  # what overflows is out of any band
        sums = np.add.reduceat(np.asarray(values, dtype=np.float64), edges[:-1], axis=0)
        lengths = np.diff(edges).reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(sums / lengths)


def _steps(at: np.ndarray, edges: np.ndarray) -> tuple[int, ...]:
    return (*at[edges[:-1]].tolist(), int(at[-1]))
