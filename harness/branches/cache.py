"""Results that were computed before: kept by commit, milestone, seeds and machine, never trusted.

An entry is a folder with a scorecard, its curves and `entry.json`, which has their checksums and
all that the key is made of. An entry that does not hold what it says is deleted, and what it
should have held is computed again.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any

from harness.branches.runs import Ran
from harness.comparing.curves_file import read_curves
from harness.errors import ScorecardError
from harness.provenance import gather
from harness.scorecard import CURVES_NAME, FILE_NAME, load

MOST_ENTRIES = 200
_ENTRY = "entry.json"
_SCHEMA = "harness.compare-cache/1"
_UNFINISHED = ".new-"
_HOUR = 3600.0


@dataclass(frozen=True)
class Key:
    """What decides a result, apart from chance; `machine` as `machine()` tells it."""

    commit: str
    milestone: str
    seeds: tuple[int, ...]
    machine: Mapping[str, str]
    checks: str = ""
    checkpoints: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """A name for a folder."""
        return sha256(_text({"schema": _SCHEMA, **asdict(self)}).encode()).hexdigest()


@dataclass(frozen=True)
class Kept:
    """A result, and whether the milestone gave the same bits when it ran a second time."""

    ran: Ran
    is_steady: bool


class Cache:
    """A folder of entries, of which those used last are kept; without a folder it keeps nothing."""

    def __init__(self, folder: Path | None, most: int = MOST_ENTRIES) -> None:
        self._folder = folder
        self._most = most

    def get(self, key: Key) -> Kept | None:
        """What is kept under a key, whole and as it was written; None when it must be computed."""
        if self._folder is None or not (entry := self._folder / key.name).is_dir():
            return None
        kept = _read(entry, key)
        if kept is None:
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with suppress(OSError):
                os.utime(entry)
        return kept

    def put(self, key: Key, kept: Kept) -> str:
        """Keep a result; why not, if it cannot be written, else "".

        A result without a verdict is not kept: the next time it may have one.
        """
        if self._folder is None or kept.ran.folder is None or not _is_whole(kept.ran, key):
            return ""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with _unfinished(self._folder) as new:
                _write(new, key, kept, kept.ran.folder)
                if not (self._folder / key.name).exists():
                    os.rename(new, self._folder / key.name)
        except OSError as error:
            return f"nothing was kept in {self._folder}: {error.strerror}"
        self._forget_the_oldest(self._folder)
        return ""

    def _forget_the_oldest(self, folder: Path) -> None:
        ages: list[tuple[float, Path]] = []
        for entry in folder.iterdir():
            with suppress(OSError):  # another comparison has deleted it
                ages.append((entry.stat().st_mtime, entry))
        dead = [entry for age, entry in ages
                if entry.name.startswith(_UNFINISHED) and age < time() - _HOUR]  # fmt: skip
        whole = sorted((age, entry) for age, entry in ages if len(entry.name) == 64)
        for entry in [*dead, *(entry for _, entry in whole[: -self._most])]:
            shutil.rmtree(entry, ignore_errors=True)


def machine(environment: Mapping[str, str]) -> dict[str, str]:
    """All of this machine that may change a bit of a training."""
    here = gather(backend="", seeds=(), configs={}, data={}, settings={}, modified=(),
                  blas_threads=1)  # fmt: skip
    told = {name: str(getattr(here, name)) for name in
            ("python", "numpy", "blas", "blas_threads", "cpu", "platform")}  # fmt: skip
    switches = {name: value for name, value in environment.items()
                if name.startswith(("OPENBLAS_", "MKL_", "NPY_", "PYTHONHASHSEED"))
                and not name.endswith("_NUM_THREADS")}  # fmt: skip
    return {**told, "executable": sys.executable, **switches}


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    new = Path(tempfile.mkdtemp(dir=folder, prefix=_UNFINISHED))
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)  # after a rename there is nothing under this name


def _write(new: Path, key: Key, kept: Kept, source: Path) -> None:
    provenance = kept.ran.scorecard.provenance
    for name in (FILE_NAME, CURVES_NAME):
        shutil.copyfile(source / name, new / name)
    entry = {
        "schema": _SCHEMA,
        "key": asdict(key),
        "config": provenance.configs[key.milestone],
        "data": provenance.data[key.milestone],
        "is_steady": kept.is_steady,
        "files": _checksums(new),
    }
    (new / _ENTRY).write_text(_text(entry), encoding="utf-8")


def _read(entry: Path, key: Key) -> Kept | None:
    try:
        said = json.loads((entry / _ENTRY).read_text(encoding="utf-8"))
        if said["schema"] != _SCHEMA or said["key"] != json.loads(_text(asdict(key))):
            return None
        if said["files"] != _checksums(entry):
            return None
        scorecard = load(entry)
        kept = Kept(Ran(scorecard, read_curves(entry, scorecard)), bool(said["is_steady"]))
        provenance = kept.ran.scorecard.provenance
        if provenance.configs[key.milestone] != said["config"]:
            return None
        if provenance.data[key.milestone] != said["data"]:
            return None
    except (OSError, ValueError, LookupError, TypeError, ScorecardError):
        return None
    return kept if _is_whole(kept.ran, key) else None


def _is_whole(ran: Ran, key: Key) -> bool:
    """Whether a result is of this commit, this milestone and these seeds, with all verdicts."""
    provenance, results = ran.scorecard.provenance, ran.scorecard.results
    engine = ran.scorecard.engine
    return (
        provenance.commit == key.commit
        and provenance.dirty is False
        and key.milestone in provenance.configs
        and key.milestone in provenance.data
        and [(each.milestone, each.seed) for each in results]
        == [(key.milestone, seed) for seed in key.seeds]
        and "error" not in [each.status for each in results] + ([engine.status] if engine else [])
    )


def _checksums(folder: Path) -> dict[str, str]:
    return {name: sha256((folder / name).read_bytes()).hexdigest()
            for name in (FILE_NAME, CURVES_NAME)}  # fmt: skip


def _text(value: Any) -> str:  # `Any`: whatever JSON can hold
    return json.dumps(value, sort_keys=True)
