"""Every op, tested through the cases beside it, and against loops that are slow and plain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.autograd import Function, Tensor, gradcheck, ops
from harness.autograd.opcase import OpCase, all_cases

CASES = list(all_cases())
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def run(
    case: OpCase, arrays: Sequence[np.ndarray], rng: np.random.Generator
) -> tuple[list[Tensor], Tensor, np.ndarray]:
    """The inputs as tensors, the output of the op, and a gradient for that output."""
    inputs = [Tensor(a, requires_grad=i in case.varied) for i, a in enumerate(arrays)]
    output = case.call(inputs)
    return inputs, output, np.asarray(rng.standard_normal(output.shape), dtype=output.dtype)


def in_dtype(array: np.ndarray, dtype: type) -> np.ndarray:
    return array.astype(dtype) if array.dtype.kind == "f" else array


def strided(array: np.ndarray) -> np.ndarray:  # the same numbers with gaps in memory
    return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array


def assert_gradients_agree(case: OpCase) -> None:
    rng = np.random.default_rng(0)
    comparisons = gradcheck(lambda *t: case.call(t), case.draw(rng), rng, case.varied)
    assert comparisons
    assert [c for c in comparisons if not c.agrees] == []


# --- every case of every op -----------------------------------------------------------


def test_every_op_has_a_case() -> None:
    exported = {name for name in ops.__all__ if name != "Key"}

    # flatten is a reshape: its output has the reshape's backward.
    assert {case.op.__name__ for case in CASES} == exported - {"flatten"}


@every_case
def test_op_gradient_agrees_with_finite_differences(case: OpCase) -> None:
    assert_gradients_agree(case)


@every_case
def test_op_attaches_its_backward_function(case: OpCase, rng: np.random.Generator) -> None:
    _, output, _ = run(case, case.draw(rng), rng)

    name = type(output._grad_fn).__name__
    assert name.lower() == case.op.__name__.replace("_", "") + "backward"
    assert name.endswith("Backward")


@every_case
def test_op_saves_every_input_and_gives_each_a_gradient(
    case: OpCase, rng: np.random.Generator
) -> None:
    inputs, output, grad_output = run(case, case.draw(rng), rng)
    function = output._grad_fn

    grads = function.apply(grad_output)

    assert type(grads) is tuple
    given = {id(s): g for s, g in zip(function.saved_tensors, grads, strict=True)}
    shapes = [inputs[i].shape for i in case.varied]
    assert [given[id(inputs[i])].shape for i in case.varied] == shapes
    assert set(given) <= set(map(id, inputs))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_case
def test_op_keeps_the_dtype(case: OpCase, dtype: type, rng: np.random.Generator) -> None:
    arrays = [in_dtype(array, dtype) for array in case.draw(rng)]
    inputs, output, grad_output = run(case, arrays, rng)

    grads = output._grad_fn.apply(grad_output)
    output.backward(grad_output)

    assert output.dtype == dtype
    assert {grad.dtype for grad in grads if grad is not None} == {np.dtype(dtype)}
    assert {inputs[i].grad.dtype for i in case.varied} == {np.dtype(dtype)}


@every_case
def test_op_changes_no_input_and_no_grad_output(case: OpCase, rng: np.random.Generator) -> None:
    arrays = [array.copy() for array in case.draw(rng)]
    inputs, output, grad_output = run(case, arrays, rng)
    everything = [*arrays, grad_output, output.data]
    before = [array.copy() for array in everything]
    for array in everything:
        array.setflags(write=False)

    case.call(inputs)._grad_fn.apply(grad_output)

    assert all(map(np.array_equal, everything, before))


@every_case
def test_op_apply_gives_the_same_twice(case: OpCase, rng: np.random.Generator) -> None:
    _, output, grad_output = run(case, case.draw(rng), rng)

    first = [g if g is None else g.copy() for g in output._grad_fn.apply(grad_output)]
    second = output._grad_fn.apply(grad_output)

    assert all(map(np.array_equal, second, first))


@every_case
def test_op_takes_arrays_with_gaps(case: OpCase, rng: np.random.Generator) -> None:
    arrays = case.draw(rng)
    _, plain, grad_output = run(case, arrays, rng)
    _, gapped, _ = run(case, list(map(strided, arrays)), rng)

    assert gapped.data == pytest.approx(plain.data)
    grads = gapped._grad_fn.apply(strided(grad_output))
    for got, expected in zip(grads, plain._grad_fn.apply(grad_output), strict=True):
        assert got is expected or got == pytest.approx(expected)


# --- the tester -----------------------------------------------------------------------


class SquareBackward(Function):
    """d x^2/dx = 2 x, changed afterwards by `spoil`."""

    def __init__(self, x: Tensor, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__(x)
        self.spoil = spoil

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        (x,) = self.saved_tensors
        return (self.spoil(2.0 * x.data * grad_output),)


def gradcheck_agrees(side: int, spoil: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Whether gradcheck accepts the square of a matrix, with its gradient through `spoil`."""

    def square(x: Tensor) -> Tensor:
        return Tensor.from_op(x.data**2, SquareBackward(x, spoil))

    rng = np.random.default_rng(side)
    values = OpCase(square, [(side, side)]).draw(rng)
    return all(comparison.agrees for comparison in gradcheck(square, values, rng))


