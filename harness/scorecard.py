"""The scorecard: all results of one run as versioned JSON, its curves beside it.

`save` writes both atomically, `load` reads any version up to this one.
"""

from __future__ import annotations

import errno
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from harness.atomic_files import replacing
from harness.errors import OutputError, ScorecardError
from harness.explanation import Explanation
from harness.json_files import fitted, read_json, write_model
from harness.provenance import Provenance
from harness.record import RunRecord

SCHEMA_NAME = "harness.scorecard"
SCHEMA_VERSION = 4
FILE_NAME = "scorecard.json"
CURVES_NAME = "curves.npz"
Status = Literal["pass", "fail", "error"]
# Of one milestone: "unsupported" is one that names what the chosen backend lacks.
ResultStatus = Literal["pass", "fail", "error", "unsupported"]
VerdictStatus = Literal["pass", "fail", "error", "skip"]


class _Model(BaseModel):
    # Numbers that are not finite are null in JSON, which has no word for them.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class VerdictRow(_Model):
    """The answer of one check; "skip" is one that was not run, and why."""

    check: str
    status: VerdictStatus
    reason: str
    hint: str = ""
    # Where in the chain of causes the check looks, such as "graph" or "target"; see checks.base.
    stage: str = ""
    # Numbers, labels or a traceback: whatever the check found worth keeping.
    evidence: dict[str, Any] = {}


class ParameterRow(_Model):
    """One tensor: its verdict, and the medians of its norms over all steps."""

    label: str
    shape: list[int]
    verdict: str
    reason: str
    gradient_norm: float | None
    movement: float | None


class Tensors(_Model):
    """How many tensors there are, have their gradient, must move, and moved."""

    expected: int
    with_gradient: int = 0
    must_move: int
    moved: int = 0


class Accuracy(_Model):
    """On held-out examples, computed by the harness; null where nothing was measured."""

    held_out: float | None = None
    target: float
    steps_to_target: int | None = None
    majority: float | None = None
    examples: int = 0


class Loss(_Model):
    """Of training, computed by the harness; `last` is the mean of the last tenth of steps."""

    first: float | None = None
    last: float | None = None
    held_out: float | None = None
    floor: float = 0.0


class CostRow(_Model):
    """What a training step takes, counted; as `harness.record.Cost`."""

    ops: int
    nodes: int
    by_op: dict[str, int]
    size_bytes: int
    peak_bytes: int | None = None


class Result(_Model):
    """One milestone on one seed."""

    milestone: str
    title: str
    year: int
    seed: int
    backend: str
    status: ResultStatus
    # What the backend lacks of it, such as "layer Conv2d"; only where it is not supported.
    lacks: list[str] = []
    verdicts: list[VerdictRow]
    parameters: list[ParameterRow] = []
    tensors: Tensors
    accuracy: Accuracy
    loss: Loss
    steps: int = 0
    planned_steps: int = 0
    seconds: dict[str, float] = {}
    digest: str = ""
    # Labels of the outermost layers, in order.
    layers: list[str] = []
    # Type of the parameters' numbers, such as "float32".
    dtype: str = ""
    # None on seeds that were not probed, and where the engine cannot tell.
    cost: CostRow | None = None
    # Layer types, loss, optimizer and ops that the model is made of.
    uses: list[str] = []
    # Of each probe, by name; none on seeds that were not probed.
    probe_seconds: dict[str, float] = {}
    # How one tensor gets its gradient, or why not; None unless that was asked for.
    explanation: Explanation | None = None


class EngineResult(_Model):
    """What the probes found of the engine itself, apart from any milestone."""

    backend: str
    status: Status
    # What the checks know and the engine does not offer: they judged it without.
    lacks: list[str] = []
    verdicts: list[VerdictRow]
    seconds: dict[str, float] = {}


class Scorecard(_Model):
    """All results of one run."""

    schema_: str = Field(default=f"{SCHEMA_NAME}/{SCHEMA_VERSION}", alias="schema")
    created: str
    status: Status
    provenance: Provenance
    # None where no check of the engine was asked for.
    engine: EngineResult | None = None
    results: list[Result]

    @property
    def exit_code(self) -> int:
        """0 all passed, 1 a check failed, 3 some milestone has no verdict."""
        return {"pass": 0, "fail": 1, "error": 3}[self.status]


