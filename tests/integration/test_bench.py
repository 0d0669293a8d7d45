"""`harness bench` with real workers: what it prints and writes, and what goes wrong in them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest

from harness.bench import worker
from harness.bench.cold import written_script
from harness.bench.results import Bench, from_json
from harness.bench.workload import find, load
from harness.errors import UsageError
from tests.examples import ROOT, small_file
from tests.processes import is_alive

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs sessions and signals")
Harness = Callable[..., tuple[int, str, str]]
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")

ENGINE = """\
import os, time
from harness.backends.numpy import NumpyBackend
class Mine(NumpyBackend):
    name = {name!r}
{changes}
BACKEND = Mine()
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    return str(small_file(tmp_path))


@pytest.fixture
def engine(tmp_path: Path) -> Callable[..., str]:
    """Writes the built-in engine with something changed as a file of its own."""

    def make(name: str, changes: str = "version = '1'") -> str:
        file = tmp_path / f"{name}_engine.py"
        indented = "".join(f"    {line}\n" for line in dedent(changes).strip().splitlines())
        file.write_text(ENGINE.format(name=name, changes=indented), encoding="utf-8")
        return f"./{file.name}"

    return make


def found_by(harness: Harness, *words: str, code: int = 0) -> Bench:
    """What `harness bench --quick` finds; its exit code must be `code`."""
    got, out, err = harness("bench", "--quick", "--out", "found", "--json", *words)
    assert got == code, err + out[-2000:]
    found = from_json(Path("found") / "bench.json")
    assert Bench.model_validate_json(out) == found
    return found


# --- what is measured --------------------------------------------------------------------


def test_quick_bench_of_the_built_in_engine(harness: Harness, small: str) -> None:
    code, out, err = harness("bench", small, "--backend", "numpy", "--quick")
    assert (code, err) == (0, "")
    row = next(line.split() for line in out.splitlines() if line.startswith("small"))
    assert row[0] == "small"
    assert float(row[1]) > 0.0
    assert "1 thread" in out


def test_engine_that_works_2_ms_longer_is_found_to(
    harness: Harness, engine: Callable[..., str]
) -> None:
    slow_file = engine(
        "slow",
        """
        def backward(self, output, gradient=None):
            super().backward(output, gradient)
            end = time.thread_time() + 2e-3  # of work: waiting for a processor does not count
            while time.thread_time() < end:
                pass
        def replayed(self, step, parameters, sends_gradients=True):
            return step
        """,
    )
    names = ("--backend", "numpy", "--backend", slow_file)
    found = found_by(harness, str(find("xor")), *names).steps[0]
    base, slow = found.of("numpy"), found.of("slow_engine")
    assert base is not None
    assert slow is not None
    assert slow.ratio is not None
    # 2 ms are added to every step.
    expected = (base.microseconds + 2000.0) / base.microseconds
    assert slow.ratio.value == pytest.approx(expected, rel=0.4)
    assert slow.parts is not None
    assert min(slow.parts.backward) > 1.9e-3  # what one pass takes longer than the other


def test_parts_that_are_not_asked_for_are_not_measured(harness: Harness, small: str) -> None:
    found = found_by(harness, small, "--backend", "numpy")
    assert (found.growth, found.cold, found.watching) == ([], [], [])
    timing = found.steps[0].of("numpy")
    assert timing is not None
    assert timing.losses[0] > timing.losses[-1]


@pytest.mark.slow
def test_growth_watching_and_cold_start(harness: Harness) -> None:
    parts = [word for part in ("growth", "watching", "cold") for word in ("--part", part)]
    found = found_by(harness, "xor", "--backend", "numpy", *parts)
    assert found.steps == []
    assert [curve.what for curve in found.growth] == ["batch", "width", "length", "depth"]
    assert all(point.of("numpy") for curve in found.growth for point in curve.points)
    assert [each.workload for each in found.watching] == ["xor"]
    (help_,) = found.cold
    assert help_.process.command == "python -m harness --help"
    assert 10e6 < help_.base.peak_bytes[0] < 500e6
    assert help_.ratio.value == help_.process.seconds[0] / help_.base.seconds[0]


