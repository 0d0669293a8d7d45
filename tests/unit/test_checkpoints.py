"""Checkpoints: which steps are looked at closely, and what is kept of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness import backends, datasets
from harness.config_files import load as load_config
from harness.fingerprints import checksum
from harness.model import build
from harness.record import RunRecord
from harness.training import Learner, batches, train
from harness.watches.checkpoints import doubling
from tests.examples import LABELS, small_file


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(0, []), (1, [0]), (2, [0, 1]), (5, [0, 1, 2, 4]), (10, [0, 1, 2, 4, 8, 9])],
)
def test_steps_double_and_the_last_is_among_them(steps: int, expected: list[int]) -> None:
    assert doubling(steps) == expected


def trained(folder: Path, *checkpoints: int, seed: int = 0) -> RunRecord:
    config = load_config(small_file(folder))
    backend = backends.load("numpy")
    return train(config, backend, datasets.load(config), seed, checkpoints)


def test_a_step_leaves_what_it_held(tmp_path: Path) -> None:
    """Against the same step taken by hand."""
    config = load_config(small_file(tmp_path))
    backend, dataset = backends.load("numpy"), datasets.load(config)
    seen = trained(tmp_path, 0, 1).checkpoints
    model = build(config.layers, backend, 0)
    parameters = list(model.parameters.values())
    learner, steps = Learner(config, model), batches(config, dataset, 0)
    assert seen.start_crc.tolist() == [checksum(a) for a in backend.arrays(parameters)]
    for row in (0, 1):
        x, y = next(steps)
        outputs, _ = learner.backward(x, y)
        assert seen.batch_crc[row] == checksum(x, y)
        assert seen.output_crc[row, -1] == checksum(outputs)
        gradients = [checksum(backend.gradient(each)) for each in parameters]  # type: ignore[arg-type]  # all arrive
        assert seen.gradient_crc[row].tolist() == gradients
        learner.step(row / 80)
        values = [checksum(array) for array in backend.arrays(parameters)]
        assert seen.value_crc[row].tolist() == values


def test_shapes_follow_steps_layers_and_tensors(tmp_path: Path) -> None:
    record = trained(tmp_path, 0, 3, 79, 500)
    seen = record.checkpoints
    assert seen.steps.tolist() == [0, 3, 79]  # there is no step 500
    assert (record.labels, record.layers) == (LABELS, ["hidden", "tanh", "output"])
    assert seen.start_sketch.shape == (4, 8)
    assert seen.output_sketch.shape == (3, 3, 8)
    assert seen.gradient_sketch.shape == seen.value_sketch.shape == (3, 4, 8)


def test_looking_closely_changes_nothing(tmp_path: Path) -> None:
    assert trained(tmp_path, *range(80)).digest == trained(tmp_path).digest


def test_same_seed_leaves_the_same_fingerprints_and_another_seed_others(tmp_path: Path) -> None:
    one, again, other = (trained(tmp_path, 0, 4, seed=seed).checkpoints for seed in (0, 0, 1))
    for name, array in vars(one).items():
        np.testing.assert_array_equal(array, getattr(again, name))
    assert (one.value_crc != other.value_crc).all()


def test_model_keeps_nothing_of_a_step_that_is_over(tmp_path: Path) -> None:
    config = load_config(small_file(tmp_path))
    backend = backends.load("numpy")
    model = build(config.layers, backend, 0)
    model.seen = {}
    model(backend.tensor(np.zeros((4, 2), dtype=np.float32)))
    assert list(model.seen) == ["hidden", "tanh", "output"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
