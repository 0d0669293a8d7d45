"""Small things by hand for tests: a config, records of healthy and sick runs, scorecards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from harness.autograd.gradcheck import STEP, Comparison
from harness.checks import judge
from harness.config import MilestoneConfig
from harness.errors import HarnessError, JobError
from harness.provenance import Provenance
from harness.record import RunRecord
from harness.results import failed_result, judged_result
from harness.scorecard import Result, Scorecard, assemble
from harness.session import prepared

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("perceptron", "xor", "mlp", "cnn", "transformer")

# Logical AND: learned in a few milliseconds.
SMALL = """\
name: small
title: Small
year: 1986
people: [Ada Lovelace]
paper: "A small paper, 1986"
summary: Two layers learn AND.

data:
  recipe: truth_table
  inputs: [[0, 0], [0, 1], [1, 0], [1, 1]]
  outputs: [0, 0, 0, 1]

layers:
  hidden: {type: Linear, in_features: 2, out_features: 4}
  tanh: {type: Tanh}
  output: {type: Linear, in_features: 4, out_features: 1}

training:
  loss: BCEWithLogitsLoss
  optimizer: SGD
  lr: 1.0
  epochs: 80
  batch_size: 4
  evaluate_every: 8

targets:
  accuracy: 1.0
  loss_drop: 0.5

expectations:
  tensors: 4
