"""An Executor in which every task has a process of its own.

A crash, a hang or a kill ends that task and no other. One keeper process, forked before
anything else happens, starts and watches the others: it has a single thread, so forking
is safe, and it has loaded all that the tasks need, so forking is cheap: what is here already,
and what `share` loads. Where there is no fork, processes are spawned instead.
"""

from __future__ import annotations

import math
import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic, sleep
from typing import Any, ParamSpec, TypeVar

from harness.errors import JobCrashedError, JobError, JobKilledError, JobTimeoutError
from harness.raised import told

P = ParamSpec("P")
T = TypeVar("T")
_CONTEXT = get_context("fork" if "fork" in get_all_start_methods() else "spawn")
# So long may a process take to end once its task is done: a thread may keep it for ever.
_GRACE = 0.5


class IsolatedExecutor(Executor):
    """Runs up to `workers` tasks at once; a task past `timeout` seconds is killed.

    A future's exception is a JobError: JobCrashedError, JobKilledError or JobTimeoutError.
    """

    def __init__(self, workers: int, timeout: float | None = None) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._waiting: deque[tuple[_Request, Future[Any]]] = deque()
        self._running: dict[int, Future[Any]] = {}
        self._count = 0
        self._is_alone = False  # the keeper is gone
        self._shared: list[Future[Any]] = []
        self._connection, keepers_end = _CONTEXT.Pipe()
        self._keeper = _CONTEXT.Process(  # type: ignore[attr-defined]  # see _start
            target=_keep, args=(keepers_end, self._connection, timeout), name="keeper"
        )
        self._keeper.start()
        keepers_end.close()
        self._reader = threading.Thread(target=self._read, name="results", daemon=True)
        self._reader.start()

    def share(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn(*args)` in the keeper itself: what it loads is there in every later task.

        Only what does not crash: no other task is started or looked after meanwhile.
        """
        future: Future[T] = Future()
        self._shared.append(future)
        return self._enqueue(future, (fn, args, kwargs), is_shared=True)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn(*args)` in a process of its own, as soon as one may start."""
        return self._enqueue(Future(), (fn, args, kwargs), is_shared=False)

    def _enqueue(self, future: Future[T], call: object, is_shared: bool) -> Future[T]:
        try:
            task = pickle.dumps(call)
        except Exception as error:  # whatever pickling may raise, it is this task's result
            future.set_exception(_crash(error))
            return future
        with self._lock:
            if self._connection.closed:
                raise RuntimeError("submit after the executor was shut down")
            if self._is_alone:
                future.set_exception(_keeper_gone())
                return future
            self._count += 1
            request = _Request(self._count, task, is_shared)
            if is_shared:  # at once: the keeper itself is always there
                self._hand_over(request, future)
            else:
                self._waiting.append((request, future))
                self._start_waiting()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End: with `cancel_futures` at once, killing what runs; otherwise when all is done."""
        with self._lock:
            waiting = [future for _, future in self._waiting]
            pending = [*self._running.values(), *waiting]
        if cancel_futures:
            for future in waiting:
                future.cancel()
        elif wait:
            for future in pending:
                future.exception()
        with self._lock:
            if self._connection.closed:
                return
            self._send(None)
        if cancel_futures and not all(future.done() for future in self._shared):
            self._keeper.kill()
        self._keeper.join()
        self._reader.join()
        self._connection.close()

    def _send(self, request: _Request | None) -> None:
        with suppress(OSError):  # the keeper is gone: the reader completes what is left
            self._connection.send(request)

    def _start_waiting(self) -> None:
        """Hand the keeper as many tasks as may run at once. Call with the lock held."""
        while self._waiting and len(self._running) < self._workers:
            self._hand_over(*self._waiting.popleft())

    def _hand_over(self, request: _Request, future: Future[Any]) -> None:
        if future.set_running_or_notify_cancel():
            self._running[request.number] = future
            self._send(request)

    def _read(self) -> None:
        """Complete futures until the keeper is gone, then whatever is left."""
        while True:
            try:
                number, answer = self._connection.recv()
            except (EOFError, OSError):
                break
            with self._lock:
                future = self._running.pop(number)
                self._start_waiting()
            _complete(future, answer)
        with self._lock:
            self._is_alone = True
            left = [*self._running.values(), *(future for _, future in self._waiting)]
        for future in left:
            if not future.done():
                future.set_exception(_keeper_gone())


def _keeper_gone() -> JobKilledError:
    return JobKilledError("the process that starts jobs is gone")


def _complete(future: Future[Any], answer: bytes | JobError) -> None:
    """Give a future the answer of its process: a pickled (result, error), or what ended it."""
    result, error = None, answer
    if isinstance(answer, bytes):
        try:
            result, error = pickle.loads(answer)
        except Exception as unreadable:  # a result that cannot be rebuilt here
            error = _crash(unreadable)
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)  # type: ignore[arg-type]  # bytes were replaced above


@dataclass(frozen=True)
class _Request:
    """A pickled call, to be made in a process of its own or, if `is_shared`, in the keeper's."""

    number: int
    task: bytes
    is_shared: bool


