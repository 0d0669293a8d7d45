"""Ops and layers that change what they are given, keep what they should not, or drop otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from harness.autograd import Tensor, graph, nn, ops
from harness.autograd.ops.dropout import DropoutBackward
from harness.backends import load
from harness.backends.base import Factory
from harness.faults import planted
from harness.faults.ground import Ground
from harness.probes.trials import layer_manners
from harness.probes.trials.cases.pool import Pool
from tests.small_engines import PROBES, Array, measured, only, wrong, wrong_gradient


def _writes_on_its_input(x: Tensor) -> Tensor:
    np.exp(x.data, out=x.data)
    return ops.log(x).exp()


def _writes_on_the_gradient(x: Tensor) -> Tensor:
    def double(gradient: Array, grad_output: Array) -> Array:
        grad_output *= 2.0
        return gradient

    return wrong_gradient(ops.exp, 0, double)(x)  # type: ignore[no-any-return]


_LAST: list[Tensor] = []


def _remembers_the_last_call(x: Tensor) -> Tensor:
    y = ops.exp(x)
    _LAST[:] = [y]
    if y._grad_fn is not None:
        y._grad_fn.apply = lambda g: (g * _LAST[0].data.reshape(g.shape),)  # type: ignore[method-assign]
    return y


_CALLS = [0]


def _counts_its_calls(x: Tensor) -> Tensor:
    _CALLS[0] += 1
    return ops.exp(x) * (1.0 + 1e-3 * _CALLS[0])


def _widens(x: Tensor) -> Tensor:
    y = ops.exp(x)
    y.data = y.data.astype(np.float64)
    return y


def _is_right_once(x: Tensor) -> Tensor:
    y = ops.exp(x)
    slopes = y.data.copy()

    def apply(grad_output: Array) -> tuple[Array]:
        np.multiply(slopes, grad_output, out=slopes)
        return (slopes.copy(),)

    if y._grad_fn is not None:
        y._grad_fn.apply = apply  # type: ignore[method-assign]
    return y


@pytest.mark.parametrize("op", [_writes_on_its_input, _writes_on_the_gradient, _is_right_once,
                                _remembers_the_last_call, _counts_its_calls, _widens])  # fmt: skip
def test_bad_manners_are_seen(op: Factory) -> None:
    assert wrong(measured("op_manners", only(ops={"exp": op}))) == ["exp"]


def _can_go_back_once(x: Tensor) -> Tensor:
    y = ops.exp(x)
    right, passes = ops.exp(x)._grad_fn, list[int]()

    def apply(grad_output: Array) -> Any:
        passes.append(1)
        if len(passes) > 1:
            raise RuntimeError("this graph has been given up")
        assert right is not None
        return right.apply(grad_output)

    if y._grad_fn is not None:
        y._grad_fn.apply = apply  # type: ignore[method-assign]
    return y


def test_engine_that_gives_up_its_graph_is_not_accused() -> None:
    assert wrong(measured("op_manners", only(ops={"exp": _can_go_back_once}))) == []


def _sharing(tensor: Tensor, grad: Array) -> None:
    before = tensor.grad
    tensor.grad = grad.astype(tensor.data.dtype, copy=False) if before is None else before + grad


def test_backward_pass_that_hands_out_one_array_is_named_before_the_ops() -> None:
    ground = Ground(load("numpy"))
    ground.replace(graph._add_to_grad, _sharing)
    try:
        assert wrong(measured("op_manners", ground.backend))[0] == "backward pass"
    finally:
        ground.restore()


@pytest.mark.parametrize("names", [("add", "sub"), ("reshape", "flatten", "transpose")])
def test_a_few_ops_that_write_on_a_gradient_are_blamed_themselves(names: tuple[str, ...]) -> None:
    def writing(gradient: Array, grad_output: Array) -> Array:
        out = gradient.copy()
        grad_output *= 2.0
        return out

    space = load("numpy").namespace.ops
    wrongly = {name: wrong_gradient(space[name], 0, writing) for name in names}
    assert wrong(measured("op_manners", only(ops={**space, **wrongly}))) == list(names)


def _dropout(change: Callable[[Array, float], Array]) -> Factory:
    """Dropout with other factors: change(those that are right, p)."""

    def drop(
        x: Tensor, p: float = 0.5, training: bool = True, rng: np.random.Generator | None = None
    ) -> Tensor:
        if not training or p in (0.0, 1.0):
            return ops.dropout(x, p, training, rng)
        right = ops.dropout(Tensor(np.ones_like(x.data)), p, training, rng).data
        factors = np.asarray(change(right, p), dtype=x.dtype)
        return x.from_op(x.data * factors, DropoutBackward(x, factors))

    return drop


@pytest.mark.parametrize(
    "change",
    [
        lambda f, p: f * (1.0 - p),
        lambda f, p: np.broadcast_to(f[:1], f.shape),
        lambda f, p: np.broadcast_to(f[..., :1], f.shape),
        lambda f, p: np.ones_like(f),
        lambda f, p: np.where(f.cumsum().reshape(f.shape) % 2 < 1, f, 1.0 / (1.0 - p)),
        lambda f, p: np.where(np.arange(f.size).reshape(f.shape) % 4, 1.0 / (1.0 - p), 0.0),
    ],
    ids=["unscaled", "one mask for the batch", "whole rows", "never", "too few", "no chance"],
)
def test_dropout_that_drops_otherwise_is_seen(change: Callable[[Array, float], Array]) -> None:
    backend = only(ops={"dropout": _dropout(change)})
    assert wrong(measured("op_manners", backend)) == ["dropout"]


def test_dropout_with_its_own_right_factors_is_right() -> None:
    backend = only(ops={"dropout": _dropout(lambda factors, _: factors)})
    for probe in PROBES:
        assert wrong(measured(probe, backend)) == []


def test_dropout_without_a_generator_is_judged_by_what_it_drops() -> None:
    def unseeded(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
        return ops.dropout(x, p, training)

    for probe in PROBES:
        assert wrong(measured(probe, only(ops={"dropout": unseeded}))) == []


class _OneMask(DropoutBackward):
    """The mask is kept where all of them keep theirs."""

    def __init__(self, x: Tensor, factors: Array) -> None:
        super().__init__(x, factors)
        del self.factors
        type(self).factors = factors

    factors: Array


def test_mask_that_all_dropouts_share_is_seen() -> None:
    def drop(
        x: Tensor, p: float = 0.5, training: bool = True, rng: np.random.Generator | None = None
    ) -> Tensor:
        y = ops.dropout(x, p, training, rng)
        kept = y._grad_fn
        return x.from_op(y.data, _OneMask(x, kept.factors)) if isinstance(
            kept, DropoutBackward) and y is not x else y  # fmt: skip

    assert wrong(measured("op_manners", only(ops={"dropout": drop}))) == ["dropout"]


def test_dropout_that_draws_the_same_without_a_generator_is_seen() -> None:
    def drop(
        x: Tensor, p: float = 0.5, training: bool = True, rng: np.random.Generator | None = None
    ) -> Tensor:
        return ops.dropout(x, p, training, np.random.default_rng(0) if rng is None else rng)

    assert wrong(measured("op_manners", only(ops={"dropout": drop}))) == ["dropout"]


# --- layers ---------------------------------------------------------------------------------


class _Deaf(nn.Sequential):
    """A container that keeps its mode to itself."""

    def train(self, mode: bool = True) -> nn.Module:
        self.training = mode
        return self


def test_container_that_keeps_its_mode_to_itself_is_seen() -> None:
    layers = {"Dropout": nn.Dropout, "Sequential": _Deaf}
    assert wrong(measured("op_manners", only(layers=layers))) == ["Sequential"]


class _OneMode(nn.Dropout):
    """The mode is that of all of them."""

    def train(self, mode: bool = True) -> nn.Module:
        type(self).training = mode
        return self


def test_mode_that_all_layers_of_a_type_share_is_seen() -> None:
    assert wrong(measured("op_manners", only(layers={"Dropout": _OneMode}))) == ["Dropout"]


class _Shallow(nn.Sequential):
    """It does not look into containers that it contains."""

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
        yield prefix, self
        for position, layer in enumerate(self.layers):
            yield f"{prefix}{position}.", layer

    def train(self, mode: bool = True) -> nn.Module:
        for _, module in self.named_modules():
            module.training = mode
        return self


def test_container_that_looks_into_no_other_is_seen() -> None:
    layers: dict[str, Any] = {"Dropout": nn.Dropout, "Linear": nn.Linear, "Sequential": _Shallow}
    rows = [row for row in measured("op_manners", only(layers=layers)) if row.error]
    assert {row.subject for row in rows} == {"Sequential"}
    assert any("where one is in another" in row.what for row in rows)
    assert any(row.what.startswith("share that is dropped in training") for row in rows)


def _always_alike(in_features: int, out_features: int, bias: bool = True,
                  rng: np.random.Generator | None = None) -> nn.Linear:  # fmt: skip
    return nn.Linear(in_features, out_features, bias, np.random.default_rng(0))


def test_layer_that_draws_from_another_generator_is_seen() -> None:
    layers = {"Linear": _always_alike, "Conv2d": nn.Conv2d}
    assert wrong(measured("op_manners", only(layers=layers))) == ["Linear"]


def test_what_is_wrong_with_all_that_draw_is_what_they_draw_from() -> None:
    with planted("init_unseeded", "numpy") as ground:
        assert wrong(measured("op_manners", ground.backend))[0] == "random streams"


class _Moody(nn.Tanh):
    """Another function in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.training else ops.sigmoid(x)


def test_layer_that_heeds_the_mode_for_nothing_is_seen() -> None:
    layers: dict[str, Any] = {"Tanh": _Moody, "ReLU": nn.ReLU}
    assert wrong(measured("op_manners", only(layers=layers))) == ["Tanh"]


def test_layer_that_is_listed_twice_or_not_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(self: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Parameter]]:
        for i, layer in enumerate(self.layers):  # type: ignore[attr-defined]
            yield from layer.named_parameters(f"{prefix}{i}.")

    def none(self: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Parameter]]:
        return iter(())

    for broken, what in ((twice, "in it twice"), (none, "that it does not list")):
        monkeypatch.setattr(nn.Sequential, "named_parameters", broken)
        rows = list(layer_manners.lists(load("numpy"), "Sequential", Pool()))
        assert any(what in row.what for row in rows if row.error)
    monkeypatch.undo()
    rows = list(layer_manners.lists(load("numpy"), "Residual", Pool()))
    assert [row.error for row in rows] == [0.0, 0.0, 0.0]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
