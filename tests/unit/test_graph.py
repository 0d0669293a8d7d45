"""The graph: what backward() promises, what it refuses, and ops of one's own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from harness.autograd import Function, GraphError, Tensor, no_grad
from harness.autograd.ops.embedding import EmbeddingBackward


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


class GivenBackward(Function):
    """Returns what it was told to, whatever the gradient is."""

    def __init__(self, *inputs: Tensor, answer: object) -> None:
        super().__init__(*inputs)
        self.answer = answer

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return self.answer  # type: ignore[return-value]  # wrong on purpose


class CountedAddBackward(Function):
    """d(a + b) = da + db, and a note of every call."""

    def __init__(self, a: Tensor, b: Tensor, calls: list[str]) -> None:
        super().__init__(a, b)
        self.calls = calls

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.calls.append("add")
        return grad_output, grad_output


def counted_add(a: Tensor, b: Tensor, calls: list[str]) -> Tensor:
    return Tensor.from_op(a.data + b.data, CountedAddBackward(a, b, calls))


class TanhBackward(Function):
    """d tanh(x)/dx = 1 - tanh(x)^2: the style guide's example of an op of one's own."""

    def __init__(self, x: Tensor, y: np.ndarray) -> None:
        super().__init__(x)
        self.y = y

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return (grad_output * (1.0 - self.y**2),)


def tanh(x: Tensor) -> Tensor:
    y = np.tanh(x.data)
    return Tensor.from_op(y, TanhBackward(x, y))


def fan_out(x: Tensor) -> Tensor:
    y = x * 3.0
    return y * y + y


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (lambda x: x * x + x, 7.0),  # 2 x + 1
        (lambda x: x + x + x, 3.0),
        (fan_out, 57.0),  # (2 y + 1) 3
        (lambda x: (x * 2.0).detach() * x, 6.0),  # only the right factor
    ],
    ids=["shared input", "one input, three uses", "fan-out", "detached factor"],
)
def test_backward_counts_every_use(expression: Callable[[Tensor], Tensor], expected: float) -> None:
    x = leaf(3.0)

    expression(x).backward()

    assert x.grad.tolist() == [expected]


def test_second_backward_adds_a_second_time() -> None:
    x = leaf(3.0)
    y = (x * x).sum()

    y.backward()
    y.backward()

    assert x.grad.tolist() == [12.0]


def test_gradients_of_two_leaves_share_no_memory() -> None:
    a, b = leaf(1.0), leaf(2.0)
    gradient = np.array([1.0])

    (a + b).backward(gradient)
    a.grad += 10.0

    assert (b.grad.tolist(), gradient.tolist()) == ([1.0], [1.0])


def test_residual_chain_of_1000_blocks_applies_every_op_once() -> None:
    calls: list[str] = []
    x = start = leaf(1.0)
    for _ in range(1000):
        x = counted_add(x, x * 0.001, calls)

    x.backward()

    assert len(calls) == 1000
    assert start.grad == pytest.approx(1.001**1000)


def test_diamond_chain_of_60_levels_applies_every_op_once() -> None:
    calls: list[str] = []
    x = start = leaf(1.0)
    for _ in range(60):  # 2^60 paths lead back to the start
        x = counted_add(x * 1.0, x * 1.0, calls)

    x.backward()

    assert len(calls) == 60
    assert start.grad.tolist() == [2.0**60]


def test_retain_grad_keeps_the_gradient_of_an_intermediate_tensor() -> None:
    x = leaf(3.0)
    kept, dropped = x * 2.0, x * 5.0
    kept.retain_grad()

    (kept * kept + dropped).sum().backward()

    assert kept.grad.tolist() == [12.0]
    assert dropped.grad is None


def test_no_grad_records_nothing_until_its_outermost_block_ends() -> None:
    x = leaf(3.0)
    with no_grad():
        with no_grad():
            pass
        inside = x * 2.0
    outside = x * 2.0

    assert (inside._grad_fn, inside.requires_grad) == (None, False)
    assert type(outside._grad_fn).__name__ == "MulBackward"


def test_no_grad_ends_after_an_error() -> None:
    x = leaf(3.0)
    with pytest.raises(GraphError), no_grad():
        (x * 2.0).backward()

    assert (x * 2.0).requires_grad is True


def test_tensor_that_needs_no_gradient_gets_none_and_builds_no_graph() -> None:
    x, plain = leaf(3.0), Tensor(np.array([2.0]))

    (x * plain).sum().backward()

    assert plain.grad is None
    assert (plain * plain)._grad_fn is None


def test_input_gradient_may_be_none() -> None:
    x, y = leaf(3.0), leaf(4.0)
    output = Tensor.from_op(np.array(1.0), GivenBackward(x, y, answer=(None, np.array([5.0]))))

    output.backward()

    assert x.grad is None
    assert y.grad.tolist() == [5.0]


def test_branch_without_a_gradient_does_not_hold_up_the_others() -> None:
    x = leaf(3.0)
    y = x * 2.0
    dead = Tensor.from_op(np.array([1.0]), GivenBackward(y, answer=(None,)))

    (dead * 1.0 + y).backward()

    assert x.grad.tolist() == [2.0]


def test_gradient_of_a_leaf_has_its_dtype_even_from_a_float64_loss() -> None:
    x = Tensor([3.0], requires_grad=True)
    y = x * np.array([2.0])

    y.backward()
    y.backward()

    assert (y.dtype, x.grad.dtype, x.grad.tolist()) == (np.float64, np.float32, [4.0])


# --- what backward() refuses ----------------------------------------------------------


@pytest.mark.parametrize(
    ("tensor", "gradient", "message"),
    [
        (Tensor([1.0, 2.0]), None, r"shape \(2,\) that has no graph.*built from another tensor's"),
        (leaf(1.0, 2.0) * 2.0, None, r"needs one element, got shape \(2,\). Reduce it first"),
        (leaf(1.0, 2.0), [1.0], r"gradient of shape \(1,\) for a tensor of shape \(2,\)"),
        (leaf(1.0) * 2.0, 1.0, r"gradient of shape \(\) for a tensor of shape \(1,\)"),
    ],
)
def test_backward_refuses_what_has_no_meaning(
    tensor: Tensor, gradient: object, message: str
) -> None:
    with pytest.raises(GraphError, match=message):
        tensor.backward(gradient)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.ones(2), r"GivenBackward.apply returned a ndarray, expected a tuple with one gradient"),
        ([np.ones(2)], r"returned a list, expected a tuple"),
        (None, r"returned a NoneType, expected a tuple"),
        ((np.ones(2), np.ones(2)), r"returned 2 gradients, .* for each of its 1 inputs"),
        ((), r"returned 0 gradients"),
        ((np.ones(3),), r"a gradient of shape \(3,\) for input 0 of shape \(2,\)"),
        ((np.array(1.0),), r"a gradient of shape \(\) for input 0 of shape \(2,\)"),
    ],
)
def test_backward_refuses_a_wrong_return_of_apply(answer: object, message: str) -> None:
    output = Tensor.from_op(np.array(1.0), GivenBackward(leaf(1.0, 2.0), answer=answer))

    with pytest.raises(GraphError, match=message):
        output.backward()


def test_backward_refuses_a_function_without_apply() -> None:
    output = Tensor.from_op(np.array(1.0), Function(leaf(1.0)))

    with pytest.raises(NotImplementedError, match=r"Function has no apply\(grad_output\)"):
        output.backward()


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("with_tail", [False, True], ids=["at the loss", "behind the loss"])
def test_backward_refuses_a_circle(length: int, with_tail: bool) -> None:
    x = first = leaf(1.0) * 2.0
    for _ in range(length - 1):
        x = x * 2.0
    first._grad_fn.saved_tensors = (x, x)

    with pytest.raises(GraphError, match="the graph has a circle"):
        (x * 2.0 if with_tail else x).backward()


# --- the extension API ----------------------------------------------------------------


def test_hand_attached_backward_function_gets_the_gradient() -> None:
    """The testing guide's issue 1, as it is written there."""
    weight = Tensor(np.zeros((4, 2)), requires_grad=True)
    indices = Tensor([1, 3, 3])

    result = Tensor(weight.data[indices.data], requires_grad=True)
    result._grad_fn = EmbeddingBackward(weight, indices)
    (result * 2.0).sum().backward()

    assert weight.grad.tolist() == [[0.0, 0.0], [2.0, 2.0], [0.0, 0.0], [4.0, 4.0]]


def test_own_op_takes_part_in_the_graph() -> None:
    x = leaf(0.0, np.log(2.0))
    y = tanh(x)

    (y * 2.0).sum().backward()

    assert y.data == pytest.approx(np.array([0.0, 0.6]))  # (2 - 1/2) / (2 + 1/2)
    assert x.grad == pytest.approx(np.array([2.0, 2.0 * 0.64]))


def test_no_grad_does_not_reach_other_threads() -> None:
    x = Tensor(np.ones(2), requires_grad=True)

    with no_grad(), ThreadPoolExecutor(1) as elsewhere:
        here, there = x * 2.0, elsewhere.submit(lambda: x * 2.0).result()

    assert here._grad_fn is None
    assert there._grad_fn is not None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