@dataclass
class _Task:
    """A process at work; `answer` is there once it has sent one, or closed the connection."""

    number: int
    process: BaseProcess
    results: Connection
    deadline: float
    answer: bytes | None = None
    is_ending: bool = False

    @property
    def awaited(self) -> Connection | int:
        """What is ready when there is something to do: its answer, and then its end."""
        return self.process.sentinel if self.is_ending else self.results


def _keep(connection: Connection, parents_end: Connection, timeout: float | None) -> None:
    """The keeper: start what is asked for, report what becomes of it, end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # stdout is for results: whatever a task prints, an engine too, goes to stderr
    parents_end.close()
    # Nothing is ever sent through it: its end tells the tasks that the keeper is gone.
    lifeline = _CONTEXT.Pipe(duplex=False)
    running: list[_Task] = []
    try:
        while True:
            ready = wait([connection, *(task.awaited for task in running)], _patience(running))
            if connection in ready:
                request = connection.recv()
                if request is None:
                    return
                if request.is_shared:
                    connection.send((request.number, _answer(request.task)))
                else:
                    running.append(_start(connection, lifeline, request, timeout))
            for task in list(running):
                if (answer := _looked_after(task, task.awaited in ready, timeout)) is not None:
                    running.remove(task)
                    connection.send((task.number, answer))
    except (EOFError, OSError):
        pass  # the parent is gone
    finally:
        for task in running:
            task.process.kill()


def _looked_after(task: _Task, is_ready: bool, timeout: float | None) -> bytes | JobError | None:
    """What became of a task, once its process has ended or had to be ended; None before."""
    if is_ready and not task.is_ending:
        with suppress(EOFError, OSError):
            task.answer = task.results.recv_bytes()
        task.results.close()
        task.is_ending, task.deadline = True, monotonic() + _GRACE
        return None  # its end is waited for, as is that of the others
    if not is_ready and task.deadline > monotonic():
        return None
    if not task.is_ending:
        return _overdue(task, timeout)
    return _ended(task)


def _patience(running: list[_Task]) -> float | None:
    """Seconds until the next deadline, an hour at most; None when there is none."""
    deadline = min((task.deadline for task in running), default=math.inf)
    return None if deadline == math.inf else min(max(0.0, deadline - monotonic()), 3600.0)


def _start(
    connection: Connection,
    lifeline: tuple[Connection, Connection],
    request: _Request,
    timeout: float | None,
) -> _Task:
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(  # type: ignore[attr-defined]  # known to each context, not to their base
        target=_perform, args=(theirs, connection, lifeline, request.task)
    )
    process.start()
    theirs.close()
    deadline = math.inf if timeout is None else monotonic() + timeout
    return _Task(request.number, process, ours, deadline)


def _perform(
    results: Connection,
    keepers_connection: Connection,
    lifeline: tuple[Connection, Connection],
    task: bytes,
) -> None:
    """In the task's own process: call, and send the answer."""
    keepers_connection.close()
    lifeline[1].close()
    threading.Thread(target=_end_with, args=(lifeline[0],), daemon=True).start()
    results.send_bytes(_answer(task))


def _answer(task: bytes) -> bytes:
    """Call, and pickle (result, error)."""
    try:
        fn, args, kwargs = pickle.loads(task)
        return pickle.dumps((fn(*args, **kwargs), None))
    except JobError as error:
        return pickle.dumps((None, error))
    except BaseException as error:  # also SystemExit: whatever it is, it is this task's result
        return pickle.dumps((None, _crash(error)))


def _end_with(lifeline: Connection) -> None:
    """End this process when the keeper's end of the line closes, whatever it is doing."""
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _crash(error: BaseException) -> JobCrashedError:
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    where = f" ({_from_here(last.filename)}:{last.lineno} in {last.name})" if last else ""
    message = f"it raised {told(error)}{where}"
    details = "".join(traceback.format_exception(error))
    return JobCrashedError(message, "The traceback is in the scorecard.", details)


def _from_here(file: str) -> str:
    """The path as a reader wants it: from the current folder where the file is below it."""
    return file.removeprefix(os.path.join(os.getcwd(), ""))


def _ended(task: _Task) -> bytes | JobKilledError:
    """The answer of a process that ends, or is killed as it does not, or what it died of."""
    code = _exit_code(task.process)
    if code is None:
        task.process.kill()
        task.process.join()
    if task.answer is not None:
        return task.answer
    if code is None:
        return JobKilledError("its process closed its connection to the harness and went on")
    return _death(code)


def _exit_code(process: BaseProcess) -> int | None:
    """That of a process which has ended, or is about to; None for one that goes on.

    It is not joined: its sentinel is a file that an engine may have closed.
    """
    patience = monotonic() + 0.1
    while process.exitcode is None and monotonic() < patience:
        sleep(0.001)
    return process.exitcode


def _death(exitcode: int) -> JobKilledError:
    if exitcode >= 0:
        return JobKilledError(f"its process ended with exit code {exitcode} and no result")
    name = signal.Signals(-exitcode).name
    hint = "Was the machine out of memory?" if name == "SIGKILL" else ""
    return JobKilledError(f"its process was killed by {name}", hint)


def _overdue(task: _Task, timeout: float | None) -> JobTimeoutError:
    task.process.kill()
    task.process.join()
    task.results.close()
    hint = "Does it loop for ever? --timeout SECONDS gives it longer."
    return JobTimeoutError(f"it was stopped after {timeout:g} s", hint)
