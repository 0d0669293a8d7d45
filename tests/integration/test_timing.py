"""Workers of two sides, in real processes: what is measured, what goes wrong, what is left."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from harness.branches.timing import MOST_RESTARTS, measure_step_times
from harness.comparing.side import Timed
from harness.errors import (
    JobCrashedError,
    JobError,
    JobKilledError,
    JobNotRunError,
    JobTimeoutError,
)
from tests.examples import ROOT
from tests.processes import is_alive, wait_until

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs sessions and signals")

# A worker that does no work: each step of it takes `step_seconds(milestone, restart)`.
ACTOR = """\
import json, os, pathlib, sys, time
HERE = pathlib.Path(__file__).resolve().parent
def step_seconds(milestone, restart):
    return 1e-3
def hello():
    return {{"protocol": 1, "milestones": [], "code": str(HERE)}}
{changes}
with open(HERE / "pids", "a") as file:
    print(os.getpid(), file=file)
restart = int(os.environ["PYTHONHASHSEED"])
for line in sys.stdin:
    request = json.loads(line)
    answer = {{}}
    if request["do"] == "hello":
        answer = hello()
    if request["do"] == "burst":
        answer = {{"seconds": request["steps"] * step_seconds(request["milestone"], restart)}}
    print(json.dumps(answer), flush=True)
