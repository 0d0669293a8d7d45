"""One more night: a scorecard slimmed and put into the folder under the next number."""

from __future__ import annotations

import os
import re
from datetime import UTC
from pathlib import Path

from harness.atomic_files import held, write_text
from harness.errors import OutputError, ScorecardError
from harness.history.picking import UnreadableError, moment
from harness.history.reading import read_history
from harness.scorecard import EngineResult, Result, Scorecard, VerdictRow, load


def add(scorecard: Path, folder: Path) -> Path:
    """Put a scorecard, given as a file or its folder, into the history; its new file.

    It is whole or not there. Several may add at once where the system locks files: then no number
    is given twice. Raises ScorecardError when it cannot be read, was made with other settings or
    is there already, OutputError when the folder cannot be written to.
    """
    card = _normal_run(scorecard)
    try:
        date = moment(card.created).astimezone(UTC).date()
    except (UnreadableError, OverflowError) as error:
        raise ScorecardError(f"{scorecard} cannot be a night: {error}") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder, waits=True):
            _refuse_twice(card, folder)
            file = folder / f"{_next_number(folder):04d}-{date}.json"
            write_text(file, slim(card).model_dump_json(by_alias=True) + "\n")
    except OSError as error:
        raise OutputError(
            f"cannot write to {folder}: {error.strerror}", "Name another folder."
        ) from error
    return file


def _normal_run(scorecard: Path) -> Scorecard:
    """The scorecard; a run with --set says nothing about the milestones as they are."""
    try:
        card = load(scorecard)
    except ScorecardError as error:
        hint = error.hint or "Name the scorecard.json that `harness run` wrote, or its folder."
        raise ScorecardError(error.message, hint) from error
    if card.provenance.modified:
        raise ScorecardError(
            f"{scorecard} cannot be a night: it was run with other settings, "
            f"--set {', --set '.join(card.provenance.modified)}",
            "Run the milestones without --set for a night.",
        )
    return card


def slim(card: Scorecard) -> Scorecard:
    """The scorecard without the evidence of verdicts that pass; the rest stays as it is."""
    engine = card.engine and card.engine.model_copy(update={"verdicts": _slim(card.engine)})
    results = [each.model_copy(update={"verdicts": _slim(each)}) for each in card.results]
    return card.model_copy(update={"engine": engine, "results": results})


def _slim(judged: Result | EngineResult) -> list[VerdictRow]:
    return [
        verdict.model_copy(update={"evidence": {}}) if verdict.status == "pass" else verdict
        for verdict in judged.verdicts
    ]


def _refuse_twice(card: Scorecard, folder: Path) -> None:
    made = moment(card.created)
    for night in read_history(folder).nights:
        if moment(night.created) == made and night.commit == card.provenance.commit:
            raise ScorecardError(
                f"{folder} has this night already: {night.file} was made at {card.created} "
                f"from {night.version}",
                "Run the milestones again for another night.",
            )


def _next_number(folder: Path) -> int:
    """One more than the highest number that any name in the folder starts with."""
    numbers = [re.match("[0-9]{1,9}(?![0-9])", name) for name in os.listdir(folder)]
    return max((int(found[0]) for found in numbers if found), default=0) + 1
