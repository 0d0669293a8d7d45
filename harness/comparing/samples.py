"""What each seed says of a milestone on both sides: how fast, how well, whether it got there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.comparing.learning_curves import is_whole, log_steps, loss_levels
from harness.comparing.side import Side
from harness.scorecard import Result


@dataclass(frozen=True)
class Samples:
    """Paired by seed: log2 of steps head / base, points of accuracy head - base, and misses.

    `speed` and `final` are empty where `no_speed` and `no_final` say why. `remarks` tell what
    became of seeds that are not like the others.
    """

    seeds: int
    speed: tuple[float, ...] = ()
    no_speed: str = ""
    final: tuple[float, ...] = ()
    no_final: str = ""
    base_misses: int = 0
    head_misses: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Run:
    """One training as far as learning goes; `loss` is None where no curve was kept."""

    seed: int
    loss: np.ndarray | None
    accuracy: float | None
    target: float
    planned_steps: int
    is_lost: bool

    @property
    def reaches(self) -> bool:
        """Whether it ends where it should, which a run that did not end never does."""
        return not self.is_lost and self.accuracy is not None and self.accuracy >= self.target


def samples_of(base: Side, head: Side, milestone: str) -> Samples:
    """The samples of all seeds that both sides trained to a result."""
    one, other = base.results(milestone), head.results(milestone)
    common = sorted(one.keys() & other.keys())
    nothing = {"error", "unsupported"}
    dropped = [s for s in common if nothing & {one[s].status, other[s].status}]
    seeds = [seed for seed in common if seed not in dropped]
    ours = [_run(base, one[seed]) for seed in seeds]
    theirs = [_run(head, other[seed]) for seed in seeds]
    if len(seeds) < 2:
        count = "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
        why = f"{count} in common; at least 2 are needed: --seeds N"
        return Samples(len(seeds), no_speed=why, no_final=why, remarks=_dropped(dropped))
    speed, no_speed = _speed(ours, theirs)
    final, no_final = _final(ours, theirs)
    return Samples(
        seeds=len(seeds),
        speed=speed,
        no_speed=no_speed,
        final=final,
        no_final=no_final,
        base_misses=sum(not run.reaches for run in ours),
        head_misses=sum(not run.reaches for run in theirs),
        remarks=(*_dropped(dropped), *_lost("base", ours), *_lost("head", theirs)),
    )


def _run(side: Side, result: Result) -> _Run:
    loss = side.curve(result.milestone, result.seed, "loss")
    planned = result.planned_steps
    ended = result.steps >= planned if loss is None else is_whole(loss, planned)
    return _Run(
        seed=result.seed,
        loss=loss,
        accuracy=result.accuracy.held_out,
        target=result.accuracy.target,
        planned_steps=planned,
        is_lost=not ended,
    )


def _speed(base: Sequence[_Run], head: Sequence[_Run]) -> tuple[tuple[float, ...], str]:
    """log2 of the steps of the head over those of the base, or why there is none."""
    curves = [
        (a.loss, b.loss)
        for a, b in zip(base, head, strict=True)
        if a.loss is not None and b.loss is not None
    ]
    if len(curves) < 2:
        return (), "loss curves are missing: keep curves.npz beside scorecard.json"
    planned = max(run.planned_steps for run in base)
    levels = loss_levels([loss for loss, _ in curves], planned)
    if levels is None:
        return (), "the loss of the base does not fall, so there is no speed to compare with"
    return tuple(
        log_steps(levels, theirs, planned) - log_steps(levels, ours, planned)
        for ours, theirs in curves
    ), ""


def _final(base: Sequence[_Run], head: Sequence[_Run]) -> tuple[tuple[float, ...], str]:
    """Points of accuracy of the head less those of the base, or why there are none."""
    pairs = [(_accuracy(a), _accuracy(b)) for a, b in zip(base, head, strict=True)]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    if len(known) < 2:
        return (), "no accuracy on held-out examples was measured; run both sides again"
    return tuple(100.0 * (b - a) for a, b in known), ""


def _accuracy(run: _Run) -> float | None:
    """A run that was lost may have no accuracy: it has learned nothing."""
    return 0.0 if run.is_lost and run.accuracy is None else run.accuracy


def _dropped(seeds: Sequence[int]) -> tuple[str, ...]:
    return (f"without a result on some side, left out: {_listed(seeds)}",) if seeds else ()


def _lost(side: str, runs: Sequence[_Run]) -> tuple[str, ...]:
    seeds = [run.seed for run in runs if run.is_lost]
    return (f"{side} ended early or left the numbers on {_listed(seeds)}",) if seeds else ()


def _listed(seeds: Sequence[int]) -> str:
    """ "seeds 3, 4, 5 and 7 more"."""
    shown = ", ".join(map(str, seeds[:3]))
    more = f" and {len(seeds) - 3} more" if len(seeds) > 3 else ""
    return f"seed{'s' if len(seeds) > 1 else ''} {shown}{more}"
