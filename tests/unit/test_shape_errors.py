"""Shapes that do not fit: every message names the op and the shapes that it was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from harness.autograd import AutogradError, GraphError, ShapeError, Tensor, ops

Shape = tuple[int, ...]


def joined(*tensors: Tensor, dim: int = 0) -> Tensor:
    return ops.concatenate(tensors, dim)


ATTENTION, BCE = ops.scaled_dot_product_attention, ops.binary_cross_entropy_with_logits


@pytest.mark.parametrize(
    ("op", "shapes", "options"),
    [
        *[(op, [(2, 3), (4,)], {}) for op in (ops.add, ops.sub, ops.mul, ops.div, ops.pow)],
        (ops.matmul, [(2, 3), (2, 3)], {}),
        (ops.matmul, [(2, 3), ()], {}),
        (ops.matmul, [(2, 3, 4), (3, 4, 5)], {}),
        (ops.linear, [(2, 3), (5, 4)], {}),
        (ops.linear, [(), (5, 4)], {}),
        (ops.conv2d, [(1, 2, 5, 5), (4, 3, 3, 3)], {}),
        (ops.softmax, [(2, 3)], {"dim": 2}),
        (ops.log_softmax, [(2, 3)], {"dim": -3}),
        (ops.layer_norm, [(2, 3)], {"normalized_shape": (4,)}),
        (ops.layer_norm, [(3,)], {"normalized_shape": (2, 3)}),
        (ops.mse_loss, [(3,), (3, 1)], {}),
        (BCE, [(3,), (3, 1)], {}),
        (ATTENTION, [(2, 3), (2, 4), (2, 5)], {}),
        (ATTENTION, [(2, 3), (4, 3), (5, 3)], {}),
        (ATTENTION, [(2, 5, 4), (3, 5, 4), (3, 5, 4)], {}),
        (ATTENTION, [(2, 4), (3, 4), (3,)], {}),
        (ATTENTION, [(4,), (3, 4), (3, 4)], {}),
        (ops.reshape, [(2, 3)], {"shape": (4,)}),
        (ops.reshape, [(2, 3)], {"shape": (-1, 4)}),
        (ops.permute, [(2, 3)], {"dims": (0, 0)}),
        (ops.permute, [(2, 3)], {"dims": (0, 3)}),
        (ops.permute, [(2, 3)], {"dims": (0,)}),
        (ops.transpose, [(2, 3)], {"dim0": 0, "dim1": 2}),
        (ops.flatten, [(2, 3)], {"start_dim": 2}),
        (ops.flatten, [(2, 3)], {"end_dim": -3}),
        *[(op, [(2, 3)], {"dim": 2}) for op in (ops.sum, ops.mean, ops.max)],
        *[(op, [(2, 3)], {"dim": (0, -2)}) for op in (ops.sum, ops.mean, ops.max)],
        (ops.index, [(2, 3)], {"key": 2}),
        (ops.index, [(2, 3)], {"key": np.array([True])}),
        (joined, [(2, 3), (3, 2)], {}),
        (joined, [(2, 3), (2, 3)], {"dim": 2}),
    ],
)
def test_shape_error_names_the_op_and_every_shape(
    op: Callable[..., Tensor], shapes: Sequence[Shape], options: Mapping[str, object]
) -> None:
    with pytest.raises(ShapeError) as caught:
        op(*(Tensor(np.ones(shape)) for shape in shapes), **options)

    name = "concatenate" if op is joined else op.__name__
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert [shape for shape in shapes if str(shape) not in message] == []


@pytest.mark.parametrize(
    ("op", "shapes"),
    [
        (ops.linear, [(2, 3), (4, 3), (1,)]),
        (ops.linear, [(2, 3), (4, 3), (4, 1)]),
        (ops.conv2d, [(1, 2, 5, 5), (4, 2, 3, 3), (1,)]),
        (ops.conv2d, [(1, 2, 5, 5), (2, 3, 3), (2,)]),
    ],
)
def test_parameters_that_do_not_fit_each_other_are_refused(
    op: Callable[..., Tensor], shapes: Sequence[Shape]
) -> None:
    with pytest.raises(ShapeError, match=f"^{op.__name__}: .*weight .*") as caught:
        op(*(Tensor(np.ones(shape)) for shape in shapes))

    assert str(shapes[1]) in str(caught.value)


def test_layer_norm_refuses_a_weight_of_another_shape() -> None:
    x, weight = Tensor(np.ones((2, 3))), Tensor(np.ones(1))

    with pytest.raises(ShapeError, match=r"layer_norm: .*\(1,\) is not of shape \(3,\)"):
        ops.layer_norm(x, (3,), weight)


@pytest.mark.parametrize(
    ("op", "shapes", "options", "message"),
    [
        (
            ops.conv2d,
            [(1, 1, 2, 5), (1, 1, 3, 3)],
            {},
            "conv2d: a (3, 3) window does not fit on (2, 5) with padding (0, 0)",
        ),
        (
            ops.max_pool2d,
            [(1, 1, 2, 5)],
            {"kernel_size": 3},
            "max_pool2d: a (3, 3) window does not fit on (2, 5) with padding (0, 0)",
        ),
        (
            ops.avg_pool2d,
            [(1, 1, 5, 5)],
            {"kernel_size": 2, "padding": 2},
            "avg_pool2d: padding (2, 2) may be at most half of kernel_size (2, 2)",
        ),
        (
            ops.conv2d,
            [(1, 5, 5), (1, 1, 3, 3)],
            {},
            "conv2d: expected images of shape (N, C, H, W), got (1, 5, 5)",
        ),
        (
            ops.conv2d,
            [(1, 1, 5, 5), (1, 1, 3, 3)],
            {"stride": 0},
            "conv2d: kernel (3, 3) and stride (0, 0) must be at least 1, padding (0, 0) at least 0",
        ),
        (
            ATTENTION,
            [(2, 4), (3, 4), (3, 4)],
            {"attn_mask": np.zeros((5, 3))},
            "scaled_dot_product_attention: query (2, 4), key (3, 4) and value (3, 4) do not fit "
            "with attn_mask (5, 3)",
        ),
        (
            ops.flatten,
            [(2, 3)],
            {"start_dim": 1, "end_dim": 0},
            "flatten: start_dim 1 comes after end_dim 0",
        ),
        (joined, [], {}, "concatenate: got no tensors"),
    ],
)
def test_shape_error_has_its_text(
    op: Callable[..., Tensor],
    shapes: Sequence[Shape],
    options: Mapping[str, object],
    message: str,
) -> None:
    with pytest.raises(ShapeError) as caught:
        op(*(Tensor(np.ones(shape)) for shape in shapes), **options)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        ((3, 4), [[0], [1], [2]], ShapeError, r"logits \(3, 4\) and target \(3, 1\) do not fit"),
        ((4,), [1], ShapeError, r"logits \(4,\) and target \(1,\) do not fit"),
        ((2, 4), [0.0, 1.0], TypeError, "target must be integer classes, got float32"),
        ((2, 4), [0, 4], IndexError, "classes from 0 to 4 with 4 logits"),
        ((2, 4), [0, -1], IndexError, "classes from -1 to 0 with 4 logits"),
    ],
)
def test_cross_entropy_rejects_a_bad_target(
    logits: Shape, target: list, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"cross_entropy: {message}"):
        ops.cross_entropy(Tensor(np.ones(logits)), Tensor(target))


@pytest.mark.parametrize("loss", [ops.mse_loss, BCE])
def test_loss_rejects_an_unknown_reduction(loss: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'sum', got 'none'"):
        loss(Tensor([1.0]), Tensor([1.0]), reduction="none")


def test_gelu_rejects_an_unknown_form() -> None:
    with pytest.raises(ValueError, match="gelu: approximate must be 'none' or 'tanh', got 'erf'"):
        ops.gelu(Tensor([1.0]), approximate="erf")


def test_errors_can_be_caught_as_their_builtin_kinds_and_as_one() -> None:
    assert ShapeError.__bases__ == (AutogradError, ValueError)
    assert GraphError.__bases__ == (AutogradError, RuntimeError)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
