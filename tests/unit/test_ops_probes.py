"""Testing the testers: an op that is swapped for a wrong one is seen, and named first."""

from __future__ import annotations

import inspect
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.autograd import Tensor, nn, ops
from harness.autograd.ops.arithmetic import MulBackward
from harness.backends.base import Factory
from harness.checks.measured import WIDE
from harness.faults import planted
from harness.faults.ground import Ground
from harness.probes import examine
from harness.probes.trials import cases
from tests.small_engines import (
    NUMPY,
    PROBES,
    Array,
    measured,
    only,
    wrong,
    wrong_gradient,
    wrong_value,
)

OPS = sorted(NUMPY.namespace.ops)
LAYERS = sorted(NUMPY.namespace.layers)
LOSSES = sorted(NUMPY.namespace.losses)


# --- what is right --------------------------------------------------------------------------


@pytest.mark.parametrize("probe", PROBES)
def test_right_engine_is_far_within_the_tolerance(probe: str) -> None:
    rows = measured(probe, NUMPY)
    assert max(row.error for row in rows) <= WIDE / 10


@pytest.mark.parametrize("probe", PROBES)
def test_everything_that_the_engine_offers_is_measured(probe: str) -> None:
    subjects = {row.subject for row in measured(probe, NUMPY)}
    unknown_in_float64 = {"dropout"} - subjects
    assert not {*OPS, *LAYERS, *LOSSES} - subjects - unknown_in_float64


@pytest.mark.parametrize("probe", PROBES)
def test_subjects_come_from_ops_to_layers_to_containers(probe: str) -> None:
    subjects = list(dict.fromkeys(row.subject for row in measured(probe, NUMPY)))
    last_op = max(subjects.index(name) for name in OPS)
    inner = [subjects.index(name) for name in LAYERS if name not in cases.CONTAINERS]
    assert last_op < min(inner)
    if probe != "op_manners":  # where containers are switched with the dropout in them
        assert max(inner) < min(subjects.index(name) for name in cases.CONTAINERS)


@pytest.mark.parametrize("probe", PROBES)
def test_no_other_right_way_is_accused(probe: str) -> None:
    for fault in ("ok_ce_fused_logsumexp", "ok_fused_linear", "ok_conv_true_convolution",
                  "ok_ln_eps_outside", "ok_pos_concat_layout", "ok_weight_layout",
                  "ok_pool_tie_last", "ok_max_tie_first"):  # fmt: skip
        with planted(fault, "numpy") as ground:
            assert wrong(measured(probe, ground.backend)) == [], fault


@pytest.mark.parametrize("probe", PROBES)
def test_engine_without_ops_is_measured_through_layers_and_losses(probe: str) -> None:
    space = NUMPY.namespace
    rows = measured(probe, only(layers=dict(space.layers), losses=dict(space.losses)))
    assert {row.subject for row in rows} == {*LAYERS, *LOSSES}
    assert wrong(rows) == []


@pytest.mark.parametrize("probe", PROBES)
def test_engine_without_anything_is_not_measurable(probe: str) -> None:
    probed = examine("engine", [probe], only())
    assert "offers no op" in probed.unmeasurable[probe]


def test_one_convention_has_to_fit_all_cases_of_a_name() -> None:
    def fickle(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
               padding: Any = 0) -> Tensor:  # fmt: skip
        turned = weight if bias is None else weight[:, :, ::-1, ::-1]
        return ops.conv2d(x, turned, bias, stride, padding)

    assert wrong(measured("op_values", only(ops={"conv2d": fickle}))) == ["conv2d"]


# --- wrong values ---------------------------------------------------------------------------


@given(name=st.sampled_from(OPS), factor=st.floats(-3.0, 3.0).filter(lambda f: abs(f - 1) > 1e-4))
def test_wrong_factor_on_a_value_is_seen(name: str, factor: float) -> None:
    op = wrong_value(NUMPY.namespace.ops[name], lambda y: np.asarray(y * factor, y.dtype))
    assert wrong(measured("op_values", only(ops={name: op})))[:1] == [name]


@given(name=st.sampled_from(OPS), shift=st.floats(1e-3, 2.0))
def test_term_added_to_one_number_is_seen(name: str, shift: float) -> None:
    def shifted(y: Array) -> Array:
        out = y.flatten()
        out[:1] += shift
        return out.reshape(y.shape)

    op = wrong_value(NUMPY.namespace.ops[name], shifted)
    assert wrong(measured("op_values", only(ops={name: op}))) == [name]