@pytest.mark.slow
@needs_torch
def test_pytorch_computes_the_same_and_says_which_optimizer(harness: Harness) -> None:
    """Through the harness and by hand; otherwise the exit code would be 1."""
    workloads = ["xor", "mlp", "cnn", "transformer", "lenet"]
    names = [word for who in ("numpy", "torch", "torch-script") for word in ("--backend", who)]
    found = found_by(harness, *workloads, *names)
    assert found.base == "torch-script"
    assert [row.workload for row in found.steps] == workloads
    timings = [row.of(who) for row in found.steps for who in ("torch", "torch-script")]
    ways = {timing.way for timing in timings if timing is not None and timing.parts is not None}
    assert None not in timings
    assert ways <= {"foreach=False", "foreach=True", "fused=True"}
    expected = {f"steps.{name}" for name in workloads}
    assert expected <= {bar.name for bar in found.bars if bar.met is not None}


@pytest.mark.slow
@needs_jax
@pytest.mark.parametrize("name", ["perceptron", "mlp", "cnn_big", "transformer"])
def test_jax_computes_the_same(harness: Harness, name: str) -> None:
    found = found_by(harness, name, "--backend", "numpy", "--backend", "jax")
    timing = found.steps[0].of("jax")
    assert timing is not None
    assert timing.parts is None


@needs_torch
def test_script_of_a_milestone_trains_with_pytorch_alone(tmp_path: Path) -> None:
    """Run as it is; its last loss says that it has learned."""
    script = written_script(tmp_path)
    text = script.read_text(encoding="utf-8")
    assert "harness" not in text.replace(str(tmp_path), "")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1.0


# --- what goes wrong ---------------------------------------------------------------------


def test_other_computation_is_refused(
    harness: Harness, engine: Callable[..., str], small: str
) -> None:
    """Other first weights show at the first step."""
    wrong = engine(
        "wrong",
        """
        def set_value(self, parameter, array):
            super().set_value(parameter, array * 1.01)
        """,
    )
    words = (small, "--backend", "numpy", "--backend", wrong)
    timing = found_by(harness, *words, code=1).steps[0].timings[1]
    assert (timing.failed, timing.seconds) == ("losses", [])
    assert timing.problem.startswith("its loss at step 1 is ")
    code, out, _ = harness("bench", "--quick", *words)
    assert code == 1
    assert "not measured  wrong_engine on small: its loss at step 1 is " in out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("os._exit(7)", "its timing worker ended with exit code 7: no word"),
        ("os.kill(os.getpid(), 9)", "its timing worker was killed by SIGKILL"),
        ("time.sleep(60)", "no answer to 'losses' in 5 s"),
        ("raise ZeroDivisionError('by nothing')", "ZeroDivisionError: by nothing"),
    ],
)
def test_worker_that_fails_is_a_sentence_and_the_others_go_on(
    harness: Harness, engine: Callable[..., str], small: str, change: str, words: str
) -> None:
    dying = engine("dying", f"def backward(self, output, gradient=None): {change}")
    names = ("--backend", "numpy", "--backend", dying, "--timeout", "5")
    found = found_by(harness, small, str(find("perceptron")), *names, code=3)
    for measured in found.steps:
        assert measured.of("numpy") is not None
        assert measured.timings[1].failed == "died"
        assert measured.timings[1].problem == f"dying_engine: {words}"


def test_engine_without_a_layer_is_no_failure(
    harness: Harness, engine: Callable[..., str], small: str
) -> None:
    change = """
    namespace = NumpyBackend.namespace.__class__(
        {**NumpyBackend.namespace.layers}, NumpyBackend.namespace.losses,
        NumpyBackend.namespace.optimizers)
    del namespace.layers["Tanh"]
    """
    found = found_by(harness, small, "--backend", "numpy", "--backend", engine("bare", change))
    assert found.steps[0].timings[1].problem == "bare offers no Tanh"
    assert found.steps[0].timings[1].failed == "unsupported"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lenett"], "error: unknown workload 'lenett'. Did you mean 'lenet'?"),
        (["xor", "--backend", "torhc"], "error: unknown backend 'torhc'. Did you mean 'torch'?"),
        (["xor", "--backend", "./nowhere.py"], "error: backend "),
        (["xor", "--part", "step"], "error: Invalid value for '--part': 'step' is not one of"),
        (["xor", "--part", "cold"], "error: --part cold measures no workload by name, and xor was"),
        (["xor", "--json", "--format", "markdown"], "error: give --json or --format markdown"),
    ],
)
def test_what_cannot_be_asked_ends_with_2(harness: Harness, words: list[str], message: str) -> None:
    code, out, err = harness("bench", *words)
    assert (code, out) == (2, "")
    assert err.startswith(message)
    assert "Traceback" not in err