"""
LABELS = ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]
SHAPES = [(4, 2), (4,), (1, 4), (1,)]


def small_file(folder: Path, *changes: tuple[str, str], name: str = "small") -> Path:
    """SMALL as a file in `folder`, each (old, new) in it replaced; old must be there once."""
    text = SMALL.replace("name: small", f"name: {name}")
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in SMALL"
        text = text.replace(old, new)
    file = folder / f"{name}.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def small_config(
    *, null: Mapping[str, str] | None = None, name: str = "small", **targets: float
) -> MilestoneConfig:
    """SMALL as values, with some null gradients declared and targets changed."""
    data = yaml.safe_load(SMALL)
    data["name"] = name
    data["targets"] |= targets
    data["expectations"]["null_gradients"] = dict(null or {})
    return MilestoneConfig.model_validate(data)


def healthy(steps: int = 20, seed: int = 0, milestone: str = "small") -> RunRecord:
    """What a correct engine leaves behind: gradients, movement, a falling loss, all right."""
    shape = (steps, len(LABELS))
    return RunRecord(
        milestone=milestone,
        seed=seed,
        backend="numpy",
        labels=list(LABELS),
        shapes=list(SHAPES),
        loss=np.linspace(0.7, 0.1, steps),
        gradient_norm=np.full(shape, 0.5),
        movement=np.full(shape, 0.05),
        evaluated_at=np.array([0, steps]),
        accuracy=np.array([0.5, 1.0]),
        held_out_loss=np.array([0.7, 0.1]),
        final_accuracy=1.0,
        final_loss=0.1,
        planned_steps=steps,
        batch_size=4,
        held_out_examples=4,
        majority_accuracy=0.75,
        digest="d" * 64,
        seconds={"building": 0.01, "training": 0.5, "watching": 0.02, "evaluating": 0.01},
    )


def with_gradient(record: RunRecord, label: str, value: float, steps: slice) -> RunRecord:
    """The record with another gradient norm of one tensor in some steps."""
    norms = record.gradient_norm.copy()
    norms[steps, record.labels.index(label)] = value
    return replace(record, gradient_norm=norms)


def with_movement(record: RunRecord, label: str, value: float, steps: slice) -> RunRecord:
    """The record with another movement of one tensor in some steps."""
    moves = record.movement.copy()
    moves[steps, record.labels.index(label)] = value
    return replace(record, movement=moves)


def sick(label: str = "hidden.bias", **what: tuple[float, slice]) -> RunRecord:
    """A healthy record with the gradient or the movement of one tensor changed."""
    record = healthy()
    for name, (value, steps) in what.items():
        change = {"gradient": with_gradient, "movement": with_movement}[name]
        record = change(record, label, value, steps)
    return record


def without_tensor(record: RunRecord, label: str) -> RunRecord:
    """The record of a model that lost one of its parameters."""
    keep = [i for i, each in enumerate(record.labels) if each != label]
    return replace(
        record,
        labels=[record.labels[i] for i in keep],
        shapes=[record.shapes[i] for i in keep],
        gradient_norm=record.gradient_norm[:, keep],
        movement=record.movement[:, keep],
    )


def without_steps(record: RunRecord) -> RunRecord:
    """The record of a run that was evaluated once and never took a step."""
    nothing = np.zeros((0, len(record.labels)))
    return replace(
        record,
        loss=np.zeros(0),
        gradient_norm=nothing,
        movement=nothing,
        evaluated_at=record.evaluated_at[:1],
        accuracy=record.accuracy[:1],
        held_out_loss=record.held_out_loss[:1],
        final_accuracy=record.accuracy[0],
    )


def bias_lost(seed: int = 0, milestone: str = "small") -> RunRecord:
    """hidden.bias never received a gradient, so it never moved, and nothing was learned."""
    record = healthy(seed=seed, milestone=milestone)
    record = with_gradient(record, "hidden.bias", np.nan, slice(None))
    record = with_movement(record, "hidden.bias", 0.0, slice(None))
    return replace(record, loss=np.full(20, 0.7), accuracy=np.array([0.5, 0.5]), final_accuracy=0.5)


def judged(record: RunRecord, config: MilestoneConfig | None = None) -> Result:
    """The result of a record under all checks."""
    config = config or small_config(name=record.milestone)
    return judged_result(config, record, judge(config, record))


def without_verdict(error: JobError, seed: int = 0, milestone: str = "small") -> Result:
    """The result of a job that ended with `error`."""
    return failed_result(small_config(name=milestone), seed, "numpy", error)


def scorecard_of(*results: Result) -> Scorecard:
    """A scorecard with a made-up provenance."""
    provenance = Provenance(
        harness="0.1.0",
        python="3.12.0",
        numpy="2.0.0",
        blas="openblas 0.3",
        blas_threads=1,
        cpu="a processor",
        platform="Linux x86_64",
        backend="numpy",
        seeds=sorted({result.seed for result in results}),
        configs={"small": "c" * 64},
        data={"small": "e" * 64},
    )
    return assemble(list(results), provenance)


def placed(text: str) -> tuple[str, str]:
    """A text with one ^ in it -> the text without, and "line:column" of the place."""
    before, mark, after = text.partition("^")
    assert mark, "no ^ in the text"
    return before + after, f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def refusal(folder: Path, *changes: tuple[str, str], settings: tuple[str, ...] = ()) -> str:
    """What the harness says when it refuses SMALL with these changes; paths are relative."""
    file = small_file(folder, *changes)
    with pytest.raises(HarnessError) as caught:
        prepared([str(file)], "numpy", settings)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(f"{folder}/", "")


def slopes_agree(
    parameters: Mapping[str, Any], loss: Callable[[], Any], rng: np.random.Generator
) -> None:
    """Each float64 parameter's gradient against central differences along a random direction.

    The tolerance is the engine's own for gradients (harness.autograd.gradcheck).
    """
    loss().backward()
    for label, parameter in parameters.items():
        direction = rng.standard_normal(parameter.shape)
        direction /= np.linalg.norm(direction)
        at, values = parameter.data, []
        for sign in (1.0, -1.0):
            parameter.data = at + sign * STEP * direction
            values.append(loss().item())
        parameter.data = at
        slope = (values[0] - values[1]) / (2.0 * STEP)
        found = Comparison(0, float(np.vdot(parameter.grad, direction)), slope)
        assert found.agrees, f"{label}: {found}"
