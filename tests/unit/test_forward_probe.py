"""Outputs of layers and of whole models: right ones pass, wrong ones are named with the layer."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.autograd import Tensor, nn, ops
from harness.backends import load
from harness.checks.forward import forward_agrees
from harness.checks.measured import WIDE
from harness.faults import planted
from harness.faults.ground import Ground
from harness.measurement import Measurement, NotMeasurableError
from harness.model import Model
from harness.probes.milestone import forward
from harness.probes.models.specimen import Specimen
from tests.examples import NAMES, healthy, small_config
from tests.specimens import (
    culprits,
    layer,
    miniature,
    of_two_layers,
    perceptrons,
    reader,
    sequences,
    shipped,
    swapped,
    vectors,
    wrong,
)


def measured(specimen: Specimen) -> list[Measurement]:
    return list(forward.measure(specimen))


# --- healthy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_healthy_milestone_computes_its_formulas(name: str, seed: int) -> None:
    rows = measured(shipped(name, seed=seed))
    # The table of positions is kept in float32, which every engine may do.
    assert max(row.error for row in rows) < WIDE / 10
    assert rows[-1].subject == "the model"
    assert not any(math.isnan(row.got) for row in rows)


@pytest.mark.parametrize(
    "harmless", ["ok_fused_linear", "ok_conv_true_convolution", "ok_ln_eps_outside"]
)
def test_other_conventions_are_as_right(harmless: str) -> None:
    with planted(harmless, "numpy") as ground:
        for name in ("cnn", "transformer"):
            assert wrong(measured(shipped(name, ground.backend))) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("attention.value.weight", "attention.out.weight"),
        ("norm1.bias", "norm2.bias"),
        ("attention.query.bias", "attention.key.bias"),
    ],
)
def test_labels_that_have_changed_places_are_named(one: str, other: str) -> None:
    ground = Ground(load("numpy"))

    def cross(model: Model) -> None:
        parameters, names = dict(model.parameters), {one: other, other: one}
        model.parameters = {label: parameters[names.get(label, label)] for label in parameters}

    ground.change_model(cross)
    try:
        rows = measured(shipped("transformer", ground.backend))
    finally:
        ground.restore()
    assert {row.subject for row in rows if row.error > WIDE} == {one, other}


def test_convention_is_one_for_all_layers_of_a_type(rng: np.random.Generator) -> None:
    """Two ways that are both right are wrong side by side."""

    class Alternating(nn.Linear):
        made = 0

        def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
            super().__init__(in_features, out_features, bias, np.random.default_rng(0))
            Alternating.made += 1
            self.is_turned = Alternating.made % 2 == 0

        def forward(self, x: Tensor) -> Tensor:
            assert self.bias is not None
            return x @ (self.weight if self.is_turned else self.weight.T) + self.bias

    with swapped("layers", "Linear", Alternating) as backend:
        rows = measured(miniature(perceptrons(3, 3, 3), *vectors(rng), backend=backend))
    assert culprits(rows) == ["Linear"]
    assert len(wrong(rows)) == 1


class Doubling(nn.Tanh):
    """A layer of somebody's own."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2.0


def test_layer_of_which_no_formula_is_known_is_not_judged(rng: np.random.Generator) -> None:
    layers = perceptrons(3, 4, 3)
    layers["act1"] = layer("Doubling")
    with swapped("layers", "Doubling", Doubling) as backend:
        rows = measured(miniature(layers, *vectors(rng), backend=backend))
    assert wrong(rows) == []
    assert [row.what for row in rows if math.isnan(row.got)] == [
        "output of act1, of which no formula is known"
    ]


def test_model_of_unknown_layers_only_cannot_be_measured(rng: np.random.Generator) -> None:
    with swapped("layers", "Doubling", Doubling) as backend:
        specimen = miniature({"double": layer("Doubling")}, *vectors(rng), backend=backend)
        with pytest.raises(NotMeasurableError, match="no formula"):
            measured(specimen)


# --- wrong layers -----------------------------------------------------------------------------


@given(st.sampled_from(["Linear", "Tanh"]), st.floats(-2.0, 2.0), st.integers(0, 2**16))
def test_any_wrong_factor_of_a_layer_is_seen(kind: str, factor: float, seed: int) -> None:
    assume(abs(factor - 1.0) > 1e-4)
    right = {"Linear": nn.Linear, "Tanh": nn.Tanh}[kind]

    class Scaled(right):  # type: ignore[valid-type, misc]  # whichever it is
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * factor  # type: ignore[no-any-return]

    with swapped("layers", kind, Scaled) as backend:
        rows = measured(of_two_layers(np.random.default_rng(seed), backend))
    assert culprits(rows) == [kind]
    assert all(row.what.startswith("output of ") for row in wrong(rows))


