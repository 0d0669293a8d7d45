"""Whatever goes wrong in a comparison: a sentence, the right exit code, and nothing left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from harness.branches.session import Request, compare_sides
from harness.branches.targets import understand
from harness.comparison import load
from tests.branching import (
    FIRST_LINE,
    PATIENCE,
    TRAINING,
    add_milestone,
    branch,
    compared,
    everything,
    git,
    make_repository,
    nothing_is_left,
    processes_of,
    started,
    variables,
)
from tests.processes import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals"),
]
FOR_EVER = FIRST_LINE + "\nwhile True:\n    pass\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never changed by a test: that is the point."""
    root = make_repository(tmp_path_factory.mktemp("repository"))
    branch(root, "typo", "harness/autograd/tensor.py", FIRST_LINE, FIRST_LINE + "def f(:\n")
    branch(root, "stuck", "harness/autograd/tensor.py", FIRST_LINE, FOR_EVER)
    branch(root, "slow", TRAINING, "clock.lap(\"building\")",
           "import signal; signal.pause()")  # fmt: skip
    branch(
        root,
        "unsteady",
        TRAINING,
        "batches(config, dataset, seed), start=1",
        "batches(config, dataset, int.from_bytes(__import__('os').urandom(4))), start=1",
    )
    add_milestone(root, "sick", "name: small\n")
    git(root, "checkout", "--quiet", "--orphan", "bare")
    git(root, "rm", "-r", "--quiet", "--cached", "harness")
    git(root, "commit", "--quiet", "--message", "no code")
    git(root, "checkout", "--quiet", "--force", "main")
    return root


def problem(home: Path) -> str:
    return load(home / "out").problem


def test_branch_that_is_no_python_is_a_sentence(repository: Path, tmp_path: Path) -> None:
    before = everything(repository)
    code, said, _ = compared(repository, tmp_path, "main", "typo", "--seeds", "2")
    assert code == 3
    assert problem(tmp_path).startswith("head typo (")
    assert "does not start: SyntaxError: " in problem(tmp_path)
    assert "SyntaxError" in said
    assert everything(repository) == before
    assert nothing_is_left(tmp_path)


def test_branch_that_never_ends_its_imports_is_stopped(repository: Path, tmp_path: Path) -> None:
    environment = dict(variables(tmp_path))
    asked = understand(["stuck", "main"], repository, environment)
    told = compare_sides(Request(asked, environment, seeds=1, timing=False, patience=5.0))
    assert told.exit_code() == 3
    assert told.milestones == []
    assert "does not start: its imports did not end within 5 s" in told.problem
    assert told.problem.startswith("base stuck (")


def test_config_that_one_side_refuses_leaves_the_other_milestones(
    repository: Path, tmp_path: Path
) -> None:
    code, _, _ = compared(repository, tmp_path, "with-sick", "with-sick", "--seeds", "2")
    assert code == 3
    assert [each.milestone for each in load(tmp_path / "out").milestones] == ["small"]
    assert "`harness run sick` ended with exit code 2" in problem(tmp_path)


def test_code_that_does_not_repeat_itself_is_not_believed(repository: Path, tmp_path: Path) -> None:
    compared(repository, tmp_path, "main", "unsteady", "--seeds", "2")
    (small,) = load(tmp_path / "out").milestones
    assert small.divergence is not None
    assert small.divergence.unsteady == ["head"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["mian"], 2, "'mian' is no branch, tag or commit of "),
        (["main", "typpo"], 2, "Did you mean 'typo'?"),
        (["main", "HEAD", "smal"], 2, "has a milestone 'smal'. Did you mean 'small'?"),
        (["main", "--seeds", "0"], 2, "Invalid value for '--seeds'"),
        (["bare", "main"], 3, "has no harness to run"),
        (["main", "configs"], 2, "configs holds no scorecard.json, and 'configs' is no ref"),
    ],
)
def test_words_that_mean_nothing_are_refused(
    repository: Path, tmp_path: Path, words: list[str], code: int, sentence: str
) -> None:
    found, said, complaints = compared(repository, tmp_path, *words)
    assert (found, said) == (code, "")
    assert sentence in complaints
    assert not (tmp_path / "out").exists()


