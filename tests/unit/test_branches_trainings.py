"""Whether code repeats itself, told by a stand-in for it that leaves results made by the test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.branches.cache import Cache
from harness.branches.targets import Target
from harness.branches.trainings import Setup, Trainings
from harness.branches.workshop import Workshop
from harness.errors import JobKilledError
from harness.scorecard import save
from tests.branching import clean_environment
from tests.examples import healthy, judged, scorecard_of, without_verdict

COMMIT = "1f0c9a4be27d5530c8e1d7745f6a90b1c2d3e4f5"
KILLED = "it was killed by SIGKILL"
# `python -m harness run ... --out FOLDER`, whose results are the next ones that lie ready.
STAND_IN = """
import shutil, sys
from pathlib import Path
ready = min((Path(__file__).parent.parent / "ready").iterdir())
shutil.move(ready, sys.argv[sys.argv.index("--out") + 1])
"""
# The digest of each seed's training, None of one whose worker is killed.
Run = dict[int, str | None]


def left_by(run: Run, folder: Path) -> None:
    """The files of a run: a scorecard of the commit, and curves of what came to its end."""
    folder.mkdir(parents=True)
    records = [replace(healthy(seed=s), digest=bits) for s, bits in run.items() if bits]
    killed = [
        without_verdict(JobKilledError(KILLED), seed=s) for s, bits in run.items() if not bits
    ]
    results = sorted([*map(judged, records), *killed], key=lambda result: result.seed)
    scorecard = scorecard_of(*results)
    of_commit = scorecard.provenance.model_copy(update={"commit": COMMIT, "dirty": False})
    save(scorecard.model_copy(update={"provenance": of_commit}), records, folder)


def trained(home: Path, *runs: Run) -> Trainings:
    """Trained are the seeds of the first run; what is asked for again has the next one's."""
    for number, run in enumerate(runs):
        left_by(run, home / "ready" / str(number))
    (home / "harness").mkdir()
    (home / "harness" / "__init__.py").touch()
    (home / "harness" / "__main__.py").write_text(STAND_IN, encoding="utf-8")
    head = Target("working tree", "working tree", home, ("small",), COMMIT, True)
    environment = clean_environment()
    with Workshop(None, environment) as workshop:
        setup = Setup({"head": head}, None, environment, cache=Cache(home / "cache"))
        trainings = Trainings(setup, workshop)
        trainings.add("small", {"head": range(len(runs[0]))})
        trainings.settle(twice=True)
    assert trainings.stops == []
    return trainings


def kept(home: Path) -> list[bool]:
    """Of all that is in the cache, whether it is steady."""
    return [json.loads(file.read_text(encoding="utf-8"))["is_steady"]
            for file in (home / "cache").glob("*/entry.json")]  # fmt: skip


@pytest.mark.parametrize(("again", "unsteady"), [("a", set()), ("b", {"small"})])
def test_other_bits_of_the_first_seed_are_unsteady(
    tmp_path: Path, again: str, unsteady: set[str]
) -> None:
    found = trained(tmp_path, {0: "a", 1: "c"}, {0: again})
    assert found.unsteady == {"head": unsteady}
    assert found.notes == []
    assert kept(tmp_path) == [not unsteady]


@pytest.mark.parametrize(("again", "unsteady"), [("c", set()), ("b", {"small"})])
def test_seed_that_was_killed_is_not_held_against_another_run_but_the_next_one_is(
    tmp_path: Path, again: str, unsteady: set[str]
) -> None:
    found = trained(tmp_path, {0: None, 1: "c"}, {1: again})
    assert found.unsteady == {"head": unsteady}
    assert kept(tmp_path) == []


def test_second_run_that_is_killed_tells_nothing_and_is_asked_for_again(tmp_path: Path) -> None:
    found = trained(tmp_path, {0: "a", 1: "c"}, {0: None})
    assert found.unsteady == {"head": set()}
    assert found.notes == [f"small: not known whether the head repeats itself: {KILLED}"]
    assert kept(tmp_path) == []


def test_what_was_killed_on_all_seeds_is_not_run_again(tmp_path: Path) -> None:
    found = trained(tmp_path, {0: None, 1: None}, {0: "a"})
    assert found.unsteady == {"head": set()}
    assert [folder.name for folder in (tmp_path / "ready").iterdir()] == ["1"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
