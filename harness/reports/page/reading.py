"""From paths to the material of a report. What a file is, its content says, never its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness import comparison, on_record, scorecard
from harness.errors import ScorecardError, UsageError
from harness.json_files import read_json
from harness.reports.kill_matrix import SCHEMA as SELFTEST
from harness.reports.page import kills
from harness.reports.page.material import Material

_HINT = "Name a scorecard, a comparison, what `selftest --json` printed, or a folder with one."


def read(paths: Iterable[Path]) -> Material:
    """All that the paths hold, one of each kind; raises a sentence for what cannot be used.

    A folder is what its scorecard.json and comparison.json are; one without is a history.
    """
    material = Material()
    seen: dict[str, Path] = {}
    for path in paths:
        for kind, found in _found(path).items():
            if kind in seen:
                raise UsageError(
                    f"{seen[kind]} and {path} each hold a {kind}, a report takes one",
                    "`harness compare` holds two scorecards against each other; a folder of "
                    "scorecards is a history.",
                )
            seen[kind] = path
            material = replace(material, **found)
    return replace(material, calibrations=_calibrations(material))


def _found(path: Path) -> dict[str, dict[str, Any]]:
    """What is there by kind, as fields of the material."""
    if not path.exists():
        raise ScorecardError(f"{path} is not there", _HINT)
    if not path.is_dir():
        return _of_file(path)
    names = (scorecard.FILE_NAME, comparison.FILE_NAME)
    files = [path / name for name in names if (path / name).is_file()]
    found = [_of_file(file) for file in files]
    if len(found) == 2 and found[0].keys() & found[1].keys():
        raise UsageError(f"{path} holds a {next(iter(found[0]))} twice, a report takes one")
    return {k: v for each in found for k, v in each.items()} if found else _of_history(path)


def _of_file(file: Path) -> dict[str, dict[str, Any]]:
    """What a file is; where it is nothing of use, what to name instead."""
    try:
        return _loaded(file)
    except ScorecardError as error:
        raise ScorecardError(error.message, error.hint or _HINT) from error


def _loaded(file: Path) -> dict[str, dict[str, Any]]:
    data = _json(file)
    schema = data.get("schema")
    kind = str(schema).partition("/")[0]
    if kind == scorecard.SCHEMA_NAME:
        return {"scorecard": _with_curves(scorecard.load(file), file)}
    if kind == comparison.SCHEMA_NAME:
        return {"comparison": {"comparison": comparison.load(file)}}
    if kind == SELFTEST.partition("/")[0]:
        return {"selftest": {"kills": kills.read(data, str(file))}}
    raise ScorecardError(
        f"{file} is no scorecard, comparison or selftest: its schema is {schema!r}"
    )


def _with_curves(card: scorecard.Scorecard, file: Path) -> dict[str, Any]:
    """A scorecard with what lies beside it; a page without curves is better than none."""
    try:
        curves = scorecard.load_curves(file)
    except ScorecardError:
        why = f"{scorecard.CURVES_NAME} beside the scorecard cannot be read."
        return {"scorecard": card, "no_curves": why}
    if not all(_belong(curves, result) for result in card.results):
        why = f"{scorecard.CURVES_NAME} beside the scorecard is of another run."
        return {"scorecard": card, "no_curves": why}
    return {"scorecard": card, "curves": curves}


def _belong(curves: Mapping[str, np.ndarray], result: scorecard.Result) -> bool:
    """Whether the losses that were kept, if any, are those of a result."""
    losses = curves.get(f"{result.milestone}/{result.seed}/loss")
    if losses is None or losses.ndim != 1:
        return True
    first = float(losses[0]) if losses.size and np.isfinite(losses[0]) else None
    return len(losses) == result.steps and first == result.loss.first


def _json(file: Path) -> Mapping[str, Any]:
    data = read_json(file)
    if not isinstance(data, dict):
        raise ScorecardError(f"{file} is no scorecard, comparison or selftest: it has no schema")
    return data


def _of_history(folder: Path) -> dict[str, dict[str, Any]]:
    from harness.history.reading import read_history

    history = read_history(folder)
    if not history.nights:
        why = f": {history.skipped[0].file}: {history.skipped[0].why}" if history.skipped else ""
        raise ScorecardError(
            f"{folder} holds no readable scorecard{why}",
            "Name a folder that `harness run` or `harness history --add` has written to.",
        )
    return {"history": {"history": history}}


def _calibrations(material: Material) -> dict[str, Mapping[str, Any]]:
    """What is on record of the milestones, where it was measured on the config that was run."""
    configs = material.scorecard.provenance.configs if material.scorecard else {}
    names = [name for name in material.results if re.fullmatch("[a-z][a-z0-9_]*", name)]
    records = {name: on_record.load(name) for name in names}
    return {
        name: record
        for name, record in records.items()
        if record is not None and record.get("config") == configs.get(name)
    }
