"""What must not matter does not: the mode, earlier passes, and the batch around an example."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.autograd import Tensor, nn
from harness.backends.base import Backend
from harness.checks.measured import WIDE
from harness.checks.modes import modes_agree
from harness.config import LayerSpec
from harness.measurement import Measurement
from harness.probes.milestone import modes
from harness.probes.models.specimen import Specimen
from tests.examples import NAMES, healthy, small_config
from tests.specimens import (
    culprits,
    layer,
    miniature,
    perceptrons,
    reader,
    sequences,
    shipped,
    swapped,
    vectors,
    wrong,
)


def measured(specimen: Specimen) -> list[Measurement]:
    return list(modes.measure(specimen))


def of_two_layers(backend: Backend | None = None, dropout: float | None = None) -> Specimen:
    layers = perceptrons(3, 4, 3)
    if dropout is not None:
        layers = {"linear0": layers["linear0"], "drop": layer("Dropout", p=dropout),
                  "act1": layers["act1"], "linear1": layers["linear1"]}  # fmt: skip
    return miniature(layers, *vectors(np.random.default_rng(0)), backend=backend)


# --- healthy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_modes_of_a_healthy_milestone_agree(name: str, seed: int) -> None:
    assert max(row.error for row in measured(shipped(name, seed=seed))) < WIDE / 1e6


@given(st.floats(0.0, 1.0))
def test_right_dropout_is_never_accused(p: float) -> None:
    assert wrong(measured(of_two_layers(dropout=p))) == []


def test_dropout_inside_a_container_is_never_accused(rng: np.random.Generator) -> None:
    inner = {"drop": layer("Dropout"), "linear": layer("Linear", in_features=3, out_features=3)}
    layers: dict[str, LayerSpec] = {"block": layer("Residual", layers=inner)}
    assert wrong(measured(miniature(layers, *vectors(rng)))) == []


# --- modes ------------------------------------------------------------------------------------


class OtherwiseInTraining(nn.Tanh):
    """Its mode matters, and it does not say so."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (0.999 if self.training else 1.0)


@pytest.mark.parametrize("dropout", [None, 0.5])
def test_layer_whose_mode_matters_is_seen_and_named(dropout: float | None) -> None:
    with swapped("layers", "Tanh", OtherwiseInTraining) as backend:
        rows = measured(of_two_layers(backend, dropout))
    assert culprits(rows)[0] == "Tanh"
    assert wrong(rows)[0].what == "output of act1 in training beside evaluation"


class WithoutSkipInTraining(nn.Residual):
    """Nothing goes around the layers while training."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.Sequential.forward(self, x) if self.training else super().forward(x)


def test_container_whose_mode_matters_is_seen_and_named(rng: np.random.Generator) -> None:
    with swapped("layers", "Residual", WithoutSkipInTraining) as backend:
        rows = measured(miniature(reader(), *sequences(rng), backend=backend))
    assert culprits(rows) == ["Residual", "the model"]


class Remembering(nn.Tanh):
    """What it saw while training colours what it gives in evaluation."""

    offset = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.offset = 0.01 * float(x.data.mean())
        return super().forward(x) + (0.0 if self.training else self.offset)


def test_layer_that_remembers_training_is_seen_and_named() -> None:
    with swapped("layers", "Tanh", Remembering) as backend:
        rows = measured(of_two_layers(backend))
    assert culprits(rows) == ["Tanh", "the model"]
    assert wrong(rows)[0].what == "output of act1 in evaluation after training mode"


class Counting(nn.Tanh):
    """Every pass gives a little more than the one before it."""

    passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return super().forward(x) * (1.0 + 1e-3 * self.passes)


def test_layer_that_changes_from_pass_to_pass_is_seen_and_named() -> None:
    with swapped("layers", "Tanh", Counting) as backend:
        assert culprits(measured(of_two_layers(backend)))[:2] == ["Tanh", "the model"]


class Wearing(nn.Linear):
    """Every forward pass costs its weights a little."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        self.weight.data = self.weight.data * (1.0 - 1e-4)
        return y


def test_tensors_that_a_forward_pass_changes_are_named() -> None:
    with swapped("layers", "Linear", Wearing) as backend:
        rows = wrong(measured(of_two_layers(backend)))
    changed = [row.subject for row in rows if row.what == "numbers after forward passes"]
    assert changed == ["linear0.weight", "linear1.weight"]


# --- dropout ----------------------------------------------------------------------------------


class NeverDropping(nn.Dropout):
    """Everything passes, also while training."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class OneMask(nn.Dropout):
    """The first mask is kept for ever."""

    def forward(self, x: Tensor) -> Tensor:
        self.rng = np.random.default_rng(0)
        return super().forward(x)


class AlwaysDropping(nn.Dropout):
    """Evaluation is training."""

    def forward(self, x: Tensor) -> Tensor:
        self.training = True
        return super().forward(x)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (NeverDropping, "difference of drop in training from its input"),
        (OneMask, "difference of drop in training from an earlier pass"),
        (AlwaysDropping, "outputs in evaluation, a second time"),
    ],
)
def test_broken_dropout_is_seen(kind: type[nn.Dropout], words: str, p: float) -> None:
    rng = np.random.default_rng(0)
    layers = perceptrons(3, 30, 3)
    layers = {"linear0": layers["linear0"], "drop": layer("Dropout", p=p), **layers}
    with swapped("layers", "Dropout", kind) as backend:
        rows = measured(miniature(layers, *vectors(rng), backend=backend))
    assert words in [row.what for row in wrong(rows)]


# --- batches ----------------------------------------------------------------------------------


def test_model_that_looks_at_the_order_of_a_batch_is_seen() -> None:
    class FirstIsSpecial(nn.Tanh):
        def forward(self, x: Tensor) -> Tensor:
            scale = np.ones((len(x.data), 1), dtype=x.dtype)
            scale[0] = 2.0
            return super().forward(x) * scale

    with swapped("layers", "Tanh", FirstIsSpecial) as backend:
        rows = wrong(measured(of_two_layers(backend)))
    assert [row.what for row in rows] == ["outputs for the same examples in another order"]


def test_loss_that_is_no_mean_is_seen_and_named() -> None:
    with swapped("losses", "CrossEntropyLoss", lambda: nn.CrossEntropyLoss("sum")) as backend:
        (row,) = wrong(measured(of_two_layers(backend)))
    assert (row.subject, row.what) == ("CrossEntropyLoss", "mean loss with every example twice")
    assert row.got == pytest.approx(2.0 * row.expected)


# --- the check --------------------------------------------------------------------------------


def test_check_passes_on_what_agrees_and_names_what_does_not() -> None:
    row = Measurement("Tanh", "output of act1 in training beside evaluation", 0.5, 0.5, 0.0)
    record = healthy()
    record.probed.measured["modes"] = [row]
    passed = modes_agree(small_config(), record)
    assert passed.status == "pass"
    assert passed.reason == "1 comparisons of modes and batches agree"
    record.probed.measured["modes"] = [replace(row, got=0.4, error=0.2)]
    failed = modes_agree(small_config(), record)
    assert failed.reason == (
        "Tanh: output of act1 in training beside evaluation: got 0.4, expected 0.5"
    )
    assert failed.evidence["culprits"] == ["Tanh"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
