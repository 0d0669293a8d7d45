"""MyGrad and autograd beside the built-in engine: same weights, outputs, gradients and steps."""

from __future__ import annotations

import gc
import inspect
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import backends
from harness.arguments import misfits
from harness.backends.base import Backend
from harness.session import Request, run_session

CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("Linear", {"in_features": 3, "out_features": 2}, (4, 3)),
    ("Linear", {"in_features": 3, "out_features": 2, "bias": False}, (2, 4, 3)),
    ("Conv2d", {"in_channels": 2, "out_channels": 3, "kernel_size": 3}, (2, 2, 5, 6)),
    ("Conv2d", {"in_channels": 2, "out_channels": 3, "kernel_size": (2, 3), "stride": (2, 1),
                "padding": (0, 2)}, (2, 2, 6, 7)),
    ("MaxPool2d", {"kernel_size": 2}, (2, 3, 5, 5)),
    ("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 2, 6, 5)),
    ("AvgPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 2, 6, 5)),
    ("ReLU", {}, (3, 4)),
    ("Tanh", {}, (3, 4)),
    ("Sigmoid", {}, (3, 4)),
    ("Softmax", {"dim": 0}, (3, 4)),
    ("Dropout", {"p": 0.4}, (5, 6)),
    ("Flatten", {"start_dim": 0, "end_dim": 1}, (2, 3, 4)),
    ("LayerNorm", {"normalized_shape": (3, 4), "eps": 0.1}, (2, 3, 4)),
    ("SinusoidalPositions", {"embedding_dim": 4}, (2, 3, 4)),
    ("MultiHeadAttention", {"embed_dim": 4, "num_heads": 2, "is_causal": True}, (2, 3, 4)),
]  # fmt: skip
NUMPY = backends.load("numpy")


@pytest.fixture(params=["mygrad", "autograd"])
def backend(request: pytest.FixtureRequest) -> Backend:
    pytest.importorskip(request.param)
    return backends.load(request.param)


def made(backend: Backend, name: str, arguments: dict[str, Any]) -> Any:
    factory = backend.namespace.layers[name]
    draws = (
        {"rng": np.random.default_rng(3)} if "rng" in inspect.signature(factory).parameters else {}
    )
    return factory(**arguments, **draws)


def passed(backend: Backend, layer: Any, x: np.ndarray, g: np.ndarray) -> Iterator[np.ndarray]:
    """The output, then the gradients of the input and of all parameters."""
    leaf = backend.leaf(x)
    output = layer(leaf)
    yield backend.array(output).copy()
    backend.backward(output, g)
    for tensor in (leaf, *backend.parameters(layer).values()):
        gradient = backend.gradient(tensor)
        assert gradient is not None
        yield gradient


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_a_layer_gives_what_the_built_in_one_gives(
    backend: Backend, name: str, arguments: dict[str, Any], shape: tuple[int, ...]
) -> None:
    x = np.random.default_rng(5).standard_normal(shape)
    own, right = (made(engine, name, arguments) for engine in (backend, NUMPY))
    for engine, layer in ((backend, own), (NUMPY, right)):
        for parameter in engine.parameters(layer).values():
            engine.set_value(parameter, engine.array(parameter).astype(np.float64))
    g = np.random.default_rng(6).standard_normal(NUMPY.array(right(NUMPY.tensor(x))).shape)
    own, right = (  # anew, for those that draw at every call
        layer if name != "Dropout" else made(engine, name, arguments)
        for engine, layer in ((backend, own), (NUMPY, right))
    )
    found, expected = list(passed(backend, own, x, g)), list(passed(NUMPY, right, x, g))
    assert len(found) == len(expected)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Linear", {"in_features": 3, "out_features": 2}),
        ("Conv2d", {"in_channels": 2, "out_channels": 3, "kernel_size": (2, 3)}),
        ("Embedding", {"num_embeddings": 5, "embedding_dim": 3}),
        ("LayerNorm", {"normalized_shape": 4}),
        ("MultiHeadAttention", {"embed_dim": 4, "num_heads": 2}),
    ],
)
def test_the_same_seed_gives_the_same_weights_as_in_the_built_in_engine(
    backend: Backend, name: str, arguments: dict[str, Any]
) -> None:
    own = backend.parameters(made(backend, name, arguments))
    right = NUMPY.parameters(made(NUMPY, name, arguments))
    assert list(own) == list(right)
    for label, parameter in own.items():
        array = backend.array(parameter)
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, NUMPY.array(right[label]))


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_float32_stays_float32_and_inputs_stay_as_they_are(
    backend: Backend, name: str, arguments: dict[str, Any], shape: tuple[int, ...]
) -> None:
    x = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    before = x.copy()
    layer = made(backend, name, arguments)
    leaf = backend.leaf(x)
    output = layer(leaf)
    assert backend.array(output).dtype == np.float32
    g = np.ones(backend.array(output).shape, dtype=np.float32)
    backend.backward(output, g)
    gradients = [backend.gradient(each) for each in (leaf, *backend.parameters(layer).values())]
    assert [each.dtype for each in gradients if each is not None] == [np.float32] * len(gradients)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(g, np.ones_like(g))
    assert x.flags.writeable
    assert g.flags.writeable


