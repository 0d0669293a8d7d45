"""Values at the edges: huge logits, masks, ties, empty batches; closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from harness.autograd import ShapeError, Tensor, nn, ops

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
huge = pytest.mark.parametrize("logit", [1e4, 1e8, 1e30])


def leaf(values: object, dtype: type = np.float64) -> Tensor:
    return Tensor(np.array(values, dtype=dtype), requires_grad=True)


def zeros(*shape: int) -> Tensor:
    return Tensor(np.zeros(shape), requires_grad=True)


# --- logits of any size (an overflow would be a warning, and warnings are errors) ---------


@huge
@dtypes
def test_softmax_of_huge_logits_is_a_sure_choice(logit: float, dtype: type) -> None:
    x = leaf([[logit, -logit, 0.0], [-logit, -logit, -logit]], dtype)

    y = ops.softmax(x)
    (y * leaf([1.0, 2.0, 3.0], dtype)).sum().backward()

    assert y.data == pytest.approx(np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]))
    assert x.grad == pytest.approx(np.array([[0.0, 0.0, 0.0], [-1 / 3, 0.0, 1 / 3]]))


@huge
@dtypes
def test_log_softmax_of_huge_logits_is_their_distance(logit: float, dtype: type) -> None:
    x = leaf([logit, -logit], dtype)

    y = ops.log_softmax(x)
    y[1].backward()

    assert y.data == pytest.approx(np.array([0.0, -2.0 * logit]))
    assert x.grad.tolist() == [-1.0, 1.0]


@huge
@dtypes
def test_sigmoid_of_huge_logits_is_zero_or_one(logit: float, dtype: type) -> None:
    x = leaf([logit, -logit], dtype)

    y = ops.sigmoid(x)
    y.sum().backward()

    assert y.data.tolist() == [1.0, 0.0]
    assert x.grad.tolist() == [0.0, 0.0]


@huge
@dtypes
def test_tanh_and_relu_of_huge_numbers_are_exact(logit: float, dtype: type) -> None:
    x = leaf([logit, -logit], dtype)

    assert ops.tanh(x).data.tolist() == [1.0, -1.0]
    assert ops.relu(x).data.tolist() == [x.data[0], 0.0]


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@dtypes
def test_gelu_of_large_numbers_is_a_relu(approximate: str, dtype: type) -> None:
    x = leaf([1e4, -1e4, 1e8, -1e8], dtype)

    y = ops.gelu(x, approximate)
    y.sum().backward()

    assert y.data.tolist() == [1e4, 0.0, 1e8, 0.0]
    assert x.grad.tolist() == [1.0, 0.0, 1.0, 0.0]


@huge
@dtypes
def test_bce_of_huge_logits_is_zero_or_the_logit(logit: float, dtype: type) -> None:
    x = leaf([logit, -logit, logit, -logit], dtype)
    target = Tensor(np.array([1.0, 0.0, 0.0, 1.0], dtype=dtype))

    loss = ops.binary_cross_entropy_with_logits(x, target, reduction="sum")
    loss.backward()

    assert loss.item() == pytest.approx(2.0 * logit)
    assert x.grad.tolist() == [0.0, 0.0, 1.0, -1.0]


@huge
@dtypes
def test_cross_entropy_of_huge_logits_is_zero_or_their_distance(logit: float, dtype: type) -> None:
    x = leaf([[logit, -logit], [logit, -logit]], dtype)

    loss = ops.cross_entropy(x, Tensor([0, 1]), reduction="sum")
    loss.backward()

    assert loss.item() == pytest.approx(2.0 * logit)
    assert x.grad.tolist() == [[0.0, 0.0], [1.0, -1.0]]


def test_cross_entropy_ignores_a_class_at_minus_infinity() -> None:
    x = leaf([[0.0, -np.inf, 0.0]])

    loss = ops.cross_entropy(x, Tensor([2]))
    loss.backward()

    assert loss.item() == pytest.approx(math.log(2.0))
    assert x.grad.tolist() == [[0.5, 0.0, -0.5]]


# --- masks ----------------------------------------------------------------------------

ADDED_MASK = np.array([[0.0, 0.0, -np.inf], [-np.inf, -np.inf, -np.inf]])


@pytest.mark.parametrize("mask", [ADDED_MASK, ADDED_MASK == 0.0], ids=["added", "bool"])
@pytest.mark.parametrize("size", [1.0, 1e4, 1e15])
def test_fully_masked_query_gets_zeros(mask: np.ndarray, size: float) -> None:
    query, key = leaf(size * np.ones((2, 1))), leaf(size * np.ones((3, 1)))
    value = leaf([[2.0], [4.0], [9.0]])

    y = ops.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    y.sum().backward()

    assert y.data.tolist() == [[3.0], [0.0]]
    assert value.grad.tolist() == [[0.5], [0.5], [0.0]]
    # The keys that are seen are equal, so the query cannot choose; the masked key has no say.
    assert query.grad.tolist() == [[0.0], [0.0]]
    assert key.grad.tolist() == [[-0.5 * size], [0.5 * size], [0.0]]


def test_mask_of_one_axis_holds_for_every_query() -> None:
    mask = np.array([True, False, True])
    value = Tensor(np.array([[1.0], [100.0], [3.0]]))

    y = ops.scaled_dot_product_attention(zeros(2, 4), zeros(3, 4), value, attn_mask=mask)

    assert y.data.tolist() == [[2.0], [2.0]]


def test_mask_and_causality_together_are_refused() -> None:
    """As PyTorch does: which of the two was meant?"""
    x = zeros(2, 4)

    with pytest.raises(ValueError, match="give attn_mask or is_causal, not both"):
        ops.scaled_dot_product_attention(x, x, x, np.ones((2, 2), dtype=bool), is_causal=True)


def test_mask_may_be_a_tensor() -> None:
    x, mask = zeros(2, 4), np.array([[True, False], [True, True]])
    value = Tensor(np.array([[1.0], [3.0]]))

    y = ops.scaled_dot_product_attention(x, x, value, Tensor(mask))

    assert y.data.tolist() == [[1.0], [2.0]]


# --- ties and padding -----------------------------------------------------------------


def test_max_pool_sends_the_gradient_of_a_tie_once_to_the_first() -> None:
    x = zeros(1, 1, 4, 4)

    ops.max_pool2d(x, 2).backward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))

    assert x.grad[0, 0, ::2, ::2].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert x.grad.sum() == 10.0


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_max_pool_conserves_the_sum_of_gradients_with_ties(stride: int) -> None:
    x = leaf(np.arange(49).reshape(1, 1, 7, 7) % 3)

    y = ops.max_pool2d(x, 3, stride, padding=1)
    y.sum().backward()

    assert x.grad.sum() == y.size


def test_max_pool_never_takes_the_padding() -> None:
    x = leaf(-np.arange(1.0, 5.0).reshape(1, 1, 2, 2))

    y = ops.max_pool2d(x, 2, padding=1)
    y.sum().backward()

    assert y.data[0, 0].tolist() == [[-1.0, -2.0], [-3.0, -4.0]]
    assert x.grad[0, 0].tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_avg_pool_counts_the_padding_as_zeros() -> None:
    y = ops.avg_pool2d(leaf([[[[4.0, 8.0], [12.0, 16.0]]]]), 2, padding=1)

    assert y.data[0, 0].tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_max_shares_the_gradient_of_a_tie_evenly() -> None:
    x = leaf([[2.0, 5.0, 5.0], [1.0, 0.0, 0.0]])

    x.max(dim=1).sum().backward()

    assert x.grad.tolist() == [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]


def test_power_gradients_at_zero_are_finite() -> None:
    x, exponent = zeros(3), leaf([0.0, 1.0, 2.0])

    (x**exponent).sum().backward()

    assert x.grad.tolist() == [0.0, 1.0, 0.0]
    assert exponent.grad.tolist() == [0.0, 0.0, 0.0]


# --- batches of none and of one -------------------------------------------------------

RNG = np.random.default_rng(0)
BATCHED = [
    (nn.Linear(4, 3, rng=RNG), (4,)),
    (nn.Conv2d(2, 3, 3, padding=1, rng=RNG), (2, 5, 5)),
    (nn.MaxPool2d(2), (2, 4, 4)),
    (nn.AvgPool2d(2), (2, 4, 4)),
    (nn.LayerNorm(4), (4,)),
    (nn.Softmax(), (4,)),
    (nn.GELU(), (4,)),
    (nn.Flatten(), (2, 3)),
    (nn.SinusoidalPositions(4), (3, 4)),
    (nn.MultiHeadAttention(4, 2, rng=RNG), (3, 4)),
    (nn.Residual(nn.Linear(4, 4, rng=RNG), nn.Tanh()), (3, 4)),
]
batched = pytest.mark.parametrize(
    ("layer", "shape"), BATCHED, ids=[type(layer).__name__ for layer, _ in BATCHED]
)


@batched
def test_empty_batch_stays_empty_and_has_zero_gradients(
    layer: nn.Module, shape: tuple[int, ...]
) -> None:
    x = zeros(0, *shape)
    layer.zero_grad()

    y = layer(x)
    y.sum().backward()

    assert len(y) == 0
    assert x.grad.shape == x.shape
    assert all(not np.any(parameter.grad) for parameter in layer.parameters())


@batched
def test_batch_of_one_gives_what_its_example_gives_among_others(
    layer: nn.Module, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    x = rng.standard_normal((3, *shape))

    assert layer(Tensor(x[1:2])).data == pytest.approx(layer(Tensor(x)).data[1:2])


@pytest.mark.parametrize(
    "reduced",
    [
        lambda: zeros(0, 3).mean(),
        lambda: zeros(0, 3).max(dim=0),
        lambda: ops.cross_entropy(zeros(0, 3), Tensor(np.zeros(0, dtype=np.int64))),
        lambda: ops.mse_loss(zeros(0, 3), zeros(0, 3)),
        lambda: ops.binary_cross_entropy_with_logits(zeros(0), zeros(0)),
    ],
    ids=["mean", "max", "cross_entropy", "mse_loss", "binary_cross_entropy_with_logits"],
)
def test_reduction_of_nothing_is_refused(reduced: Callable[[], Tensor]) -> None:
    with pytest.raises(ShapeError, match=r"holds no number|an empty batch is not defined"):
        reduced()


# --- closed forms ---------------------------------------------------------------------

PHI_1 = 0.8413447460685429  # the normal distribution function at 1, and its density
DENSITY_1 = 0.24197072451914337
LN2, LN3 = math.log(2.0), math.log(3.0)
ROW = leaf([[1.0, 2.0, 3.0]])
IMAGE, KERNEL = leaf(np.arange(1.0, 10.0).reshape(1, 1, 3, 3)), leaf([[[[1.0, 2.0], [3.0, 4.0]]]])
CLOSED_FORMS = {
    "cross_entropy of equal logits": (
        lambda: ops.cross_entropy(zeros(2, 10), Tensor([3, 7])),
        math.log(10.0),
    ),
    "summed cross_entropy of equal logits": (
        lambda: ops.cross_entropy(zeros(2, 10), Tensor([3, 7]), "sum"),
        2.0 * math.log(10.0),
    ),
    "cross_entropy at several places": (
        lambda: ops.cross_entropy(zeros(2, 5, 3), Tensor(np.zeros((2, 3), dtype=int))),
        math.log(5.0),
    ),
    "bce of ln 3 for 1/4": (
        lambda: ops.binary_cross_entropy_with_logits(leaf([LN3]), leaf([0.25])),
        0.25 * math.log(4 / 3) + 0.75 * math.log(4.0),
    ),
    "mse_loss": (lambda: ops.mse_loss(leaf([1.0, 5.0]), leaf([2.0, 2.0])), 5.0),
    "softmax": (lambda: ops.softmax(leaf([0.0, LN2, LN3])), [1 / 6, 2 / 6, 3 / 6]),
    "softmax over columns": (lambda: ops.softmax(zeros(4, 2), dim=0)[0], [0.25, 0.25]),
    "log_softmax": (lambda: ops.log_softmax(leaf([0.0, LN3])), np.log([0.25, 0.75])),
    "sigmoid": (lambda: ops.sigmoid(leaf([0.0, LN3])), [0.5, 0.75]),
    "tanh": (lambda: ops.tanh(leaf([LN2])), [0.6]),
    "gelu": (lambda: ops.gelu(leaf([1.0, 0.0, -1.0])), [PHI_1, 0.0, PHI_1 - 1.0]),
    "gelu by tanh": (
        lambda: ops.gelu(leaf([1.0]), "tanh"),
        [0.5 * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * 1.044715))],
    ),
    "layer_norm": (
        lambda: ops.layer_norm(ROW, (3,), eps=0.0),
        [[-math.sqrt(1.5), 0.0, math.sqrt(1.5)]],
    ),
    "layer_norm with eps inside the root": (  # 2 / sqrt(2/3 + 10/3) = 1
        lambda: ops.layer_norm(ROW, (3,), leaf([2.0] * 3), leaf([5.0] * 3), eps=10 / 3),
        [[4.0, 5.0, 6.0]],
    ),
    "conv2d": (  # 1*1 + 2*2 + 4*3 + 5*4, and so on: the kernel is not flipped
        lambda: ops.conv2d(IMAGE, KERNEL),
        [[[[37.0, 47.0], [67.0, 77.0]]]],
    ),
    "conv2d in a padded corner": (  # only pixel 1 lies under the kernel, under its weight 4
        lambda: ops.conv2d(IMAGE, KERNEL, leaf([0.5]), padding=1)[0, 0, 0, 0],
        4.5,
    ),
    "linear": (lambda: ops.linear(leaf([[1.0, 2.0]]), leaf([[3.0, 4.0]]), leaf([5.0])), [[16.0]]),
}


@pytest.mark.parametrize(("call", "expected"), CLOSED_FORMS.values(), ids=CLOSED_FORMS)
def test_value_has_its_closed_form(call: Callable[[], Tensor], expected: object) -> None:
    assert call().data == pytest.approx(np.array(expected))


def test_gelu_slope_has_its_closed_form() -> None:
    x = leaf([1.0, 0.0, -1.0])

    ops.gelu(x).sum().backward()

    assert x.grad == pytest.approx(np.array([PHI_1 + DENSITY_1, 0.5, 1.0 - PHI_1 - DENSITY_1]))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
