"""`harness reference`: what it writes, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness import config_files, datasets
from harness.references import files
from harness.training import planned_steps
from tests.asking import said_by
from tests.examples import ROOT, small_file


def asked(*words: str) -> tuple[int, str]:
    """The exit code of the verb, and all that it says."""
    return said_by("reference", *words)


def test_reference_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    code, said = asked("xor", "--backend", "numpy", "--steps", "3", "--out", str(tmp_path))
    found = files.read(tmp_path / "xor" / "reference.npz")
    assert code == 0
    assert said.startswith("xor: 3 steps of 4 rows by numpy ")
    assert (found.about["backend"], found.about["dtype"], found.start.steps) == (
        "numpy", "float64", 3,
    )  # fmt: skip


def test_the_same_bytes_are_written_again(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        asked("mlp", "--backend", "numpy", "--out", str(tmp_path / folder))
    one, other = (tmp_path / folder / "mlp" / "reference.npz" for folder in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()


def test_torch_writes_what_is_committed(tmp_path: Path) -> None:
    """Weights and batches to the bit, and all else but for the rounding of another machine."""
    pytest.importorskip("torch")
    assert asked("cnn", "--out", str(tmp_path))[0] == 0
    found = files.read(tmp_path / "cnn" / "reference.npz")
    kept = files.read(files.file_for("cnn"))
    assert found.loss == pytest.approx(kept.loss, rel=1e-9)
    assert (found.start.x == kept.start.x).all()
    for label, weights in kept.start.weights.items():
        assert (found.start.weights[label] == weights).all()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["xor", "--backend", "nunpy"], "Did you mean 'numpy'?"),
        (["xor", "--backend", "numpy", "--dtype", "float16"], "'float16' is not one of"),
        (["xor", "--backend", "numpy", "--steps", "301"], "xor has 300 steps, 301 were asked for"),
        (["xor", "--backend", "numpy", "--steps", "0"], "0 is not in the range"),
        (["xxor", "--backend", "numpy"], "unknown milestone 'xxor'"),
        (["--backend", "numpy"], "nothing to run"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    tmp_path: Path, words: list[str], complaint: str
) -> None:
    code, said = asked(*words, "--out", str(tmp_path / "out"))
    assert code == 2
    assert complaint in said
    assert not (tmp_path / "out").exists()


def test_model_that_draws_at_random_has_no_reference(tmp_path: Path) -> None:
    dropped = ("  tanh: {type: Tanh}", "  tanh: {type: Tanh}\n  drop: {type: Dropout, p: 0.5}")
    file = small_file(tmp_path, dropped)
    code, said = asked(str(file), "--backend", "numpy", "--out", str(tmp_path / "out"))
    assert code == 2
    assert "small draws at random while it trains" in said


ENGINE = """\
import os, time
from harness.backends.numpy import NumpyBackend
class Mine(NumpyBackend):
    name = "mine"
    def backward(self, output, gradient=None):
        {change}
        super().backward(output, gradient)
BACKEND = Mine()
"""


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("time.sleep(600)", 3, "mine.py, it was stopped after 2 s"),
        ("os._exit(7)", 3, "mine.py, its process ended with exit code 7"),
        ("raise ZeroDivisionError('by nothing')", 3, "it raised ZeroDivisionError: by nothing"),
    ],
)
def test_engine_that_hangs_or_dies_is_a_sentence(
    tmp_path: Path, change: str, code: int, words: str
) -> None:
    engine = tmp_path / "mine.py"
    engine.write_text(ENGINE.format(change=change), encoding="utf-8")
    out = tmp_path / "out"
    got, said = asked("xor", "--backend", str(engine), "--timeout", "2", "--out", str(out))
    assert (got, said.startswith("xor: with ")) == (code, True)
    assert words in said
    assert "scorecard" not in said
    assert not out.exists()


def test_what_an_engine_prints_is_no_result(tmp_path: Path) -> None:
    engine = tmp_path / "mine.py"
    engine.write_text(ENGINE.format(change="print('backward')"), encoding="utf-8")
    words = ["reference", "xor", "--backend", str(engine), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-m", "harness", *words], cwd=ROOT, text=True,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("xor: 20 steps of 4 rows by mine ")
    assert len(done.stdout.splitlines()) == 1
    assert set(done.stderr.splitlines()) == {"backward"}


def test_milestone_with_fewer_steps_takes_all_it_has(tmp_path: Path) -> None:
    file = small_file(tmp_path, ("epochs: 80", "epochs: 5"))
    steps = planned_steps(config_files.load(file), datasets.load(config_files.load(file)))
    assert steps < 20
    code, said = asked(str(file), "--backend", "numpy", "--out", str(tmp_path / "out"))
    assert (code, said.startswith(f"small: {steps} steps of ")) == (0, True)


def test_training_that_diverges_has_no_reference(tmp_path: Path) -> None:
    file = small_file(
        tmp_path, ("lr: 1.0", "lr: 1.0e+308"), ("loss: BCEWithLogitsLoss", "loss: MSELoss")
    )
    code, said = asked(str(file), "--backend", "numpy", "--out", str(tmp_path / "out"))
    assert code == 2
    assert "is not finite" in said


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