"""
Actor = Callable[..., Path]


@pytest.fixture
def actor(tmp_path: Path) -> Actor:
    """Makes the folder of a side whose worker is ACTOR with something changed."""

    def make(side: str, changes: str = "") -> Path:
        package = tmp_path / side / "harness"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        text = ACTOR.format(changes=dedent(changes))
        (package / "resident.py").write_text(text, encoding="utf-8")
        return package.parent

    return make


def copied(folder: Path, *changes: tuple[str, str, str]) -> Path:
    """The real code in a folder, with (file, old, new) changed; old must be there once."""
    shutil.copytree(
        ROOT / "harness", folder / "harness", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("configs", "data", "milestones"):
        (folder / name).symlink_to(ROOT / name)
    for name, old, new in changes:
        file = folder / "harness" / name
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1
        file.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def files_in(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def pids_of(*sides: Path) -> list[int]:
    files = [side / "harness" / "pids" for side in sides]
    return [int(word) for file in files if file.exists() for word in file.read_text().split()]


def error_of(base: Path, head: Path, patience: float = 30.0) -> JobError:
    with pytest.raises(JobError) as caught:
        measure_step_times(base, head, ["xor"], patience=patience)
    return caught.value


# --- what is measured --------------------------------------------------------------------


def test_code_that_works_twice_takes_longer_and_its_print_disturbs_nothing(
    tmp_path: Path,
) -> None:
    """Twice the backward pass is nearly twice the step; chatter goes the way of stderr."""
    again = "        backend.backward(loss)\n"
    chatter = "import os, sys; print('chatter'); os.write(1, b'chatter')\nimport hashlib\n"
    head = copied(
        tmp_path / "head",
        ("training.py", again, again + "        self._loss(self._model(backend.tensor(x)), "
         "backend.tensor(targets)).backward()\n"),
        ("training.py", "import hashlib\n", chatter),
    )  # fmt: skip
    before = files_in(head)
    timed = measure_step_times(ROOT, head, ["mlp"], restarts=2, most=2, environment=os.environ)[
        "mlp"
    ]
    assert len(timed.log_ratios) == 2
    assert all(math.log(1.3) < ratio < math.log(3.0) for ratio in timed.log_ratios)
    assert timed.base_seconds < timed.head_seconds < 1.0
    assert files_in(head) == before


def test_ratio_is_head_over_base_and_known_after_seven_restarts(actor: Actor) -> None:
    base = actor("base")
    head = actor("head", "def step_seconds(milestone, restart): return 1.1e-3")
    heard: list[int] = []
    found = measure_step_times(base, head, ["any"], on_restart=heard.append)
    expected = Timed((pytest.approx(math.log(1.1)),) * 7, 1e-3, 1.1e-3)  # type: ignore[arg-type]
    assert found == {"any": expected}
    assert heard == [1, 2, 3, 4, 5, 6, 7]


def test_only_what_is_not_known_well_gets_more_restarts(actor: Actor) -> None:
    """20 % up, 20 % down: never known within 2 %."""
    base = actor("base")
    head = actor(
        "head",
        """
        def step_seconds(milestone, restart):
            return 1e-3 * (1.2 if restart % 2 else 0.8) if milestone == "loud" else 1e-3
        """,
    )
    heard: list[int] = []
    found = measure_step_times(base, head, ["loud", "calm"], on_restart=heard.append)
    assert {name: len(timed.log_ratios) for name, timed in found.items()} == {
        "loud": MOST_RESTARTS,
        "calm": 7,
    }
    assert len(heard) == MOST_RESTARTS


def test_workers_share_hashes_and_processor_and_inherit_no_python_settings(actor: Actor) -> None:
    look = """
    import locale
    names = sorted(name for name in os.environ if name.startswith("PYTHON"))
    row = [os.environ["PYTHONHASHSEED"], names, os.environ.get("OPENBLAS_NUM_THREADS"),
           os.environ.get("MINE"), os.environ.get("GIT_DIR"), os.getcwd() == str(HERE)]
    original = hello
    def hello():
        with open(HERE / "seen", "a") as file:
            print(row, file=file)
        return original()
    def step_seconds(milestone, restart):
        with open(HERE / "cores", "a") as file:
            print(restart, sorted(os.sched_getaffinity(0)), file=file)
        return 1e-3
    """
    base, head = actor("base", look), actor("head", look)
    given = {"MINE": "1", "PYTHONHOME": "nowhere", "GIT_DIR": "elsewhere"}
    measure_step_times(base, head, ["any"], restarts=2, environment=given)
    rows = (base / "harness" / "seen").read_text()
    names = ["PYTHONHASHSEED", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONSAFEPATH"]
    assert rows.splitlines()[:2] == [str([n, names, "1", "1", None, False]) for n in "12"]
    assert rows == (head / "harness" / "seen").read_text()
    cores = (base / "harness" / "cores").read_text()
    assert cores == (head / "harness" / "cores").read_text()
    ours = sorted(os.sched_getaffinity(0))
    assert set(cores.splitlines()[:1]) == {f"1 {[ours[1 % len(ours)]]}"}


def test_nothing_starts_after_the_deadline(actor: Actor) -> None:
    base, head = actor("base"), actor("head")
    notes: list[str] = []
    late = time.monotonic() - 1.0
    assert measure_step_times(base, head, ["any"], deadline=late, on_note=notes.append) == {}
    assert notes == ["any: step time not measured: no time was left"]
    assert pids_of(base, head) == []


# --- what goes wrong ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ("import no_such_module", JobCrashedError,
         "head: its timing worker ended with exit code 1: ModuleNotFoundError: No module named "
         "'no_such_module'"),
        ("sys.exit(5)", JobCrashedError,
         "head: its timing worker ended with exit code 5: no word"),
        ("os.kill(os.getpid(), 9)", JobKilledError,
         "head: its timing worker was killed by SIGKILL"),
        ("while True: pass", JobTimeoutError, "head: no answer to 'hello' in 1 s"),
        ("print('hello?', flush=True)", JobCrashedError,
         "head: its timing worker wrote b'hello?\\n', expected JSON"),
        ("def hello(): return {'protocol': 7}", JobNotRunError,
         "head: its timing worker speaks protocol 7, expected 1"),
        ("def hello(): return {'protocol': 1, 'code': '/elsewhere'}", JobNotRunError,
         "head: its timing worker runs the code in /elsewhere, expected "),
    ],
)  # fmt: skip
def test_worker_that_does_not_answer_is_a_sentence(
    actor: Actor, changes: str, kind: type[JobError], words: str
) -> None:
    base, head = actor("base"), actor("head", changes)
    error = error_of(base, head, patience=1.0)
    assert type(error) is kind
    assert error.message.startswith(words)
    assert not any(map(is_alive, pids_of(base, head)))


def test_code_without_a_worker_is_too_old(actor: Actor, tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "harness").mkdir(parents=True)
    error = error_of(base, actor("head"))
    assert error.message == "base: its code is too old to be timed: it has no harness/resident.py"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("sys.exit('out of memory')", "ended with exit code 1: out of memory"),
        ("return -1.0", "says that 1 steps took -1.0, expected seconds"),
        ("return float('nan')", "says that 1 steps took nan, expected seconds"),
        ("time.sleep(60)", "no answer to 'burst' in 1 s"),
    ],
)
def test_milestone_that_fails_is_a_note_and_the_others_are_measured(
    actor: Actor, what: str, words: str
) -> None:
    changes = f"""
    def step_seconds(milestone, restart):
        if milestone == "bad" and restart > 1:
            {what}
        return 1e-3
    """
    base, head = actor("base"), actor("head", changes)
    notes: list[str] = []
    found = measure_step_times(
        base, head, ["good", "bad", "better"], patience=1.0, on_note=notes.append
    )
    assert {name: len(timed.log_ratios) for name, timed in found.items()} == {
        "good": 7,
        "better": 7,
    }
    assert len(notes) == 1
    assert notes[0].startswith("bad: step time not measured: head: ")
    assert words in notes[0]
    assert not any(map(is_alive, pids_of(base, head)))


def test_real_worker_says_what_its_engine_raised(tmp_path: Path) -> None:
    """In every second restart, such as the one after the first failure, the head is asked first."""
    raising = (
        "training.py",
        "        self._optimizer.step()\n",
        "        raise MemoryError('no')\n",
    )
    notes: list[str] = []
    names = ["xor", "no_such"]
    found = measure_step_times(
        ROOT, copied(tmp_path, raising), names, on_note=notes.append, environment=os.environ
    )
    assert found == {}
    assert notes[0] == "xor: step time not measured: head: MemoryError: no"
    assert notes[1] == (
        "no_such: step time not measured: head: UsageError: unknown milestone 'no_such'."
    )


def test_place_that_cannot_be_written_is_a_sentence(actor: Actor, tmp_path: Path) -> None:
    with pytest.raises(JobNotRunError) as caught:
        measure_step_times(actor("base"), actor("head"), ["any"], folder=tmp_path / "nowhere")
    assert caught.value.message.startswith("the timing workers cannot be started: ")
    assert caught.value.hint == "Is the disk full?"


# --- what is left ------------------------------------------------------------------------

CALLER = """
import sys
from pathlib import Path
from harness.branches.timing import measure_step_times
try:
    measure_step_times(Path(sys.argv[1]), Path(sys.argv[2]), ["xor"], folder=Path(sys.argv[3]))
