"""HIPS autograd as a backend: its boxes, a backward pass from any of them, its conventions."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from harness import backends
from harness.measurement import NotMeasurableError

pytest.importorskip("autograd")
from autograd import grad
from autograd.numpy.numpy_boxes import ArrayBox

AUTOGRAD = backends.load("autograd")
OPS = AUTOGRAD.namespace.ops


def test_tensors_are_autograds_own_boxes() -> None:
    assert type(AUTOGRAD.tensor(np.ones(2))) is ArrayBox
    assert type(AUTOGRAD.leaf(np.ones(2))) is ArrayBox


def test_gradients_are_those_of_grad() -> None:
    a = np.random.default_rng(0).standard_normal((3, 4))

    def loss(x: ArrayBox) -> ArrayBox:
        return OPS["sum"](OPS["tanh"](x) * OPS["softmax"](x))

    x = AUTOGRAD.leaf(a)
    AUTOGRAD.backward(loss(x))
    np.testing.assert_allclose(AUTOGRAD.gradient(x), grad(loss)(a), rtol=1e-12)


def test_gradients_of_several_passes_add_up() -> None:
    x = AUTOGRAD.leaf(np.array([3.0]))
    h = OPS["mul"](x, x)
    for total in (6.0, 12.0):
        AUTOGRAD.backward(h)
        np.testing.assert_array_equal(AUTOGRAD.gradient(x), [total])


def test_what_wants_no_gradient_is_left_out_of_the_graph() -> None:
    constant, leaf = AUTOGRAD.tensor(np.ones(2)), AUTOGRAD.leaf(np.ones(2))
    assert OPS["mul"](constant, constant)._node.parents == []
    assert list(OPS["mul"](constant, leaf)._node.parents) == [leaf._node]
    with AUTOGRAD.no_grad():
        assert OPS["mul"](constant, leaf)._node.parents == []


def test_a_gradient_is_kept_inside_a_graph_and_not_outside() -> None:
    x = AUTOGRAD.leaf(np.array([3.0]))
    h = OPS["mul"](x, x)
    AUTOGRAD.keep_gradient(h)
    AUTOGRAD.backward(OPS["mul"](h, h))
    np.testing.assert_array_equal(AUTOGRAD.gradient(h), [18.0])
    with pytest.raises(NotMeasurableError, match="autograd keeps no gradients"):
        AUTOGRAD.keep_gradient(AUTOGRAD.tensor(np.ones(1)))


def test_a_pass_leaves_the_gradient_that_it_is_given_alone() -> None:
    x, y, g = AUTOGRAD.leaf(np.ones(2)), AUTOGRAD.leaf(np.ones(2)), np.array([1.0, 2.0])
    AUTOGRAD.backward(OPS["add"](OPS["add"](x, y), x), g)
    np.testing.assert_array_equal(g, [1.0, 2.0])
    np.testing.assert_array_equal(AUTOGRAD.gradient(x), [2.0, 4.0])
    gradient = AUTOGRAD.gradient(y)
    assert gradient is not None
    assert not np.shares_memory(gradient, g)


def test_no_grad_is_for_one_thread() -> None:
    x, found = AUTOGRAD.leaf(np.array([3.0])), []
    with AUTOGRAD.no_grad():
        thread = threading.Thread(target=lambda: found.append(OPS["mul"](x, x)._node.in_graph))
        thread.start()
        thread.join()
    assert found == [True]


@pytest.mark.parametrize("name", ["mean", "max"])
def test_mean_and_max_send_float64_back_for_float32(name: str) -> None:
    """autograd's own convention: losses and norms are made of sums instead."""
    x = AUTOGRAD.leaf(np.arange(3.0, dtype=np.float32))
    AUTOGRAD.backward(OPS[name](x))
    gradient = AUTOGRAD.gradient(x)
    assert gradient is not None
    assert gradient.dtype == np.float64


def test_permuting_by_negative_axes_has_the_gradient_of_another_permutation() -> None:
    """A bug of autograd 1.9, which nothing here hides: it sorts axes that it has not counted."""
    x, g = AUTOGRAD.leaf(np.zeros((3, 4))), np.arange(12.0).reshape(4, 3)
    AUTOGRAD.backward(OPS["permute"](x, (-1, 0)), g)
    gradient = AUTOGRAD.gradient(x)
    assert gradient is not None
    assert gradient.shape == (4, 3)


def test_gelu_is_exact() -> None:
    pytest.importorskip("scipy")
    x = AUTOGRAD.leaf(np.array([1.0]))
    # 1 times the normal distribution function of 1.
    np.testing.assert_allclose(AUTOGRAD.array(OPS["gelu"](x)), [0.8413447460685429], rtol=1e-12)


def test_a_trace_tells_of_calls_and_their_lines() -> None:
    x, c = AUTOGRAD.leaf(np.array([3.0])), AUTOGRAD.tensor(np.array([2.0]))
    with AUTOGRAD.no_grad():
        OPS["tanh"](x)
    trace = AUTOGRAD.trace(lambda: OPS["exp"](OPS["mul"](OPS["tanh"](x), c)))
    assert trace is not None
    assert [event.op for event in trace.events] == ["tanh", "multiply", "exp"]
    first, second, last = trace.events
    assert first.inputs == (id(x),)
    assert second.inputs == (first.key,)
    assert second.sources == (first.key, id(c))
    assert last.key == id(trace.output)
    assert first.places[0].function == "tanh"
    assert first.places[1].file == __file__
    assert list(trace.leaves) == [id(x)]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