def test_outside_of_a_repository_is_a_sentence(tmp_path: Path) -> None:
    code, _, complaints = compared(tmp_path, tmp_path, "main")
    assert code == 2
    assert "branches are compared inside a git repository" in complaints


# --- killed ------------------------------------------------------------------------------


def wait_until_it_runs(home: Path, process: subprocess.Popen[str]) -> None:
    """Until both sides have begun to train."""

    def both() -> bool:
        assert process.poll() is None, process.communicate()
        return len(list((home / "temporary").glob("*/*-small"))) == 2

    wait_until(both, "both sides train", PATIENCE)


@pytest.mark.parametrize(
    ("killer", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGHUP, 130), (signal.SIGKILL, -9)],
)
def test_nothing_is_left_of_a_comparison_that_is_ended(
    repository: Path, tmp_path: Path, killer: signal.Signals, code: int
) -> None:
    before = everything(repository)
    with started(repository, tmp_path, "slow", "slow", "--seeds", "2", "--no-cache") as process:
        wait_until_it_runs(tmp_path, process)
        assert git(repository, "worktree", "list").count("\n") == 3
        assert len(processes_of(tmp_path, "-m harness run small")) >= 2
        process.send_signal(killer)
        process.communicate(timeout=60)
    assert process.returncode == code
    wait_until(lambda: nothing_is_left(tmp_path), "all is gone", PATIENCE)
    assert everything(repository) == before
    assert list((tmp_path / "out").iterdir()) == []


def test_side_that_is_killed_is_a_sentence(repository: Path, tmp_path: Path) -> None:
    with started(repository, tmp_path, "slow", "main", "--seeds", "2") as process:
        wait_until_it_runs(tmp_path, process)
        runs = processes_of(tmp_path, "harness-compare-")
        leaders = [number for number in runs if os.getpgid(number) == number]
        for number in leaders:
            if "guardian" not in command_of(number):
                with suppress(ProcessLookupError):  # the quick side may be done by now
                    os.kill(number, signal.SIGKILL)
        process.communicate(timeout=60)
    assert process.returncode == 3
    assert "`harness run small` was killed by SIGKILL" in problem(tmp_path)
    assert nothing_is_left(tmp_path)


def command_of(process: int) -> str:
    command = ["ps", "-ww", "-o", "args=", "-p", str(process)]
    return subprocess.run(command, capture_output=True, text=True).stdout


def test_killed_guardian_is_replaced(repository: Path, tmp_path: Path) -> None:
    before = everything(repository)
    with started(repository, tmp_path, "slow", "slow", "--seeds", "2", "--no-cache") as process:
        wait_until_it_runs(tmp_path, process)
        (guardian,) = processes_of(tmp_path, "guardian.py")
        os.kill(guardian, signal.SIGKILL)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert nothing_is_left(tmp_path)
    assert everything(repository) == before


# --- a full disk -------------------------------------------------------------------------


def files_of_at_most(size_bytes: int) -> Callable[[], None]:
    """No file can grow beyond that in a process: as good as a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def test_full_disk_is_a_sentence_and_leaves_no_half_file(repository: Path, tmp_path: Path) -> None:
    before = everything(repository)
    words = ("main", "main", "--seeds", "2")
    with started(repository, tmp_path, *words, before=files_of_at_most(10_000)) as full:
        _, complaints = full.communicate(timeout=60)
    assert full.returncode == 3
    assert "git cannot make a worktree of" in complaints
    assert list((tmp_path / "out").iterdir()) == []
    assert compared(repository, tmp_path, *words)[0] == 0
    (tmp_path / "out" / "comparison.json").unlink()
    with started(repository, tmp_path, *words, before=files_of_at_most(1_000)) as full:
        _, complaints = full.communicate(timeout=60)
    assert full.returncode == 2
    assert "cannot write to " in complaints
    assert list((tmp_path / "out").iterdir()) == []
    assert everything(repository) == before
    assert nothing_is_left(tmp_path)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