sides = st.integers(2, 6)


@given(side=sides)
def test_gradcheck_accepts_the_right_gradient(side: int) -> None:
    assert gradcheck_agrees(side, lambda grad: grad) is True


@given(side=sides, percent=st.integers(-200, 200).filter(bool))
def test_gradcheck_flags_a_wrong_factor(side: int, percent: int) -> None:
    assert gradcheck_agrees(side, lambda grad: grad * (1.0 + percent / 100.0)) is False


@given(side=sides, data=st.data())
def test_gradcheck_flags_a_dropped_term(side: int, data: st.DataObject) -> None:
    dropped = data.draw(st.integers(0, side * side - 1))
    kept = (np.arange(side * side) != dropped).reshape(side, side)

    assert gradcheck_agrees(side, lambda grad: grad * kept) is False


@given(side=sides)
def test_gradcheck_flags_a_transposed_gradient(side: int) -> None:
    assert gradcheck_agrees(side, np.transpose) is False


# --- broadcasting ---------------------------------------------------------------------


@pytest.mark.parametrize("op", [ops.add, ops.sub, ops.mul, ops.div, ops.pow])
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=3, max_dims=4))
def test_arithmetic_gradient_fits_any_broadcast(
    op: Callable[..., Tensor], shapes: hnp.BroadcastableShapes
) -> None:
    case = OpCase(op, shapes.input_shapes, positive=op is ops.pow)

    assert_gradients_agree(case)


@given(
    shapes=hnp.mutually_broadcastable_shapes(
        signature=np.matmul.signature, min_side=0, max_side=3, max_dims=3
    )
)
def test_matmul_gradient_fits_any_broadcast(shapes: hnp.BroadcastableShapes) -> None:
    assert_gradients_agree(OpCase(ops.matmul, shapes.input_shapes))


# --- windows --------------------------------------------------------------------------


