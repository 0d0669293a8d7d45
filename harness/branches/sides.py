"""From the results of single runs to one side of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from harness.branches.runs import Ran
from harness.branches.targets import Target
from harness.comparing.curves_file import read_curves
from harness.comparing.side import Side
from harness.comparison import Source
from harness.provenance import Provenance
from harness.scorecard import EngineResult, Scorecard, load, overall

Curves = Mapping[str, np.ndarray]


def joined(target: Target, runs: Sequence[Ran], unsteady: Iterable[str] = ()) -> Side:
    """The side of all these runs of a target, at least one."""
    scorecards = [each.scorecard for each in runs]
    results = [result for each in scorecards for result in each.results]
    engine = _worst([each.engine for each in scorecards if each.engine is not None])
    statuses = [each.status for each in results] + ([engine.status] if engine else [])
    scorecard = Scorecard(
        created=max(each.created for each in scorecards),
        status=overall(statuses),
        provenance=_joined_provenance([each.provenance for each in scorecards]),
        engine=engine,
        results=results,
    )
    curves = {name: array for each in runs for name, array in each.curves.items()}
    return Side(source_of(target, scorecard), scorecard, curves, frozenset(unsteady))


def recorded(target: Target, names: Sequence[str]) -> Side:
    """The side of a scorecard that was written before, with these of its milestones."""
    scorecard = load(target.path)
    kept = [result for result in scorecard.results if result.milestone in names]
    scorecard = scorecard.model_copy(update={"results": kept})
    return Side(source_of(target, scorecard), scorecard, read_curves(target.path, scorecard))


def without(side: Side, names: Iterable[str]) -> Side:
    """The side without some milestones."""
    gone = set(names)
    kept = [result for result in side.scorecard.results if result.milestone not in gone]
    scorecard = side.scorecard.model_copy(update={"results": kept})
    return Side(side.source, scorecard, side.curves, side.unsteady - gone)


def source_of(target: Target, scorecard: Scorecard | None = None) -> Source:
    """Where a side comes from, with the provenance of its results if it has some."""
    provenance = scorecard.provenance if scorecard else None
    is_own = target.runs or provenance is None
    return Source(
        name=target.name,
        kind=target.kind,
        commit=target.commit if is_own or provenance is None else provenance.commit,
        dirty=not target.is_clean if is_own or provenance is None else provenance.dirty,
        created=scorecard.created if scorecard else "",
        provenance=provenance,
    )


def with_checkpoints(side: Side, milestone: str, seed: int, more: Curves) -> Side:
    """The side with further checkpoints of one training, from a second run of it."""
    prefix = f"{milestone}/{seed}/checkpoints/"
    old, new = (_by_step(curves, prefix) for curves in (side.curves, more))
    if f"{prefix}steps" not in old or old.keys() != new.keys():
        return side
    if any(old[name].shape[1:] != new[name].shape[1:] for name in old):
        return side
    joint = {name: np.concatenate([old[name], new[name]]) for name in old}
    _, order = np.unique(joint[f"{prefix}steps"], return_index=True)
    curves = {name: array[order] for name, array in joint.items()}
    return Side(side.source, side.scorecard, {**side.curves, **curves}, side.unsteady)


def _by_step(curves: Curves, prefix: str) -> dict[str, np.ndarray]:
    """Checkpoints with a row a step, whatever the code that wrote them has kept."""
    return {name: array for name, array in curves.items()
            if name.startswith(prefix) and not name.startswith(f"{prefix}start_")}  # fmt: skip


def _worst(engines: Sequence[EngineResult]) -> EngineResult | None:
    """What the engine was said to be in the run that liked it least."""
    bad = [each for each in engines if each.status != "pass"]
    return next(iter([*bad, *engines]), None)


def _joined_provenance(parts: Sequence[Provenance]) -> Provenance:
    return parts[0].model_copy(
        update={
            "seeds": sorted({seed for each in parts for seed in each.seeds}),
            "configs": {name: digest for each in parts for name, digest in each.configs.items()},
            "data": {name: digest for each in parts for name, digest in each.data.items()},
            "settings": {name: kept for each in parts for name, kept in each.settings.items()},
        }
    )
