"""PyTorch as a backend: its tensors, gradients, weights and traces are what the protocol says."""

from __future__ import annotations

import inspect
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.backends import load
from harness.backends.base import Backend, Event
from harness.model import build
from tests.examples import NAMES
from tests.specimens import shipped

if __name__ == "__main__":  # not at the end: without PyTorch this file ends two lines below
    raise SystemExit(pytest.main([__file__, "-q"]))

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

Array = np.ndarray
# Layers that draw: what they are built with.
DRAWING: Mapping[str, Mapping[str, Any]] = {
    "Linear": {"in_features": 3, "out_features": 4},
    "Conv2d": {"in_channels": 2, "out_channels": 3, "kernel_size": (2, 3)},
    "Embedding": {"num_embeddings": 5, "embedding_dim": 4},
    "MultiHeadAttention": {"embed_dim": 6, "num_heads": 2},
}


@pytest.fixture(name="backend")
def _backend() -> Backend:
    return load("torch")


def array(*numbers: float, dtype: str = "float64") -> Array:
    return np.array(numbers, dtype=dtype)


# --- what it offers -------------------------------------------------------------------


def test_offers_every_name_that_the_built_in_engine_offers(backend: Backend) -> None:
    mine, other = backend.namespace, load("numpy").namespace
    for kind in ("layers", "losses", "optimizers", "ops"):
        assert set(getattr(mine, kind)) == set(getattr(other, kind))


