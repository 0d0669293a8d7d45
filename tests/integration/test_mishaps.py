"""Whatever goes wrong in one milestone becomes its result, and the others finish."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import runner
from harness.config import MilestoneConfig
from harness.config_files import load as load_config
from harness.errors import OutputError
from harness.record import RunRecord
from harness.scorecard import load
from harness.session import Request, run_session
from tests.examples import small_file

# The worker processes of pytest-xdist have a thread of their own while they fork.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals"),
]


def misbehave(config: MilestoneConfig, *others: Any) -> RunRecord:
    """In the place of `train`: what the name of the milestone says."""
    record = TRAIN(config, *others)
    if config.name == "crash":
        raise ZeroDivisionError("by nothing")
    if config.name == "hang":
        signal.pause()
    if config.name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if config.name == "leave":
        sys.exit(0)
    if config.name == "nan":
        record.loss[3:] = np.nan
        record.gradient_norm[3:] = np.inf
    return record


TRAIN = runner.train
CAUSES = {
    "crash": ("error", "runs", "it raised ZeroDivisionError: by nothing"),
    "hang": ("error", "runs", "it was stopped after 1.5 s"),
    "kill": ("error", "runs", "its process was killed by SIGKILL"),
    "leave": ("error", "runs", "it raised SystemExit: 0"),
    "nan": ("fail", "gradients_arrive", "hidden.weight, hidden.bias, output.weight, output.bias "
            "had NaN or infinity for a gradient, first at step 4"),
    "good": ("pass", "", ""),
}  # fmt: skip


def test_every_mishap_is_the_result_of_its_own_milestone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "train", misbehave)
    files = [str(small_file(tmp_path, name=name)) for name in CAUSES]
    finished = run_session(Request(files, tmp_path / "out", range(1), 2, timeout=1.5))
    assert not finished.interrupted
    assert [result.milestone for result in finished.scorecard.results] == list(CAUSES)
    for result in finished.scorecard.results:
        status, check, reason = CAUSES[result.milestone]
        bad = [each for each in result.verdicts if each.status in ("fail", "error")]
        assert result.status == status
        assert [verdict.check for verdict in bad][:1] == ([check] if check else [])
        assert not bad or bad[0].reason.startswith(reason)
    assert finished.scorecard.status == "fail"
    assert finished.file.exists()


def test_fail_fast_starts_nothing_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "train", misbehave)
    names = ["good", "crash", "kill", "leave"]
    files = [str(small_file(tmp_path, name=name)) for name in names]
    request = Request(files, tmp_path / "out", range(1), jobs=1, fail_fast=True)
    results = run_session(request).scorecard.results
    assert [result.milestone for result in results] == names
    assert results[0].status == "pass"
    assert [result.verdicts[0].reason for result in results[2:]] == [
        "it was not run: stopped after the first failure (--fail-fast)"
    ] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs locks of folders")
def test_second_run_into_a_folder_is_refused_while_the_first_one_runs(tmp_path: Path) -> None:
    def another(count: int) -> None:
        with pytest.raises(OutputError, match="another run is writing to") as caught:
            run_session(Request(["perceptron"], tmp_path, range(1), 1))
        assert "--out DIR" in caught.value.hint

    first = run_session(Request(["xor"], tmp_path, range(1), 1), on_start=another)
    assert [each.milestone for each in load(tmp_path).results] == ["xor"]
    assert run_session(Request(["xor"], tmp_path, range(1), 1)).file == first.file


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_results_do_not_depend_on_the_number_of_jobs(jobs: int, tmp_path: Path) -> None:
    request = Request(["xor", "perceptron"], tmp_path, range(3), jobs)
    results = run_session(request).scorecard.results
    again = run_session(Request(["perceptron"], tmp_path, range(2, 3), 1)).scorecard.results
    assert [result.seed for result in results] == [0, 1, 2] * 2
    assert len({result.digest for result in results}) == 6
    assert results[5].digest == again[0].digest


def test_any_executor_will_do(tmp_path: Path) -> None:
    """Threads, say: what matters is that `execute` is a function of one small value."""
    jobs = runner.plan([load_config(small_file(tmp_path))], [0, 1, 2], "numpy")
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(runner.run(jobs, threads, at_once=2))
    ordered = runner.in_order(jobs, outcomes, "never")
    assert [(each.job.seed, each.result.status) for each in ordered] == [
        (0, "pass"), (1, "pass"), (2, "pass"),
    ]  # fmt: skip
    assert all(pickle.loads(pickle.dumps(job)) == job for job in jobs)


SPAWNING = """\
import multiprocessing
multiprocessing.get_all_start_methods = lambda: ["spawn"]
from harness.cli import main
if __name__ == "__main__":
    main()
"""


def test_where_there_is_no_fork_processes_are_spawned(tmp_path: Path) -> None:
    """With the same results to the bit, and a hang is a result as well."""
    (tmp_path / "spawning.py").write_text(SPAWNING, encoding="utf-8")
    command = [sys.executable, "spawning.py", "run", small_file(tmp_path).name, "--no-progress"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    (spawned,) = load(tmp_path / "runs" / "latest").results
    request = Request([str(tmp_path / "small.yaml")], tmp_path / "forked", range(1), 1)
    (forked,) = run_session(request).scorecard.results
    assert spawned.digest == forked.digest
    command += ["--timeout", "0.01"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60).returncode == 3


def test_thread_that_an_engine_starts_at_import_keeps_nothing_waiting(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "harness"]
    subprocess.run([*run, "backend", "new", "mylib"], cwd=tmp_path, check=True, timeout=30)
    file = tmp_path / "mylib_backend.py"
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n"
    file.write_text(file.read_text("utf-8") + thread, encoding="utf-8")
    words = ["run", "--backend", "./mylib_backend.py", "perceptron", "--checks", "gradients_arrive"]
    done = subprocess.run([*run, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 milestones pass" in done.stdout


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