except KeyboardInterrupt:
    sys.exit(130)
"""


def caller_of(base: Path, head: Path, folder: Path) -> subprocess.Popen[bytes]:
    """A process that measures, in a session of its own."""
    folder.mkdir()
    arguments = [sys.executable, "-c", CALLER, str(base), str(head), str(folder)]
    return subprocess.Popen(arguments, cwd=ROOT, start_new_session=True)


def test_interruption_while_a_caller_is_told_leaves_no_process(actor: Actor) -> None:
    base, head = actor("base"), actor("head", "def step_seconds(milestone, restart): return 0.0")
    alive: list[bool] = []

    def interrupt(sentence: str) -> None:
        alive.extend(map(is_alive, pids_of(base, head)))
        raise KeyboardInterrupt

    try:
        measure_step_times(base, head, ["any"], on_note=interrupt)
    except KeyboardInterrupt:
        assert alive == [True, True]
        assert not any(map(is_alive, pids_of(base, head)))
    assert len(alive) == 2


@pytest.mark.parametrize("where", ["import", "burst"])
def test_ctrl_c_leaves_no_process_and_no_file(actor: Actor, tmp_path: Path, where: str) -> None:
    forever = "while True: pass"
    at_import = f"open(HERE / 'pids', 'w').write(str(os.getpid()))\n{forever}"
    in_a_burst = f"def step_seconds(milestone, restart):\n    {forever}"
    base = actor("base")
    head = actor("head", at_import if where == "import" else in_a_burst)
    with caller_of(base, head, tmp_path / "scratch") as caller:
        wait_until(lambda: len(pids_of(base)) == len(pids_of(head)) == 1, "both have started")
        pids = pids_of(base, head)
        os.killpg(caller.pid, signal.SIGINT)
        assert caller.wait(30.0) == 130
    assert not any(map(is_alive, pids))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_real_worker_ends_with_whoever_asked_even_in_an_endless_loop(tmp_path: Path) -> None:
    """SIGKILL gives nobody the time to stop a worker: it must notice by itself."""
    mark = tmp_path / "pid"
    loop = f"open({str(mark)!r}, 'w').write(str(os.getpid()) + ' ')\nwhile True: pass\n"
    hanging = ("training.py", "import hashlib\n", f"import hashlib, os\n{loop}")
    head = copied(tmp_path / "head", hanging)
    with caller_of(head, ROOT, tmp_path / "scratch") as caller:
        wait_until(lambda: mark.exists() and mark.read_text().endswith(" "), "the worker hangs")
        pid = int(mark.read_text())
        assert is_alive(pid)
        os.killpg(caller.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), "the worker has ended")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
