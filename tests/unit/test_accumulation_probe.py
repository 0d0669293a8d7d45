"""Gradients that add up are left alone; those that do not are seen, with the part to blame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.autograd import Tensor, graph, optim
from harness.autograd import tensor as tensors
from harness.autograd.ops.arithmetic import MulBackward
from harness.autograd.ops.matmul import LinearBackward
from harness.backends import load
from harness.backends.base import Backend
from harness.checks.accumulation import gradients_add_up
from harness.checks.measured import WIDE
from harness.faults.backward_pass import Gradients, deliver_by, hand_over
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.probes.engine import accumulation
from harness.probes.trials.uses import TAPE
from harness.record import EngineRecord
from tests.specimens import backwards, culprits, swapped, times, wrong

AddToGrad = Callable[[Tensor, np.ndarray], None]


def measured(backend: Backend) -> list[Measurement]:
    return list(accumulation.measure(backend))


@contextmanager
def leaves_by(add: Callable[[AddToGrad], AddToGrad]) -> Iterator[Backend]:
    """The engine while gradients come to leaves in another way, made of the right one."""
    ground = Ground(load("numpy"))
    ground.replace(graph._add_to_grad, add(graph._add_to_grad))
    try:
        yield ground.backend
    finally:
        ground.restore()


@contextmanager
def tape_by(deliver: Callable[[Tensor, np.ndarray, Gradients], None]) -> Iterator[Backend]:
    """The engine while gradients are handed from op to op in another way."""
    ground = Ground(load("numpy"))
    deliver_by(ground, deliver)
    try:
        yield ground.backend
    finally:
        ground.restore()


def without(*kinds: str) -> Backend:
    """The engine, offering nothing of some kinds."""
    ground = Ground(load("numpy"))
    nothing: dict[str, Any] = {kind: {} for kind in kinds}
    ground.backend.namespace = replace(ground.backend.namespace, **nothing)
    return ground.backend


# --- healthy ----------------------------------------------------------------------------------


def test_right_engine_adds_up() -> None:
    assert max(row.error for row in measured(load("numpy"))) < WIDE / 1e6


def test_engine_without_ops_is_looked_at_through_a_layer() -> None:
    rows = measured(without("ops"))
    assert wrong(rows) == []
    assert {row.what.split(" of ", 2)[2] for row in rows} == {
        "a layer that is used twice", "two half batches"
    }  # fmt: skip


def test_engine_of_optimizers_only_has_nothing_to_measure() -> None:
    assert measured(without("ops", "layers")) == []


# --- within one graph -------------------------------------------------------------------------


def last_wins(source: Tensor, grad: np.ndarray, gradients: Gradients) -> None:
    if source._grad_fn is None:
        hand_over(source, grad, gradients)
    else:
        gradients[id(source)] = grad


def mean_of_both(source: Tensor, grad: np.ndarray, gradients: Gradients) -> None:
    before = gradients.get(id(source))
    is_leaf = source._grad_fn is None
    hand_over(source, grad if is_leaf or before is None else 0.5 * (grad - before), gradients)


def large_ones_are_clipped(source: Tensor, grad: np.ndarray, gradients: Gradients) -> None:
    hand_over(source, np.clip(grad, -100.0, 100.0), gradients)


@pytest.mark.parametrize("deliver", [last_wins, mean_of_both, large_ones_are_clipped])
def test_tape_that_loses_uses_is_blamed(
    deliver: Callable[[Tensor, np.ndarray, Gradients], None],
) -> None:
    with tape_by(deliver) as backend:
        rows = measured(backend)
    assert culprits(rows) == [TAPE]


def test_tape_that_spoils_everything_is_blamed_and_no_op() -> None:
    def halved(source: Tensor, grad: np.ndarray, gradients: Gradients) -> None:
        hand_over(source, 0.5 * grad, gradients)

    with tape_by(halved) as backend:
        assert culprits(measured(backend)) == [TAPE]


@given(st.floats(-2.0, 2.0), st.integers(0, 1))
def test_op_that_is_wrong_by_itself_is_blamed_and_not_the_tape(factor: float, side: int) -> None:
    assume(abs(factor - 1.0) > 1e-3)
    with backwards(MulBackward, times(factor, side)) as backend:
        assert culprits(measured(backend)) == ["mul"]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_layer_that_is_wrong_by_itself_adds_up_all_the_same(position: int) -> None:
    with backwards(LinearBackward, times(2.0, position)) as backend:
        assert wrong(measured(backend)) == []


def test_use_of_a_leaf_that_is_lost_is_seen() -> None:
    def replacing(right: AddToGrad) -> AddToGrad:
        def add(tensor: Tensor, grad: np.ndarray) -> None:
            tensor.grad = None
            right(tensor, grad)

        return add

    with leaves_by(replacing) as backend:
        rows = wrong(measured(backend))
    assert rows[0].subject == TAPE
    assert any(row.what == "gradient of input 0 in x + x (float64)" for row in rows)
    assert any("a layer that is used twice" in row.what for row in rows)


def test_sum_of_uses_in_float32_is_seen_in_float64() -> None:
    def narrow(source: Tensor, grad: np.ndarray, gradients: Gradients) -> None:
        before = gradients.get(id(source))
        if before is None or source._grad_fn is None:
            hand_over(source, grad, gradients)
        else:
            gradients[id(source)] = (before + grad).astype(np.float32).astype(before.dtype)

    with tape_by(narrow) as backend:
        rows = wrong(measured(backend))
    assert {row.subject for row in rows} == {TAPE}
    assert "added in float32" in rows[0].what


def test_kept_gradient_that_lacks_a_use_is_seen() -> None:
    def first_only(right: AddToGrad) -> AddToGrad:
        def add(tensor: Tensor, grad: np.ndarray) -> None:
            right(tensor, grad if tensor._grad_fn is None else 0.5 * grad)

        return add

    with leaves_by(first_only) as backend:
        rows = wrong(measured(backend))
    assert [row.what for row in rows] == ["gradient of h in h * z + h + h * h with h = x * y"]


def test_gradient_that_hides_what_is_no_number_is_seen() -> None:
    def hiding(right: AddToGrad) -> AddToGrad:
        return lambda tensor, grad: right(tensor, np.nan_to_num(grad))

    with leaves_by(hiding) as backend:
        rows = wrong(measured(backend))
    assert [row.subject for row in rows] == [TAPE]
    assert "NaN" in rows[0].what


# --- several passes ---------------------------------------------------------------------------


@given(st.floats(-1.0, 2.0))
def test_pass_that_counts_otherwise_than_the_first_is_seen(share: float) -> None:
    assume(abs(share - 1.0) > 1e-3)

    def sharing(right: AddToGrad) -> AddToGrad:
        def add(tensor: Tensor, grad: np.ndarray) -> None:
            right(tensor, grad if tensor.grad is None else share * grad)

        return add

    with leaves_by(sharing) as backend:
        rows = wrong(measured(backend))
    assert rows[0].subject == TAPE
    assert "gradient of x in x * y, pass 2" in [row.what for row in rows]
    assert "gradient of x in x * y, pass 1" not in [row.what for row in rows]


def test_gradient_that_two_leaves_share_is_seen() -> None:
    def aliasing(right: AddToGrad) -> AddToGrad:
        def add(tensor: Tensor, grad: np.ndarray) -> None:
            if tensor.grad is None:
                tensor.grad = grad
            else:
                right(tensor, grad)

        return add

    with leaves_by(aliasing) as backend:
        assert culprits(measured(backend))[0] == TAPE


def test_no_grad_that_never_ends_is_seen() -> None:
    @contextmanager
    def sticking() -> Iterator[None]:
        before, tensors._graph.is_recorded = tensors._graph.is_recorded, False
        yield
        tensors._graph.is_recorded = before

    ground = Ground(load("numpy"))
    ground.replace(tensors.no_grad, sticking)
    try:
        rows = wrong(measured(ground.backend))
    finally:
        ground.restore()
        tensors._graph.is_recorded = True
    assert rows[0].what == "gradient of x in x * y after no_grad"


def test_pass_that_raises_is_a_row_with_its_place_and_stops_no_other() -> None:
    def raising(right: AddToGrad) -> AddToGrad:
        def add(tensor: Tensor, grad: np.ndarray) -> None:
            if tensor.grad is not None:
                raise RuntimeError("this leaf has its gradient")
            right(tensor, grad)

        return add

    with leaves_by(raising) as backend:
        rows = wrong(measured(backend))
    crashed = [row for row in rows if "RuntimeError" in row.what]
    assert len(crashed) > 1
    assert all(row.subject == TAPE and row.error == np.inf for row in crashed)
    assert all(row.place.startswith("tests/unit/test_accumulation_probe.py:") for row in crashed)


# --- optimizers and clipping ------------------------------------------------------------------


class KeepsHalf(optim.SGD):
    """zero_grad leaves half."""

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad *= 0.5


class WritesDecay(optim.SGD):
    """Weight decay is added to the gradient where it stands."""

    def _update(
        self, data: np.ndarray, grad: np.ndarray, moments: list[np.ndarray], count: int
    ) -> None:
        grad += self.weight_decay * data
        data -= self.lr * grad


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (KeepsHalf, "gradient of x in two passes of x * y before step 2 of SGD"),
        (WritesDecay, "gradient of x in x * y after step 1 of SGD"),
    ],
)
def test_optimizer_that_leaves_something_behind_is_blamed_itself(
    kind: type[optim.SGD], words: str
) -> None:
    with swapped("optimizers", "SGD", kind) as backend:
        rows = measured(backend)
    assert culprits(rows) == ["SGD"]
    assert wrong(rows)[0].what == words


def test_clipping_that_is_wrong_by_itself_is_not_blamed_on_the_tape() -> None:
    def by_value(parameters: list[Tensor], max_norm: float) -> float:
        for parameter in parameters:
            if parameter.grad is not None:
                np.clip(parameter.grad, -0.1, 0.1, out=parameter.grad)
        return 0.0

    ground = Ground(load("numpy"))
    ground.patch(optim, "clip_grad_norm", by_value)
    try:
        assert wrong(measured(ground.backend)) == []
    finally:
        ground.restore()


# --- the check --------------------------------------------------------------------------------


def test_check_passes_on_what_adds_up_and_names_what_does_not() -> None:
    row = Measurement(TAPE, "gradient of x in x * y, pass 2", 2.0, 2.0, 0.0)
    record = EngineRecord("numpy")
    record.probed.measured["accumulation"] = [row]
    passed = gradients_add_up(record)
    assert (passed.status, passed.reason) == ("pass", "1 gradients add up")
    record.probed.measured["accumulation"] = [row, replace(row, got=1.0, error=0.5)]
    failed = gradients_add_up(record)
    assert failed.reason == f"{TAPE}: gradient of x in x * y, pass 2: got 1, expected 2"
    assert failed.evidence["culprits"] == [TAPE]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
