"""Gradient flow through Conv2d, MaxPool2d and AvgPool2d."""

from __future__ import annotations

import numpy as np
import pytest

from harness.autograd import Tensor, gradcheck, nn, ops


@pytest.fixture
def conv() -> nn.Conv2d:
    return nn.Conv2d(in_channels=2, out_channels=3, kernel_size=3, rng=np.random.default_rng(0))


@pytest.fixture
def x(rng: np.random.Generator) -> Tensor:
    return Tensor(rng.standard_normal((2, 2, 6, 8)), requires_grad=True)


# --- Conv2d ---------------------------------------------------------------------------


def test_conv2d_has_backward_function(conv: nn.Conv2d, x: Tensor) -> None:
    output = conv(x)

    assert hasattr(output, "_grad_fn"), "Output should have _grad_fn"
    assert output._grad_fn is not None
    assert type(output._grad_fn).__name__ == "Conv2dBackward"


def test_conv2d_registers_every_parameter_with_its_backward(conv: nn.Conv2d, x: Tensor) -> None:
    """The testing guide's issue 4: a bias that is not handed over gets no gradient."""
    assert conv(x)._grad_fn.saved_tensors == (x, conv.weight, conv.bias)


def test_conv2d_weight_gradient_flow(conv: nn.Conv2d, x: Tensor) -> None:
    conv(x).sum().backward()

    assert conv.weight.grad is not None
    assert conv.weight.grad.shape == conv.weight.shape
    assert not np.allclose(conv.weight.grad.data, 0)


def test_conv2d_bias_gradient_flow(conv: nn.Conv2d, x: Tensor) -> None:
    conv(x).sum().backward()

    # A bias is added once for each of the 2 images and each of the 4 x 6 places.
    assert conv.bias.grad.tolist() == [48.0, 48.0, 48.0]


def test_conv2d_input_gradient_flow(conv: nn.Conv2d, x: Tensor) -> None:
    conv(x).sum().backward()

    assert x.grad is not None
    assert x.grad.shape == x.shape
    assert not np.allclose(x.grad.data, 0)


def test_conv2d_without_bias_passes_two_gradients(x: Tensor) -> None:
    conv = nn.Conv2d(2, 3, 3, bias=False, rng=np.random.default_rng(0))

    output = conv(x)
    output.sum().backward()

    assert output._grad_fn.saved_tensors == (x, conv.weight)
    assert not np.allclose(conv.weight.grad.data, 0)
    assert not np.allclose(x.grad.data, 0)


def test_conv2d_corner_pixel_is_seen_by_one_weight_only() -> None:
    x = Tensor(np.zeros((1, 1, 3, 3)), requires_grad=True)
    weight = Tensor(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), requires_grad=True)

    ops.conv2d(x, weight).sum().backward()

    # Pixel by pixel, the sum of the weights that slide over it.
    assert x.grad[0, 0].tolist() == [[1.0, 3.0, 2.0], [4.0, 10.0, 6.0], [3.0, 7.0, 4.0]]


def test_conv2d_padding_sends_no_gradient_outside() -> None:
    x = Tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    weight = Tensor(np.ones((1, 1, 3, 3)), requires_grad=True)

    ops.conv2d(x, weight, padding=1).sum().backward()

    # Each of the 4 windows covers all 4 pixels; each weight meets the pixels it can reach.
    assert x.grad[0, 0].tolist() == [[4.0, 4.0], [4.0, 4.0]]
    assert weight.grad[0, 0].tolist() == [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]


def test_conv2d_stride_skips_the_pixels_between() -> None:
    x = Tensor(np.ones((1, 1, 3, 3)), requires_grad=True)
    weight = Tensor(np.full((1, 1, 1, 1), 5.0), requires_grad=True)

    ops.conv2d(x, weight, stride=2).sum().backward()

    assert x.grad[0, 0].tolist() == [[5.0, 0.0, 5.0], [0.0, 0.0, 0.0], [5.0, 0.0, 5.0]]


def test_conv2d_adds_up_the_gradients_of_all_examples(conv: nn.Conv2d, x: Tensor) -> None:
    conv(x).sum().backward()
    together = conv.weight.grad
    conv.zero_grad()
    for n in range(2):
        conv(Tensor(x.data[n : n + 1])).sum().backward()

    assert conv.weight.grad == pytest.approx(together)


