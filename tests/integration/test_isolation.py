"""Whatever one task does, it becomes that task's result, the others finish, nothing is left."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, as_completed
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from harness.errors import (
    JobCrashedError,
    JobError,
    JobKilledError,
    JobTimeoutError,
    UsageError,
)
from harness.executors import IsolatedExecutor
from tests.examples import ROOT
from tests.processes import is_alive, wait_until

# The worker processes of pytest-xdist have a thread of their own while they fork.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals"),
]
PATIENCE = 10.0


def square(x: int) -> int:
    return x * x


def raise_(error: BaseException) -> None:
    raise error


def hang(mark: Path) -> None:
    mark.write_text(str(os.getpid()), encoding="utf-8")
    signal.pause()


def hang_stubbornly(mark: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    mark.write_text(str(os.getpid()), encoding="utf-8")
    while True:
        signal.pause()


def die(number: int) -> None:
    os.kill(os.getpid(), number)
    signal.pause()


class Poison:
    """A result that cannot be unpacked: receiving it raises what a pipe never raises."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[BaseException]]:
        return raise_, (ZeroDivisionError("poison"),)


def poison() -> Poison:
    return Poison()


def unpicklable() -> Callable[[], int]:
    return lambda: 1


class MuteError(Exception):
    """An engine's exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def raise_mute() -> None:
    raise MuteError


def leave_a_thread(mark: Path) -> int:
    """A result, and a thread that keeps the process from ending."""
    threading.Thread(target=time.sleep, args=(1000.0,)).start()
    mark.write_text(str(os.getpid()), encoding="utf-8")
    return 7


def hang_up_and_hang(mark: Path) -> None:
    """Close what the result would be sent through."""
    mark.write_text(str(os.getpid()), encoding="utf-8")
    for each in gc.get_objects():
        if type(each) is Connection and each.writable:  # isinstance may run code of an engine
            with suppress(OSError):  # another test may have closed what is behind it
                each.close()
    while True:
        signal.pause()


def chatter(size: int) -> bytes:
    return b"x" * size


def pid_in(mark: Path) -> int:
    wait_until(
        lambda: mark.exists() and mark.read_text(encoding="utf-8") != "",
        f"{mark} is there",
        PATIENCE,
    )
    return int(mark.read_text(encoding="utf-8"))


@contextmanager
def executor(workers: int = 2, timeout: float | None = None) -> Iterator[IsolatedExecutor]:
    """Ends at once, whatever still runs."""
    made = IsolatedExecutor(workers, timeout)
    try:
        yield made
    finally:
        made.shutdown(cancel_futures=True)


# --- the executor ------------------------------------------------------------------------


def test_results_arrive_whatever_the_number_of_workers() -> None:
    for workers in (1, 2, 5):
        with executor(workers) as pool:
            assert list(pool.map(square, range(12))) == [x * x for x in range(12)]


def test_every_task_has_a_process_of_its_own() -> None:
    with executor(2) as pool:
        pids = [pool.submit(os.getpid).result(PATIENCE) for _ in range(4)]
    assert len({*pids, os.getpid()}) == 5


def test_large_results_pass() -> None:
    with executor(3) as pool:
        futures = [pool.submit(chatter, 5_000_000) for _ in range(6)]
        assert [len(future.result(PATIENCE)) for future in futures] == [5_000_000] * 6


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ZeroDivisionError("by nothing"), "it raised ZeroDivisionError: by nothing"),
        (SystemExit(0), "it raised SystemExit: 0"),
        (KeyboardInterrupt(), "it raised KeyboardInterrupt: "),
        (MemoryError("too much"), "it raised MemoryError: too much"),
        (UsageError("not a job's"), "it raised UsageError: not a job's"),
    ],
)
def test_crash_is_its_own_result_and_the_others_finish(error: BaseException, words: str) -> None:
    with executor() as pool:
        bad, good = pool.submit(raise_, error), pool.submit(square, 3)
        with pytest.raises(JobCrashedError) as caught:
            bad.result(PATIENCE)
        assert good.result(PATIENCE) == 9
    assert str(caught.value).startswith(words)
    assert "test_isolation.py" in str(caught.value)
    assert "Traceback" in caught.value.details


@pytest.mark.parametrize(
    "error", [JobError("as it is", "a hint"), JobTimeoutError("late"), JobKilledError("gone")]
)
def test_job_errors_of_a_task_pass_as_they_are(error: JobError) -> None:
    with executor() as pool:
        found = pool.submit(raise_, error).exception(PATIENCE)
    assert type(found) is type(error)
    assert (str(found), found.hint) == (str(error), error.hint)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGTERM, "SIGTERM")]
)
def test_killed_process_is_its_own_result(number: int, name: str) -> None:
    with executor() as pool:
        bad, good = pool.submit(die, number), pool.submit(square, 3)
        error = bad.exception(PATIENCE)
        assert good.result(PATIENCE) == 9
    assert isinstance(error, JobKilledError)
    assert str(error) == f"its process was killed by {name}"


def test_process_that_leaves_without_a_word_is_its_own_result() -> None:
    with executor() as pool:
        bad, good = pool.submit(os._exit, 7), pool.submit(square, 3)
        error = bad.exception(PATIENCE)
        assert good.result(PATIENCE) == 9
    assert isinstance(error, JobKilledError)
    assert str(error) == "its process ended with exit code 7 and no result"


@pytest.mark.parametrize("task", [hang, hang_stubbornly])
def test_hang_is_stopped_at_the_timeout(task: Callable[[Path], None], tmp_path: Path) -> None:
    with executor(timeout=0.5) as pool:
        bad, good = pool.submit(task, tmp_path / "pid"), pool.submit(square, 3)
        error = bad.exception(PATIENCE)
        assert good.result(PATIENCE) == 9
        assert pool.submit(square, 4).result(PATIENCE) == 16
        assert not is_alive(pid_in(tmp_path / "pid"))
    assert isinstance(error, JobTimeoutError)
    assert str(error) == "it was stopped after 0.5 s"
    assert "--timeout" in error.hint


def test_thread_that_never_ends_costs_the_grace_and_no_more(tmp_path: Path) -> None:
    with executor(2) as pool:
        start = time.monotonic()
        marks = [tmp_path / f"pid{i}" for i in range(4)]
        found = [future.result(PATIENCE) for future in
                 [pool.submit(leave_a_thread, mark) for mark in marks]]  # fmt: skip
        assert found == [7] * 4
        assert time.monotonic() - start < 4.0  # two after two, each with half a second of grace
        assert not any(is_alive(pid_in(mark)) for mark in marks)
        assert pool.submit(square, 3).result(PATIENCE) == 9


def test_process_that_closes_its_line_and_goes_on_is_its_own_result(tmp_path: Path) -> None:
    with executor() as pool:
        bad, good = pool.submit(hang_up_and_hang, tmp_path / "pid"), pool.submit(square, 3)
        error = bad.exception(PATIENCE)
        assert good.result(PATIENCE) == 9
        assert not is_alive(pid_in(tmp_path / "pid"))
    assert isinstance(error, JobKilledError)
    assert str(error) == "its process closed its connection to the harness and went on"


def test_exception_without_a_text_is_told_by_its_type() -> None:
    with executor() as pool:
        error = pool.submit(raise_mute).exception(PATIENCE)
    assert isinstance(error, JobCrashedError)
    assert str(error).startswith("it raised MuteError: (its __str__ raised RuntimeError) (")
    assert "in raise_mute" in str(error)
    assert "Traceback" in error.details


def test_death_of_the_parent_ends_workers_that_a_thread_keeps(tmp_path: Path) -> None:
    words = (
        "import sys; from pathlib import Path; from tests.integration.test_isolation import *; "
        "pool = IsolatedExecutor(2); folder = Path(sys.argv[1]); "
        "[pool.submit(leave_a_thread, folder / f'pid{i}') for i in range(2)]; "
        "time.sleep(1000)"
    )
    parent = subprocess.Popen([sys.executable, "-c", words, str(tmp_path)], cwd=ROOT)
    pids = [pid_in(tmp_path / f"pid{i}") for i in range(2)]
    parent.kill()
    parent.wait(PATIENCE)
    wait_until(
        lambda: not any(map(is_alive, pids)), "the workers of a dead parent are gone", PATIENCE
    )


def test_result_that_cannot_be_sent_is_its_own_result() -> None:
    with executor() as pool:
        bad, good = pool.submit(unpicklable), pool.submit(square, 3)
        assert isinstance(bad.exception(PATIENCE), JobCrashedError)
        assert good.result(PATIENCE) == 9


def test_result_that_cannot_be_received_is_its_own_result() -> None:
    with executor() as pool:
        bad, good = pool.submit(poison), pool.submit(square, 3)
        assert isinstance(bad.exception(PATIENCE), JobError)
        assert good.result(PATIENCE) == 9


@pytest.mark.parametrize("busy", [False, True])
def test_task_that_cannot_be_sent_is_its_own_result(busy: bool, tmp_path: Path) -> None:
    """At once, or when its turn comes."""
    with executor(1) as pool:
        first = pool.submit(square, 2) if busy else None
        try:
            bad: Future[int] | None = pool.submit(lambda: 1)
        except Exception:  # refusing at once is as good
            bad = None
        good = pool.submit(square, 3)
        if first is not None:
            assert first.result(PATIENCE) == 4
        assert good.result(PATIENCE) == 9
        if bad is not None:
            assert bad.exception(PATIENCE) is not None


def test_shutdown_kills_what_runs_and_cancels_what_waits(tmp_path: Path) -> None:
    pool = IsolatedExecutor(1)
    running = pool.submit(hang, tmp_path / "pid")
    waiting = pool.submit(square, 3)
    pid = pid_in(tmp_path / "pid")
    pool.shutdown(cancel_futures=True)
    assert not is_alive(pid)
    assert isinstance(running.exception(PATIENCE), JobKilledError)
    with pytest.raises(CancelledError):
        waiting.result(PATIENCE)


def test_shutdown_waits_for_what_was_submitted() -> None:
    with IsolatedExecutor(2) as pool:
        futures = [pool.submit(square, x) for x in range(6)]
    assert [future.result(0) for future in futures] == [x * x for x in range(6)]


def test_shutdown_may_come_twice() -> None:
    pool = IsolatedExecutor(1)
    pool.shutdown()
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(square, 3)


@pytest.fixture
def keeperless(tmp_path: Path) -> Iterator[tuple[IsolatedExecutor, list[Future[None]], list[int]]]:
    """An executor whose keeper was just killed: its five futures, and the two that ran."""
    pool = IsolatedExecutor(2)
    futures = [pool.submit(hang, tmp_path / f"pid{i}") for i in range(5)]
    pids = [pid_in(tmp_path / f"pid{i}") for i in range(2)]
    os.kill(pool._keeper.pid or 0, signal.SIGKILL)
    yield pool, futures, pids
    for pid in filter(is_alive, pids):
        os.kill(pid, signal.SIGKILL)


Keeperless = tuple[IsolatedExecutor, list[Future[None]], list[int]]


def test_death_of_the_keeper_completes_all_futures(keeperless: Keeperless) -> None:
    pool, futures, _ = keeperless
    for future in as_completed(futures, PATIENCE):
        assert isinstance(future.exception(), JobKilledError)
    assert isinstance(pool.submit(square, 3).exception(PATIENCE), JobKilledError)


def test_executor_without_a_keeper_can_be_shut_down(keeperless: Keeperless) -> None:
    pool, futures, _ = keeperless
    list(as_completed(futures, PATIENCE))
    pool.shutdown(cancel_futures=True)


def test_death_of_the_keeper_leaves_no_orphans(keeperless: Keeperless) -> None:
    _, _, pids = keeperless
    wait_until(
        lambda: not any(map(is_alive, pids)), "the workers of a dead keeper are gone", PATIENCE
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
