"""Gradients through conv, pool, conv, pool and linear: to every tensor, and the right ones."""

from __future__ import annotations

import numpy as np
import pytest

from harness import config_files, datasets
from harness.autograd import Function, Tensor, gradcheck, nn, ops
from harness.backends import load
from harness.model import Model, build
from harness.streams import stream
from harness.training import batches
from tests.examples import slopes_agree

SHAPES = [(2, 1, 12, 12), (3, 1, 3, 3), (3,), (4, 3, 3, 3), (4,), (10, 36), (10,)]
CLASSES = Tensor(np.array([3, 7]))


def chain(
    x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, w3: Tensor, b3: Tensor
) -> Tensor:
    """conv-pool-relu-conv-pool-linear, with padding and a stride on the way. Shape () out."""
    x = ops.max_pool2d(ops.conv2d(x, w1, b1, 1, 1), 2).relu()  # (2, 3, 6, 6)
    x = ops.avg_pool2d(ops.conv2d(x, w2, b2, 1, 1), 2)  # (2, 4, 3, 3)
    return ops.cross_entropy(ops.linear(x.flatten(1), w3, b3), CLASSES)


def drawn(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.standard_normal(shape) * 0.5 for shape in SHAPES]


def functions_behind(tensor: Tensor) -> set[str]:
    """Class names of all ops between a tensor and its leaves."""
    found, waiting = set(), [tensor._grad_fn]
    while waiting:
        function = waiting.pop()
        if isinstance(function, Function):
            found.add(type(function).__name__)
            waiting += [source._grad_fn for source in function.saved_tensors]
    return found


def test_cnn_chain_has_backward_functions(rng: np.random.Generator) -> None:
    loss = chain(*(Tensor(array, requires_grad=True) for array in drawn(rng)))
    expected = ["Conv2d", "MaxPool2d", "AvgPool2d", "ReLU", "Reshape", "Linear", "CrossEntropy"]
    assert {f"{name}Backward" for name in expected} <= functions_behind(loss)


def test_cnn_chain_gradients_reach_the_input_and_every_parameter(rng: np.random.Generator) -> None:
    tensors = [Tensor(array, requires_grad=True) for array in drawn(rng)]
    chain(*tensors).backward()
    for tensor in tensors:
        assert tensor.grad is not None
        assert tensor.grad.shape == tensor.shape
        assert not np.allclose(tensor.grad.data, 0)


def test_cnn_chain_agrees_with_finite_differences(rng: np.random.Generator) -> None:
    compared = gradcheck(chain, drawn(rng), rng)
    assert len(compared) == len(SHAPES)
    assert [each for each in compared if not each.agrees] == []


def test_cnn_chain_survives_a_forward_in_evaluation(rng: np.random.Generator) -> None:
    """Layers as a person would write them; switching modes breaks no graph."""
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(75, 10, rng=rng),
    )
    x = Tensor(rng.standard_normal((2, 1, 12, 12)).astype(np.float32))
    before = net.eval()(x).data
    nn.CrossEntropyLoss()(net.train()(x), CLASSES).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    np.testing.assert_array_equal(net.eval()(x).data, before)


@pytest.fixture
def milestone() -> tuple[Model, np.ndarray, np.ndarray]:
    """The model of configs/cnn.yaml in float64, and a real batch."""
    cnn = config_files.load(config_files.find("cnn"))
    x, y = next(batches(cnn, datasets.load(cnn), seed=0))
    model = build(cnn.layers, load("numpy"), seed=0)
    for parameter in model.parameters.values():
        parameter.data = parameter.data.astype(np.float64)
    return model, x[:8].astype(np.float64), y[:8]


def test_cnn_milestone_gradients_reach_all_six_tensors(
    milestone: tuple[Model, np.ndarray, np.ndarray],
) -> None:
    model, x, y = milestone
    ops.cross_entropy(model(Tensor(x)), Tensor(y)).backward()
    assert len(model.parameters) == 6
    for label, parameter in model.parameters.items():
        assert parameter.grad is not None, label
        assert np.linalg.norm(parameter.grad) > 0, label


def test_cnn_milestone_agrees_with_finite_differences(
    milestone: tuple[Model, np.ndarray, np.ndarray],
) -> None:
    model, x, y = milestone
    slopes_agree(
        model.parameters, lambda: ops.cross_entropy(model(Tensor(x)), Tensor(y)), stream(0, "slope")
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
