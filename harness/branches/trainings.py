"""The trainings of both sides, run at the same time, milestone by milestone, or remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic

import numpy as np

from harness.branches.cache import Cache, Kept, Key, machine
from harness.branches.repository import Repository
from harness.branches.runs import PATIENCE, Code, Failure, Order, Ran, run_together
from harness.branches.targets import Target, Word
from harness.branches.workshop import Workshop
from harness.scorecard import Result

# Quick, and no probe before the first step.
_ONE_CHECK = "gradients_arrive"


@dataclass(frozen=True)
class Setup:
    """What is the same for all trainings of a comparison."""

    targets: Mapping[Word, Target]
    repository: Repository | None
    environment: Mapping[str, str]
    jobs: int = 1
    timeout: float = 600.0
    patience: float = PATIENCE
    cache: Cache = field(default_factory=lambda: Cache(None))


@dataclass(frozen=True)
class Stop:
    """Why a side, or one milestone of it, has no results."""

    side: Word
    milestone: str
    failure: Failure


class Trainings:
    """Runs what it is asked for, and holds all that came of it, by side and milestone.

    After a failure that ends all, `is_over` is true and nothing more should be asked for.
    """

    def __init__(
        self, setup: Setup, workshop: Workshop, on_end: Callable[[str], None] = lambda what: None
    ) -> None:
        self._setup = setup
        self._workshop = workshop
        self._on_end = on_end
        self._machine = machine(setup.environment)
        self._codes: dict[Word, Code] = {}
        self._new: dict[Word, dict[str, Ran]] = {side: {} for side in setup.targets}
        self.runs: dict[Word, dict[str, list[Ran]]] = {side: {} for side in setup.targets}
        self.unsteady: dict[Word, set[str]] = {side: set() for side in setup.targets}
        self.stops: list[Stop] = []
        self.notes: list[str] = []
        # What a seed of a milestone took, where it was run.
        self.seconds_a_seed: dict[str, float] = {}

    @property
    def is_over(self) -> bool:
        """Whether some side does not run at all."""
        return any(stop.failure.ends_all for stop in self.stops)

    def add(self, name: str, seeds: Mapping[Word, range]) -> None:
        """Train a milestone on the sides that have seeds for it, all at the same time."""
        since = monotonic()
        for side, kept in self._obtain(name, seeds).items():
            self.runs[side].setdefault(name, []).append(kept.ran)
            if not kept.is_steady:
                self.unsteady[side].add(name)
            if kept.ran.folder is not None:
                self._new[side][name] = kept.ran
                spent = (monotonic() - since) / len(seeds[side])
                self.seconds_a_seed[name] = max(spent, self.seconds_a_seed.get(name, 0.0))

    def settle(self, twice: bool) -> None:
        """Keep what was run since the last time; `twice` runs each first seed again before that.

        What has other bits the second time does not repeat itself: it is unsteady.
        """
        if twice:
            self._run_again()
        for side, new in self._new.items():
            for name, ran in new.items():
                seeds = tuple(each.seed for each in ran.scorecard.results)
                self._keep(side, self._key(side, name, seeds), ran, name not in self.unsteady[side])
            new.clear()

    def closely(
        self, name: str, seed: int, steps: tuple[int, ...]
    ) -> dict[Word, Mapping[str, np.ndarray]]:
        """The curves of one training with fingerprints of these steps, on both sides."""
        seeds = {
            side: range(seed, seed + 1) for side in self.runs if self._setup.targets[side].runs
        }
        found = self._obtain(name, seeds, _ONE_CHECK, steps)
        for side, kept in found.items():
            self._keep(side, self._key(side, name, (seed,), _ONE_CHECK, steps), kept.ran, True)
        return {side: kept.ran.curves for side, kept in found.items()}

    def code(self, side: Word) -> Code:
        """The code of a side, which is checked out when it is asked for the first time."""
        target = self._setup.targets[side]
        if side not in self._codes:
            is_users = target.kind == "working tree"
            commit = target.commit or ""
            root = target.path if is_users else self._workshop.worktree(commit, side)
            self._codes[side] = Code(root, is_users)
        return self._codes[side]

    def _obtain(
        self,
        name: str,
        seeds: Mapping[Word, range],
        checks: str = "",
        checkpoints: tuple[int, ...] = (),
    ) -> dict[Word, Kept]:
        """Results by side, remembered or run now; a side without them is among the stops."""
        found: dict[Word, Kept] = {}
        for side, wanted in seeds.items():
            key = self._key(side, name, tuple(wanted), checks, checkpoints)
            kept = self._setup.cache.get(key) if key else None
            if kept:
                found[side] = kept
                self._on_end(f"{name} {side}")
        missing = {side: wanted for side, wanted in seeds.items() if side not in found}
        for side, answer in self._run((name,), missing, checks, checkpoints).items():
            found[side] = Kept(answer, True)
        return found

    def _run(
        self,
        names: tuple[str, ...],
        seeds: Mapping[Word, range],
        checks: str = "",
        checkpoints: tuple[int, ...] = (),
    ) -> dict[Word, Ran]:
        """What the runs of some sides gave, all at once; what gave nothing is a stop."""
        setup = self._setup
        jobs = max(1, setup.jobs // max(1, len(seeds)))
        orders = {
            side: Order(self.code(side), names, wanted, jobs, setup.timeout, checks, checkpoints,
                        setup.patience)
            for side, wanted in seeds.items()
        }  # fmt: skip
        answers = run_together(orders, self._workshop, setup.environment,
                               lambda side: self._on_end(f"{names[0]} {side}"))  # fmt: skip
        ran: dict[Word, Ran] = {}
        for side, answer in answers.items():
            answer = _of_the_right_code(answer, setup.targets[side], orders[side])
            if isinstance(answer, Ran):
                ran[side] = answer
            else:
                self.stops.append(Stop(side, names[0] if len(names) == 1 else "", answer))
        return ran

    def _run_again(self) -> None:
        """The first seed that ended of everything new, once more, one run a side."""
        by_seed: dict[int, dict[Word, list[str]]] = {}
        for side, new in self._new.items():
            for name, ran in new.items():
                for first in _ended(ran)[:1]:
                    by_seed.setdefault(first.seed, {}).setdefault(side, []).append(name)
        for seed, names in by_seed.items():
            for group in _alike(names):
                sides = {side: range(seed, seed + 1) for side in group}
                again = self._run(tuple(names[group[0]]), sides, _ONE_CHECK)
                for side, ran in again.items():
                    self._hold_against(side, ran)

    def _hold_against(self, side: Word, again: Ran) -> None:
        """Other bits are unsteady; none, of what was killed, tell nothing and are not kept."""
        for result in again.scorecard.results:
            name = result.milestone
            first = _ended(self._new[side][name])[0]
            if not result.digest:
                del self._new[side][name]
                why = "; ".join(verdict.reason for verdict in result.verdicts)
                self.notes.append(f"{name}: not known whether the {side} repeats itself: {why}")
            elif first.digest != result.digest:
                self.unsteady[side].add(name)

    def _key(
        self,
        side: Word,
        name: str,
        seeds: tuple[int, ...],
        checks: str = "",
        checkpoints: tuple[int, ...] = (),
    ) -> Key | None:
        """What to remember a result by; None for a tree that is not that of a commit."""
        target = self._setup.targets[side]
        if target.commit is None or not target.is_clean:
            return None
        return Key(target.commit, name, seeds, self._machine, checks, checkpoints)

    def _keep(self, side: Word, key: Key | None, ran: Ran, is_steady: bool) -> None:
        if key is None or ran.folder is None or not self._is_still(side):
            return
        problem = self._setup.cache.put(key, Kept(ran, is_steady))
        if problem and problem not in self.notes:
            self.notes.append(problem)

    def _is_still(self, side: Word) -> bool:
        """Whether a working tree is what it was: people go on working."""
        target, repository = self._setup.targets[side], self._setup.repository
        if target.kind != "working tree" or repository is None:
            return True
        return repository.is_clean() and repository.commit_of("HEAD") == target.commit


def _ended(ran: Ran) -> list[Result]:
    """The results of trainings that came to their end: what was killed has no bits to compare."""
    return [result for result in ran.scorecard.results if result.digest]


def _alike(names: Mapping[Word, list[str]]) -> list[list[Word]]:
    """Sides that run the same milestones, to be run together; else each for itself."""
    sides = list(names)
    if len(sides) == 2 and names[sides[0]] == names[sides[1]]:
        return [sides]
    return [[side] for side in sides]


def _of_the_right_code(answer: Ran | Failure, target: Target, order: Order) -> Ran | Failure:
    """The answer, if its scorecard says that it is of this commit and what was ordered."""
    if isinstance(answer, Failure):
        return answer
    provenance = answer.scorecard.provenance
    if provenance.commit != target.commit or (target.kind == "ref" and provenance.dirty):
        found = f"{(provenance.commit or 'no commit')[:8]}{', changed' if provenance.dirty else ''}"
        return Failure(
            f"its results are of other code: {found}, expected {(target.commit or 'none')[:8]}",
            "Is another installation of the harness found first?",
            True,
        )
    got = [(each.milestone, each.seed) for each in answer.scorecard.results]
    if sorted(got) != sorted((name, seed) for name in order.names for seed in order.seeds):
        return Failure(f"`harness run {' '.join(order.names)}` left results of other trainings")
    return answer
