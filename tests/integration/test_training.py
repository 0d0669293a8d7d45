"""The training loop: what it feeds, what it records, when it stops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import backends, config_files, datasets
from harness.autograd import nn, optim
from harness.checks import judge
from harness.checks.loss import loss_falls
from harness.config import MilestoneConfig
from harness.model import build
from harness.record import RunRecord
from harness.training import batches, train
from tests.examples import NAMES, small_config, small_file

BACKEND = backends.load("numpy")


def trained(milestone: MilestoneConfig, seed: int = 0) -> RunRecord:
    return train(milestone, BACKEND, datasets.load(milestone), seed)


def shipped(name: str, *changes: str) -> MilestoneConfig:
    return config_files.load(config_files.find(name), changes=changes)


def test_every_example_is_seen_once_an_epoch_in_an_order_of_its_own() -> None:
    milestone = shipped("perceptron", "training.epochs=3", "training.batch_size=16")
    dataset = datasets.load(milestone)
    drawn = list(batches(milestone, dataset, seed=1))
    per_epoch = -(-len(dataset.train_x) // 16)
    assert len(drawn) == 3 * per_epoch
    assert len(drawn[per_epoch - 1][0]) == len(dataset.train_x) % 16
    epochs = [
        np.concatenate([x for x, _ in drawn[start : start + per_epoch]])
        for start in range(0, len(drawn), per_epoch)
    ]
    for seen in epochs:
        np.testing.assert_array_equal(np.sort(seen, axis=0), np.sort(dataset.train_x, axis=0))
    assert not np.array_equal(epochs[0], epochs[1])


def test_inputs_keep_their_targets() -> None:
    milestone = shipped("transformer", "training.batch_size=50")
    x, y = next(batches(milestone, datasets.load(milestone), seed=0))
    np.testing.assert_array_equal(x[:, 1:], y[:, :-1])


def test_order_does_not_depend_on_what_varies() -> None:
    """Each draws from a stream of its own: another placement leaves the order alone."""
    milestone = shipped("mlp", "training.epochs=2")
    dataset = datasets.load(milestone)
    plain = [y for _, y in batches(milestone, replace(dataset, vary=None), seed=0)]
    varied = [y for _, y in batches(milestone, dataset, seed=0)]
    np.testing.assert_array_equal(np.concatenate(plain), np.concatenate(varied))


def test_record_has_a_row_a_step_and_a_column_a_tensor() -> None:
    milestone = shipped("mlp", "training.epochs=2")
    dataset = datasets.load(milestone)
    record = trained(milestone)
    steps = 2 * -(-len(dataset.train_x) // milestone.training.batch_size)
    assert record.steps == record.planned_steps == steps
    assert record.gradient_norm.shape == record.movement.shape == (steps, 4)
    assert record.labels == ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]
    assert record.shapes == [(32, 100), (32,), (10, 32), (10,)]
    assert (record.milestone, record.seed, record.backend) == ("mlp", 0, "numpy")
    assert record.held_out_examples == len(dataset.held_out_x)
    assert record.data_digest == dataset.digest
    assert np.isfinite(record.loss).all()
    assert (record.gradient_norm > 0).all()
    every = milestone.training.evaluate_every
    assert record.evaluated_at.tolist() == list(range(0, steps + 1, every))
    assert set(record.seconds) == {"probing", "building", "training", "watching", "evaluating"}


def test_accuracy_is_that_of_the_final_weights_on_all_held_out_examples() -> None:
    """Trained again here with the engine alone, by hand."""
    milestone = small_config()
    record = trained(milestone)
    dataset = datasets.load(milestone)
    model = build(milestone.layers, BACKEND, 0)
    optimizer = optim.SGD(list(model.parameters.values()), lr=milestone.training.lr)
    losses = []
    for x, y in batches(milestone, dataset, 0):
        loss = nn.BCEWithLogitsLoss()(
            model(BACKEND.tensor(x)), BACKEND.tensor(y[:, None].astype(np.float32))
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    logits = model(BACKEND.tensor(dataset.held_out_x)).data
    assert record.final_accuracy == ((logits[:, 0] > 0) == dataset.held_out_y).mean()
    np.testing.assert_allclose(record.loss, losses, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_gives_the_same_bits_and_another_seed_others(name: str) -> None:
    milestone = shipped(name, "training.epochs=1")
    one, again, other = trained(milestone), trained(milestone), trained(milestone, seed=1)
    assert one.digest == again.digest
    np.testing.assert_array_equal(one.loss, again.loss)
    np.testing.assert_array_equal(one.gradient_norm, again.gradient_norm)
    assert one.digest != other.digest


def test_digest_sees_weights_that_the_loss_does_not() -> None:
    """The last step changes the weights after the last loss was computed."""
    plain = trained(small_config())
    faster = small_config()
    faster = faster.model_copy(
        update={"training": faster.training.model_copy(update={"lr_decay": "linear"})}
    )
    assert trained(faster).digest != plain.digest


@pytest.mark.parametrize("lr", ["1.0e+30", "1.0e+38"])
def test_loss_that_is_not_finite_ends_the_training_and_fails(tmp_path: Path, lr: str) -> None:
    file = small_file(tmp_path, ("lr: 1.0", f"lr: {lr}"), ("epochs: 80", "epochs: 5000"))
    milestone = config_files.load(file)
    milestone = milestone.model_copy(
        update={"training": milestone.training.model_copy(update={"loss": "MSELoss"})}
    )
    record = trained(milestone)
    assert record.steps < record.planned_steps == 5000
    assert loss_falls(milestone, record).status == "fail"
    assert "fail" in {verdict.status for verdict in judge(milestone, record)}
    assert "pass" not in {v.status for v in judge(milestone, record) if v.check == "target_reached"}


def test_learning_rate_falls_to_zero_in_equal_steps(tmp_path: Path) -> None:
    """Of SGD the movement is the learning rate times the gradient."""
    record = trained(config_files.load(small_file(tmp_path), changes=["training.lr_decay=linear"]))
    found = record.movement[:, 0] / record.gradient_norm[:, 0]
    np.testing.assert_allclose(found, 1.0 - np.arange(80) / 80, rtol=1e-3)


def test_clipping_bounds_the_norm_of_all_gradients(tmp_path: Path) -> None:
    record = trained(
        config_files.load(small_file(tmp_path), changes=["training.clip_grad_norm=0.01"])
    )
    lr = 1.0  # of plain SGD: a step is as long as the clipped gradient
    steps = np.linalg.norm(record.movement, axis=1)
    assert steps.max() == pytest.approx(0.01 * lr, rel=1e-3)
    assert np.linalg.norm(record.gradient_norm, axis=1).max() > 0.05  # watched before clipping


def test_evaluation_on_the_way_looks_at_some_rows_and_at_the_end_at_all() -> None:
    record = trained(shipped("mlp", "training.evaluate_rows=1", "training.epochs=1"))
    assert set(record.accuracy.tolist()) <= {0.0, 1.0}
    assert 0.0 < record.final_accuracy < 1.0
    whole = trained(shipped("mlp", "training.epochs=1", "training.evaluate_every=22"))
    assert whole.final_accuracy == record.final_accuracy


def test_dropout_is_off_when_it_is_judged_and_on_again_after(tmp_path: Path) -> None:
    """Evaluations of the same weights agree, although training drops half of all numbers."""
    file = small_file(tmp_path, ("tanh: {type: Tanh}", "tanh: {type: Dropout, p: 0.5}"))
    milestone = config_files.load(file, changes=["training.lr=1.0e-30", "training.epochs=64"])
    record = trained(milestone)
    assert len(set(record.held_out_loss.tolist())) == 1
    assert np.ptp(record.loss[-8:]) > 1e-3


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