def test_embedding_adds_up_the_gradients_of_a_row_that_is_used_twice(backend: Backend) -> None:
    layer = made(backend, "Embedding", {"num_embeddings": 3, "embedding_dim": 2})
    (weight,) = backend.parameters(layer).values()
    output = layer(backend.tensor(np.array([[2, 0, 2]])))
    np.testing.assert_array_equal(backend.array(output), backend.array(weight)[[[2, 0, 2]]])
    backend.backward(output, np.array([[[1.0, 2.0], [5.0, 5.0], [10.0, 20.0]]], dtype=np.float32))
    expected = [[5.0, 5.0], [0.0, 0.0], [11.0, 22.0]]
    np.testing.assert_array_equal(backend.gradient(weight), expected)


@pytest.mark.parametrize(
    ("loss", "x", "y", "value", "gradient"),
    [
        # -ln(1/2) of equal logits; softmax less one-hot, a half each way, over 2 rows.
        ("CrossEntropyLoss", [[0.0, 0.0], [7.0, 7.0]], [0, 1], np.log(2.0),
         [[-0.25, 0.25], [0.25, -0.25]]),
        # ln 2 each; sigmoid(0) less the label, over 2.
        ("BCEWithLogitsLoss", [[0.0], [0.0]], [[1.0], [0.0]], np.log(2.0), [[-0.25], [0.25]]),
        # (3^2 + 1^2) / 2, and the differences themselves: 2 d / 2.
        ("MSELoss", [[3.0], [0.0]], [[0.0], [1.0]], 5.0, [[3.0], [-1.0]]),
    ],
)  # fmt: skip
def test_losses_by_hand(
    backend: Backend, loss: str, x: Any, y: Any, value: float, gradient: Any
) -> None:
    logits = backend.leaf(np.array(x))
    output = backend.namespace.losses[loss]()(logits, backend.tensor(np.array(y)))
    np.testing.assert_allclose(backend.array(output), value, rtol=1e-12)
    backend.backward(output)
    np.testing.assert_allclose(backend.gradient(logits), gradient, rtol=1e-12)


