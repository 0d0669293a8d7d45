"""Sides of a comparison for tests: real trainings of a small milestone, with or without a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness import config_files, on_record
from harness.checks import judge
from harness.comparing.side import Side
from harness.comparison import Source
from harness.config import MilestoneConfig
from harness.provenance import gather
from harness.record import Checkpoints, RunRecord
from harness.results import judged_result
from harness.runner import Job, execute
from harness.scorecard import EngineResult, Result, assemble, load_curves, save
from tests.examples import small_file


@cache
def small_milestone() -> MilestoneConfig:
    """The milestone of tests/examples.py, read from a file as a user's is."""
    with TemporaryDirectory() as folder:
        return config_files.load(small_file(Path(folder)))


@cache
def record(seed: int = 0, fault: str | None = None) -> RunRecord:
    """One training of it, not probed."""
    return execute(Job(small_milestone(), seed, fault=fault))


Change = Callable[[RunRecord], RunRecord]


def side(
    records: Sequence[RunRecord] = (),
    *,
    name: str = "main",
    results: Callable[[list[Result]], list[Result]] = lambda results: results,
    engine: EngineResult | None = None,
    **provenance: Any,
) -> Side:
    """A side with these records, judged by all checks, as it is after a run and a load."""
    asked = small_milestone()
    records = records or [record()]
    judged = [
        judged_result(asked, each, judge(asked, each, on_record.load(asked.name), None))
        for each in records
    ]
    told = {
        "backend": "numpy",
        "seeds": [each.seed for each in records],
        "configs": {asked.name: asked.digest},
        "data": {asked.name: records[0].data_digest},
        "settings": {asked.name: asked.decisive},
        "modified": (),
        "blas_threads": 1,
    }
    scorecard = assemble(results(judged), gather(**told | provenance), engine)
    with TemporaryDirectory() as folder:
        save(scorecard, records, Path(folder))
        curves = load_curves(Path(folder))
    return Side(Source(name=name, kind="scorecard"), scorecard, curves)


def without(one: Side, *words: str) -> Side:
    """The side without the curves whose names hold any of the words."""
    kept = {key: a for key, a in one.curves.items() if not any(word in key for word in words)}
    return replace(one, curves=kept)


def with_curve(one: Side, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Side:
    """The side with one of its curves changed, such as "0/loss"."""
    key = f"small/{name}"
    return replace(one, curves={**one.curves, key: change(one.curves[key].copy())})


def fingerprints(arrays: Mapping[str, np.ndarray]) -> Checkpoints:
    """Checkpoints of plain arrays by field."""
    return replace(Checkpoints(), **arrays)
