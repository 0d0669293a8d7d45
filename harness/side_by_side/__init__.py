"""Two engines side by side: same weights, same batches, and the first step that is another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness import backends, config_files, on_record
from harness.checks import judge
from harness.comparing.divergence import find
from harness.comparing.side import Side
from harness.comparison import Source
from harness.config import MilestoneConfig
from harness.errors import JobError, NotSupportedError
from harness.executors import IsolatedExecutor
from harness.preparation import known_to, load_data
from harness.provenance import gather
from harness.results import judged_result
from harness.runner import Job, rehearse
from harness.scorecard import Scorecard, assemble, load_curves, open_folder, save
from harness.session import load_backend
from harness.side_by_side.late import apart, with_later
from harness.side_by_side.told import MilestoneTold, SideBySide, Trained
from harness.side_by_side.trainings import Drawn, Ran, Task, draw, train_from

T = TypeVar("T")
_WORDS = ("first", "second")


@dataclass(frozen=True)
class Request:
    """What the user asked for: two engines, some milestones, one seed, a type of numbers."""

    backends: tuple[str, str]
    names: Sequence[str]
    out: Path
    dtype: str = "float64"
    seed: int = 0
    jobs: int = 1
    timeout: float | None = None


def compare_backends(
    request: Request,
    on_start: Callable[[int], None] = lambda count: None,
    on_progress: Callable[[str], None] = lambda what: None,
) -> SideBySide:
    """Train every milestone with both engines and hold their fingerprints against each other.

    Raises a HarnessError before anything is trained when the request cannot be met. The
    scorecards of both are written below `out`.
    """
    configs = _configs(request)
    for folder in _folders(request):
        open_folder(folder)
    on_start(2 * len(configs))
    executor = IsolatedExecutor(request.jobs, request.timeout)
    try:
        lacking = _rehearse(configs, request, executor)
        fit = [each for each in configs if each.name not in lacking]
        trained = {each.config.name: each for each in _all(fit, request, executor, on_progress)}
        found = [trained.get(each.name) or lacking[each.name] for each in configs]
    finally:
        executor.shutdown(cancel_futures=True)
    sides = _written(found, request)
    return SideBySide(
        backends=[backends.load(name).name for name in request.backends],
        versions=[backends.load(name).version for name in request.backends],
        seed=request.seed,
        milestones=[_told(each, sides) for each in found],
    )


def _configs(request: Request) -> list[MilestoneConfig]:
    """Each milestone once, its data in memory; all that they name is known to both engines."""
    first, second = (known_to(load_backend(name, request.timeout)) for name in request.backends)
    files = dict.fromkeys(config_files.find(name) for name in request.names)
    for file in files:
        config_files.load(file, second)
    configs = [config_files.load(file, first) for file in files]
    for each in configs:
        load_data(each)
    return configs


def _rehearse(
    configs: Sequence[MilestoneConfig], request: Request, executor: IsolatedExecutor
) -> dict[str, _Found]:
    """Send two examples through each; gives the milestones that an engine lacks something of.

    Raises ConfigError for a config that is at fault. In other processes: an engine may have
    threads, which a process that is forked must not have.
    """
    jobs = [Job(each, request.seed, name) for each in configs for name in request.backends]
    lacking: dict[str, _Found] = {}
    for job, future in [(job, executor.submit(rehearse, job)) for job in jobs]:
        died = future.exception()
        if isinstance(died, NotSupportedError):
            found = _Found(job.config, request.dtype, problem=died.message, lacks=died.lacks)
            lacking.setdefault(job.config.name, found)
        elif died is None and (error := future.result()) is not None:
            raise error
    return lacking


@dataclass(frozen=True)
class _Found:
    """What came of one milestone: a training on each side, or why there is none."""

    config: MilestoneConfig
    dtype: str
    ran: tuple[Ran, Ran] | None = None
    problem: str = ""
    lacks: tuple[str, ...] = ()


def _all(
    configs: Sequence[MilestoneConfig],
    request: Request,
    executor: IsolatedExecutor,
    on_progress: Callable[[str], None],
) -> list[_Found]:
    """Weights of all milestones first, then trainings: as many at once as there may be."""
    drawn = [[executor.submit(draw, each, name, request.seed, request.dtype)
              for name in request.backends] for each in configs]  # fmt: skip
    begun: list[tuple[_Found, list[Future[Ran]]]] = []
    for milestone, futures in zip(configs, drawn, strict=True):
        starts = [_drawn(future) for future in futures]
        problem = _problem(starts, request.backends)
        if problem:
            begun.append((_Found(milestone, request.dtype, problem=problem), []))
            continue
        first, second = (each for each in starts if isinstance(each, Drawn))
        # An engine that has no double precision is met in single precision.
        dtype = "float32" if "float32" in (first.dtype, second.dtype) else request.dtype
        tasks = [Task(milestone, name, first.weights, dtype, request.seed)
                 for name in request.backends]  # fmt: skip
        begun.append(
            (_Found(milestone, dtype), [executor.submit(train_from, each) for each in tasks])
        )
    return [_finished(found, futures, request, on_progress) for found, futures in begun]


def _outcome(future: Future[T]) -> T | JobError:
    error = future.exception()
    if error is None:
        return future.result()
    if not isinstance(error, JobError):
        raise error
    return error


def _drawn(future: Future[Drawn]) -> Drawn | JobError:
    return _outcome(future)


def _problem(starts: Sequence[Drawn | JobError], names: Sequence[str]) -> str:
    """Why the two cannot begin alike; "" where they can."""
    for name, start in zip(names, starts, strict=True):
        if isinstance(start, JobError):
            return f"with {name}: {start.message}"
    first, second = (each for each in starts if isinstance(each, Drawn))
    if first.conventions != second.conventions:
        one, other = sorted([(first, names[0]), (second, names[1])], key=lambda s: s[0].conventions)
        odd = other if other[0].conventions else one
        return f"{odd[1]} follows another convention than the other: {odd[0].conventions[0]}"
    if odd_ones := sorted(first.shapes.items() ^ second.shapes.items()):
        label = odd_ones[0][0]
        shapes = [each.shapes.get(label, "none") for each in (first, second)]
        return f"{label} has the shape {shapes[0]} with {names[0]}, {shapes[1]} with {names[1]}"
    return ""


def _finished(
    found: _Found, futures: Sequence[Future[Ran]], request: Request, progress: Callable[[str], None]
) -> _Found:
    ran = []
    for name, future in zip(request.backends, futures, strict=False):
        outcome = _outcome(future)
        progress(f"{found.config.name} {name}")
        if isinstance(outcome, JobError):
            problem = f"with {name}: {outcome.message}"
            return _Found(found.config, found.dtype, problem=problem)
        ran.append(outcome)
    return _Found(found.config, found.dtype, (ran[0], ran[1])) if ran else found


# --- what is told ---------------------------------------------------------------------------


def _folders(request: Request) -> list[Path]:
    words = zip(_WORDS, request.backends, strict=True)
    return [request.out / f"{word}-{backends.load(name).name}" for word, name in words]


def _written(found: Sequence[_Found], request: Request) -> list[Side]:
    """The two sides, whose scorecards and curves are files now."""
    sides = []
    trained = [each for each in found if each.ran is not None]
    for i, (name, folder) in enumerate(zip(request.backends, _folders(request), strict=True)):
        records = [each.ran[i].record for each in trained if each.ran is not None]
        results = []
        for each, record in zip(trained, records, strict=True):
            calibration = on_record.load(each.config.name)
            verdicts = judge(each.config, record, calibration)
            results.append(judged_result(each.config, record, verdicts))
        milestones = [each.config for each in trained]
        provenance = gather(
            backend=name,
            seeds=[request.seed],
            configs={m.name: m.digest for m in milestones},
            data={m.name: load_data(m).digest for m in milestones},
            settings={m.name: m.decisive for m in milestones},
            modified=[],
            blas_threads=None,
        )
        scorecard: Scorecard = assemble(results, provenance)
        file = save(scorecard, records, folder)
        source = Source(name=name, kind="scorecard", provenance=provenance)
        sides.append(Side(source, scorecard, load_curves(file)))
    return sides


def _told(found: _Found, sides: Sequence[Side]) -> MilestoneTold:
    name = found.config.name
    if found.ran is None:
        lacks = [*found.lacks]
        return MilestoneTold(milestone=name, dtype=found.dtype, problem=found.problem, lacks=lacks)
    base, head = sides
    worst, at = _losses(found.ran)
    records = [ran.record for ran in found.ran]
    return MilestoneTold(
        milestone=name,
        dtype=found.dtype,
        divergence=with_later(find(base, head, name), *records),
        trained=[Trained.of(record) for record in records],
        loss_apart=worst,
        loss_apart_at=at,
    )


def _losses(ran: tuple[Ran, Ran]) -> tuple[float | None, int | None]:
    """How far the losses are apart at the worst step of the whole training, and at which."""
    share = apart(*(each.record.loss for each in ran))
    return (float(share.max()), int(share.argmax())) if share.size else (None, None)
