"""The five milestones really learn: trained as `harness run` trains them, and looked at closely.

Each test stands alone:

    python -c "from tests.milestones.test_learning_verification import test_cnn_learning; \
test_cnn_learning()"
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from harness import config_files, on_record
from harness.checks import all_checks, judge, probes_for
from harness.checks.tensors import NEGLIGIBLE
from harness.config import MilestoneConfig
from harness.record import RunRecord
from harness.runner import Job, execute


@cache
def trained(name: str) -> tuple[MilestoneConfig, RunRecord]:
    """A shipped milestone and what was observed while it trained on the first seed."""
    milestone = config_files.load(config_files.find(name))
    return milestone, execute(Job(milestone, 0, probes=probes_for("milestone", None)))


def assert_learned(name: str, tensors: int, null: tuple[str, ...] = ()) -> None:
    """The first four points of the guide, from the record itself; and every check agrees."""
    milestone, record = trained(name)
    floor = milestone.targets.loss_floor

    # Loss decreases over training.
    tenth = record.steps // 10
    first, last = record.loss[:tenth].mean(), record.loss[-tenth:].mean()
    assert np.isfinite(record.loss).all()
    assert last - floor < 0.5 * (record.loss[0] - floor)
    assert last < first

    # All parameters receive gradients, at every step.
    assert len(record.labels) == tensors
    assert np.isfinite(record.gradient_norm).all()
    largest = record.gradient_norm.max(axis=1, keepdims=True)
    with_gradient = np.median(record.gradient_norm / largest, axis=0) > NEGLIGIBLE
    assert [label for label, has in zip(record.labels, with_gradient, strict=True) if not has] == \
        list(null)  # fmt: skip

    # All parameters update during training.
    moved = record.movement.sum(axis=0) > 0
    assert [label for label, has in zip(record.labels, moved, strict=True)
            if not has and label not in null] == []  # fmt: skip

    # The model achieves its target on held-out data; always the same answer would not.
    assert record.final_accuracy >= milestone.targets.accuracy > record.majority_accuracy

    verdicts = judge(milestone, record, on_record.load(name))
    no_floor = set() if floor else {"loss_stays_above_floor"}
    skipped = {verdict.check for verdict in verdicts if verdict.status == "skip"}
    passed = {verdict.check for verdict in verdicts if verdict.status == "pass"}
    assert passed == {check.name for check in all_checks() if check.scope == "milestone"} - skipped
    assert skipped <= no_floor


def assert_component(name: str, prefix: str, labels: list[str]) -> None:
    """Every tensor of one layer gets a gradient that is not negligible, and moves."""
    _, record = trained(name)
    assert [label for label in record.labels if label.startswith(prefix)] == labels
    largest = record.gradient_norm.max(axis=1)
    for label in labels:
        column = record.labels.index(label)
        assert np.median(record.gradient_norm[:, column] / largest) > NEGLIGIBLE, label
        assert record.movement[:, column].sum() > 0, label


def test_perceptron_learning() -> None:
    assert_learned("perceptron", tensors=2)
    assert_component("perceptron", "output.", ["output.weight", "output.bias"])
    _, record = trained("perceptron")
    assert record.final_accuracy == 1.0  # Rosenblatt's theorem: separable, so nothing less


def test_xor_learning() -> None:
    assert_learned("xor", tensors=4)
    assert_component("xor", "hidden.", ["hidden.weight", "hidden.bias"])
    _, record = trained("xor")
    assert record.final_accuracy == 1.0
    assert record.loss[-1] < np.log(2.0)  # what answering 1/2 everywhere costs


def test_mlp_learning() -> None:
    assert_learned("mlp", tensors=4)
    assert_component("mlp", "hidden.", ["hidden.weight", "hidden.bias"])
    assert_component("mlp", "output.", ["output.weight", "output.bias"])


def test_cnn_learning() -> None:
    assert_learned("cnn", tensors=6)
    assert_component("cnn", "conv1.", ["conv1.weight", "conv1.bias"])
    assert_component("cnn", "conv2.", ["conv2.weight", "conv2.bias"])


def test_transformer_learning() -> None:
    assert_learned("transformer", tensors=19, null=("attention.key.bias",))
    assert_component("transformer", "embedding.", ["embedding.weight"])
    for part in ("query", "value", "out"):
        prefix = f"attention.{part}."
        assert_component("transformer", prefix, [f"{prefix}weight", f"{prefix}bias"])
    assert_component("transformer", "attention.key.w", ["attention.key.weight"])
    for norm in ("norm1", "norm2"):
        assert_component("transformer", f"{norm}.", [f"{norm}.weight", f"{norm}.bias"])
    milestone, record = trained("transformer")
    # Nothing can beat the entropy of what was not said yet, but by chance within a batch.
    assert record.loss[-record.steps // 10 :].mean() > 0.95 * milestone.targets.loss_floor


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
