"""Times of contenders on one workload: first that they compute the same, then chunks in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median

import numpy as np

from harness.bench.contender import Apart, Contender
from harness.bench.ratios import paired_ratio
from harness.bench.results import Failure, Flops, Measured, PartSeconds, Timing
from harness.bench.workload import UnsupportedError, Workload
from harness.branches.bursts import steps_a_burst
from harness.errors import HarnessError

# What single precision may do to a loss: so much, as a share, after one step, and as much more
# with every step. Measured between four engines: at most 3e-6 in 20 steps.
ROUNDING = 1e-5
# So far each step is held to that. Further on, a ReLU or a maximum that falls to the other side
# sets engines apart that are both right, and the means of blocks of steps are compared. Measured
# over 300 steps of all workloads between four engines: single losses up to 0.12 apart, means of
# 50 up to 7e-3; in the first 60 steps they stay within 0.6 of ROUNDING a step.
_STEP_BY_STEP = 50
_DRIFT = 0.05
# Losses near zero are held against this instead.
_SMALL_LOSS = 1e-3


@dataclass(frozen=True)
class Plan:
    """How much is measured: losses compared, chunks of each contender, and their seconds.

    Once the chunks are timed, up to `afterwards` losses are compared that take the slowest no
    longer than `afterwards_seconds`, give or take: an engine may have come to do less work. Every
    `apart_every`th round also has a chunk with clocks between the parts of its steps.
    """

    losses: int = 20
    rounds: int = 20
    seconds: float = 0.01
    apart_every: int = 4
    afterwards: int = 300
    afterwards_seconds: float = 1.0


@dataclass
class _Running:
    """A contender during a measurement: what it said, and all its chunks."""

    contender: Contender
    way: str = ""
    steps: int = 0
    losses: list[float] = field(default_factory=list)
    afterwards: list[float] = field(default_factory=list)
    rounds: dict[int, float] = field(default_factory=dict)
    apart: list[Apart] = field(default_factory=list)
    problem: str = ""
    failed: Failure = ""


def measure(
    contenders: Sequence[Contender], folder: Path, base: str, plan: Plan, rng: np.random.Generator
) -> list[Timing]:
    """The times of each contender on the workload in a folder, and their ratios to `base`.

    A contender whose losses are not those of the base, before its chunks or after them, gets no
    time, nor does one that fails; the others go on. Who works first in each round is drawn at
    random.
    """
    running = [_Running(each) for each in contenders]
    for each in running:
        _try(each, lambda each: _start(each, folder, plan))
    refuse_other_losses(running, base)
    for each in _fit(running):
        _try(each, lambda each: _choose_steps(each, plan))
    for number in range(plan.rounds):
        _round(running, number, plan, rng)
    _compare_again(running, base, plan)
    firsts = next((each.rounds for each in _fit(running) if each.contender.name == base), {})
    return [_timing(each, base, firsts) for each in running]


def _fit(running: Iterable[_Running]) -> list[_Running]:
    return [each for each in running if not each.failed]


def _try(each: _Running, what: Callable[[_Running], None]) -> None:
    """Do something with a contender; what it raises ends its part in the measurement."""
    try:
        what(each)
    except HarnessError as error:
        each.problem = error.message
        each.failed = "unsupported" if isinstance(error, UnsupportedError) else "died"


def _start(each: _Running, folder: Path, plan: Plan) -> None:
    each.way = each.contender.prepare(folder)
    each.losses = each.contender.losses(plan.losses)


def _choose_steps(each: _Running, plan: Plan) -> None:
    burst = each.contender.burst
    each.steps = steps_a_burst(burst, burst, plan.seconds)


def _round(running: Sequence[_Running], number: int, plan: Plan, rng: np.random.Generator) -> None:
    for i in rng.permutation(len(running)):
        if not running[i].failed:
            _try(running[i], lambda each: _chunk(each, number))
    if number % plan.apart_every == 0:
        for each in _fit(running):
            _try(each, _chunk_apart)


def _chunk(each: _Running, number: int) -> None:
    each.rounds[number] = each.contender.burst(each.steps) / each.steps


def _chunk_apart(each: _Running) -> None:
    found = each.contender.apart(each.steps)
    if found is not None:
        each.apart.append(found)


def refuse_other_losses(running: Sequence[_Running], base: str) -> None:
    """Take those out whose losses differ from those of the base by more than rounding."""
    fit = _fit(running)
    expected = _expected(fit, base)
    for each in fit:
        assert expected is not None
        at = first_difference(each.losses, expected.losses)
        if at is not None:
            _refuse(each, f"its loss at step {at} is {_shown(each.losses, at)}, that of "
                          f"{expected.contender.name} {_shown(expected.losses, at)}")  # fmt: skip


def _compare_again(running: Sequence[_Running], base: str, plan: Plan) -> None:
    """The same once more, with new models and more steps, in the workers that were timed."""
    fit = _fit(running)
    if len(fit) < 2:
        return
    slowest = max(median(each.rounds.values()) for each in fit)
    count = min(plan.afterwards, max(plan.losses, int(plan.afterwards_seconds / slowest)))
    for each in fit:
        _try(each, lambda each: _lose_again(each, count))
    fit = _fit(running)
    expected = _expected(fit, base)
    for each in fit:
        assert expected is not None
        parting = parted(each.afterwards, expected.afterwards)
        if parting:
            _refuse(each, f"after its chunks, its loss {parting[0]}, that of "
                          f"{expected.contender.name} {parting[1]}")  # fmt: skip


def _lose_again(each: _Running, count: int) -> None:
    each.afterwards = each.contender.losses(count)


def _expected(fit: Sequence[_Running], base: str) -> _Running | None:
    """Whose losses the others are held against."""
    return next((each for each in fit if each.contender.name == base), fit[0] if fit else None)


def _refuse(each: _Running, how: str) -> None:
    each.failed = "losses"
    each.problem = f"{how}: no time of a different computation is believed"


def parted(losses: Sequence[float], expected: Sequence[float]) -> tuple[str, str] | None:
    """Where and what losses of many steps are, and what they should be; None if they agree.

    The first steps one by one, the others by the means of blocks.
    """
    near = first_difference(losses[:_STEP_BY_STEP], expected[:_STEP_BY_STEP])
    if near is not None:
        return f"at step {near} is {_shown(losses, near)}", _shown(expected, near)
    ends = range(2 * _STEP_BY_STEP, len(expected) + 1, _STEP_BY_STEP)
    for end in ends:
        block = slice(end - _STEP_BY_STEP, end)
        got, wanted = fmean(losses[block] or [math.nan]), fmean(expected[block])
        if not abs(got - wanted) <= _DRIFT * max(abs(wanted), _SMALL_LOSS):
            return f"over steps {block.start + 1} to {end} is {got:.7g}", f"{wanted:.7g}"
    return None


def first_difference(losses: Sequence[float], expected: Sequence[float]) -> int | None:
    """The first step, from 1, at which losses differ by more than rounding explains."""
    for step in range(1, max(len(losses), len(expected)) + 1):
        if step > min(len(losses), len(expected)):
            return step
        got, wanted = losses[step - 1], expected[step - 1]
        # Written so that NaN is a difference.
        if not abs(got - wanted) <= ROUNDING * step * max(abs(wanted), _SMALL_LOSS):
            return step
    return None


def _shown(losses: Sequence[float], step: int) -> str:
    return f"{losses[step - 1]:.7g}" if step <= len(losses) else "missing"


def _timing(each: _Running, base: str, firsts: Mapping[int, float]) -> Timing:
    name = each.contender.name
    if each.failed:
        return Timing(contender=name, problem=each.problem, failed=each.failed, losses=each.losses)
    both = sorted(each.rounds.keys() & firsts.keys())
    ratio = None
    if name != base and both:
        ratio = paired_ratio([each.rounds[i] for i in both], [firsts[i] for i in both])
    return Timing(
        contender=name,
        way=each.way,
        steps=each.steps,
        seconds=list(each.rounds.values()),
        parts=_parts(each.apart),
        losses=each.losses,
        ratio=ratio,
    )


def _parts(apart: Sequence[Apart]) -> PartSeconds | None:
    if not apart:
        return None
    forward, backward, optimizer = (list(part) for part in zip(*apart, strict=True))
    return PartSeconds(forward=forward, backward=backward, optimizer=optimizer)


def measured(workload: Workload, timings: Sequence[Timing]) -> Measured:
    """Timings with what their workload is."""
    flops = workload.flops
    return Measured(
        workload=workload.name,
        layers=sorted(workload.layer_types),
        flops=Flops(forward=flops.forward, backward=flops.backward, optimizer=flops.optimizer),
        parameters=sum(array.size for array in workload.weights.values()),
        timings=list(timings),
    )


def pooled(found: Sequence[Sequence[Timing]], base: str) -> list[Timing]:
    """The timings of several restarts as one; pairs stay within their restart.

    A contender that failed in any restart has failed.
    """
    if len(found) == 1:
        return list(found[0])
    together = []
    bases = [next((t for t in each if t.contender == base), None) for each in found]
    for same in zip(*found, strict=True):
        bad = next((timing for timing in same if timing.failed), None)
        together.append(bad or _one(same, bases))
    return together


def _one(same: Sequence[Timing], bases: Sequence[Timing | None]) -> Timing:
    seconds, paired, firsts = [], [], []
    for timing, first in zip(same, bases, strict=True):
        seconds += timing.seconds
        if timing.ratio is not None and first is not None:
            paired += timing.seconds
            firsts += first.seconds
    parts = [timing.parts for timing in same if timing.parts is not None]
    joined = {
        name: [value for part in parts for value in getattr(part, name)]
        for name in PartSeconds.model_fields
    }
    changed = {
        "seconds": seconds,
        "parts": PartSeconds(**joined) if parts else None,
        "ratio": paired_ratio(paired, firsts) if paired else None,
    }
    return same[0].model_copy(update=changed)