@pytest.mark.parametrize("name", ["exp", "linear", "conv2d"])
def test_value_that_is_wrong_only_with_a_graph_is_seen(name: str) -> None:
    right = NUMPY.namespace.ops[name]

    def fickle(*inputs: Any, **arguments: Any) -> Tensor:
        y: Tensor = right(*inputs, **arguments)
        return y if y._grad_fn is None else y.from_op(y.data * y.dtype.type(1.01), y._grad_fn)

    assert wrong(measured("op_values", only(ops={name: fickle}))) == [name]


def test_value_of_another_type_than_its_inputs_is_seen() -> None:
    op = wrong_value(ops.exp, lambda y: y.astype(np.float64))
    assert wrong(measured("op_values", only(ops={"exp": op}))) == ["exp"]


@pytest.mark.parametrize("name", ["sub", "div", "pow", "matmul"])
def test_swapped_arguments_are_seen(name: str) -> None:
    right = NUMPY.namespace.ops[name]

    def swapped(a: Tensor, b: Tensor) -> Tensor:
        return right(b, a) if a.shape == b.shape else right(a, b)

    assert wrong(measured("op_values", only(ops={name: swapped}))) == [name]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("name", ["softmax", "matmul", "mean"])
def test_numbers_that_were_narrower_on_the_way_are_seen(name: str, dtype: type) -> None:
    op = wrong_value(NUMPY.namespace.ops[name], lambda y: y.astype(dtype).astype(y.dtype))
    assert wrong(measured("op_values", only(ops={name: op}))) == [name]


@pytest.mark.parametrize("name", [*LAYERS, *LOSSES])
def test_wrong_layer_over_right_ops_is_named_itself(name: str) -> None:
    space = NUMPY.namespace
    kind = "layers" if name in LAYERS else "losses"
    right = getattr(space, kind)[name]

    def build(*args: Any, **kwargs: Any) -> Any:
        built = right(*args, **kwargs)
        is_layer = isinstance(built, nn.Module)
        owner, method = (built, "forward") if is_layer else (type(built), "__call__")
        call = getattr(built, method)
        if is_layer:
            setattr(owner, method, lambda x: call(x) * 1.01)
            return built
        return lambda *inputs: call(*inputs) * 1.01

    build.__signature__ = inspect.signature(right)  # type: ignore[attr-defined]
    backend = copy(NUMPY)
    entries = {**getattr(space, kind), name: build}
    backend.namespace = replace(space, **{kind: entries})
    assert wrong(measured("op_values", backend))[0] == name


# --- wrong gradients ------------------------------------------------------------------------


@given(
    name=st.sampled_from(OPS),
    position=st.integers(0, 2),
    factor=st.floats(-3.0, 3.0).filter(lambda f: abs(f - 1) > 1e-4),
)
def test_wrong_factor_on_a_gradient_is_seen(name: str, position: int, factor: float) -> None:
    op = wrong_gradient(NUMPY.namespace.ops[name], position, lambda g, _: factor * g)
    assert wrong(measured("op_gradients", only(ops={name: op}))) == [name]


@given(name=st.sampled_from(OPS), position=st.integers(0, 2), place=st.integers(0, 5))
def test_gradient_that_lacks_one_number_is_seen(name: str, position: int, place: int) -> None:
    def lacking(gradient: Array, _: Array) -> Array:
        out = np.array(gradient, order="C")
        if out.size:
            out.reshape(-1)[place % out.size] = 0.0
        return out

    op = wrong_gradient(NUMPY.namespace.ops[name], position, lacking)
    assert wrong(measured("op_gradients", only(ops={name: op}))) == [name]


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "matmul"])
def test_transposed_gradient_of_a_square_input_is_seen(name: str, position: int) -> None:
    def transposed(gradient: Array, _: Array) -> Array:
        is_square = gradient.ndim == 2 and len(set(gradient.shape)) == 1
        return gradient.T if is_square else gradient

    op = wrong_gradient(NUMPY.namespace.ops[name], position, transposed)
    assert wrong(measured("op_gradients", only(ops={name: op}))) == [name]


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_lost_sum_over_what_was_broadcast_is_seen(name: str, position: int) -> None:
    def mean_of(gradient: Array, grad_output: Array) -> Array:
        return gradient * (gradient.size / max(grad_output.size, 1))

    op = wrong_gradient(NUMPY.namespace.ops[name], position, mean_of)
    assert wrong(measured("op_gradients", only(ops={name: op}))) == [name]