@pytest.mark.parametrize("name", sorted(load("numpy").namespace.layers))
def test_layers_take_the_arguments_of_the_built_in_engine(backend: Backend, name: str) -> None:
    mine = inspect.signature(backend.namespace.layers[name]).parameters
    other = inspect.signature(load("numpy").namespace.layers[name]).parameters
    kinds = {each.kind for each in mine.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds  # what a config gives must be known
    assert [each for each in mine if each in other or each == "args"] == [
        "args" if other[each].kind is inspect.Parameter.VAR_POSITIONAL else each for each in other
    ]


@pytest.mark.parametrize("name", NAMES)
def test_models_start_with_the_same_bits_as_in_the_built_in_engine(
    backend: Backend, name: str
) -> None:
    layers = shipped(name).config.layers
    mine, other = build(layers, backend, 3), build(layers, load("numpy"), 3)
    assert list(mine.parameters) == list(other.parameters)
    for label, parameter in mine.parameters.items():
        got, expected = backend.array(parameter), other.backend.array(other.parameters[label])
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", DRAWING)
def test_layers_without_a_generator_draw_anew(backend: Backend, name: str) -> None:
    first, second = (backend.namespace.layers[name](**DRAWING[name]) for _ in range(2))
    some, others = (backend.arrays(list(backend.parameters(x).values())) for x in (first, second))
    assert not any(map(np.array_equal, some, others))


def test_dropout_drops_what_the_built_in_engine_drops(backend: Backend) -> None:
    x = np.arange(1.0, 201.0, dtype=np.float32)
    got, expected = (
        each.array(each.namespace.layers["Dropout"](0.4, np.random.default_rng(1))(each.tensor(x)))
        for each in (backend, load("numpy"))
    )
    assert 0 < np.count_nonzero(got) < len(x)
    assert np.array_equal(got == 0.0, expected == 0.0)
    assert got == pytest.approx(expected)


def test_no_global_random_state_is_touched(backend: Backend) -> None:
    def states() -> tuple[bytes, str, str]:
        drawn = torch.get_rng_state().numpy().tobytes()
        return drawn, repr(np.random.get_state()), repr(random.getstate())

    before = states()
    for name, arguments in DRAWING.items():
        backend.namespace.layers[name](**arguments, rng=np.random.default_rng(0))
        backend.namespace.layers[name](**arguments)
    layer = backend.namespace.layers["Linear"](3, 2)
    y = backend.namespace.layers["Dropout"]()(layer(backend.tensor(np.ones((4, 3), np.float32))))
    backend.backward(y, np.ones((4, 2), np.float32))
    backend.namespace.optimizers["Adam"](list(backend.parameters(layer).values())).step()
    assert states() == before


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MultiHeadAttention", {"embed_dim": 6, "num_heads": 4}),
        ("SinusoidalPositions", {"embedding_dim": 3}),
        ("Dropout", {"p": 1.5}),
    ],
)
def test_layers_refuse_what_cannot_be_built(
    backend: Backend, name: str, arguments: Mapping[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"must be|cannot be split"):
        backend.namespace.layers[name](**arguments)


def test_positions_stop_at_their_length(backend: Backend) -> None:
    positions = backend.namespace.layers["SinusoidalPositions"](4, max_len=2)
    with pytest.raises(ValueError, match="3 positions are more than max_len, 2"):
        positions(backend.tensor(np.zeros((1, 3, 4))))


# --- tensors and arrays ---------------------------------------------------------------


def test_arrays_and_tensors_share_their_numbers(backend: Backend) -> None:
    x = array(1.0, 2.0)
    for tensor in (backend.tensor(x), backend.leaf(x)):
        assert np.shares_memory(backend.array(tensor), x)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_tensors_keep_the_type_of_their_array(backend: Backend, dtype: str) -> None:
    assert backend.array(backend.tensor(np.zeros((2, 1), dtype))).dtype == dtype


def test_arrays_that_pytorch_cannot_look_at_are_copied(backend: Backend) -> None:
    backwards, read_only = array(1.0, 2.0, 3.0)[::-1], np.broadcast_to(array(4.0), (2,))
    assert backend.array(backend.tensor(backwards)).tolist() == [3.0, 2.0, 1.0]
    assert backend.array(backend.leaf(read_only)).tolist() == [4.0, 4.0]


def test_values_are_copied_in_and_bring_their_type(backend: Backend) -> None:
    layer = backend.namespace.layers["Linear"](2, 1, bias=False)
    (weight,) = backend.parameters(layer).values()
    backend.backward(layer(backend.tensor(np.array([[1, 2]], np.float32))))
    given = np.array([[0.25, 3.0]])
    backend.set_value(weight, given)
    given[...] = 0.0
    gradient = backend.gradient(weight)
    assert gradient is not None
    assert backend.array(weight).tolist() == [[0.25, 3.0]]
    assert (backend.array(weight).dtype, gradient.dtype) == (np.float64, np.float64)
    assert gradient.tolist() == [[1.0, 2.0]]
    assert backend.array(layer(backend.tensor(np.array([[4.0, 1.0]])))).tolist() == [[4.0]]


def test_vectors_hold_all_values_and_gradients_end_to_end(backend: Backend) -> None:
    parameters = [backend.leaf(np.array([[1.0, 2.0]])), backend.leaf(array(3.0))]
    backend.set_gradient(parameters[1], array(5.0))
    values, gradients = np.empty(3), np.empty(3)
    backend.copy_values(parameters, values)
    assert backend.copy_gradients(parameters, gradients) == [0]
    assert values.tolist() == [1.0, 2.0, 3.0]
    assert gradients.tolist() == [0.0, 0.0, 5.0]


# --- gradients ------------------------------------------------------------------------


def test_gradients_are_none_before_and_add_up_after(backend: Backend) -> None:
    mul = backend.namespace.ops["mul"]
    x, y = backend.leaf(array(2.0, 3.0)), backend.tensor(array(5.0, 7.0))
    assert backend.gradient(x) is None
    for _ in range(2):
        backend.backward(mul(x, y), array(1.0, 10.0))
    got = backend.gradient(x)
    assert got is not None
    assert got.tolist() == [10.0, 140.0]
    assert backend.gradient(y) is None
    assert backend.gradient(mul(x, y)) is None  # PyTorch keeps none inside a graph


def test_nothing_happens_where_no_graph_leads(backend: Backend) -> None:
    x = backend.leaf(array(1.0))
    with backend.no_grad():
        y = backend.namespace.ops["exp"](x)
    backend.backward(y)
    backend.backward(backend.tensor(array(1.0)))
    assert backend.gradient(x) is None


def test_what_arrives_is_not_the_array_that_came_in(backend: Backend) -> None:
    x, given = backend.leaf(array(1.0, 2.0)), array(3.0, 4.0)
    backend.backward(backend.namespace.ops["reshape"](x, (2, 1)), given.reshape(2, 1))
    got = backend.gradient(x)
    assert got is not None
    assert not np.shares_memory(got, given)


def test_gradients_can_be_put_and_taken_away(backend: Backend) -> None:
    x, given = backend.leaf(array(1.0, dtype="float32")), array(3.0)
    backend.set_gradient(x, given)
    given[...] = 0.0
    got = backend.gradient(x)
    assert got is not None
    assert (got.tolist(), got.dtype) == ([3.0], np.float32)
    backend.set_gradient(x, None)
    assert backend.gradient(x) is None


def test_gradients_are_clipped_together(backend: Backend) -> None:
    leaves = [backend.leaf(array(0.0)) for _ in range(3)]
    for leaf, number in zip(leaves, (3.0, 4.0), strict=False):
        backend.set_gradient(leaf, array(number))
    backend.clip_grad_norm(leaves, 1.0)  # the norm is 5
    first, second = (backend.gradient(leaf) for leaf in leaves[:2])
    assert first == pytest.approx(3.0 / 5.000001, abs=1e-12)
    assert second == pytest.approx(4.0 / 5.000001, abs=1e-12)
    assert backend.gradient(leaves[2]) is None


def test_gradients_are_kept_inside_when_asked_for(backend: Backend) -> None:
    mul = backend.namespace.ops["mul"]
    x = backend.leaf(array(2.0))
    inside, constant = mul(x, x), backend.tensor(array(7.0))
    for tensor in (inside, constant, backend.tensor(np.array([1]))):
        backend.keep_gradient(tensor)
    backend.backward(mul(inside, constant))
    assert backend.gradient(inside) == pytest.approx(7.0)
    assert backend.gradient(constant) == pytest.approx(4.0)


# --- training -------------------------------------------------------------------------


def test_rates_change_from_the_next_step_on(backend: Backend) -> None:
    x = backend.leaf(array(1.0))
    optimizer = backend.namespace.optimizers["SGD"]([x], lr=0.5)
    for lr, expected in ((0.5, 0.0), (0.25, -0.5)):
        backend.set_lr(optimizer, lr)
        backend.set_gradient(x, array(2.0))
        optimizer.step()
        assert backend.array(x).tolist() == [expected]


def test_layers_are_switched_between_training_and_evaluation(backend: Backend) -> None:
    dropout = backend.namespace.layers["Dropout"](1.0)
    model = backend.namespace.layers["Sequential"](dropout)
    x = backend.tensor(array(1.0, 2.0))
    for mode, expected in ((False, [1.0, 2.0]), (True, [0.0, 0.0])):
        backend.set_training([model, "no module"], mode)
        assert backend.array(model(x)).tolist() == expected


# --- ops that PyTorch spells otherwise ------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        1,
        (..., None, -1),
        (slice(None, None, -1), slice(2, 0, -2)),
        np.array([1, 0, 1]),
        (1, slice(None), np.array([3, 3, 0])),
        np.arange(24).reshape(2, 3, 4) % 5 == 0,
    ],
)
def test_index_follows_numpys_rules(backend: Backend, key: Any) -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    leaf, expected = backend.leaf(x), x[key]
    y = backend.namespace.ops["index"](leaf, key)
    backend.backward(y, np.ones_like(expected))
    assert np.array_equal(backend.array(y), expected)
    counts = np.zeros_like(x)
    np.add.at(counts, key, 1.0)
    assert np.array_equal(np.asarray(backend.gradient(leaf)), counts)


