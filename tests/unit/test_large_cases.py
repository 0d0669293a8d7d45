"""What an op does otherwise with many numbers is seen: narrower, without the last, by shape."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from harness.autograd import Tensor, ops
from harness.autograd.function import Function
from harness.probes.trials import cases
from harness.probes.trials.cases import elementwise, losses
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.ops import op_trials
from tests.small_engines import NUMPY, Array, measured, only, wrong

# The table of an embedding is small, and the mean of many losses hides what each of them lacks.
HIDDEN = {"embedding", "cross_entropy", "binary_cross_entropy_with_logits"}
EACH = [*elementwise.CASES, *losses.CASES]
PRECISE = sorted(cases.LARGE.keys() - HIDDEN)


@pytest.mark.parametrize("name", PRECISE)
def test_large_numbers_of_half_precision_are_seen(name: str) -> None:
    def halved(x: Any) -> Any:
        is_large = isinstance(x, Tensor) and x.size > 190 and x.dtype == np.float32
        return x.from_op(x.data.astype(np.float16).astype(x.dtype), Through(x)) if is_large else x

    right = NUMPY.namespace.ops[name]
    op = lambda *inputs, **arguments: right(*map(halved, inputs), **arguments)  # noqa: E731
    assert wrong(measured("op_values", only(ops={name: op}))) == [name]


class Through(Function):
    """The gradient passes."""

    def apply(self, grad_output: Array) -> tuple[Array]:
        return (grad_output,)


@pytest.mark.parametrize("name", ["embedding", "linear", "conv2d", "layer_norm"])
def test_large_gradient_without_its_last_numbers_is_seen(name: str) -> None:
    right = NUMPY.namespace.ops[name]

    def short(*inputs: Any, **arguments: Any) -> Tensor:
        y: Tensor = right(*inputs, **arguments)
        if (function := y._grad_fn) is not None and y.size > 500:
            apply = function.apply

            def lacking(grad_output: Array) -> tuple[Array | None, ...]:
                given = grad_output.copy()
                given[-3:] = 0.0
                return apply(given)

            function.apply = lacking  # type: ignore[method-assign]
        return y

    assert wrong(measured("op_gradients", only(ops={name: short}))) == [name]


def test_mask_of_large_outputs_that_is_kept_by_shape_is_seen() -> None:
    masks: dict[tuple[int, ...], Array] = {}

    def keeping(x: Tensor) -> Tensor:
        y = ops.relu(x)
        if (function := y._grad_fn) is not None and y.size > 1000:
            mask = masks.setdefault(y.shape, y.data > 0)
            function.apply = lambda g: (g * mask,)  # type: ignore[method-assign]
        return y

    assert wrong(measured("op_gradients", only(ops={"relu": keeping}))) == ["relu"]


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy_with_logits"])
def test_mean_of_many_losses_by_another_number_is_seen(name: str) -> None:
    right = NUMPY.namespace.ops[name]

    def padded(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        y: Tensor = right(x, target, reduction)
        factor = 200 / 201 if len(x) > 200 and reduction == "mean" else 1.0
        return y * factor

    assert wrong(measured("op_values", only(ops={name: padded}))) == [name]


def doubled_beyond(most: int, factory: Any) -> Any:
    """The same, with twice the gradient where there are many rows."""

    def doubled(y: Tensor, rows: int) -> Tensor:
        if (function := y._grad_fn) is not None and rows > most:
            apply = function.apply

            def twice(grad_output: Array) -> tuple[Array | None, ...]:
                return tuple(None if each is None else 2 * each for each in apply(grad_output))

            function.apply = twice  # type: ignore[method-assign]
        return y

    if not isinstance(factory, type):
        return lambda *x, **arguments: doubled(
            factory(*x, **arguments), max(each.shape[0] if each.shape else 1 for each in x)
        )

    class Doubled(factory):  # type: ignore[misc]  # any layer or loss
        __signature__ = inspect.signature(factory)

        def __call__(self, *x: Any) -> Any:
            return doubled(super().__call__(*x), x[0].shape[0] if x[0].shape else 1)

    return Doubled


@pytest.mark.parametrize("most", [32, 256])
@pytest.mark.parametrize("name", [n for n in EACH if n in NUMPY.namespace.ops])
def test_gradient_of_an_op_that_is_doubled_for_many_rows_is_seen(name: str, most: int) -> None:
    op = doubled_beyond(most, NUMPY.namespace.ops[name])
    assert wrong(measured("op_gradients", only(ops={name: op}))) == [name]


@pytest.mark.parametrize("name", sorted(NUMPY.namespace.layers))
def test_gradient_of_a_layer_that_is_doubled_for_many_rows_is_seen(name: str) -> None:
    right = NUMPY.namespace.layers
    layers = {**{each: right[each] for each in ("Linear", "Sigmoid")},
              name: doubled_beyond(32, right[name])}  # fmt: skip
    assert name in wrong(measured("op_gradients", only(layers=layers)))


@pytest.mark.parametrize("name", sorted(NUMPY.namespace.losses))
def test_gradient_of_a_loss_that_is_doubled_for_many_rows_is_seen(name: str) -> None:
    loss = doubled_beyond(256, NUMPY.namespace.losses[name])
    assert wrong(measured("op_gradients", only(losses={name: loss}))) == [name]


def test_sums_in_float32_one_after_the_other_are_right() -> None:
    def plainly(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
        y = ops.sum(x, dim, keepdim)
        if dim is None and x.size and y._grad_fn is not None:
            total = np.cumsum(x.data.ravel(), dtype=x.dtype)[-1]
            return y.from_op(np.full(y.shape, total, dtype=x.dtype), y._grad_fn)
        return y

    assert wrong(measured("op_values", only(ops={"sum": plainly}))) == []


def test_large_cases_are_left_out_where_some_cases_are_asked_for() -> None:
    assert any(each.is_large for each in op_trials(NUMPY, "relu", Pool()))
    assert not any(each.is_large for each in op_trials(NUMPY, "relu", Pool(), every=3))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
