"""Gradients through embedding, positions, attention, norms and residuals: to all 19 tensors."""

from __future__ import annotations

import numpy as np
import pytest

from harness import config_files, datasets
from harness.autograd import Tensor, ops
from harness.backends import load
from harness.checks.tensors import NEGLIGIBLE
from harness.model import Model, build
from harness.streams import stream
from harness.training import batches
from tests.examples import slopes_agree

NULL = "attention.key.bias"


@pytest.fixture
def model() -> Model:
    """The model of configs/transformer.yaml in float64."""
    built = build(config_files.load(config_files.find("transformer")).layers, load("numpy"), seed=0)
    for parameter in built.parameters.values():
        parameter.data = parameter.data.astype(np.float64)
    return built


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Eight real sequences, and their next tokens in a row."""
    transformer = config_files.load(config_files.find("transformer"))
    x, y = next(batches(transformer, datasets.load(transformer), seed=0))
    return Tensor(x[:8]), Tensor(y[:8].reshape(-1))


def test_transformer_gradients_reach_all_nineteen_tensors(
    model: Model, batch: tuple[Tensor, Tensor]
) -> None:
    x, y = batch
    ops.cross_entropy(model(x), y).backward()
    assert len(model.parameters) == 19
    norms = {}
    for label, parameter in model.parameters.items():
        assert parameter.grad is not None, label
        norms[label] = float(np.linalg.norm(parameter.grad))
    largest = max(norms.values())
    zero = [label for label, norm in norms.items() if norm <= NEGLIGIBLE * largest]
    assert zero == [NULL]


def test_transformer_agrees_with_finite_differences(
    model: Model, batch: tuple[Tensor, Tensor]
) -> None:
    x, y = batch
    slopes_agree(model.parameters, lambda: ops.cross_entropy(model(x), y), stream(0, "slope"))


def test_key_bias_changes_no_output(model: Model, batch: tuple[Tensor, Tensor]) -> None:
    """Why its gradient is null: softmax ignores a constant added to a whole row of scores."""
    before = model(batch[0]).data
    model.parameters[NULL].data = model.parameters[NULL].data + 3.0
    np.testing.assert_allclose(model(batch[0]).data, before, rtol=1e-9, atol=1e-9)


def test_no_place_sees_what_comes_after_it(model: Model, batch: tuple[Tensor, Tensor]) -> None:
    x = batch[0].data
    changed = x.copy()
    changed[:, 5:] = (changed[:, 5:] + 1) % 10
    before = model(Tensor(x)).data.reshape(8, -1, 11)
    after = model(Tensor(changed)).data.reshape(8, -1, 11)
    np.testing.assert_array_equal(after[:, :5], before[:, :5])
    assert not np.allclose(after[:, 5:], before[:, 5:])


def test_every_token_used_gets_a_row_of_gradient_and_no_other(
    model: Model, batch: tuple[Tensor, Tensor]
) -> None:
    x, y = batch
    two = Tensor(x.data[:2])
    ops.cross_entropy(model(two), Tensor(y.data[: two.size])).backward()
    grad = model.parameters["embedding.weight"].grad
    assert grad is not None
    used = np.flatnonzero(np.abs(grad).sum(axis=1))
    np.testing.assert_array_equal(used, np.unique(two.data))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