@pytest.mark.parametrize("loss", ["BCEWithLogitsLoss", "CrossEntropyLoss"])
def test_losses_stay_finite_for_logits_of_any_size(backend: Backend, loss: str) -> None:
    far = np.array([[1000.0, -1000.0]], dtype=np.float32)
    logits = backend.leaf(far)
    y = np.array([1]) if loss == "CrossEntropyLoss" else np.array([[0.0, 1.0]], dtype=np.float32)
    with np.errstate(over="ignore"):
        output = backend.namespace.losses[loss]()(logits, backend.tensor(y))
        backend.backward(output)
    # Wholly wrong: 2000 between the logits, or 1000 each.
    expected = {"CrossEntropyLoss": 2000.0, "BCEWithLogitsLoss": 1000.0}[loss]
    np.testing.assert_allclose(backend.array(output), expected)
    scale = {"CrossEntropyLoss": 1.0, "BCEWithLogitsLoss": 0.5}[loss]
    np.testing.assert_allclose(backend.gradient(logits), [[scale, -scale]])


def test_relu_has_no_slope_at_0(backend: Backend) -> None:
    x = backend.leaf(np.array([-1.0, 0.0, 2.0]))
    backend.backward(backend.namespace.ops["relu"](x), np.ones(3))
    np.testing.assert_array_equal(backend.gradient(x), [0.0, 0.0, 1.0])


def test_a_query_that_may_see_no_key_gets_zeros(backend: Backend) -> None:
    q, k, v = (backend.leaf(np.ones((2, 3))) for _ in range(3))
    mask = backend.tensor(np.array([[False, False], [True, False]]))
    output = backend.namespace.ops["scaled_dot_product_attention"](q, k, v, attn_mask=mask)
    np.testing.assert_allclose(backend.array(output), [[0.0] * 3, [1.0] * 3])
    backend.backward(output, np.ones((2, 3)))
    np.testing.assert_allclose(backend.gradient(v), [[1.0] * 3, [0.0] * 3])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("SGD", {"lr": 0.1, "weight_decay": 0.2}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        ("Adam", {"lr": 0.1, "weight_decay": 0.2}),
        ("AdamW", {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3}),
    ],
)
def test_optimizers_step_as_the_built_in_ones(
    backend: Backend, name: str, arguments: dict[str, Any]
) -> None:
    rng = np.random.default_rng(1)
    start = rng.standard_normal((3, 2))
    parameters = [(engine, engine.leaf(start.copy())) for engine in (backend, NUMPY)]
    optimizers = [
        engine.namespace.optimizers[name]([each], **arguments) for engine, each in parameters
    ]
    for step in range(4):
        gradient = rng.standard_normal((3, 2))
        for (engine, parameter), optimizer in zip(parameters, optimizers, strict=True):
            engine.set_gradient(parameter, gradient.copy() if step != 2 else None)
            engine.set_lr(optimizer, 0.1 / (step + 1))
            optimizer.step()
            optimizer.zero_grad()
            assert engine.gradient(parameter) is None
    (_, own), (_, right) = parameters
    np.testing.assert_allclose(backend.array(own), NUMPY.array(right), rtol=1e-12)


def test_sgd_by_hand(backend: Backend) -> None:
    parameter = backend.leaf(np.array([1.0, 2.0]))
    optimizer = backend.namespace.optimizers["SGD"]([parameter], lr=0.5, momentum=0.5)
    for _ in range(2):
        backend.set_gradient(parameter, np.array([2.0, 0.0]))
        optimizer.step()
    # v = 2, then 3: 1 - 0.5 * 2 - 0.5 * 3.
    np.testing.assert_array_equal(backend.array(parameter), [-1.5, 2.0])


def test_nothing_arrives_from_inside_no_grad_and_everything_after_it(backend: Backend) -> None:
    x = backend.leaf(np.array([3.0]))
    with backend.no_grad():
        output = backend.namespace.ops["mul"](x, x)
    backend.backward(output)
    assert backend.gradient(x) is None
    backend.backward(backend.namespace.ops["mul"](x, x))
    np.testing.assert_array_equal(backend.gradient(x), [6.0])


