"""A real `harness run` on a terminal: progress, colour, Ctrl-C, kills and what they leave."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.scorecard import load
from tests.examples import ROOT, small_file
from tests.processes import wait_until

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"
)
PATIENCE = 15.0
# As a shell starts it; a parent in the background hands down that SIGINT is ignored.
# Signals as a terminal has them, whatever the tests were started under (nohup, for one).
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    "from harness.cli import main; main()"
)
LONG = ("epochs: 80", "epochs: 100000000")


def members(session: int) -> set[int]:
    """Every living process of a session."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                after_name = (folder / "stat").read_text(encoding="utf-8").rsplit(")")[-1].split()
            except (OSError, UnicodeDecodeError):
                continue
            if after_name[0] != "Z" and int(after_name[3]) == session:
                found.add(int(folder.name))
    return found


@dataclass
class Run:
    """A `harness` in a session of its own, its stdout and stderr terminals of their own."""

    process: subprocess.Popen[bytes]
    terminals: dict[str, int]
    said: dict[str, str]

    def read(self, seconds: float) -> None:
        ready, _, _ = select.select(list(self.terminals.values()), [], [], seconds)
        for name, terminal in self.terminals.items():
            if terminal in ready:
                try:
                    self.said[name] += os.read(terminal, 65536).decode()
                except OSError:  # the other end is closed
                    return

    def until(self, name: str, words: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while words not in self.said[name]:
            assert time.monotonic() < deadline, f"{words!r} is not in {self.said}"
            self.read(0.1)

    def end(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end: {self.said}"
            self.read(0.05)
        self.read(0.1)
        return self.process.returncode


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts `harness` with arguments, both outputs on terminals unless `piped`."""
    runs: list[Run] = []

    def pair(piped: bool) -> tuple[int, int]:
        ours, theirs = os.pipe() if piped else os.openpty()
        if not piped:
            termios.tcsetwinsize(ours, (24, 120))
        return ours, theirs

    def start(*arguments: str, piped: bool = False, **environment: str) -> Run:
        pairs = {name: pair(piped) for name in ("stdout", "stderr")}
        environment = {"TERM": "xterm-256color", **environment}
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        process = subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            cwd=tmp_path,
            env={**kept, **environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=pairs["stdout"][1],
            stderr=pairs["stderr"][1],
            start_new_session=True,
        )
        for _, theirs in pairs.values():
            os.close(theirs)
        ours = {name: both[0] for name, both in pairs.items()}
        runs.append(Run(process, ours, {"stdout": "", "stderr": ""}))
        return runs[-1]

    yield start
    for run in runs:
        for pid in members(run.process.pid):
            os.kill(pid, signal.SIGKILL)
        run.process.wait()
        for terminal in run.terminals.values():
            os.close(terminal)


Spawn = Callable[..., Run]


def test_progress_is_shown_on_a_terminal_and_only_on_stderr(spawn: Spawn, tmp_path: Path) -> None:
    run = spawn("run", small_file(tmp_path).name)
    assert run.end() == 0
    assert "small pass" in run.said["stderr"]
    assert "1/1" in run.said["stderr"]
    assert "1/1" not in run.said["stdout"]
    assert "1 of 1 milestones pass." in run.said["stdout"]


@pytest.mark.parametrize("option", ["--no-progress", "--quiet"])
def test_progress_can_be_turned_off(spawn: Spawn, tmp_path: Path, option: str) -> None:
    run = spawn("run", small_file(tmp_path).name, option)
    assert run.end() == 0
    assert run.said["stderr"] == ""


def test_progress_and_colour_are_not_for_pipes(spawn: Spawn, tmp_path: Path) -> None:
    run = spawn("run", small_file(tmp_path).name, piped=True)
    assert run.end() == 0
    assert run.said["stderr"] == ""
    assert "\x1b" not in run.said["stdout"]


def test_colour_is_shown_on_a_terminal(spawn: Spawn, tmp_path: Path) -> None:
    run = spawn("run", small_file(tmp_path).name)
    assert run.end() == 0
    assert "\x1b[" in run.said["stdout"]


@pytest.mark.parametrize("value", ["1", "yes"])
def test_no_color_is_honoured_and_words_remain(spawn: Spawn, tmp_path: Path, value: str) -> None:
    run = spawn("run", small_file(tmp_path).name, "--no-progress", NO_COLOR=value)
    assert run.end() == 0
    assert "\x1b" not in run.said["stdout"] + run.said["stderr"]
    assert "pass" in run.said["stdout"]


def test_json_on_a_terminal_has_no_colour(spawn: Spawn, tmp_path: Path) -> None:
    run = spawn("run", small_file(tmp_path).name, "--format", "json")
    assert run.end() == 0
    assert json.loads(run.said["stdout"])["status"] == "pass"


def test_ctrl_c_writes_what_is_finished_and_leaves_nothing_behind(
    spawn: Spawn, tmp_path: Path
) -> None:
    quick, long = small_file(tmp_path).name, small_file(tmp_path, LONG, name="long").name
    last = small_file(tmp_path, name="last").name
    run = spawn("run", quick, long, last, "--jobs", "1")
    run.until("stderr", "small pass")
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.end() == 130
    wait_until(lambda: not members(run.process.pid), "all processes are gone", PATIENCE)
    assert "Traceback" not in run.said["stdout"] + run.said["stderr"]
    card = load(tmp_path / "runs" / "latest")
    assert [(result.milestone, result.status) for result in card.results] == [
        ("small", "pass"),
        ("long", "error"),
        ("last", "error"),
    ]
    assert card.status == "error"
    for result in card.results[1:]:
        assert "interrupted" in result.verdicts[0].reason


def test_ctrl_c_reaching_only_the_main_process_does_the_same(spawn: Spawn, tmp_path: Path) -> None:
    quick, long = small_file(tmp_path).name, small_file(tmp_path, LONG, name="long").name
    run = spawn("run", long, quick, "--jobs", "2")
    run.until("stderr", "small pass")
    os.kill(run.process.pid, signal.SIGINT)
    assert run.end() == 130
    wait_until(lambda: not members(run.process.pid), "all processes are gone", PATIENCE)
    statuses = {r.milestone: r.status for r in load(tmp_path / "runs" / "latest").results}
    assert statuses == {"long": "error", "small": "pass"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_killed_run_leaves_no_orphans_and_no_half_file(
    spawn: Spawn, tmp_path: Path, number: int
) -> None:
    quick, long = small_file(tmp_path).name, small_file(tmp_path, LONG, name="long").name
    assert spawn("run", quick, "--no-progress").end() == 0
    before = (tmp_path / "runs" / "latest" / "scorecard.json").read_bytes()
    run = spawn("run", quick, long, "--jobs", "2")
    run.until("stderr", "small pass")
    os.kill(run.process.pid, number)
    assert run.end() == -number
    wait_until(lambda: not members(run.process.pid), "all processes are gone", PATIENCE)
    assert (tmp_path / "runs" / "latest" / "scorecard.json").read_bytes() == before


def test_timeout_stops_a_milestone_and_the_others_finish(spawn: Spawn, tmp_path: Path) -> None:
    quick, long = small_file(tmp_path).name, small_file(tmp_path, LONG, name="long").name
    run = spawn("run", long, quick, "--jobs", "2", "--timeout", "1", "--no-progress")
    assert run.end() == 3
    assert not members(run.process.pid)
    card = load(tmp_path / "runs" / "latest")
    assert [result.status for result in card.results] == ["error", "pass"]
    assert card.results[0].verdicts[0].reason == "it was stopped after 1 s"


def test_killed_worker_is_that_milestones_result(spawn: Spawn, tmp_path: Path) -> None:
    quick, long = small_file(tmp_path).name, small_file(tmp_path, LONG, name="long").name
    run = spawn("run", long, quick, "--jobs", "2")
    run.until("stderr", "small pass")
    workers = members(run.process.pid) - {run.process.pid}
    os.kill(max(workers), signal.SIGKILL)  # the keeper is older than what it started
    assert run.end() == 3
    reasons = [result.verdicts[0].reason for result in load(tmp_path / "runs" / "latest").results]
    assert reasons[0] == "its process was killed by SIGKILL"


def test_killed_keeper_costs_what_is_not_finished_and_nothing_else(
    spawn: Spawn, tmp_path: Path
) -> None:
    names = ["small", "long", "longer", "last"]
    for name, changes in zip(names, ([], [LONG], [LONG], []), strict=True):
        small_file(tmp_path, *changes, name=name)
    files = [f"{name}.yaml" for name in names]
    run = spawn("run", *files, "--jobs", "2", "--fail-fast")  # or the long ones would start first
    run.until("stderr", "small pass")
    os.kill(min(members(run.process.pid) - {run.process.pid}), signal.SIGKILL)
    assert run.end() == 3
    assert "Traceback" not in run.said["stderr"]
    results = load(tmp_path / "runs" / "latest").results
    assert [result.milestone for result in results] == names
    assert [result.status for result in results] == ["pass", "error", "error", "error"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