def test_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="'jax' needs jax, which is not installed") as caught:
        worker.opened("jax")
    assert caught.value.hint == "Install it: pip install 'milestone-harness[jax]'."


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_polite_end_leaves_no_process_and_no_file(
    engine: Callable[..., str], small: str, tmp_path: Path, name: str
) -> None:
    hanging = engine("hanging", "def backward(self, output, gradient=None): time.sleep(600)")
    words = ["bench", small, "--backend", "numpy", "--backend", hanging]
    folder = tmp_path / "temporary"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *words], stderr=subprocess.PIPE, text=True,
        cwd=tmp_path, env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    deadline = time.monotonic() + 60.0
    while not (started := [*folder.glob("*/hanging_engine.txt")]) or not _children(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert started
    workers = _children(process.pid)
    process.send_signal(signal.Signals[name])
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, "error: interrupted")
    assert [*folder.iterdir()] == []
    assert [pid for pid in workers if is_alive(int(pid))] == []


def _children(parent: int) -> list[str]:
    return Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="utf-8").split()


def test_one_contender_says_that_nothing_was_compared(
    harness: Harness, engine: Callable[..., str], small: str
) -> None:
    _, out, _ = harness("bench", small, "--backend", "numpy", "--quick")
    assert "\nlosses not compared: one contender\n" in out
    same = engine("same")
    _, out, _ = harness("bench", small, "--backend", "numpy", "--backend", same, "--quick")
    assert "not compared" not in out


def test_engine_that_skips_work_once_it_is_timed_gets_no_time(
    harness: Harness, engine: Callable[..., str]
) -> None:
    """It steps as it should until it has been asked for losses, and then every other time."""
    skipping = engine(
        "skipping",
        """
        calls = 0
        def backward(self, output, gradient=None):
            Mine.calls += 1
            if self.calls % 2 or self.calls < 10:
                super().backward(output, gradient)
        def replayed(self, step, parameters, sends_gradients=True):
            return step
        """,
    )
    names = ("--backend", "numpy", "--backend", skipping)
    timing = found_by(harness, str(find("xor")), *names, code=1).steps[0].timings[1]
    assert (timing.failed, timing.seconds) == ("losses", [])
    assert timing.problem.startswith("after its chunks, its loss at step ")


def test_workload_that_is_named_twice_is_measured_once(harness: Harness, small: str) -> None:
    again = str(Path(small).parent / "." / ".." / Path(small).parent.name / Path(small).name)
    found = found_by(harness, small, again, small, "--backend", "numpy")
    assert [each.workload for each in found.steps] == ["small"]


def test_strict_without_a_bar_that_is_measured_is_no_success(harness: Harness, small: str) -> None:
    code, _, err = harness("bench", small, "--backend", "numpy", "--quick", "--strict")
    assert code == 3
    assert err.startswith("error: --strict: no bar of the project was measured")


def test_no_file_is_left_behind(harness: Harness, small: str, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    harness("bench", small, "--backend", "numpy", "--quick")
    assert set(tmp_path.rglob("*")) == before


# --- what is documented ------------------------------------------------------------------


def test_every_larger_workload_stands_in_the_help(harness: Harness) -> None:
    _, out, _ = harness("bench", "--help")
    for file in (ROOT / "configs" / "bench").glob("*.yaml"):
        if file.stem != "bars":
            assert file.stem in out
            assert load(file).name == file.stem


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
