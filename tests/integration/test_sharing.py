"""What the jobs of a session have in common is loaded once, and not by the session itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from harness import datasets, probes
from harness.config_files import load
from harness.datasets.base import Dataset
from harness.errors import (
    ConfigError,
    HarnessError,
    JobCrashedError,
    JobKilledError,
    JobTimeoutError,
)
from harness.executors import IsolatedExecutor
from harness.runner import plan, run
from harness.session import Request, run_session
from tests.examples import ROOT, small_file
from tests.processes import wait_until

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="what is shared reaches tasks by fork"),
]
PATIENCE = 10.0
KEPT: list[int] = []


def keep(number: int) -> int:
    KEPT.append(number)
    return os.getpid()


def kept() -> tuple[list[int], int]:
    return KEPT, os.getppid()


def hang(mark: Path) -> None:
    mark.write_text("", encoding="utf-8")
    signal.pause()


def fail() -> None:
    raise ValueError("no such thing")


def test_tasks_find_what_was_shared_before_them() -> None:
    with IsolatedExecutor(2) as pool:
        futures: list[Future[int]] = [pool.share(keep, 1), pool.share(keep, 2)]
        found, parent = pool.submit(kept).result(PATIENCE)
        pids = {future.result(PATIENCE) for future in futures}
    assert found == [1, 2]
    assert pids == {parent}
    assert KEPT == []  # here, nothing was loaded


def test_what_fails_to_be_shared_stops_no_task() -> None:
    with IsolatedExecutor(1) as pool:
        failed = pool.share(fail).exception(PATIENCE)
        assert pool.submit(kept).result(PATIENCE)[0] == []
    assert isinstance(failed, JobCrashedError)
    assert failed.message.startswith("it raised ValueError: no such thing")


def test_shutdown_does_not_wait_for_what_is_being_shared(tmp_path: Path) -> None:
    pool = IsolatedExecutor(1)
    running = pool.share(hang, tmp_path / "mark")
    wait_until((tmp_path / "mark").exists, "the keeper is at it")
    pool.shutdown(cancel_futures=True)
    assert isinstance(running.exception(PATIENCE), JobKilledError)


def test_session_does_not_hold_the_data(tmp_path: Path) -> None:
    file = small_file(tmp_path, ("[0, 0, 0, 1]", "[1, 0, 0, 0]"))
    before = datasets._load.cache_info().currsize
    finished = run_session(Request([str(file)], tmp_path / "out", range(2), jobs=2))
    assert finished.scorecard.status == "pass"
    assert datasets._load.cache_info().currsize == before
    expected: Dataset = datasets.load(load(file))
    assert finished.scorecard.provenance.data == {"small": expected.digest}


def test_data_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    file = small_file(tmp_path, ("outputs: [0, 0, 0, 1]", "outputs: [0, 0, 1]"))
    with pytest.raises(ConfigError, match=r"small\.yaml:9:.*4 inputs.*3 outputs"):
        run_session(Request([str(file)], tmp_path / "out", range(1), jobs=1))
    assert not (tmp_path / "out").exists()


def loops(**_: object) -> Dataset:
    while True:
        signal.pause()


def raises(**_: object) -> Dataset:
    raise KeyError("oops")


def exits(**_: object) -> Dataset:
    os._exit(3)


@pytest.mark.parametrize(
    ("recipe", "kind", "said"),
    [
        (loops, JobTimeoutError, "the data are not there after 2 s: recipe 'truth_table'"),
        (
            raises,
            ConfigError,
            r"small\.yaml:\d+:\d+: data: recipe 'truth_table' raised KeyError: 'oops'",
        ),
        (exits, JobCrashedError, "the data could not be loaded, recipe 'truth_table': "),
    ],
)
def test_recipe_that_fails_is_a_sentence_with_its_name(
    recipe: Callable[..., Dataset],
    kind: type[HarnessError],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("harness.datasets.truth_table.truth_table", recipe)
    # With other numbers than any before, whose data would be remembered.
    file = small_file(tmp_path, ("outputs: [0, 0, 0, 1]", "outputs: [0, 1, 0, 0]"))
    with pytest.raises(kind, match=said):
        run_session(Request([str(file)], tmp_path / "out", range(1), jobs=1, timeout=2.0))
    assert not (tmp_path / "out").exists()


def test_longest_job_starts_first_by_the_steps_that_are_told(tmp_path: Path) -> None:
    configs = [load(small_file(tmp_path, name=name)) for name in ("short", "long", "middle")]
    jobs = plan(configs, [0], "numpy", frozenset({"loss_falls"}))
    started: list[str] = []

    class Noting(IsolatedExecutor):
        def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]  # as its base's
            started.append(args[0].config.name)
            return super().submit(fn, *args, **kwargs)

    with Noting(2) as pool:
        list(run(jobs, pool, 2, steps={"short": 1, "long": 3, "middle": 2}))
    assert started == ["long", "middle", "short"]


def test_probes_are_imported_where_they_are_asked_for() -> None:
    asked = (
        "import sys; import harness.session; from harness import probes; "
        "before = {name for name in sys.modules if name.startswith('harness.probes.')}; "
        "probes.load(['op_values', 'batches']); print(*sorted(before)); "
        "print('harness.probes.engine.op_values' in sys.modules, "
        "'harness.probes.milestone.batches' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True
    )
    before, after = done.stdout.splitlines()
    # A session starts jobs, and no more: what is there tells the length of a job.
    assert before.split() == ["harness.probes.models", "harness.probes.models.walking"]
    assert after == "True True"


def test_names_of_no_probe_are_passed_over() -> None:
    probes.load(["no_such_probe"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
