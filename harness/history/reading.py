"""A folder of scorecards as a history: every night that can be read, and why others cannot."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

from harness.errors import ScorecardError
from harness.history.nights import History, Night, Skipped
from harness.history.picking import ForeignError, UnreadableError, moment, night_of
from harness.scorecard import FILE_NAME

_SUFFIXES = (".json", ".json.gz")
# So many files are read before a second process is worth its start.
_MANY = 1000
_CHUNK = 250

# None is a file of another schema.
_Read = Night | Skipped | None


def read_history(folder: Path, nights: int | None = None) -> History:
    """The nights in a folder by their time, of equal times by their number; the last `nights`.

    Nights are its files *.json and *.json.gz, and scorecard.json in the folders in it. Those that
    are no scorecards, damaged or half written are listed as skipped, files of other schemas are
    not. Raises ScorecardError when there is no such folder.
    """
    found = _read_all(folder, _files(folder))
    skipped = tuple(each for each in found if isinstance(each, Skipped))
    read = sorted((each for each in found if isinstance(each, Night)), key=_order)
    if nights is not None:
        read = read[-nights:] if nights > 0 else []
    return History(tuple(read), skipped)


def _order(night: Night) -> tuple[float, int, str]:
    number = int(night.number) if night.number.isdecimal() else 0
    return moment(night.created).timestamp(), number, night.file


def _files(folder: Path) -> list[str]:
    """What may be a night, relative to the folder, by name; hidden files never are."""
    try:
        with os.scandir(folder) as entries:
            return sorted(_files_of(entries))
    except OSError as error:
        hint = (
            "Name the folder that it is in; `harness history DIR --add FILE` puts it into one."
            if folder.exists()
            else f"`harness history {folder} --add SCORECARD` starts one."
        )
        raise ScorecardError(
            f"{folder} cannot be read as a folder of scorecards: {error.strerror}", hint
        ) from error


def _files_of(entries: Iterator[os.DirEntry[str]]) -> Iterator[str]:
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            names = (FILE_NAME, f"{FILE_NAME}.gz")
            yield from (f"{entry.name}/{name}" for name in names if _is_there(entry, name))
        elif entry.name.endswith(_SUFFIXES):
            yield entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: listed by its name, and skipped with the reason
        return False


def _is_there(entry: os.DirEntry[str], name: str) -> bool:
    return os.path.lexists(os.path.join(entry.path, name))


def _read_all(folder: Path, files: Sequence[str]) -> list[_Read]:
    """What is in each, in their order; many files are shared by the processors there are."""
    workers = min(_cpus(), len(files) // (_MANY // 2))
    if workers < 2 or "fork" not in get_all_start_methods():
        return _read_chunk(str(folder), files)
    chunks = [files[at : at + _CHUNK] for at in range(0, len(files), _CHUNK)]
    try:
        with ProcessPoolExecutor(workers, get_context("fork")) as pool:
            parts = pool.map(_read_chunk, [str(folder)] * len(chunks), chunks)
            return [each for part in parts for each in part]
    except BrokenProcessPool:  # a child was killed: slower, but all is read
        return _read_chunk(str(folder), files)


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read_chunk(folder: str, files: Sequence[str]) -> list[_Read]:
    return [_read(folder, file) for file in files]


def _read(folder: str, file: str) -> _Read:
    path = os.path.join(folder, file)
    try:
        if not os.path.isfile(path) and os.path.lexists(path):
            return Skipped(file, "it is no regular file")
        with open(path, "rb", buffering=0) as opened:
            text = opened.read()
        return night_of(gzip.decompress(text) if file.endswith(".gz") else text, file)
    except ForeignError:
        return None
    except UnreadableError as error:
        return Skipped(file, str(error))
    except (EOFError, zlib.error) as error:
        return Skipped(file, f"it cannot be unpacked: {error}")
    except OSError as error:
        return Skipped(file, f"it cannot be read: {error.strerror or error}")