# --- pooling --------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [nn.MaxPool2d(2), nn.AvgPool2d(2)], ids=["max", "avg"])
def test_pool2d_input_gradient_flow(layer: nn.Module, x: Tensor) -> None:
    layer(x).sum().backward()

    assert x.grad is not None
    assert not np.allclose(x.grad.data, 0)
    # Every one of the 2 x 2 x 3 x 4 windows hands on exactly its gradient of 1.
    assert x.grad.sum() == pytest.approx(48.0)


def test_maxpool2d_has_backward_function(x: Tensor) -> None:
    output = nn.MaxPool2d(2)(x)

    assert output._grad_fn is not None
    assert type(output._grad_fn).__name__ == "MaxPool2dBackward"


def test_avgpool2d_has_backward_function(x: Tensor) -> None:
    output = nn.AvgPool2d(2)(x)

    assert output._grad_fn is not None
    assert type(output._grad_fn).__name__ == "AvgPool2dBackward"


def test_maxpool2d_gradient_goes_to_the_maximum() -> None:
    x = Tensor(np.array([[[[1.0, 2.0, 7.0, 6.0], [4.0, 3.0, 5.0, 8.0]]]]), requires_grad=True)

    output = nn.MaxPool2d(2)(x)
    (output * np.array([10.0, 20.0])).sum().backward()

    assert output.data[0, 0].tolist() == [[4.0, 8.0]]
    assert x.grad[0, 0].tolist() == [[0.0, 0.0, 0.0, 0.0], [10.0, 0.0, 0.0, 20.0]]


def test_maxpool2d_overlapping_windows_add_up() -> None:
    x = Tensor(np.array([[[[1.0, 9.0, 2.0]]]]), requires_grad=True)

    nn.MaxPool2d((1, 2), stride=1)(x).sum().backward()

    assert x.grad[0, 0].tolist() == [[0.0, 2.0, 0.0]]


def test_maxpool2d_leaves_out_pixels_behind_the_last_window() -> None:
    x = Tensor(np.array([[[[1.0, 2.0, 3.0]]]]), requires_grad=True)

    output = nn.MaxPool2d((1, 2))(x)
    output.sum().backward()

    assert output.shape == (1, 1, 1, 1)
    assert x.grad[0, 0].tolist() == [[0.0, 1.0, 0.0]]


def test_avgpool2d_gradient_is_shared_evenly() -> None:
    x = Tensor(np.array([[[[1.0, 2.0], [3.0, 6.0]]]]), requires_grad=True)

    output = nn.AvgPool2d(2)(x)
    output.sum().backward()

    assert output.data.item() == 3.0
    assert x.grad[0, 0].tolist() == [[0.25, 0.25], [0.25, 0.25]]


# --- chains ---------------------------------------------------------------------------


def test_conv2d_maxpool2d_chain(conv: nn.Conv2d, x: Tensor) -> None:
    output = nn.MaxPool2d(2)(conv(x).relu())
    output.sum().backward()

    assert output.shape == (2, 3, 2, 3)
    for tensor in (x, conv.weight, conv.bias):
        assert tensor.grad is not None
        assert not np.allclose(tensor.grad.data, 0)


def test_conv2d_maxpool2d_conv2d_chain_reaches_every_parameter(x: Tensor) -> None:
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 3, 3, rng=rng),
        nn.AvgPool2d((1, 2)),
        nn.Flatten(),
        nn.Linear(3, 2, rng=rng),
    )

    nn.CrossEntropyLoss()(model(x), Tensor([0, 1])).backward()

    zero = [n for n, p in model.named_parameters() if p.grad is None or np.allclose(p.grad, 0)]
    assert len(model.parameters()) == 6
    assert zero == []


def test_conv2d_maxpool2d_chain_agrees_with_finite_differences(rng: np.random.Generator) -> None:
    def chain(x: Tensor, weight: Tensor, bias: Tensor, head: Tensor) -> Tensor:
        features = ops.max_pool2d(ops.conv2d(x, weight, bias, padding=1).tanh(), 2)
        return ops.conv2d(features, head, stride=(2, 1)).flatten(1)

    shapes = [(2, 2, 6, 8), (3, 2, 3, 3), (3,), (2, 3, 2, 2)]
    comparisons = gradcheck(chain, [rng.standard_normal(shape) for shape in shapes], rng)

    assert len(comparisons) == 4
    assert [c for c in comparisons if not c.agrees] == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
