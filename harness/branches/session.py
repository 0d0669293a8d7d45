"""One `harness compare`, from two sides as they were asked for to a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic

import numpy as np

from harness import on_record
from harness.branches.cache import Cache
from harness.branches.runs import PATIENCE
from harness.branches.sides import joined, recorded, source_of, with_checkpoints, without
from harness.branches.targets import Asked, Target, Word, in_order
from harness.branches.timing import measure_step_times
from harness.branches.trainings import Setup, Trainings
from harness.branches.workshop import Workshop
from harness.comparing.divergence import Stream, is_exact, stream
from harness.comparing.judging import compare
from harness.comparing.side import Side, Timed
from harness.comparison import LEARNING, Comparison, Divergence
from harness.errors import JobError
from harness.scorecard import load

# Where a milestone's calibration does not say how many seeds its comparison needs.
DEFAULT_SEEDS = 20
RESTARTS = 7
# A comparison without a budget spends no more on step times.
TIMING_SECONDS = 200.0
MOST_LOOKS = 8
# Of one training, each time it is run again to see where exactly it parts.
MOST_CHECKPOINTS = 64
_MOST_CLOSER_LOOKS = 3
_SHOWN_JUDGES = 5


@dataclass(frozen=True)
class Request:
    """What the user asked for. `seeds` is None for as many as are on record."""

    asked: Asked
    environment: Mapping[str, str]
    seeds: int | None = None
    budget: float | None = None
    timing: bool = True
    jobs: int = 1
    timeout: float = 600.0
    patience: float = PATIENCE
    cache: Path | None = None


def compare_sides(
    request: Request,
    on_start: Callable[[int], None] = lambda count: None,
    on_progress: Callable[[str], None] = lambda what: None,
) -> Comparison:
    """Run both sides as far as that is needed, and compare them.

    `on_start` hears how many steps there are, `on_progress` of each. Raises BranchError when a
    worktree cannot be made. A side that does not run is the comparison's `problem`.
    """
    with Workshop(request.asked.repository, request.environment) as workshop:
        work = _Work(request, workshop, on_progress)
        on_start(work.count)
        return work.all_looks()


def planned(request: Request) -> dict[str, dict[Word, range]]:
    """The seeds to run each milestone on, by side.

    A milestone of one side only is run once, to see whether it passes. Against a scorecard, its
    seeds are run: the first of them that follow each other.
    """
    targets = _targets(request.asked)
    scorecards = [target for target in targets.values() if not target.runs]
    names = set(request.asked.names or _names(scorecards or list(targets.values())))
    plan: dict[str, dict[Word, range]] = {}
    for name in in_order(names):
        holders = [side for side, target in targets.items() if name in target.milestones]
        to_run = [side for side in holders if targets[side].runs]
        seeds = range(request.seeds or _on_record(name, "same"))
        seeds = seeds if len(holders) == 2 else range(1)
        for scorecard in scorecards:
            seeds = _first_block(scorecard, name)[: request.seeds] or seeds
        if to_run:
            plan[name] = dict.fromkeys(to_run, seeds)
    return plan


def _targets(asked: Asked) -> dict[Word, Target]:
    return {"base": asked.base, "head": asked.head}


def _names(targets: Sequence[Target]) -> list[str]:
    return [name for target in targets for name in target.milestones]


def _on_record(name: str, noise: Stream) -> int:
    """How many seeds of a milestone its calibration asks for, with this kind of noise."""
    plan = (on_record.load(name) or {}).get("comparison", {})
    return int(plan.get("seeds", {}).get(noise, DEFAULT_SEEDS))


def _first_block(target: Target, name: str) -> range:
    """The seeds of a milestone in a scorecard, up to the first gap."""
    seeds = sorted({each.seed for each in load(target.path).results if each.milestone == name})
    if not seeds:
        return range(0)
    end = seeds[0]
    while end in seeds:
        end += 1
    return range(seeds[0], end)


class _Work:
    """A comparison that grows: more seeds, closer looks and restarts until it is clear."""

    def __init__(
        self, request: Request, workshop: Workshop, on_progress: Callable[[str], None]
    ) -> None:
        self._request = request
        self._targets = _targets(request.asked)
        self._plan = planned(request)
        self._workshop = workshop
        self._on_progress = on_progress
        self._begun = monotonic()
        self._timings: dict[str, Timed] = {}
        self._closer: dict[tuple[Word, str, int], list[Mapping[str, np.ndarray]]] = {}
        self._notes = list(request.asked.notes)
        self._times_steps = request.timing and self._both_run
        repository = request.asked.repository
        self._files = partial(repository.digest_of_files) if repository else str
        self._files_before = self._files()
        setup = Setup(
            self._targets, repository, request.environment, request.jobs, request.timeout,
            request.patience, Cache(request.cache),
        )  # fmt: skip
        self._trainings = Trainings(setup, workshop, on_progress)

    @property
    def count(self) -> int:
        """How many steps of progress there are at the least."""
        return sum(map(len, self._plan.values())) + (RESTARTS if self._times_steps else 0)

    def all_looks(self) -> Comparison:
        """The comparison; with a budget, of as many looks as it takes and allows."""
        self._train(self._plan, twice=True)
        self._widen()
        if self._request.budget is None:
            return self._told(self._look(None))
        comparison = self._look(1)
        for number in range(2, MOST_LOOKS + 1):
            if not self._add_evidence(comparison):
                break
            comparison = self._look(number)
        return self._told(comparison)

    # --- one look ------------------------------------------------------------------------

    def _train(self, plan: Mapping[str, Mapping[Word, range]], twice: bool) -> None:
        for name, seeds in plan.items():
            if self._trainings.is_over:
                return
            self._trainings.add(name, seeds)
        if not self._trainings.is_over:
            self._trainings.settle(twice)

    def _widen(self) -> None:
        """More seeds where the sides do not even start alike, and so have more noise between them.

        Bits decide that, before any effect is looked at: it is no second look.
        """
        if self._request.seeds is not None or self._trainings.is_over or not self._both_run:
            return
        more: dict[str, range] = {}
        for each in self._judged(None).milestones:
            if each.divergence and stream(each.divergence) == "other" and each.seeds:
                wanted = _on_record(each.milestone, "other")
                more[each.milestone] = range(each.seeds[-1] + 1, wanted)
        self._grow({name: seeds for name, seeds in more.items() if seeds})

    def _grow(self, more: Mapping[str, range]) -> None:
        """Train further seeds of milestones, which follow those that are planned."""
        plan = {name: dict.fromkeys(self._plan[name], new) for name, new in more.items()}
        self._train(plan, twice=False)
        for name, new in more.items():
            for side, known in self._plan[name].items():
                self._plan[name][side] = range(known.start, new.stop)

    @property
    def _both_run(self) -> bool:
        return all(target.runs for target in self._targets.values())

    def _look(self, number: int | None) -> Comparison:
        """What is known now: bits first, then where they part, then step times."""
        comparison = self._judged(number)
        for _ in range(_MOST_CLOSER_LOOKS):
            if self._trainings.is_over or not self._look_closer(comparison):
                break
            comparison = self._judged(number)
        wanted = self._to_time(comparison)
        if not wanted:
            return comparison
        self._time(wanted)
        return self._judged(number)

    def _judged(self, look: int | None) -> Comparison:
        sides = self._sides()
        if sides is None:
            return self._nothing()
        base, head = sides
        calibrations = {name: on_record.load(name) for name in base.milestones}
        return compare(base, head, self._timings, calibrations, look=look)

    def _sides(self) -> tuple[Side, Side] | None:
        """Both sides with what both have finished; None where that is nothing."""
        trainings = self._trainings
        gone = {stop.milestone for stop in trainings.stops}
        gone |= {name for name, seeds in self._plan.items()
                 for side in seeds if name not in trainings.runs[side]}  # fmt: skip
        sides: dict[Word, Side] = {}
        for word, target in self._targets.items():
            runs = [ran for name in trainings.runs[word] for ran in trainings.runs[word][name]]
            if target.runs and not runs:
                continue
            side = (
                joined(target, runs, trainings.unsteady[word]) if runs else self._recorded(target)
            )
            side = without(side, gone)
            if side.milestones:
                sides[word] = self._with_closer_looks(word, side)
        if len(sides) == 1 and not trainings.stops:
            (there,) = sides.values()
            sides |= {word: self._without_any(target, there)
                      for word, target in self._targets.items() if word not in sides}  # fmt: skip
        return (sides["base"], sides["head"]) if len(sides) == 2 else None

    def _without_any(self, target: Target, other: Side) -> Side:
        """A side that has none of the milestones that were asked for."""
        scorecard = other.scorecard.model_copy(update={"results": [], "engine": None})
        return Side(source_of(target), scorecard)

    def _recorded(self, target: Target) -> Side:
        return recorded(target, self._request.asked.names or target.milestones)

    def _with_closer_looks(self, word: Word, side: Side) -> Side:
        for (of, name, seed), looks in self._closer.items():
            for curves in looks if of == word else ():
                side = with_checkpoints(side, name, seed, curves)
        return side

    def _nothing(self) -> Comparison:
        return Comparison(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            base=source_of(self._targets["base"]),
            head=source_of(self._targets["head"]),
            milestones=[],
        )

    def _told(self, comparison: Comparison) -> Comparison:
        """The comparison with what a reader must know, and why there is no verdict, if so."""
        if self._files() != self._files_before:
            self._notes.append("files of the working tree were changed while they were run")
        stops = self._trainings.stops
        told = dict.fromkeys(
            f"{stop.side} {self._targets[stop.side]}: {stop.failure.message}"
            + (f". {stop.failure.hint}" if stop.failure.hint else "")
            for stop in stops
        )
        notes = [*comparison.notes, *self._notes, *self._trainings.notes, *self._judges()]
        return comparison.model_copy(
            update={"notes": list(dict.fromkeys(notes)), "problem": "; ".join(told)}
        )

    def _judges(self) -> list[str]:
        """A note where a side is judged by other checks: by what it has itself."""
        base, head = self._targets["base"], self._targets["head"]
        repository = self._request.asked.repository
        if repository is None or not self._both_run or base.commit is None:
            return []
        found = repository.changed_judges(base.commit, head.commit if head.kind == "ref" else None)
        shown = ", ".join(found[:_SHOWN_JUDGES]) + (" ..." if len(found) > _SHOWN_JUDGES else "")
        return [f"each side is judged by its own checks, which differ: {shown}"] if found else []

    # --- where exactly trainings part ----------------------------------------------------

    def _look_closer(self, comparison: Comparison) -> bool:
        """Run seeds again whose first divergence is only known to lie between two steps."""
        if not self._both_run:
            return False
        found = False
        for each in comparison.milestones:
            parted = each.divergence
            if parted is None or parted.seed is None or not (steps := _between(parted)):
                continue
            closer = self._trainings.closely(each.milestone, parted.seed, steps)
            for side, curves in closer.items():
                looks = self._closer.setdefault((side, each.milestone, parted.seed), [])
                looks.append(curves)
            found = found or len(closer) == 2
        return found

    # --- step times ----------------------------------------------------------------------

    def _to_time(self, comparison: Comparison) -> list[str]:
        """Milestones whose step time is not known, or not well enough."""
        if not self._times_steps:
            if self._request.timing:
                self._notes.append("step time not measured: a scorecard has no code to be timed")
            return []
        if self._trainings.is_over:
            return []
        return [
            each.milestone
            for each in comparison.milestones
            if each.verdict not in ("not comparable", "added", "removed")
            and (each.milestone not in self._timings
                 or _is_open(comparison, each.milestone, ("step time",)))
        ]  # fmt: skip

    def _time(self, names: Sequence[str]) -> None:
        """More restarts of both sides' workers; what cannot be timed is a note."""
        left = self._left()
        seconds = TIMING_SECONDS if left is None else left / 2.0
        try:
            found = measure_step_times(
                self._trainings.code("base").root,
                self._trainings.code("head").root,
                names,
                RESTARTS,
                monotonic() + seconds,
                lambda number: self._on_progress(f"step time {number}"),
                on_note=self._notes.append,
                environment=self._request.environment,
                folder=self._workshop.folder,
            )
        except JobError as error:
            self._notes.append(f"step time not measured: {error.message}")
            self._times_steps = False
            return
        for name, timed in found.items():
            self._timings[name] = _both(self._timings.get(name), timed)

    # --- a budget ------------------------------------------------------------------------

    def _left(self) -> float | None:
        """Seconds of the budget that are left; None without a budget."""
        if self._request.budget is None:
            return None
        return max(0.0, self._request.budget - (monotonic() - self._begun))

    def _add_evidence(self, comparison: Comparison) -> bool:
        """Whether another look is worth it; runs as many new seeds as before, or as time allows."""
        left = self._left() or 0.0
        if self._trainings.is_over or left <= 0.0:
            return False
        more: dict[str, range] = {}
        open_ = [name for name in self._plan if _is_open(comparison, name, LEARNING)]
        if self._both_run:
            for name in open_:
                known = next(iter(self._plan[name].values()))
                cost = self._trainings.seconds_a_seed.get(name, 0.0) * len(open_)
                fit = len(known) if cost == 0.0 else min(len(known), int(left / cost))
                if fit > 0:
                    more[name] = range(known.stop, known.stop + fit)
        self._grow(more)
        times = any(_is_open(comparison, name, ("step time",)) for name in self._plan)
        return bool(more) or (times and self._times_steps)


def _is_open(comparison: Comparison, name: str, quantities: Sequence[str]) -> bool:
    """Whether one of these quantities of a milestone is inconclusive."""
    return any(
        cell.verdict == "inconclusive" and cell.quantity in quantities
        for each in comparison.milestones
        if each.milestone == name
        for cell in each.cells
    )


def _between(parted: Divergence) -> tuple[int, ...]:
    """Steps to look at, where two trainings are known to part between two steps; else none."""
    if parted.level != "CHANGED" or parted.unsteady or is_exact(parted) or parted.step is None:
        return ()
    first = 0 if parted.since is None else parted.since + 1
    spread = np.linspace(first, parted.step, min(MOST_CHECKPOINTS, parted.step - first + 1))
    return tuple(np.unique(spread.round().astype(int)).tolist())


def _both(old: Timed | None, new: Timed) -> Timed:
    """All restarts of two measurements, with the seconds of the later one."""
    return Timed(
        (*(old.log_ratios if old else ()), *new.log_ratios), new.base_seconds, new.head_seconds
    )