@given(st.integers(0, 2), st.integers(0, 3), st.floats(1e-4, 1.0))
def test_one_number_that_is_off_is_seen(row: int, column: int, by: float) -> None:
    class OffByOne(nn.Tanh):
        def forward(self, x: Tensor) -> Tensor:
            off = np.zeros(x.shape, dtype=x.dtype)
            off[row, column] = by
            return super().forward(x) + off

    with swapped("layers", "Tanh", OffByOne) as backend:
        rows = measured(of_two_layers(np.random.default_rng(0), backend))
    (found,) = wrong(rows)
    assert (found.subject, found.what) == ("Tanh", "output of act1")
    assert found.got - found.expected == pytest.approx(by)


class InOnesPlace(nn.Linear):
    """The output has an axis too many."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).reshape(-1, 1, self.weight.shape[0])


def test_output_of_another_shape_is_seen(rng: np.random.Generator) -> None:
    with swapped("layers", "Linear", InOnesPlace) as backend:
        rows = measured(miniature(perceptrons(3, 3), *vectors(rng), backend=backend))
    (found,) = wrong(rows)
    assert found.what == "output of linear0, of shape (4, 1, 3) instead of (4, 3)"


# --- containers and the whole -----------------------------------------------------------------


class WithoutInput(nn.Residual):
    """The input goes nowhere."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.Sequential.forward(self, x)


class WithoutFirst(nn.Residual):
    """The first layer is left out."""

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for each in self.layers[1:]:
            y = each(y)
        return x + y


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (WithoutInput, "output of attend, as if its input were not added"),
        (WithoutFirst, "output of attend, as if norm were left out"),
    ],
)
def test_broken_container_is_named_with_what_it_left_out(
    kind: type[nn.Residual], words: str, rng: np.random.Generator
) -> None:
    with swapped("layers", "Residual", kind) as backend:
        rows = measured(miniature(reader(), *sequences(rng), backend=backend))
    (found,) = wrong(rows)
    assert (found.subject, found.what) == ("Residual", words)


def test_model_that_leaves_a_layer_out_is_named_with_it(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(self: Model, x: Tensor) -> Tensor:
        for node in self.nodes:
            x = x if node.label == "act1" else node.layer(x)
        return x

    monkeypatch.setattr(Model, "__call__", call)
    (found,) = wrong(measured(of_two_layers(rng)))
    assert found.subject == "the model"
    assert found.what.endswith(", as if act1 were left out")


def test_softmax_after_the_logits_is_named(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Model.__call__
    monkeypatch.setattr(Model, "__call__", lambda self, x: ops.softmax(right(self, x), -1))
    (found,) = wrong(measured(of_two_layers(rng)))
    assert found.what.endswith(", as if a softmax came after them")


# --- the check --------------------------------------------------------------------------------


def row(label: str, kind: str, error: float = 0.0, rest: str = "") -> Measurement:
    return Measurement(kind, f"output of {label}{rest}", 1.0 + error, 1.0, error)


ROWS = [row("hidden", "Linear"), row("tanh", "Tanh"), row("output", "Linear")]
WHOLE = Measurement("the model", "its logits beside those of its layers in order", 1.0, 1.0, 0.0)


def reason_for(*rows: Measurement) -> tuple[str, str]:
    record = healthy()
    record.probed.measured["forward"] = list(rows)
    verdict = forward_agrees(small_config(), record)
    return verdict.status, verdict.reason


def test_check_passes_when_every_output_is_right() -> None:
    assert reason_for(*ROWS, WHOLE) == ("pass", "4 of 4 outputs are what their formulas say")


def test_check_counts_what_it_could_not_judge() -> None:
    unknown = replace(ROWS[1], what="output of tanh, of which no formula is known", got=math.nan)
    status, reason = reason_for(ROWS[0], unknown, ROWS[2], WHOLE)
    assert (status, reason) == ("pass", "3 of 4 outputs are what their formulas say")


def test_check_names_the_layer_that_is_wrong() -> None:
    off = row("tanh", "Tanh", error=0.5, rest=", of shape (3, 4)")
    assert reason_for(ROWS[0], off, ROWS[2], WHOLE) == (
        "fail", "Tanh: output of tanh, of shape (3, 4): got 1.5, expected 1"
    )  # fmt: skip


def test_check_misses_a_layer_that_the_config_declares() -> None:
    status, reason = reason_for(ROWS[0], ROWS[2], WHOLE)
    assert status == "fail"
    assert reason.startswith("Tanh: output of tanh, which the config declares: got 0, expected 1")


def test_check_sees_another_type_in_the_place_of_a_layer() -> None:
    status, reason = reason_for(ROWS[0], row("tanh", "ReLU"), ROWS[2], WHOLE)
    assert status == "fail"
    assert reason.startswith("Tanh: output of tanh, which the config declares")


def test_check_sees_layers_in_another_order() -> None:
    status, reason = reason_for(ROWS[0], ROWS[2], ROWS[1], WHOLE)
    assert status == "fail"
    assert reason.startswith("the model: order of its layers")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
