"""Parts of a comparison of branches, each by itself: commands, joined sides, closer looks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.branches import guardian
from harness.branches.interrupts import ends_like_ctrl_c
from harness.branches.runs import Code, Order, Ran, environment_of
from harness.branches.session import _between
from harness.branches.sides import joined, with_checkpoints, without
from harness.branches.targets import Target
from harness.branches.workshop import Workshop
from harness.comparing.side import Side
from harness.comparison import Divergence, Level
from harness.record import Checkpoints
from harness.scorecard import EngineResult
from tests.branching import clean_environment, everything, git
from tests.examples import healthy, judged, scorecard_of

TARGET = Target("main", "ref", Path("."), ("small", "other"), "1f0c9a4b", True)
ORDER = Order(Code(Path("/code"), False), ("small",), range(3, 7), 2, 600.0)


def test_command_has_the_seeds_and_is_quiet() -> None:
    assert ORDER.command(Path("out"))[1:] == [
        "-m", "harness", "run", "small", "--seeds", "4", "--seed", "3", "--jobs", "2",
        "--timeout", "600", "--out", "out", "--no-progress", "-q",
    ]  # fmt: skip


def test_limit_is_what_all_trainings_may_take() -> None:
    """Two at once: four seeds are two rounds, and one more may go to a rehearsal."""
    assert ORDER.seconds == 60.0 + 3 * 600.0


@pytest.mark.parametrize("is_users", [False, True])
def test_environment_has_the_code_first_and_no_word_of_git(is_users: bool) -> None:
    user = {"GIT_DIR": "/x", "PYTHONPATH": "/mine", "OPENBLAS_NUM_THREADS": "8", "LANG": "de",
            "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    with Workshop(None, {}) as workshop:
        found = environment_of(Code(Path("/code"), is_users), user, workshop)
        assert ("PYTHONPYCACHEPREFIX" in found) is is_users
    assert found["PYTHONPATH"] == "/code:/mine"
    assert (found["OPENBLAS_NUM_THREADS"], found["LANG"]) == ("1", "de")
    assert not found.keys() & {"GIT_DIR", "PYTHONDONTWRITEBYTECODE"}


# --- sides -------------------------------------------------------------------------------


def ran(milestone: str, seeds: range, engine: EngineResult | None = None) -> Ran:
    results = [judged(healthy(seed=seed, milestone=milestone)) for seed in seeds]
    scorecard = scorecard_of(*results)
    known = {"seeds": list(seeds), "configs": {milestone: milestone[0]}, "data": {milestone: "d"}}
    provenance = scorecard.provenance.model_copy(update=known)
    update = {"provenance": provenance, "engine": engine}
    curves = {f"{milestone}/{seed}/loss": np.array([float(seed)]) for seed in seeds}
    return Ran(scorecard.model_copy(update=update), curves)


def test_side_is_all_runs_together() -> None:
    good = EngineResult(backend="numpy", status="pass", verdicts=[])
    bad = EngineResult(backend="numpy", status="fail", verdicts=[])
    runs = [ran("small", range(2), good), ran("other", range(1), bad), ran("small", range(2, 3))]
    side = joined(TARGET, runs, {"other"})
    assert side.milestones == ["small", "other"]
    assert sorted(side.results("small")) == [0, 1, 2]
    assert side.scorecard.engine == bad
    assert side.scorecard.status == "fail"
    assert side.scorecard.provenance.configs == {"small": "s", "other": "o"}
    assert side.scorecard.provenance.seeds == [0, 1, 2]
    assert side.curves["small/2/loss"] == 2.0
    assert (side.source.name, side.source.commit, side.source.dirty) == ("main", "1f0c9a4b", False)
    assert without(side, ["other"]).milestones == ["small"]
    assert without(side, ["other"]).unsteady == frozenset()


def prints(steps: list[int]) -> dict[str, np.ndarray]:
    """Checkpoints of one tensor and one layer in which every number is its step."""
    found = {}
    for name, empty in vars(Checkpoints()).items():
        shape = (len(steps), 1, 3)[: empty.ndim]
        column = np.array(steps).reshape(-1, *[1] * (empty.ndim - 1))
        by_step = np.broadcast_to(column, shape)
        array = np.zeros(1) if name.startswith("start_") else by_step
        found[f"small/0/checkpoints/{name}"] = array.astype(empty.dtype)
    return found


def side_with(steps: list[int]) -> Side:
    only = joined(TARGET, [ran("small", range(1))])
    return Side(only.source, only.scorecard, prints(steps))


def test_further_checkpoints_stand_among_the_old_ones() -> None:
    found = with_checkpoints(side_with([0, 1, 2, 4, 8]), "small", 0, prints([5, 6, 8]))
    expected = prints([0, 1, 2, 4, 5, 6, 8])
    assert found.curves.keys() == expected.keys()
    for name, array in expected.items():
        assert np.array_equal(found.curves[name], array), name


def test_checkpoints_of_another_shape_or_of_nothing_are_left_alone() -> None:
    side = side_with([0, 1])
    wider = prints([2])
    name = "small/0/checkpoints/value_sketch"
    wider[name] = np.repeat(wider[name], 2, axis=-1)
    assert with_checkpoints(side, "small", 0, wider) is side
    assert with_checkpoints(side, "small", 0, {}) is side


@pytest.mark.parametrize(
    ("level", "since", "step", "expected"),
    [
        ("CHANGED", 16, 21, (17, 18, 19, 20, 21)),
        ("CHANGED", None, 2, (0, 1, 2)),
        ("CHANGED", 20, 21, ()),
        ("CHANGED", None, 0, ()),
        ("CHANGED", None, None, ()),
        ("ROUNDING", 16, 32, ()),
    ],
)
def test_closer_look_is_between_what_is_equal_and_what_is_not(
    level: Level, since: int | None, step: int | None, expected: tuple[int, ...]
) -> None:
    assert _between(Divergence(level=level, seed=0, since=since, step=step)) == expected


def test_closer_look_at_a_long_stretch_is_spread_over_it() -> None:
    steps = _between(Divergence(level="CHANGED", seed=0, since=511, step=1024))
    assert len(steps) == 64
    assert (steps[0], steps[-1]) == (512, 1024)
    assert max(np.diff(steps)) <= 9  # 513 steps in 63 strides
    assert _between(Divergence(level="CHANGED", since=4, step=8, unsteady=["head"])) == ()


# --- cleaning ----------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "one")
    return root


def test_cleaning_removes_own_worktrees_and_no_others(repository: Path, tmp_path: Path) -> None:
    mine = tmp_path / "harness-compare-x"
    git(repository, "worktree", "add", "--quiet", "--detach", str(tmp_path / "theirs"))
    before = everything(repository)
    git(repository, "worktree", "add", "--quiet", "--detach", str(mine / f"{mine.name}-base"))
    half = repository / ".git" / "worktrees" / f"{mine.name}-head"
    half.mkdir()
    (half / "locked").write_text("initializing")
    guardian.clean(mine, repository / ".git")
    assert everything(repository) == before
    assert not mine.exists()
    guardian.clean(mine, repository / ".git")
    assert everything(repository) == before


def test_guardian_kills_what_is_left_running(tmp_path: Path) -> None:
    def begun(seconds: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", f"import time; time.sleep({seconds})"]
        return subprocess.Popen(command, start_new_session=True)

    with begun(60) as left, begun(0) as ended:
        ended.wait()
        (tmp_path / "mine").mkdir()
        command = [sys.executable, "-I", "-S", guardian.__file__, str(tmp_path / "mine"), ""]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(f"+{left.pid}\n+{ended.pid}\n-{ended.pid}\n".encode())
            process.stdin.flush()
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGCONT)
            assert left.poll() is None
            process.stdin.close()
            assert process.wait(60) == 0
        assert left.wait(60) == -signal.SIGKILL
    assert not (tmp_path / "mine").exists()


def test_workshop_knows_its_processes_and_leaves_nothing(repository: Path) -> None:
    from harness.branches.repository import repository_at

    place = repository_at(repository, clean_environment())
    before = everything(repository)
    with Workshop(place, clean_environment()) as workshop:
        tree = workshop.worktree("HEAD", "base")
        assert (tree / ".git").is_file()
        sleeper = workshop.start([sys.executable, "-c", "import time; time.sleep(60)"], {})
        assert os.getsid(sleeper.process.pid) == sleeper.process.pid
        folder = workshop.folder
    assert sleeper.process.returncode == -signal.SIGKILL
    assert not folder.exists()
    assert everything(repository) == before


def test_unused_workshop_makes_nothing(repository: Path) -> None:
    from harness.branches.repository import repository_at

    with Workshop(repository_at(repository, clean_environment()), {}) as workshop:
        assert not workshop._folder.exists()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_polite_signal_is_an_interrupt_inside_and_only_there(name: str) -> None:
    number = signal.Signals[name]
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), ends_like_ctrl_c():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ends_like_ctrl_c():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
