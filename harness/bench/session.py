"""One `harness bench`: everything asked for, from names to a result."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from harness.bench import growth
from harness.bench.bars import judged, load_bars
from harness.bench.cold import Pair, cold_pairs, jobs_pair, measure_cold
from harness.bench.contender import Remote, Surroundings, crew, worker_environment
from harness.bench.measure import Plan, measure, measured, pooled
from harness.bench.names import base_of, contender_names, display_name, is_backend
from harness.bench.ratios import paired_ratio
from harness.bench.results import Bench, Cold, Curve, Machine, Measured, Timing, Watching
from harness.bench.workload import Workload, bars_file, find, load, workload_files, write
from harness.config_files import milestone_files
from harness.errors import JobError, OutputError, UsageError
from harness.provenance import gather
from harness.workers import processors

PARTS = ("steps", "growth", "watching", "cold", "jobs")
_QUICK = Plan(losses=5, rounds=2, seconds=0.001, apart_every=2, afterwards=50,
              afterwards_seconds=0.5)  # fmt: skip
_FULL = Plan()
# A curve has more points, and only its shape matters.
_CURVE = Plan(losses=5, rounds=8, seconds=0.01, apart_every=1, afterwards=50,
              afterwards_seconds=0.5)  # fmt: skip
_WATCHED_PAIRS = 8


@dataclass(frozen=True)
class Request:
    """What the user asked for; `environment` is what processes inherit."""

    names: Sequence[str]
    backends: Sequence[str]
    parts: Sequence[str]
    environment: Mapping[str, str]
    restarts: int = 2
    quick: bool = False
    timeout: float = 300.0
    seed: int = 0


def run_bench(request: Request, on_part: Callable[[str], None] = lambda what: None) -> Bench:
    """Measure what was asked for; raises HarnessError before that when it cannot be met.

    `on_part` hears what comes next. What fails on the way is in the result.
    """
    names = contender_names(request.backends)
    _require_use(request)
    # Twice the same is once, by whatever names.
    asked = [find(name) for name in request.names or workload_files()]
    files = list({file.resolve(): file for file in asked}.values())
    workloads = [load(file) for file in files]
    load_before = _load()
    with TemporaryDirectory(prefix="harness-bench-", ignore_cleanup_errors=True) as folder:
        bench = _Bench(request, names, Path(folder), np.random.default_rng(request.seed), on_part)
        steps = bench.steps(workloads) if "steps" in request.parts else []
        curves = bench.growth() if "growth" in request.parts else []
        watching = bench.watching(files) if "watching" in request.parts else []
        cold = bench.cold()
    found = Bench(
        base=display_name(base_of(names)),
        contenders=[display_name(name) for name in names],
        provenance=gather(
            backend=", ".join(map(display_name, names)),
            seeds=[request.seed],
            configs={each.name: each.config.digest for each in workloads},
            data={},
            settings={},
            modified=[],
            blas_threads=1,
        ),
        machine=Machine(
            processors=os.cpu_count() or 1,
            pinned=sorted(bench.pinned),
            threads=1,
            load_before=load_before,
            load_after=_load(),
            versions=bench.versions,
        ),
        steps=steps,
        growth=curves,
        cold=cold,
        watching=watching,
        notes=bench.notes,
    )
    return found.model_copy(update={"bars": judged(found, load_bars(bars_file()))})


# The parts that are about workloads by name.
_OF_NAMES = ("steps", "watching")


def _require_use(request: Request) -> None:
    """Raises UsageError for names where no part is about them."""
    if request.names and not set(request.parts) & set(_OF_NAMES):
        raise UsageError(
            f"--part {' and '.join(request.parts)} measures no workload by name, "
            f"and {', '.join(request.names)} was named",
            f"Leave the names out, or add --part {' or --part '.join(_OF_NAMES)}.",
        )


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


class _Bench:
    """The parts, with what they share: contenders, a folder, chance and what went wrong."""

    def __init__(
        self,
        request: Request,
        names: Sequence[str],
        folder: Path,
        rng: np.random.Generator,
        on_part: Callable[[str], None],
    ) -> None:
        self._request, self._names, self._rng, self._on_part = request, names, rng, on_part
        self._folder = folder
        self._around = Surroundings(request.environment, folder, request.timeout)
        self.notes: list[str] = []
        self.pinned: set[int] = set()
        self.versions: dict[str, str] = {}

    def steps(self, workloads: Sequence[Workload]) -> list[Measured]:
        """The workloads, each in several restarts of all workers."""
        restarts = 1 if self._request.quick else self._request.restarts
        plan = _QUICK if self._request.quick else _FULL
        found: dict[str, list[list[Timing]]] = {each.name: [] for each in workloads}
        for number in range(restarts):
            with self._crew(self._names, number) as remotes:
                for workload in workloads:
                    self._on_part(f"{workload.name}, restart {number + 1} of {restarts}")
                    found[workload.name].append(self._timings(workload, remotes, plan))
        base = display_name(base_of(self._names))
        return [measured(each, pooled(found[each.name], base)) for each in workloads]

    def growth(self) -> list[Curve]:
        """Every curve, of the backends only."""
        names = [name for name in self._names if is_backend(name)]
        plan = _QUICK if self._request.quick else _CURVE
        curves = []
        with self._crew(names, 0) as remotes:
            for series in growth.SERIES if names else ():
                sizes = series.sizes[:2] if self._request.quick else series.sizes
                points = []
                for size in sizes:
                    self._on_part(f"{series.what} {size}")
                    workload = series.at(size)
                    points.append(measured(workload, self._timings(workload, remotes, plan)))
                curves.append(Curve(what=series.what, sizes=list(sizes), points=points))
        return curves

    def watching(self, files: Sequence[Path]) -> list[Watching]:
        """Milestones among the workloads, trained with and without watching, by one backend."""
        milestones = [file for file in files if file in milestone_files().values()]
        base = base_of(self._names)
        backends = [name for name in self._names if is_backend(name)]
        names = [name for name in backends if name != base] or backends
        pairs = 1 if self._request.quick else _WATCHED_PAIRS
        found = []
        with self._crew(names[:1], 0) as remotes:
            for file in milestones if remotes else ():
                self._on_part(f"watching {file.stem}")
                with self._noted(f"watching {file.stem}"):
                    found.append(self._watched(remotes[0], file, pairs))
        return found

    def cold(self) -> list[Cold]:
        """Whole processes, as far as they are asked for."""
        pairs: list[Pair] = []
        if "cold" in self._request.parts:
            has_torch = find_spec("torch") is not None
            pairs += cold_pairs(self._folder, has_torch=has_torch, quick=self._request.quick)
            if not has_torch and not self._request.quick:
                self.notes.append(
                    "cold runs against PyTorch: it is not installed. "
                    "Install it: pip install 'milestone-harness[torch]'."
                )
        if "jobs" in self._request.parts:
            pairs.append(jobs_pair(self._folder))
        environment = worker_environment(self._request.environment)
        found = []
        for pair in pairs:
            self._on_part(f"cold {pair.name}")
            with self._noted(f"cold {pair.name}"):
                found.append(measure_cold(pair, environment, self._request.timeout, self._rng))
        return found

    @contextmanager
    def _crew(self, names: Sequence[str], number: int) -> Iterator[list[Remote]]:
        """Workers whose engines have started; raises HarnessError for one that does not exist.

        One that dies on the way says so again at its first workload.
        """
        self._on_part("starting the engines")
        if ours := processors():
            self.pinned.add(ours[number % len(ours)])
        with crew(names, self._around, number) as remotes:
            for remote in remotes:
                with suppress(JobError):
                    self.versions[remote.name] = remote.open()
            yield remotes

    def _timings(self, workload: Workload, remotes: Sequence[Remote], plan: Plan) -> list[Timing]:
        folder = self._folder / "workloads" / workload.name
        if not folder.exists():
            try:
                folder.mkdir(parents=True)
                write(workload, folder)
            except OSError as error:
                message = f"a workload cannot be written: {error}"
                raise OutputError(message, "Is the disk full?") from error
        base = base_of([remote.name for remote in remotes])
        return measure(remotes, folder, base, plan, self._rng)

    @contextmanager
    def _noted(self, what: str) -> Iterator[None]:
        """What fails in one part is a note, and the next part begins."""
        try:
            yield
        except JobError as error:
            self.notes.append(f"{what}: not measured: {error.message}")

    def _watched(self, remote: Remote, file: Path, pairs: int) -> Watching:
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for watched in seconds:
            remote.training_seconds(file, watched)  # warms up
        for _ in range(pairs):
            for i in self._rng.permutation(2):
                seconds[bool(i)].append(remote.training_seconds(file, bool(i)))
        return Watching(workload=file.stem, watched=seconds[True], bare=seconds[False],
                        ratio=paired_ratio(seconds[True], seconds[False]))  # fmt: skip


def exit_code(bench: Bench, strict: bool) -> int:
    """1 where losses differ, or with `strict` a bar is missed; 3 where something failed, or with
    `strict` no bar was measured.
    """
    failures = {timing.failed for timing in bench.problems}
    missed = strict and any(bar.met is False for bar in bench.bars)
    if "losses" in failures or missed:
        return 1
    unheld = strict and not any_measured(bench)
    return 3 if "died" in failures or bench.notes or unheld else 0


def any_measured(bench: Bench) -> bool:
    """Whether there is a bar that something was held against."""
    return any(bar.met is not None for bar in bench.bars)