@pytest.mark.parametrize("name", OPS)
def test_gradient_that_ignores_what_comes_in_is_seen(name: str) -> None:
    right = NUMPY.namespace.ops[name]

    def deaf(*inputs: Any, **arguments: Any) -> Tensor:
        y: Tensor = right(*inputs, **arguments)
        if (function := y._grad_fn) is not None:
            apply = function.apply
            function.apply = lambda g: apply(np.ones_like(g))  # type: ignore[method-assign]
        return y

    assert wrong(measured("op_gradients", only(ops={name: deaf}))) == [name]


@pytest.mark.parametrize("name", OPS)
def test_gradient_that_does_not_arrive_is_seen(name: str) -> None:
    right = NUMPY.namespace.ops[name]

    def detached(*inputs: Any, **arguments: Any) -> Tensor:
        return Tensor(right(*inputs, **arguments).data)

    assert wrong(measured("op_gradients", only(ops={name: detached}))) == [name]


def test_gradient_that_only_leaves_get_is_seen() -> None:
    right = ops.matmul

    def short(a: Tensor, b: Tensor) -> Tensor:
        return right(a if a._grad_fn is None else a.detach(), b)

    backend = only(ops={"add": ops.add, "matmul": short})
    assert wrong(measured("op_gradients", backend)) == ["matmul"]


def test_what_is_wrong_with_all_ops_is_the_backward_pass() -> None:
    with planted("tape_fp16_grad", "numpy") as ground:
        assert wrong(measured("op_gradients", ground.backend))[0] == "backward pass"


def test_what_is_wrong_with_one_tensor_given_twice_is_the_backward_pass() -> None:
    with planted("tape_same_input_twice", "numpy") as ground:
        assert wrong(measured("op_gradients", ground.backend))[0] == "backward pass"


def test_place_of_a_wrong_gradient_is_the_line_of_its_apply() -> None:
    def apply(self: MulBackward, grad_output: Array) -> tuple[Array, Array]:
        return right(self, 2.0 * grad_output)  # type: ignore[return-value]

    right, ground = MulBackward.apply, Ground(NUMPY)
    ground.patch(MulBackward, "apply", apply)
    try:
        rows = measured("op_gradients", only(ops={"mul": ops.mul}))
    finally:
        ground.restore()
    line = apply.__code__.co_firstlineno
    places = {row.place for row in rows if row.error > WIDE}
    assert places == {f"tests/unit/test_ops_probes.py:{line}"}


@pytest.mark.parametrize("probe", ["op_values", "op_gradients"])
def test_case_that_raises_is_a_row_and_the_others_go_on(probe: str) -> None:
    def picky(a: Tensor, b: Tensor) -> Tensor:
        if a.ndim == 0:
            raise ZeroDivisionError("no numbers without an axis")
        return ops.add(a, b)

    rows = measured(probe, only(ops={"add": picky}))
    raised = [row for row in rows if "ZeroDivisionError: no numbers" in row.what]
    assert len(raised) == 1
    assert len(rows) >= len(cases.OPS["add"])
    assert wrong([row for row in rows if row not in raised]) == []


@pytest.mark.parametrize("probe", PROBES)
def test_layer_that_cannot_be_built_is_named(probe: str) -> None:
    def broken(in_features: int, out_features: int, bias: bool = True) -> nn.Linear:
        raise RuntimeError("no layer today")

    rows = measured(probe, only(layers={"Tanh": nn.Tanh, "Linear": broken}))
    assert wrong(rows) == ["Linear"]


# --- names that nobody knows ----------------------------------------------------------------


def _swish(x: Tensor) -> Tensor:
    return x * ops.sigmoid(x)


def _random(x: Tensor) -> Tensor:
    return x * Tensor(np.random.default_rng().random(x.shape))


def _place_of_largest(x: Tensor) -> Tensor:
    return Tensor(x.data.argmax(axis=-1))


@pytest.mark.parametrize("op", [_swish, _random, _place_of_largest, Tensor.detach, ops.conv2d])
def test_op_of_an_unknown_name_is_not_accused_for_what_it_may_be(op: Factory) -> None:
    backend = only(ops={"mystery": op, "add": ops.add})
    for probe in PROBES:
        assert wrong(measured(probe, backend)) == []


def test_wrong_gradient_of_an_op_of_an_unknown_name_is_seen() -> None:
    backend = only(ops={"swish": wrong_gradient(_swish, 0, lambda g, _: 0.9 * g)})
    assert wrong(measured("op_gradients", backend)) == ["swish"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
