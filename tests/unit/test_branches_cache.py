"""The cache of a comparison: what fits is given back, whatever does not is computed again."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.branches.cache import Cache, Kept, Key, machine
from harness.branches.runs import Ran
from harness.errors import JobTimeoutError
from harness.scorecard import load, load_curves, save
from tests.examples import healthy, judged, scorecard_of, without_verdict

COMMIT = "1f0c9a4be27d5530c8e1d7745f6a90b1c2d3e4f5"
KEY = Key(COMMIT, "small", (0, 1), {"python": "3.11.7"})


def ran(folder: Path, commit: str = COMMIT, dirty: bool = False, dies: bool = False) -> Ran:
    """Two healthy trainings, or one that has no verdict, in files."""
    folder.mkdir()
    records = [healthy(seed=seed) for seed in (0, 1)]
    results = [judged(record) for record in records]
    if dies:
        results[1] = without_verdict(JobTimeoutError("it was stopped"), seed=1)
    scorecard = scorecard_of(*results)
    known = {"commit": commit, "dirty": dirty, "configs": {"small": "c"}, "data": {"small": "d"}}
    provenance = scorecard.provenance.model_copy(update=known)
    save(scorecard.model_copy(update={"provenance": provenance}), records, folder)
    return Ran(load(folder), load_curves(folder), folder)


def test_result_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    cache, first = Cache(tmp_path / "cache"), ran(tmp_path / "run")
    assert cache.get(KEY) is None
    assert cache.put(KEY, Kept(first, False)) == ""
    back = cache.get(KEY)
    assert back is not None
    assert back.ran.scorecard == first.scorecard
    assert back.ran.curves.keys() == first.curves.keys()
    assert np.array_equal(back.ran.curves["small/1/loss"], first.curves["small/1/loss"])
    assert back.is_steady is False
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [KEY.name]


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, commit="9" * 40),
        replace(KEY, milestone="other"),
        replace(KEY, seeds=(0, 1, 2)),
        replace(KEY, machine={"python": "3.12.0"}),
        replace(KEY, checks="gradients_arrive"),
        replace(KEY, checkpoints=(3,)),
    ],
)
def test_other_question_has_no_answer(tmp_path: Path, other: Key) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put(KEY, Kept(ran(tmp_path / "run"), True))
    assert cache.get(other) is None
    assert cache.get(KEY) is not None


def cut_curves(entry: Path) -> None:
    file = entry / "curves.npz"
    file.write_bytes(file.read_bytes()[:-1])


def improve_accuracy(entry: Path) -> None:
    file = entry / "scorecard.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"held_out": 1.0', '"held_out": 0.9'))


def lose_scorecard(entry: Path) -> None:
    (entry / "scorecard.json").unlink()


def empty_entry(entry: Path) -> None:
    (entry / "entry.json").write_bytes(b"")


def change_schema(entry: Path) -> None:
    file = entry / "entry.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"schema": "x/9"}))


def change_key(entry: Path) -> None:
    file = entry / "entry.json"
    file.write_text(file.read_text(encoding="utf-8").replace(COMMIT, "9" * 40))


@pytest.mark.parametrize(
    "damage",
    [cut_curves, improve_accuracy, lose_scorecard, empty_entry, change_schema, change_key],
)
def test_damaged_entry_is_deleted(tmp_path: Path, damage: object) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put(KEY, Kept(ran(tmp_path / "run"), True))
    entry = tmp_path / "cache" / KEY.name
    before = {file.name: file.read_bytes() for file in entry.iterdir()}
    assert callable(damage)
    damage(entry)
    assert {file.name: file.read_bytes() for file in entry.iterdir()} != before
    assert cache.get(KEY) is None
    assert not entry.exists()


def test_what_may_come_out_otherwise_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put(KEY, Kept(ran(tmp_path / "1", commit="9" * 40), True))
    cache.put(KEY, Kept(ran(tmp_path / "2", dirty=True), True))
    cache.put(KEY, Kept(ran(tmp_path / "3", dies=True), True))
    cache.put(replace(KEY, seeds=(1, 2)), Kept(ran(tmp_path / "4"), True))
    assert not (tmp_path / "cache").exists()


def test_oldest_entries_go_first(tmp_path: Path) -> None:
    cache, first = Cache(tmp_path / "cache", most=2), ran(tmp_path / "run")
    keys = [replace(KEY, machine={"python": str(n)}) for n in range(3)]
    for age, key in zip((30, 10), keys, strict=False):
        cache.put(key, Kept(first, True))
        os.utime(tmp_path / "cache" / key.name, (age, age))
    assert cache.get(keys[1]) is not None  # used now, so keys[0] is the oldest
    cache.put(keys[2], Kept(first, True))
    assert [cache.get(key) is not None for key in keys] == [False, True, True]


def test_unfinished_entries_of_the_past_are_deleted(tmp_path: Path) -> None:
    for name, age in (("old", 1), ("young", 2**33)):
        (tmp_path / "cache" / f".new-{name}").mkdir(parents=True)
        os.utime(tmp_path / "cache" / f".new-{name}", (age, age))
    Cache(tmp_path / "cache").put(KEY, Kept(ran(tmp_path / "run"), True))
    assert {each.name for each in (tmp_path / "cache").iterdir()} == {KEY.name, ".new-young"}


def test_cache_that_cannot_be_written_says_so_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    told = Cache(tmp_path / "cache").put(KEY, Kept(ran(tmp_path / "run"), True))
    assert told == f"nothing was kept in {tmp_path / 'cache'}: File exists"


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    cache = Cache(None)
    assert cache.put(KEY, Kept(ran(tmp_path / "run"), True)) == ""
    assert cache.get(KEY) is None


def test_machine_has_the_switches_of_the_libraries_but_not_of_the_user() -> None:
    told = machine({"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "8", "EDITOR": "vi"})
    assert told["OPENBLAS_CORETYPE"] == "Haswell"
    assert told["blas_threads"] == "1"
    assert told["numpy"] == np.__version__
    assert not told.keys() & {"OPENBLAS_NUM_THREADS", "EDITOR"}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
