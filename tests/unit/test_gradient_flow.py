"""The testing guide's three templates on every layer and every loss, and basic chains of ops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from harness.autograd import Tensor, nn, ops

TOKENS = np.array([[1, 0, 2, 2], [3, 1, 1, 0]])


@dataclass(frozen=True)
class Sample:
    """A layer, an input for it (by shape or as an array) and the backward of its last op."""

    layer: Callable[[np.random.Generator], nn.Module]
    input: tuple[int, ...] | np.ndarray
    backward: str
    # Why the gradient of output.sum() is zero, where it is; then the sum is a weighted one.
    constant_sum: str = ""

    def build(self) -> nn.Module:
        return self.layer(np.random.default_rng(0))

    def run(self) -> tuple[nn.Module, Tensor, Tensor]:
        """The layer, its input, and its output."""
        layer, rng = self.build(), np.random.default_rng(1)
        if isinstance(self.input, np.ndarray):
            x = Tensor(self.input)
        else:
            x = Tensor(rng.standard_normal(self.input), requires_grad=True)
        return layer, x, layer(x)

    def loss(self, output: Tensor) -> Tensor:
        if not self.constant_sum:
            return output.sum()
        return (output * np.random.default_rng(2).standard_normal(output.shape)).sum()


LAYERS = {
    "Linear": Sample(lambda rng: nn.Linear(4, 3, rng=rng), (5, 4), "LinearBackward"),
    "Linear without bias": Sample(
        lambda rng: nn.Linear(4, 3, bias=False, rng=rng), (2, 5, 4), "LinearBackward"
    ),
    "ReLU": Sample(lambda _: nn.ReLU(), (5, 4), "ReLUBackward"),
    "GELU": Sample(lambda _: nn.GELU(), (5, 4), "GELUBackward"),
    "GELU tanh": Sample(lambda _: nn.GELU("tanh"), (5, 4), "GELUBackward"),
    "Tanh": Sample(lambda _: nn.Tanh(), (5, 4), "TanhBackward"),
    "Sigmoid": Sample(lambda _: nn.Sigmoid(), (5, 4), "SigmoidBackward"),
    "Softmax": Sample(
        lambda _: nn.Softmax(), (5, 4), "SoftmaxBackward", constant_sum="every row sums to 1"
    ),
    "Dropout": Sample(lambda rng: nn.Dropout(0.5, rng), (5, 4), "DropoutBackward"),
    "Flatten": Sample(lambda _: nn.Flatten(), (5, 2, 3), "ReshapeBackward"),
    "Conv2d": Sample(lambda rng: nn.Conv2d(2, 3, 3, rng=rng), (2, 2, 5, 6), "Conv2dBackward"),
    "Conv2d without bias": Sample(
        lambda rng: nn.Conv2d(2, 3, 3, 2, 1, bias=False, rng=rng), (2, 2, 5, 6), "Conv2dBackward"
    ),
    "MaxPool2d": Sample(lambda _: nn.MaxPool2d(2), (2, 2, 4, 6), "MaxPool2dBackward"),
    "AvgPool2d": Sample(lambda _: nn.AvgPool2d(2), (2, 2, 4, 6), "AvgPool2dBackward"),
    "LayerNorm": Sample(
        lambda _: nn.LayerNorm(4),
        (5, 4),
        "LayerNormBackward",
        constant_sum="every normalised row sums to 0, so its input cannot move the sum",
    ),
    "Embedding": Sample(lambda rng: nn.Embedding(5, 3, rng), TOKENS, "EmbeddingBackward"),
    "SinusoidalPositions": Sample(lambda _: nn.SinusoidalPositions(4), (2, 3, 4), "AddBackward"),
    "MultiHeadAttention": Sample(
        lambda rng: nn.MultiHeadAttention(4, 2, rng=rng), (2, 3, 4), "LinearBackward"
    ),
    "causal MultiHeadAttention": Sample(
        lambda rng: nn.MultiHeadAttention(4, 2, True, rng), (2, 3, 4), "LinearBackward"
    ),
    "Sequential": Sample(
        lambda rng: nn.Sequential(nn.Linear(4, 3, rng=rng), nn.Tanh(), nn.Linear(3, 2, rng=rng)),
        (5, 4),
        "LinearBackward",
    ),
    "Residual": Sample(lambda rng: nn.Residual(nn.Linear(4, 4, rng=rng)), (5, 4), "AddBackward"),
}
# Softmax ignores a constant added to a row of scores, which is all that a key bias does.
ZERO_BY_MATHEMATICS = {"key.bias"}

every_layer = pytest.mark.parametrize("sample", LAYERS.values(), ids=LAYERS)
layers_with_parameters = pytest.mark.parametrize(
    "sample", [pytest.param(s, id=n) for n, s in LAYERS.items() if s.build().parameters()]
)
layers_with_real_input = pytest.mark.parametrize(
    "sample", [pytest.param(s, id=n) for n, s in LAYERS.items() if type(s.input) is tuple]
)

CLASSES, LABELS = np.array([0, 2, 1]), np.array([[0.0, 1.0]] * 3)
LOSSES = {
    "CrossEntropyLoss": (nn.CrossEntropyLoss, (3, 4), CLASSES, "CrossEntropyBackward"),
    "BCEWithLogitsLoss": (
        nn.BCEWithLogitsLoss,
        (3, 2),
        LABELS,
        "BinaryCrossEntropyWithLogitsBackward",
    ),
    "MSELoss": (nn.MSELoss, (3, 2), LABELS, "MSELossBackward"),
}


def test_every_layer_and_every_loss_has_a_sample() -> None:
    sampled = {type(sample.build()).__name__ for sample in LAYERS.values()} | set(LOSSES)

    assert sampled == set(nn.__all__) - {"Module", "Parameter"}


# --- the guide's templates ------------------------------------------------------------


@every_layer
def test_layer_has_backward_function(sample: Sample) -> None:
    _, _, output = sample.run()

    assert hasattr(output, "_grad_fn"), "Output should have _grad_fn"
    assert output._grad_fn is not None
    assert type(output._grad_fn).__name__ == sample.backward


@layers_with_parameters
def test_layer_parameter_gradient_flow(sample: Sample) -> None:
    layer, _, output = sample.run()

    sample.loss(output).backward()

    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.shape == parameter.shape, name
        if name not in ZERO_BY_MATHEMATICS:
            assert not np.allclose(parameter.grad.data, 0), name


@layers_with_real_input
def test_layer_input_gradient_flow(sample: Sample) -> None:
    _, x, output = sample.run()

    sample.loss(output).backward()

    assert x.grad is not None
    assert x.grad.shape == x.shape
    assert not np.allclose(x.grad.data, 0)


@layers_with_parameters
def test_layer_without_required_gradients_gets_none(sample: Sample) -> None:
    layer = sample.build()
    for parameter in layer.parameters():
        parameter.requires_grad = False
    x = Tensor(sample.input if isinstance(sample.input, np.ndarray) else np.ones(sample.input))

    assert layer(x)._grad_fn is None
    assert [parameter.grad for parameter in layer.parameters()] == [None] * len(layer.parameters())


@pytest.mark.parametrize(("loss", "shape", "target", "backward"), LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_passes_a_gradient_to_its_input(
    loss: Callable[[str], Callable[..., Tensor]],
    shape: tuple[int, ...],
    target: np.ndarray,
    backward: str,
    reduction: str,
    rng: np.random.Generator,
) -> None:
    x = Tensor(rng.standard_normal(shape), requires_grad=True)

    output = loss(reduction)(x, Tensor(target))
    output.backward()

    assert type(output._grad_fn).__name__ == backward
    assert output.shape == ()
    assert not np.allclose(x.grad.data, 0)


# --- basic operations -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (lambda x: x.reshape(4).sum(), [[1.0, 1.0], [1.0, 1.0]]),
        (lambda x: x.T[0].sum(), [[1.0, 0.0], [1.0, 0.0]]),
        (lambda x: x.mean(), [[0.25, 0.25], [0.25, 0.25]]),
        (lambda x: x.max(), [[0.0, 0.0], [0.0, 1.0]]),
        (lambda x: (x @ Tensor([1.0, 10.0])).sum(), [[1.0, 10.0], [1.0, 10.0]]),
        (lambda x: (x - 2.0).relu().sum(), [[0.0, 0.0], [1.0, 1.0]]),
        (lambda x: (x**2).sum(), [[2.0, 4.0], [6.0, 8.0]]),
        (lambda x: x.log().sum(), [[1.0, 1 / 2], [1 / 3, 1 / 4]]),
        (lambda x: x.sqrt().sum(), [[0.5, 8**-0.5], [12**-0.5, 0.25]]),
        (lambda x: x.flatten().reshape(2, 2).transpose().permute(1, 0).sum(), np.ones((2, 2))),
        (lambda x: ops.concatenate([x, 2.0 * x], dim=1)[0].sum(), [[3.0, 3.0], [0.0, 0.0]]),
    ],
)
def test_chain_of_ops_gives_the_hand_calculated_gradient(
    expression: Callable[[Tensor], Tensor], expected: list
) -> None:
    x = Tensor(np.array([[1.0, 2.0], [3.0, 4.0]]), requires_grad=True)

    expression(x).backward()

    assert x.grad == pytest.approx(np.array(expected))


def test_reshape_keeps_the_chain() -> None:
    """The testing guide's issue 3."""
    x = Tensor(np.ones((2, 3, 4)), requires_grad=True)

    y = x.reshape(2, -1)

    assert type(y._grad_fn).__name__ == "ReshapeBackward"
    assert y._grad_fn.saved_tensors == (x,)


def test_linear_bias_gradient_is_the_batch_size() -> None:
    layer = nn.Linear(4, 3, rng=np.random.default_rng(0))

    layer(Tensor(np.ones((5, 4)))).sum().backward()

    assert layer.bias.grad.tolist() == [5.0, 5.0, 5.0]


def test_dropout_gradient_passes_where_the_number_passed(rng: np.random.Generator) -> None:
    x = Tensor(np.ones((20, 20)), requires_grad=True)

    y = nn.Dropout(0.25, rng)(x)
    y.sum().backward()

    assert set(y.data.ravel()) == {0.0, 1.0 / 0.75}
    assert x.grad.tolist() == y.data.tolist()


def test_frozen_parameter_gets_no_gradient_but_lets_it_pass() -> None:
    layer = nn.Linear(4, 3, rng=np.random.default_rng(0))
    layer.weight.requires_grad = False
    x = Tensor(np.ones((5, 4)), requires_grad=True)

    layer(x).sum().backward()

    assert layer.weight.grad is None
    assert x.grad == pytest.approx(np.tile(layer.weight.data.sum(axis=0), (5, 1)))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
