"""A sixth milestone is one YAML, also outside the repository."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.calibrating import calibrate
from harness.scorecard import load
from harness.session import prepared
from tests.examples import ROOT

# The worker processes of pytest-xdist have a thread of their own while they fork.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

RINGS = """\
name: rings
title: Two rings
year: 2024
people: [A. Contributor]
paper: "A note, 2024"
summary: An inner disc and an outer ring; no line separates them.

data: {recipe: arrays, file: data/rings.npz}

layers:
  body:
    type: Residual
    layers:
      expand: {type: Linear, in_features: 3, out_features: 24}
      norm: {type: LayerNorm, normalized_shape: 24}
      gelu: {type: GELU, approximate: tanh}
      drop: {type: Dropout, p: 0.1}
      contract: {type: Linear, in_features: 24, out_features: 3}
  top:
    type: Sequential
    layers:
      hidden: {type: Linear, in_features: 3, out_features: 16}
      relu: {type: ReLU}
      head: {type: Linear, in_features: 16, out_features: 2}

training:
  loss: CrossEntropyLoss
  optimizer: AdamW
  lr: 0.02
  betas: [0.9, 0.99]
  weight_decay: 0.001
  clip_grad_norm: 1.0
  epochs: 40
  batch_size: 32
  evaluate_every: 20

targets: {accuracy: 0.9, loss_drop: 0.5}

expectations: {tensors: 10}

controls:
  linear:
    why: one layer draws one line
    layers:
      head: {type: Linear, in_features: 3, out_features: 2}
"""


@pytest.fixture
def rings(tmp_path: Path, rng: np.random.Generator) -> Path:
    """The milestone in a folder of its own; its data beside it, as numbers and classes."""
    folder = tmp_path / "somewhere"
    (folder / "data").mkdir(parents=True)
    angle = rng.uniform(0.0, 2 * np.pi, 480)
    y = rng.integers(0, 2, 480)
    radius = np.where(y == 1, 2.0, 0.7) + 0.1 * rng.standard_normal(480)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.ones(480)], axis=1)
    np.savez(folder / "data" / "rings.npz", train_x=x[:320], train_y=y[:320],
             held_out_x=x[320:], held_out_y=y[320:])  # fmt: skip
    file = folder / "rings.yaml"
    file.write_text(RINGS, encoding="utf-8")
    return file


def harness(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_own_milestone_runs_by_its_path(rings: Path) -> None:
    done = harness(rings.parent, "run", "./rings.yaml", "--out", "out")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    (result,) = load(rings.parent / "out").results
    assert (result.milestone, result.status) == ("rings", "pass")
    assert [row.label for row in result.parameters] == [
        "expand.weight", "expand.bias", "norm.weight", "norm.bias", "contract.weight",
        "contract.bias", "hidden.weight", "hidden.bias", "head.weight", "head.bias",
    ]  # fmt: skip


def test_own_milestone_finds_its_data_from_anywhere(rings: Path, tmp_path: Path) -> None:
    done = harness(tmp_path, "run", str(rings), "xor", "--out", "out", "--seeds", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {result.milestone for result in load(tmp_path / "out").results} == {"rings", "xor"}


def test_own_milestone_is_shown_and_validated(rings: Path) -> None:
    assert harness(rings.parent, "validate", "rings.yaml").stdout == "rings: valid, 10 tensors\n"
    shown = harness(rings.parent, "show", "rings.yaml").stdout
    assert "Two rings (2024)" in shown
    assert "  contract  Linear" in shown
    assert "not calibrated" in shown


def test_own_milestone_can_be_calibrated_elsewhere(rings: Path) -> None:
    done = harness(rings.parent, "calibrate", "rings.yaml", "--seeds", "3", "--control-seeds",
                   "2", "--out", "records")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("rings: 3/3 seeds pass, accuracy ")
    assert "control linear: at most 0." in done.stdout
    file = rings.parent / "records" / "rings" / "calibration.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    assert (found["milestone"], found["seeds"], found["failing_seeds"]) == ("rings", 3, [])
    band = found["accuracy"]
    assert 0.9 <= band["lowest"] <= band["median"] <= band["highest"] <= 1.0
    assert found["controls"]["linear"]["seeds"] == 2
    assert found["controls"]["linear"]["weights"] == 8
    assert found["controls"]["linear"]["accuracy"]["highest"] < 0.9
    assert not (ROOT / "milestones" / "rings").exists()


def test_calibration_names_the_seeds_that_fail(rings: Path) -> None:
    (outline,) = prepared([str(rings)], "numpy", ["training.epochs=1"])
    measured = calibrate(outline, seeds=2, control_seeds=1, jobs=2)
    assert (measured["seeds"], measured["failing_seeds"]) == (2, [0, 1])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda arrays: arrays.pop("held_out_y"), "has no array 'held_out_y'"),
        (lambda arrays: arrays["train_x"].__setitem__((3, 1), np.nan), "not finite"),
        (lambda arrays: arrays["train_y"].__setitem__(3, 2), "CrossEntropyLoss"),
        (lambda arrays: arrays["held_out_y"].__setitem__(3, -1), "CrossEntropyLoss"),
        (lambda arrays: arrays.update(train_x=arrays["train_x"][:, :2]), "shape"),
    ],
)
def test_spoiled_data_is_refused_before_training(rings: Path, spoil: object, words: str) -> None:
    file = rings.parent / "data" / "rings.npz"
    with np.load(file) as archive:
        arrays = dict(archive)
    spoil(arrays)  # type: ignore[operator]
    np.savez(file, **arrays)
    done = harness(rings.parent, "run", "rings.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (rings.parent / "runs").exists()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