def test_max_gives_values_only_and_equal_ones_share(backend: Backend) -> None:
    x = backend.leaf(np.array([[1.0, 5.0], [5.0, 2.0]]))
    y = backend.namespace.ops["max"](x)
    backend.backward(y)
    assert backend.array(y) == 5.0
    assert np.asarray(backend.gradient(x)).tolist() == [[0.0, 0.5], [0.5, 0.0]]


def test_attention_takes_a_mask_as_an_array(backend: Backend) -> None:
    query, value = backend.tensor(np.zeros((1, 2))), backend.tensor(np.array([[1.0], [3.0], [9.0]]))
    key, attend = backend.tensor(np.zeros((3, 2))), backend.namespace.ops
    op = attend["scaled_dot_product_attention"]
    for mask in (np.array([[True, True, False]]), np.array([[0.0, 0.0, -np.inf]], np.float32)):
        assert backend.array(op(query, key, value, attn_mask=mask)) == pytest.approx(2.0)


# --- traces ---------------------------------------------------------------------------


def by_op(events: tuple[Event, ...]) -> dict[str, Event]:
    return {event.op or event.places[0].function: event for event in events}


def test_traces_link_what_a_model_makes(backend: Backend) -> None:
    layers = backend.namespace.layers
    linear = layers["Linear"](2, 2)
    weight, bias = backend.parameters(linear).values()
    model = layers["Residual"](linear, layers["Tanh"]())
    x = backend.leaf(np.ones((3, 2), np.float32))
    trace = backend.trace(lambda: model(x))
    assert trace is not None
    first, second, last = trace.events
    assert [e.op for e in trace.events] == ["AddmmBackward", "TanhBackward", "AddBackward"]
    assert set(first.inputs) == {id(x), id(weight), id(bias)}
    assert first.sources == (id(x), id(weight), id(bias))
    assert second.inputs == second.sources == (first.key,)
    assert last.inputs == last.sources == (id(x), second.key)
    assert last.key == id(trace.output)
    assert tuple(map(id, trace.tensors)) == tuple(event.key for event in trace.events)
    assert trace.leaves.keys() == {id(x), id(weight), id(bias)}
    assert np.array_equal(last.array, backend.array(trace.output))
    assert [place.function for place in last.places[:1]] == ["Residual.forward"]
    own = f"{Path(torch.__file__).parent}"
    assert not any(own in place.file for event in trace.events for place in event.places)


