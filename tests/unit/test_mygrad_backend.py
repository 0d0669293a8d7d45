"""MyGrad as a backend: what is its own, and what of its conventions shows."""

from __future__ import annotations

import numpy as np
import pytest

from harness import backends
from harness.measurement import NotMeasurableError

mygrad = pytest.importorskip("mygrad")
MYGRAD = backends.load("mygrad")
OPS = MYGRAD.namespace.ops


def test_tensors_are_mygrads_own() -> None:
    assert isinstance(MYGRAD.tensor(np.ones(2)), mygrad.Tensor)
    assert isinstance(MYGRAD.leaf(np.ones(2)), mygrad.Tensor)
    assert MYGRAD.version == mygrad.__version__


def test_tensors_copy_what_they_are_given() -> None:
    array = np.ones(2)
    tensor = MYGRAD.leaf(array)
    array[0] = 5.0
    np.testing.assert_array_equal(MYGRAD.array(tensor), [1.0, 1.0])
    OPS["mul"](tensor, tensor)
    array[1] = 5.0  # is not locked by the graph


def test_what_neural_networks_need_is_mygrads_own() -> None:
    x = MYGRAD.leaf(np.arange(16.0).reshape(1, 1, 4, 4))
    weight = MYGRAD.leaf(np.ones((1, 1, 2, 2)))
    names = {
        type(output.creator).__name__
        for output in (
            OPS["relu"](x), OPS["sigmoid"](x), OPS["softmax"](x), OPS["log_softmax"](x),
            OPS["max_pool2d"](x, 2), OPS["conv2d"](x, weight),
            OPS["cross_entropy"](x[0, 0], np.zeros(4, dtype=int)),
        )
    }  # fmt: skip
    assert names == {
        "ReLu", "Sigmoid", "Softmax", "LogSoftmax", "MaxPoolND", "ConvND", "SoftmaxCrossEntropy",
    }  # fmt: skip


def test_it_has_no_error_function_and_so_no_gelu() -> None:
    assert "gelu" not in OPS
    assert "GELU" not in MYGRAD.namespace.layers


def test_a_tensor_that_is_used_again_forgets_its_gradient() -> None:
    """MyGrad's own convention, which nothing here hides."""
    x = MYGRAD.leaf(np.array([3.0]))
    for _ in range(2):
        MYGRAD.backward(OPS["mul"](x, x))
        np.testing.assert_array_equal(MYGRAD.gradient(x), [6.0])


def test_a_number_of_python_makes_float64_of_float32() -> None:
    """MyGrad's own convention: the layers give it numbers of the right type instead."""
    x = MYGRAD.leaf(np.ones(2, dtype=np.float32))
    assert (x + 1.5).dtype == np.float64


def test_max_pooling_gives_the_gradient_to_the_first_of_equal_numbers() -> None:
    x = MYGRAD.leaf(np.ones((1, 1, 2, 2)))
    MYGRAD.backward(OPS["max_pool2d"](x, 2), np.ones((1, 1, 1, 1)))
    np.testing.assert_array_equal(MYGRAD.gradient(x), [[[[1.0, 0.0], [0.0, 0.0]]]])


def test_tensors_inside_a_graph_keep_their_gradients() -> None:
    x = MYGRAD.leaf(np.array([3.0]))
    h = OPS["mul"](x, x)
    MYGRAD.keep_gradient(h)
    MYGRAD.backward(OPS["mul"](h, h))
    np.testing.assert_array_equal(MYGRAD.gradient(h), [18.0])
    with pytest.raises(NotMeasurableError, match="mygrad keeps no gradients"):
        MYGRAD.keep_gradient(MYGRAD.tensor(np.ones(1)))


def test_a_trace_tells_where_an_operation_is_written() -> None:
    x = MYGRAD.leaf(np.array([3.0]))
    trace = MYGRAD.trace(lambda: OPS["tanh"](OPS["relu"](x)))
    assert trace is not None
    assert [event.op for event in trace.events] == ["ReLu", "Tanh"]
    first = trace.events[0]
    assert first.inputs == (id(x),)
    assert first.apply is not None
    assert first.apply.file.endswith("relu.py")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
