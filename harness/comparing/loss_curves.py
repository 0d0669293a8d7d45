"""The loss of one side over its seeds, thinned for a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from harness.comparing.side import Side
from harness.comparison import Curve

_POINTS = 60


def loss_curve(side: Side, milestone: str, seeds: Sequence[int]) -> Curve:
    """Median, lowest and highest loss over the seeds, each point the mean of its steps."""
    found = [side.curve(milestone, seed, "loss") for seed in seeds]
    curves = [loss for loss in found if loss is not None and len(loss)]
    if not curves:
        return Curve()
    steps = max(len(loss) for loss in curves)
    whole = np.full((len(curves), steps), np.nan)  # NaN after the end of those that stopped early
    for row, loss in enumerate(curves):
        whole[row, : len(loss)] = loss
    whole[~np.isfinite(whole)] = np.nan
    edges = np.unique(np.linspace(0, steps, min(_POINTS, steps) + 1).astype(int))
    cells = [_mean(whole[:, a:b]) for a, b in pairwise(edges.tolist())]
    return Curve(
        step=edges[1:].tolist(),
        median=[_known(np.median, cell) for cell in cells],
        low=[_known(np.min, cell) for cell in cells],
        high=[_known(np.max, cell) for cell in cells],
    )


def _mean(block: np.ndarray) -> np.ndarray:
    """(seeds, steps) -> means of the seeds that have any."""
    known = block[~np.isnan(block).all(axis=1)]
    return np.asarray(np.nanmean(known, axis=1)) if len(known) else np.zeros(0)


def _known(of: Callable[[np.ndarray], float], values: np.ndarray) -> float | None:
    return float(f"{of(values):.5g}") if values.size else None