def test_traces_look_through_what_pytorch_makes_beneath(backend: Backend) -> None:
    ops = backend.namespace.ops
    logits, target = backend.leaf(np.zeros((2, 3))), backend.tensor(np.array([0, 2]))
    trace = backend.trace(lambda: ops["cross_entropy"](logits, target))
    assert trace is not None
    (event,) = trace.events
    assert (event.op, event.inputs) == ("NllLossBackward", (id(logits),))
    assert event.sources == (id(logits), id(target))


def test_traces_show_what_has_lost_its_history(backend: Backend) -> None:
    ops = backend.namespace.ops
    x = backend.leaf(array(1.0, 2.0))

    def call() -> Any:
        h = ops["exp"](x)
        return ops["mul"](h.detach(), backend.tensor(backend.array(h)) + x)

    trace = backend.trace(call)
    assert trace is not None
    exp, detached, copied, added, product = trace.events
    assert (exp.op, detached.op, copied.op) == ("ExpBackward", "", "")
    assert (detached.inputs, detached.sources) == ((), (exp.key,))
    assert (copied.inputs, copied.sources) == ((), ())
    assert copied.places[0].function == "TorchBackend.tensor"
    assert (added.inputs, added.sources) == ((id(x),), (copied.key, id(x)))
    assert (product.inputs, product.sources) == ((added.key,), (detached.key, added.key))
    assert trace.leaves.keys() == {id(x)}


def test_traces_see_through_work_in_place_and_what_was_there_before(backend: Backend) -> None:
    x, y = backend.leaf(array(1.0)), backend.leaf(array(2.0))
    before = backend.namespace.ops["exp"](x)

    def call() -> Any:
        product = backend.namespace.ops["mul"](before, before)
        product += y
        return product

    trace = backend.trace(call)
    assert trace is not None
    (event,) = trace.events
    assert (event.op, set(event.inputs)) == ("AddBackward", {id(before), id(y)})
    assert trace.leaves.keys() == {id(before), id(y)}


def test_traces_without_a_graph_have_no_ops(backend: Backend) -> None:
    x = backend.leaf(array(1.0))
    with backend.no_grad():
        trace = backend.trace(lambda: backend.namespace.ops["exp"](x))
    assert trace is not None
    assert [(e.op, e.inputs, e.sources) for e in trace.events] == [("", (), (id(x),))]
    assert trace.leaves == {}
