"""The branch of nights: made by the first, read by the next, and safe when two push at once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.examples import ROOT, small_file
from tests.rehearsal.stage import Stage, borrow_packages, build, git

BRANCH = "harness-history"
# The first push finds that somebody else has pushed a night of their own a moment before.
RIVAL = """#!/bin/sh
unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
test -e "$GIT_DIR/beaten" && exit 0
touch "$GIT_DIR/beaten"
tip=$(git rev-parse --verify --quiet refs/heads/harness-history || git rev-parse refs/heads/main)
made=$(git -c user.name=r -c user.email=r@example.org commit-tree -p "$tip" -m rival "$tip^{tree}")
git update-ref refs/heads/harness-history "$made"
exit 1
"""


@pytest.fixture(scope="module")
def scorecard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a milestone that takes no time."""
    from harness.session import Request, run_session

    folder = tmp_path_factory.mktemp("run")
    return run_session(Request([str(small_file(folder))], folder / "out", range(1), jobs=1)).file


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = build(tmp_path / "stage", ROOT)
    stage.commit(ROOT)
    return stage


@pytest.fixture
def clone(stage: Stage) -> Path:
    folder = stage.folder / "clone"
    git(stage.folder, "clone", "--quiet", stage.url, str(folder))
    borrow_packages(folder)
    return folder


def script(clone: Path, *words: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [clone / ".ci" / str(words[0]), *map(str, words[1:])],
        cwd=clone, capture_output=True, text=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def nights(stage: Stage) -> list[str]:
    return git(stage.origin, "ls-tree", "--name-only", BRANCH, "nights/").split()


def later(scorecard: Path, folder: Path, second: int) -> Path:
    """The same scorecard, made so many seconds later."""
    text = scorecard.read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if '"created"' in line]
    file = folder / f"{second}.json"
    made = f' "created": "2026-03-01T04:05:{second:02}+00:00",'
    file.write_text(text.replace(line, made), encoding="utf-8")
    return file


def test_first_night_makes_the_branch_and_the_next_one_adds_to_it(
    stage: Stage, clone: Path, scorecard: Path, tmp_path: Path
) -> None:
    head = git(clone, "rev-parse", "HEAD")

    assert script(clone, "bases")[:2] == (0, "good=\nrelease=\n")
    code, _, said = script(clone, "keep-night", later(scorecard, tmp_path, 1), "green")
    assert code == 0, said
    assert stage.branch_file(BRANCH, "last-good") == f"{head}\n"
    code, _, said = script(clone, "keep-night", later(scorecard, tmp_path, 2), "red")
    assert code == 0, said

    assert len(nights(stage)) == 2
    assert nights(stage)[0].startswith("nights/0001-2026-03-01")
    assert git(stage.origin, "rev-list", "--count", BRANCH) == "2"
    git(clone, "fetch", "--quiet", "origin")
    git(clone, "tag", "v1.2.0")
    assert script(clone, "bases")[:2] == (0, f"good={head}\nrelease=v1.2.0\n")
    assert script(clone, "nights-so-far", tmp_path / "read")[0] == 0
    assert len(list((tmp_path / "read").iterdir())) == 2


def test_red_night_moves_no_mark(stage: Stage, clone: Path, scorecard: Path) -> None:
    assert script(clone, "keep-night", scorecard, "red")[0] == 0

    assert stage.branch_file(BRANCH, "last-good") is None
    git(clone, "fetch", "--quiet", "origin")
    assert script(clone, "bases") == (0, "good=\nrelease=\n", "")


def test_night_that_is_pushed_meanwhile_is_kept_as_well(
    stage: Stage, clone: Path, scorecard: Path, tmp_path: Path
) -> None:
    assert script(clone, "keep-night", later(scorecard, tmp_path, 1), "green")[0] == 0
    hook = stage.origin / "hooks" / "pre-receive"
    hook.write_text(RIVAL, encoding="utf-8")

    code, _, said = script(clone, "keep-night", later(scorecard, tmp_path, 2), "green")

    assert code == 0, said
    assert "Push 1 of 5 did not work" in said
    subjects = git(stage.origin, "log", "--format=%s", BRANCH).splitlines()
    assert subjects[1] == "rival"
    assert len(nights(stage)) == 2


def test_last_good_commit_that_is_gone_is_said_and_not_used(
    stage: Stage, clone: Path, scorecard: Path
) -> None:
    assert script(clone, "keep-night", scorecard, "green")[0] == 0
    other = stage.folder / "other"
    git(stage.folder, "clone", "--quiet", "--branch", BRANCH, stage.url, str(other))
    (other / "last-good").write_text("f" * 40 + "\n", encoding="utf-8")
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git(other, *author, "commit", "--quiet", "--all", "-m", "Rewrite")
    git(other, "push", "--quiet", "origin", BRANCH)
    git(clone, "fetch", "--quiet", "origin")

    code, printed, said = script(clone, "bases")

    assert (code, printed) == (0, "good=\nrelease=\n")
    assert said == f"The last good commit {'f' * 40} is gone.\n"


def test_origin_that_does_not_answer_is_not_an_empty_one(
    stage: Stage, clone: Path, scorecard: Path
) -> None:
    git(clone, "remote", "set-url", "origin", (stage.folder / "nowhere").as_uri())

    assert script(clone, "keep-night", scorecard, "green")[0] not in (0, 2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