def assemble(
    results: list[Result], provenance: Provenance, engine: EngineResult | None = None
) -> Scorecard:
    """The scorecard of these results, made now. It passes only if all of them do."""
    statuses = [result.status for result in results] + ([engine.status] if engine else [])
    return Scorecard(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        status=overall(statuses),
        provenance=provenance,
        engine=engine,
        results=results,
    )


def overall(statuses: Iterable[str]) -> Status:
    """pass only if some were judged and all pass; a failure counts before an error.

    What is not supported did not pass, and that is known: it counts like a failure.
    """
    found = set(statuses) - {"skip"}
    if found == {"pass"}:
        return "pass"
    return "fail" if found & {"fail", "unsupported"} else "error"


def open_folder(folder: Path) -> None:
    """Make the folder for results; raises OutputError when it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for name in (FILE_NAME, CURVES_NAME):
            if (folder / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{name} is a folder there")
    except OSError as error:
        raise OutputError(
            f"cannot write to {folder}: {error.strerror}", "Name another folder with --out DIR."
        ) from error


def save(scorecard: Scorecard, records: Iterable[RunRecord], folder: Path) -> Path:
    """Write `scorecard.json` and `curves.npz` into `folder`; each is whole or not there."""
    curves = {
        f"{record.milestone}/{record.seed}/{name}": array
        for record in records
        for name, array in _curves(record).items()
    }
    try:
        with replacing(folder / CURVES_NAME) as file:
            np.savez_compressed(file, **curves)  # type: ignore[arg-type]  # stubs want a bool
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from error
    return write_model(scorecard, folder / FILE_NAME)


def _curves(record: RunRecord) -> Mapping[str, np.ndarray]:
    """Per-step arrays, norms in single precision, and the fingerprints of some steps."""
    return {
        "loss": record.loss,
        "gradient_norm": record.gradient_norm.astype(np.float32),
        "movement": record.movement.astype(np.float32),
        "evaluated_at": record.evaluated_at,
        "accuracy": record.accuracy,
        "held_out_loss": record.held_out_loss,
        **{f"checkpoints/{name}": array for name, array in vars(record.checkpoints).items()},
    }


def load_curves(path: Path) -> dict[str, np.ndarray]:
    """All arrays beside the scorecard in a file or folder, such as "cnn/0/loss"; maybe none.

    Raises ScorecardError when the file is there and cannot be read.
    """
    file = (path if path.is_dir() else path.parent) / CURVES_NAME
    if not file.exists():
        return {}
    try:
        # Opened here: np.load leaves a broken file open.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ScorecardError(f"{file} cannot be read: {error}") from error


# From version n to n + 1. Older scorecards are read through these, one after the other.
# Version 2 added `engine`, `uses`, `explanation` and checks that were not run, version 3 `dtype`,
# `layers`, `cost`, `stage` and the settings of configs, version 4 the status "unsupported", `lacks`
# and the backend's version; all have defaults.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: dict, 2: dict, 3: dict}


def load(path: Path) -> Scorecard:
    """The scorecard in a file or folder; raises ScorecardError when there is none to read."""
    file = path / FILE_NAME if path.is_dir() else path
    data = read_json(file)
    return fitted(Scorecard, _upgraded(data, file), file, "a scorecard")


def _upgraded(data: object, file: Path) -> dict[str, Any]:
    name, _, number = str(data.get("schema") if isinstance(data, dict) else "").partition("/")
    if not isinstance(data, dict) or name != SCHEMA_NAME or not re.fullmatch("[0-9]{1,9}", number):
        raise ScorecardError(f"{file} is not a scorecard: its schema is not {SCHEMA_NAME}/N")
    version = int(number)
    if version > SCHEMA_VERSION:
        raise ScorecardError(
            f"{file} was written by a newer harness (schema {version}, known up to "
            f"{SCHEMA_VERSION})",
            "Update the harness to read it.",
        )
    while version < SCHEMA_VERSION:
        if version not in UPGRADES:
            raise ScorecardError(f"{file} has schema {version}, which never existed")
        data = UPGRADES[version](data)
        version += 1
    return {**data, "schema": f"{SCHEMA_NAME}/{SCHEMA_VERSION}"}
