"""Determinism first: whether two sides train to the same bits, and where they part if not."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from harness.comparing.looks import Trajectory
from harness.comparing.pairs import Parting
from harness.comparing.side import Side
from harness.comparing.steps import first_parting
from harness.comparison import Divergence, Level
from harness.record import Checkpoints
from harness.scorecard import Result

# What tells two runs of a seed apart: nothing, what came after equal weights had met equal
# batches, or already those.
Stream = Literal["identical", "same", "other"]
_WORST_FIRST: tuple[Level, ...] = ("CHANGED", "unknown", "ROUNDING", "IDENTICAL")
_UNKNOWN = "the digests of the trainings differ, and no step was kept that shows where"
_CURVES = ("evaluated_at", "accuracy", "held_out_loss")


def find(base: Side, head: Side, milestone: str) -> Divergence:
    """Where the trainings of a milestone part, over all seeds that both sides finished.

    Told is the worst level of all seeds, at the earliest step where it is met.
    """
    one, other = base.results(milestone), head.results(milestone)
    seeds = [s for s in sorted(one.keys() & other.keys()) if one[s].digest and other[s].digest]
    unsteady = [word for word, side in (("base", base), ("head", head))
                if milestone in side.unsteady]  # fmt: skip
    if not seeds:
        return Divergence(level="unknown", unsteady=unsteady, why="no seed was trained on both")
    partings = {seed: _of_seed(base, head, one[seed], other[seed]) for seed in seeds}
    seed = min(seeds, key=lambda s: (_rank(partings[s]), _step(partings[s]), s))
    worst = partings[seed]
    if worst is None:
        return Divergence(level="IDENTICAL", seeds=seeds, unsteady=unsteady)
    return Divergence(
        level=worst.level,
        seeds=seeds,
        seed=seed,
        step=worst.step,
        since=worst.since,
        phase=worst.phase,
        tensor=worst.tensor,
        also=list(worst.also),
        base=_finite(worst.base),
        head=_finite(worst.head),
        difference=_finite(worst.difference),
        unsteady=unsteady,
        why=_UNKNOWN if worst.level == "unknown" else "",
    )


def stream(divergence: Divergence) -> Stream:
    """Which noise separates the two sides: none, that of one stream, or of two."""
    if divergence.unsteady or divergence.level == "unknown":
        return "other"
    if divergence.level == "IDENTICAL":
        return "identical"
    return "other" if divergence.phase in ("start", "batch") else "same"


def is_exact(divergence: Divergence) -> bool:
    """Whether the step before the divergence is known to be equal."""
    step, since = divergence.step, divergence.since
    return step is None or step == 0 or (since is not None and since >= step - 1)


def _rank(parting: Parting | None) -> int:
    return _WORST_FIRST.index(parting.level if parting else "IDENTICAL")


def _step(parting: Parting | None) -> int:
    return parting.step if parting and parting.step is not None else 1 << 60


def _of_seed(base: Side, head: Side, one: Result, other: Result) -> Parting | None:
    """Where two trainings from one seed part; None when all that is known of both is equal."""
    parting = first_parting(_trajectory(base, one), _trajectory(head, other))
    if parting is not None and (parting.level == "CHANGED" or one.digest != other.digest):
        return parting
    if one.digest != other.digest:
        return Parting("unknown", "unknown")
    return _evaluation(base, head, one, other)


def _trajectory(side: Side, result: Result) -> Trajectory:
    name, seed = result.milestone, result.seed
    arrays = {
        field: side.curve(name, seed, f"checkpoints/{field}") for field in vars(Checkpoints())
    }
    kept = {field: array for field, array in arrays.items() if array is not None}
    return Trajectory(
        labels=tuple(row.label for row in result.parameters),
        layers=tuple(result.layers),
        dtype=result.dtype,
        digest=result.digest,
        checkpoints=Checkpoints(**kept) if len(kept) == len(arrays) else None,
        loss=side.curve(name, seed, "loss"),
        gradient_norm=side.curve(name, seed, "gradient_norm"),
        movement=side.curve(name, seed, "movement"),
    )


def _evaluation(base: Side, head: Side, one: Result, other: Result) -> Parting | None:
    """Equal trainings that are not evaluated alike."""
    for name in _CURVES:
        a, b = (side.curve(one.milestone, one.seed, name) for side in (base, head))
        if a is None or b is None or np.array_equal(a, b, equal_nan=True):
            continue
        odd = np.flatnonzero(a != b) if a.shape == b.shape else np.zeros(1, dtype=int)
        k = int(odd[0])
        at = base.curve(one.milestone, one.seed, "evaluated_at")
        step = int(at[k]) if at is not None and k < len(at) else None
        values = [float(each[k]) if k < len(each) else None for each in (a, b)]
        return Parting("CHANGED", "evaluation", step, None, name.replace("_", " "), (), *values)
    last, others = one.accuracy.held_out, other.accuracy.held_out
    if last != others:
        return Parting("CHANGED", "evaluation", None, None, "final accuracy", (), last, others)
    return None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
