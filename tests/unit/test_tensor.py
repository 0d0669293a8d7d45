"""Tensor as an array: its dtypes, its operators and its methods."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
import pytest

from harness.autograd import Tensor

Binary = Callable[[object, object], Tensor]


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (Tensor(1.5), np.float32),
        (Tensor([1.5, 2.5]), np.float32),
        (Tensor([1.5], dtype=np.float64), np.float64),
        (Tensor(np.array([1.5])), np.float64),
        (Tensor(np.float64(1.5)), np.float64),
        (Tensor(np.array([1.5], dtype=np.float32), requires_grad=True), np.float32),
        (Tensor(np.array([1.5]), requires_grad=True), np.float64),
        (Tensor([1, 2]), np.int64),
        (Tensor(np.array([1, 2], dtype=np.int32)), np.int32),
        (Tensor([1, 2], requires_grad=True), np.float32),
        (Tensor(Tensor(np.array([1.5]))), np.float64),
    ],
)
def test_tensor_takes_the_documented_dtype(tensor: Tensor, expected: type) -> None:
    assert tensor.dtype == expected


@pytest.mark.parametrize("data", ["text", [1 + 2j], [None]])
def test_tensor_rejects_what_is_not_a_real_number(data: object) -> None:
    with pytest.raises(TypeError, match="Tensor takes numbers, got an array of"):
        Tensor(data)


def test_tensor_tells_its_shape_and_its_maker() -> None:
    x = Tensor([[1.0, 2.0]], requires_grad=True)

    assert (x.shape, x.ndim, x.size, len(x)) == ((1, 2), 2, 2, 1)
    assert repr(x) == "Tensor([[1., 2.]], requires_grad=True)"
    assert repr(x.sum()) == "Tensor(3., grad_fn=SumBackward)"
    assert x.sum().item() == 3.0


# --- operators ------------------------------------------------------------------------

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
OPERANDS = [2, 2.0, np.float64(2.0), np.float32(2.0)]  # numpy calls the third one a float, too


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", OPERANDS, ids=lambda number: type(number).__name__)
@pytest.mark.parametrize("binary", BINARY)
def test_operator_takes_a_number_and_keeps_the_dtype(
    binary: Binary, number: float, dtype: type
) -> None:
    values = np.array([1.0, 4.0], dtype=dtype)

    right, left = binary(Tensor(values), number), binary(number, Tensor(values))

    assert right.data == pytest.approx(binary(values, 2.0))
    assert left.data == pytest.approx(binary(2.0, values))
    assert (right.dtype, left.dtype) == (dtype, dtype)


@pytest.mark.parametrize("binary", [*BINARY, operator.matmul])
def test_operator_takes_an_array_on_either_side(binary: Binary) -> None:
    array, values = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([2.0, 3.0])
    x = leaf(2.0, 3.0)

    right, left = binary(x, array), binary(array, x)

    assert (type(right), type(left)) == (Tensor, Tensor)
    assert right.data == pytest.approx(binary(values, array))
    assert left.data == pytest.approx(binary(array, values))


def test_reflected_operators_pass_their_gradients_on() -> None:
    x = leaf(1.0, 4.0)

    ((3.0 - x) + 2.0 / x + 2.0**x + np.array([1.0, 2.0]) @ x - (-x)).sum().backward()

    # d/dx: -1 - 2/x^2 + 2^x ln 2 + the array twice (the dot product is added to both) + 1
    expected = [-2.0 + 2.0 * np.log(2.0) + 2.0, -0.125 + 16.0 * np.log(2.0) + 4.0]
    assert x.grad == pytest.approx(np.array(expected))


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (lambda x: x.sum(axis=0), [5.0, 7.0, 9.0]),
        (lambda x: x.mean(dim=1, keepdim=True), [[2.0], [5.0]]),
        (lambda x: x.max(axis=-1), [3.0, 6.0]),
        (lambda x: x.T, [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]),
        (lambda x: x.transpose()[1], [2.0, 5.0]),
        (lambda x: x.permute(1, 0)[0], [1.0, 4.0]),
        (lambda x: x.reshape(3, 2)[2], [5.0, 6.0]),
        (lambda x: x.reshape((3, -1))[2], [5.0, 6.0]),
        (lambda x: x.flatten()[4], 5.0),
        (lambda x: x.matmul(Tensor([1.0, 0.0, 2.0])), [7.0, 16.0]),
        (lambda x: x.pow(2)[0], [1.0, 4.0, 9.0]),
        (lambda x: x.exp().log().sqrt()[1, 0], 2.0),
        (lambda x: (x - 4.0).relu()[1], [0.0, 1.0, 2.0]),
        (lambda x: (0.0 * x).tanh()[0] + (0.0 * x).sigmoid()[0], [0.5, 0.5, 0.5]),
        (lambda x: (0.0 * x).softmax(dim=0)[0], [0.5, 0.5, 0.5]),
        (lambda x: (0.0 * x).log_softmax(dim=0).exp()[0], [0.5, 0.5, 0.5]),
    ],
)
def test_method_gives_the_hand_calculated_value(
    got: Callable[[Tensor], Tensor], expected: list
) -> None:
    x = Tensor(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))

    assert got(x).data == pytest.approx(np.array(expected))


def test_indexing_with_tensors_counts_every_use() -> None:
    x = Tensor(np.zeros((2, 3)), requires_grad=True)

    x[Tensor([0, 0, 1]), Tensor([2, 2, 0])].sum().backward()

    assert x.grad.tolist() == [[0.0, 0.0, 2.0], [1.0, 0.0, 0.0]]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