def test_a_value_brings_its_dtype(backend: Backend) -> None:
    layer = made(backend, "Linear", {"in_features": 2, "out_features": 1})
    weight, _ = backend.parameters(layer).values()
    given = np.array([[1.0, 2.0]])
    backend.set_value(weight, given)
    assert backend.array(weight).dtype == np.float64
    output = layer(backend.tensor(np.array([[3.0, 4.0]])))
    assert backend.array(output).dtype == np.float64
    backend.backward(output, np.ones((1, 1)))
    np.testing.assert_array_equal(backend.gradient(weight), [[3.0, 4.0]])
    assert given.flags.writeable


def test_containers_name_what_is_in_them_as_the_built_in_ones_do(backend: Backend) -> None:
    names = []
    for engine in (backend, NUMPY):
        linear = made(engine, "Linear", {"in_features": 2, "out_features": 2})
        heads = made(engine, "MultiHeadAttention", {"embed_dim": 2, "num_heads": 1})
        residual = engine.namespace.layers["Residual"](heads, linear, linear)
        names.append(list(engine.parameters(residual)))
    assert names[0] == names[1]
    assert len(names[0]) == 10


def test_set_training_reaches_the_layers_inside_a_container(backend: Backend) -> None:
    dropout = made(backend, "Dropout", {"p": 0.5})
    container = backend.namespace.layers["Sequential"](dropout)
    x = np.ones((20, 20), dtype=np.float32)
    backend.set_training([container], False)
    np.testing.assert_array_equal(backend.array(container(backend.tensor(x))), x)
    backend.set_training([container], True)
    kept = backend.array(container(backend.tensor(x)))
    assert set(np.unique(kept)) == {0.0, 2.0}


def test_a_trace_leads_from_the_output_to_the_parameters(backend: Backend) -> None:
    layer = made(backend, "Linear", {"in_features": 2, "out_features": 1})
    x = backend.tensor(np.ones((3, 2), dtype=np.float32))
    trace = backend.trace(lambda: layer(x))
    assert trace is not None
    assert set(trace.leaves) == {id(each) for each in backend.parameters(layer).values()}
    assert trace.events[-1].key == id(trace.output)
    history = {event.key: event.inputs for event in trace.events}
    waiting, met = [id(trace.output)], set()
    while waiting:
        key = waiting.pop()
        met.add(key)
        waiting += history.get(key, ())
    assert set(trace.leaves) <= met
    assert all(event.op for event in trace.events)


def test_factories_say_what_they_take(backend: Backend) -> None:
    linear = backend.namespace.layers["Linear"]
    given = {"in_features": "two", "out_feature": 1}
    problems = dict(misfits(linear, given, own=("rng",)))
    assert set(problems) == {"in_features", "out_feature", "out_features"}
    assert "integer" in problems["in_features"]


def test_memory_does_not_grow_over_200_steps(backend: Backend) -> None:
    layer = made(backend, "Linear", {"in_features": 50, "out_features": 20})
    optimizer = backend.namespace.optimizers["Adam"](list(backend.parameters(layer).values()))
    loss = backend.namespace.losses["MSELoss"]()
    x, y = np.ones((16, 50), dtype=np.float32), np.zeros((16, 20), dtype=np.float32)

    def steps(count: int) -> int:
        for _ in range(count):
            optimizer.zero_grad()
            backend.backward(loss(layer(backend.tensor(x)), backend.tensor(y)))
            optimizer.step()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        steps(600)  # until what an engine sets aside for later is there
        first = steps(200)
        assert steps(200) - first < 20 * 50 * 4  # less than one more weight
    finally:
        tracemalloc.stop()


def test_xor_and_perceptron_pass_all_checks(backend: Backend, tmp_path: Path) -> None:
    request = Request(["xor", "perceptron"], tmp_path, range(1), 1, backend=backend.name)
    results = run_session(request).scorecard.results
    assert [result.status for result in results] == ["pass", "pass"]
    assert not [v for result in results for v in result.verdicts if v.status in ("fail", "error")]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
