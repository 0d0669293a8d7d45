"""A night's summary tells a stranger what broke, in which tensor, since when, and how to see it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.comparison import save
from harness.session import Request, run_session
from tests.comparisons import EXAMPLES, hostile
from tests.examples import ROOT, small_file
from tests.rehearsal.runner import read_pairs
from tests.rehearsal.stage import git

# A target that nothing reaches, and a tensor that gets no gradient.
MISSED = ("  accuracy: 1.0\n  loss_drop: 0.5", "  accuracy: 1.0\n  loss_drop: 0.9999999")


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, list[str]]:
    """A repository with four commits."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    commits = []
    for subject in ("One", "Two", "Three | <b> @all", "Four"):
        git(folder, *author, "commit", "--quiet", "--allow-empty", "-m", subject)
        commits.append(git(folder, "rev-parse", "HEAD"))
    return folder, commits


@pytest.fixture
def night(tmp_path: Path) -> Path:
    return tmp_path / "night"


def train(night: Path, folder: str, *changes: tuple[str, str]) -> int:
    file = small_file(night.parent, *changes)
    return run_session(Request([str(file)], night / folder, range(1), jobs=1)).scorecard.exit_code


def judge(repository: Path, night: Path, **words: object) -> tuple[dict[str, str], str]:
    """What it prints for $GITHUB_OUTPUT, and the summary."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in words.items()]
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "judge_night.py"), str(night), *options],
        cwd=repository, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return read_pairs(done.stdout), (night / "summary.md").read_text(encoding="utf-8")


def test_green_night_is_told_with_its_numbers(history: tuple[Path, list[str]], night: Path) -> None:
    assert train(night, "run") == 0
    save(EXAMPLES["same"], night / "good")

    told, summary = judge(history[0], night, run=0, good=0, good_commit=history[1][0])

    assert told == {
        "verdict": "green", "title": "Green night: all milestones pass", "scorecard": "true"
    }  # fmt: skip
    assert summary.startswith("<!-- harness-night -->\n# Green night: all milestones pass\n")
    assert "1 of 1 milestones pass" in summary
    assert "## Against the last good night" in summary
    assert "what broke" not in summary


def test_failed_check_is_told_with_the_commits_since_and_the_command(
    history: tuple[Path, list[str]], night: Path
) -> None:
    assert train(night, "run", MISSED) == 1

    told, summary = judge(history[0], night, run=1, good_commit=history[1][1], good=0)

    assert told["verdict"] == "red"
    assert told["title"] == "Red night: small, seed 0: loss_falls"
    short = history[1][3][:7]
    assert f"git checkout {short} && make .venv/.ready && .venv/bin/harness run small" in summary
    assert "| since which commit | one of 2, listed below:" in summary
    lines = summary.splitlines()
    first = lines.index(f"- `{short}` Four")
    # A subject is no markup, no end of a cell, and calls nobody.
    assert lines[first + 1] == f"- `{history[1][2][:7]}` Three \\| \\<b> @&#8203;all"
    assert "Two" not in summary


def test_regression_is_told_by_its_first_divergence(
    history: tuple[Path, list[str]], night: Path
) -> None:
    assert train(night, "run") == 0
    save(EXAMPLES["regressed"], night / "good")

    told, summary = judge(history[0], night, run=0, good=1, good_commit=history[1][2])

    assert told["verdict"] == "red"
    assert told["title"] == "Red night: cnn: worse than on the last good night, conv1.bias"
    assert "| in which tensor | `conv1.bias`, `conv2.bias` |" in summary
    assert "| on which line | `harness/autograd/ops/convolution.py:102` |" in summary
    assert f"`{history[1][3][:7]}` Four, the only one" in summary
    assert ".venv/bin/harness run cnn --seed 0 --explain conv1.bias" in summary


def test_same_commit_that_is_red_now_points_at_the_machine(
    history: tuple[Path, list[str]], night: Path
) -> None:
    assert train(night, "run", MISSED) == 1

    _, summary = judge(history[0], night, run=1, good_commit=history[1][3])

    assert "no commit since then" in summary
    assert "look at the machine and the packages" in summary


@pytest.mark.parametrize(
    ("run", "good", "accept", "verdict"),
    [
        (0, "", "", "green"),  # nothing to compare with
        (0, 0, "", "green"),
        (0, 1, "", "red"),
        (0, 1, "true", "green"),
        (0, 1, "false", "red"),
        (0, 3, "", "green"),  # not comparable: said in the title
        (0, 2, "true", "red"),  # wrong usage is a broken workflow, whoever accepts it
        (0, 130, "", "red"),
        (1, 0, "true", "red"),  # a failing check is never accepted
        (3, 0, "", "red"),
    ],
)
def test_verdict_follows_from_the_exit_codes(
    run: int, good: object, accept: str, verdict: str,
    history: tuple[Path, list[str]], night: Path,
) -> None:  # fmt: skip
    train(night, "run")

    told, _ = judge(history[0], night, run=run, good=good, accept=accept)

    assert told["verdict"] == verdict


def test_selftest_that_accuses_makes_a_night_red_whose_milestones_all_pass(
    history: tuple[Path, list[str]], night: Path
) -> None:
    train(night, "run")

    told, summary = judge(history[0], night, selftest=1, run=0, good=0)

    assert (told["verdict"], told["title"]) == ("red", "Red night: harness selftest")
    assert "it accuses what the milestones of this night do not" in summary


def test_night_that_was_not_compared_says_so_first(
    history: tuple[Path, list[str]], night: Path
) -> None:
    train(night, "run")
    save(EXAMPLES["not_comparable"], night / "good")

    told, summary = judge(history[0], night, run=0, good=3)

    assert told["title"] == "Green night, but not compared with the last good one"
    assert "**Not compared with the last good night**" in summary


def test_night_without_a_scorecard_is_red_and_nothing_is_kept(
    history: tuple[Path, list[str]], night: Path
) -> None:
    told, summary = judge(history[0], night, run=2, rotating=3)

    assert told == {"verdict": "red", "title": "Red night: no scorecard", "scorecard": "false"}
    assert "harness run ended with exit code 2" in summary
    assert "there is no good night before this one" in summary


def test_release_and_rotating_seed_are_told_and_judge_nothing(
    history: tuple[Path, list[str]], night: Path
) -> None:
    train(night, "run")
    train(night, "rotating", MISSED)
    save(EXAMPLES["regressed"], night / "release")
    (night / "history.txt").write_text("small  0001  pass\n", encoding="utf-8")

    told, summary = judge(history[0], night, run=0, release=1, rotating=1)

    assert told["verdict"] == "green"
    assert "## Against the last release" in summary
    assert "## On a seed that is new every night: information, no gate" in summary
    assert "0 of 1 milestones pass" in summary
    assert "````text\nsmall  0001  pass\n````" in summary


def test_huge_comparison_is_cut_to_what_an_issue_can_hold(
    history: tuple[Path, list[str]], night: Path
) -> None:
    train(night, "run")
    for name in ("good", "release"):
        save(hostile(), night / name)

    told, summary = judge(history[0], night, run=0, good=1, release=1)

    assert len(summary) < 65_536
    assert "sections did not fit here" in summary
    assert "\n" not in told["title"]
    assert "## This night" in summary


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
