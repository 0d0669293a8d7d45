"""What must fail beside a milestone does fail, by our own training and by scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from harness import datasets
from harness.checks.accuracy import target_reached
from harness.config import MilestoneConfig
from harness.config_files import find, load
from harness.runner import Job, execute

CONFIGS = {name: load(find(name)) for name in ("perceptron", "xor", "mlp", "cnn", "transformer")}
TRAINED = [
    (name, label)
    for name, config in CONFIGS.items()
    for label, control in config.controls.items()
    if control.layers is not None
]


def fitted(config: MilestoneConfig, epochs: int) -> float:
    """Held-out accuracy of scikit-learn's logistic regression on so many epochs of data."""
    dataset = datasets.load(config)
    rng = np.random.default_rng(0)
    x = np.concatenate([dataset.epoch(rng)[0] for _ in range(epochs)])
    y = np.tile(dataset.train_y, epochs)
    model = LogisticRegression(max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may stop before it has converged: near enough
        model.fit(x.reshape(len(x), -1), y)
    return float(model.score(dataset.held_out_x.reshape(len(dataset.held_out_x), -1),
                             dataset.held_out_y))  # fmt: skip


@pytest.mark.parametrize(("name", "label"), TRAINED)
def test_control_misses_the_target(name: str, label: str) -> None:
    config = CONFIGS[name]

    record = execute(Job(config.control(label), seed=0))

    assert record.final_accuracy < config.targets.accuracy
    assert record.final_accuracy <= (config.controls[label].at_most or 1.0)
    assert target_reached(config, record).status == "fail"


def test_cnn_control_has_at_least_as_many_weights() -> None:
    config = CONFIGS["cnn"]
    ours, theirs = (
        sum(int(np.prod(shape)) for shape in execute(Job(each, seed=0)).shapes)
        for each in (config, config.control("mlp"))
    )
    assert theirs >= ours


def test_perceptron_classes_are_equally_frequent() -> None:
    assert datasets.load(CONFIGS["perceptron"]).majority_accuracy == 0.5


def test_scikit_learn_finds_the_irises_separable() -> None:
    dataset = datasets.load(CONFIGS["perceptron"])
    model = LogisticRegression(C=1e6, max_iter=1000).fit(dataset.train_x, dataset.train_y)

    assert model.score(dataset.train_x, dataset.train_y) == 1.0
    assert model.score(dataset.held_out_x, dataset.held_out_y) == 1.0


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_scikit_learns_logistic_regression_misses_the_target(name: str) -> None:
    accuracy = fitted(CONFIGS[name], epochs=6)

    assert 0.2 < accuracy < CONFIGS[name].targets.accuracy - 0.1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