@dataclass(frozen=True)
class Geometry:
    """Where windows of `kernel` lie on images of shape (N, C, H, W)."""

    images: tuple[int, int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    def counts(self) -> list[int]:
        axes = zip(self.images[2:], self.kernel, self.stride, self.padding, strict=True)
        return [(n + 2 * p - k) // s + 1 for n, k, s, p in axes]

    def windows(self) -> Iterator[tuple[tuple[int, int], tuple[slice, slice]]]:
        """The place of every window in the output, and in the padded image."""
        (height, width), (down, across) = self.kernel, self.stride
        for i, j in product(*map(range, self.counts())):
            top, left = i * down, j * across
            yield (i, j), (slice(top, top + height), slice(left, left + width))

    def pad(self, x: np.ndarray, value: float = 0.0) -> np.ndarray:
        return np.pad(x, [(0, 0), (0, 0), *((p, p) for p in self.padding)], constant_values=value)

    def crop(self, grad: np.ndarray) -> np.ndarray:
        (top, left), (height, width) = self.padding, self.images[2:]
        return grad[:, :, top : top + height, left : left + width]


@st.composite
def geometries(draw: st.DrawFn, pooling: bool) -> Geometry:
    """Any window up to 3 x 3 that fits; pooling pads by half of it at most."""
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride = draw(pairs), draw(pairs)
    padding = tuple(draw(st.integers(0, k // 2 if pooling else 2)) for k in kernel)
    size = (draw(st.integers(max(1, k - 2 * p), 6)) for k, p in zip(kernel, padding, strict=True))
    return Geometry((*draw(pairs), *size), kernel, stride, padding)


@given(geometry=geometries(pooling=False), filters=st.integers(1, 3))
def test_conv2d_equals_plain_loops(geometry: Geometry, filters: int) -> None:
    rng, (count, channels, *_) = np.random.default_rng(0), geometry.images
    x = Tensor(rng.standard_normal(geometry.images), requires_grad=True)
    w = Tensor(rng.standard_normal((filters, channels, *geometry.kernel)), requires_grad=True)
    b = Tensor(rng.standard_normal(filters), requires_grad=True)
    g = rng.standard_normal((count, filters, *geometry.counts()))
    y, image = np.zeros_like(g), geometry.pad(x.data)
    grad_image, grad_w = np.zeros_like(image), np.zeros_like(w.data)
    for n, f, (at, window) in product(range(count), range(filters), geometry.windows()):
        patch = image[n][:, *window]
        y[n, f][at] = np.sum(patch * w.data[f]) + b.data[f]
        grad_image[n][:, *window] += g[n, f][at] * w.data[f]
        grad_w[f] += g[n, f][at] * patch

    output = ops.conv2d(x, w, b, geometry.stride, geometry.padding)
    output.backward(g)

    assert output.data == pytest.approx(y)
    assert x.grad == pytest.approx(geometry.crop(grad_image))
    assert w.grad == pytest.approx(grad_w)
    assert b.grad == pytest.approx(g.sum(axis=(0, 2, 3)))


@pytest.mark.parametrize("op", [ops.max_pool2d, ops.avg_pool2d])
@given(geometry=geometries(pooling=True))
def test_pooling_equals_plain_loops(op: Callable[..., Tensor], geometry: Geometry) -> None:
    rng = np.random.default_rng(0)
    # Few different numbers, so that most windows hold ties; all below the padding of zeros.
    x = Tensor(rng.integers(-3, 0, geometry.images).astype(np.float64), requires_grad=True)
    g = rng.standard_normal((*geometry.images[:2], *geometry.counts()))
    image = geometry.pad(x.data, -np.inf if op is ops.max_pool2d else 0.0)
    y, grad_image = np.zeros_like(g), np.zeros_like(image)
    for n, c, (at, window) in product(*map(range, geometry.images[:2]), geometry.windows()):
        patch, grad_patch = image[n, c][window], grad_image[n, c][window]
        if op is ops.max_pool2d:
            y[n, c][at] = patch.max()
            grad_patch[np.unravel_index(patch.argmax(), patch.shape)] += g[n, c][at]
        else:
            y[n, c][at] = patch.mean()
            grad_patch += g[n, c][at] / patch.size

    output = op(x, geometry.kernel, geometry.stride, geometry.padding)
    output.backward(g)

    assert output.data == pytest.approx(y)
    assert x.grad == pytest.approx(geometry.crop(grad_image))


# --- indices --------------------------------------------------------------------------


some_shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@given(indices=hnp.arrays(np.int64, some_shapes, elements=st.integers(0, 4)))
def test_embedding_adds_up_the_gradients_of_every_use(indices: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    weight = Tensor(rng.standard_normal((5, 2)), requires_grad=True)
    grad_output = rng.standard_normal((*indices.shape, 2))
    expected = np.zeros((5, 2))
    for place in np.ndindex(indices.shape):
        expected[indices[place]] += grad_output[place]

    ops.embedding(Tensor(indices), weight).backward(grad_output)

    assert weight.grad == pytest.approx(expected)


SHAPE = (3, 4, 2)


@given(
    key=hnp.basic_indices(SHAPE, allow_newaxis=True)
    | hnp.integer_array_indices(SHAPE)
    | hnp.arrays(np.bool_, SHAPE)
    | st.tuples(st.lists(st.integers(-3, 2)), st.integers(-4, 3))
    | st.tuples(st.lists(st.integers(-3, 2), min_size=1).map(tuple))
)
def test_index_sends_every_gradient_back_where_it_was_taken(key: object) -> None:
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal(SHAPE), requires_grad=True)
    taken = x.data[key]
    assume(taken.size)
    grad_output = rng.standard_normal(taken.shape)
    expected = np.zeros(SHAPE)
    np.add.at(expected, key, grad_output)

    output = x[key]
    output.backward(grad_output)

    assert output.data == pytest.approx(taken)
    assert x.grad == pytest.approx(expected)


if __name__ == "__main__":
    # As a script, this file imports Hypothesis before pytest could rewrite its assertions.
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    raise SystemExit(pytest.main([*quiet, __file__, "-q"]))
