"""Finite differences of whole models: silent on a right engine, loud on a wrong one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.autograd import Tensor, nn
from harness.autograd.function import Function
from harness.autograd.ops.activations import ReLUBackward, TanhBackward
from harness.autograd.ops.losses import CrossEntropyBackward
from harness.autograd.ops.matmul import LinearBackward
from harness.autograd.ops.normalization import LayerNormBackward
from harness.autograd.ops.pooling import MaxPool2dBackward
from harness.checks.measured import WIDE
from harness.checks.slopes import gradients_agree
from harness.faults import planted
from harness.measurement import Measurement
from harness.model import Model
from harness.probes.milestone import slopes
from harness.probes.models.specimen import Specimen
from tests.examples import NAMES, healthy, small_config
from tests.specimens import (
    backwards,
    culprits,
    layer,
    miniature,
    of_two_layers,
    perceptrons,
    reader,
    sequences,
    shipped,
    swapped,
    times,
    vectors,
    wrong,
)

TOGETHER = "slope of all tensors at once in evaluation"


def measured(specimen: Specimen) -> list[Measurement]:
    return list(slopes.measure(specimen))


# --- healthy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_right_engine_agrees_far_within_the_tolerance(name: str, seed: int) -> None:
    specimen = shipped(name, seed=seed)
    rows = measured(specimen)
    assert max(row.error for row in rows) < WIDE / 10
    labels = specimen.config.expectations.labels
    assert [row.subject for row in rows] == [*labels, "the model"]
    assert [row.what for row in rows] == ["slope in training"] * len(labels) + [TOGETHER]


class NearKink(Specimen):
    """A hidden unit that is all but at its kink."""

    distance = 0.0

    def wide_model(self) -> Model:
        model = super().wide_model()
        self.backend.set_value(model.parameters["linear0.bias"], np.array([self.distance]))
        return model


@pytest.mark.parametrize("distance", [5e-6, -5e-6, 1e-9, -1e-9, 0.0])
def test_kink_beside_the_examples_accuses_nobody(
    distance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NearKink, "distance", distance)
    layers = perceptrons(1, 1, 2, activation="ReLU")
    made = miniature(layers, np.zeros((2, 1), dtype=np.float32), np.array([0, 1]))
    rows = measured(NearKink(made.config, made.backend, made.dataset, made.seed))
    assert max(row.error for row in rows) < WIDE / 10


def test_ties_of_a_pool_accuse_nobody(rng: np.random.Generator) -> None:
    """Equal patches stay equal whatever the kernel, so that a tie is no kink in the weights."""
    layers = {
        "conv": layer("Conv2d", in_channels=1, out_channels=2, kernel_size=2),
        "pool": layer("MaxPool2d", kernel_size=2),
        "flatten": layer("Flatten"),
        "output": layer("Linear", in_features=8, out_features=2),
    }
    x = np.zeros((4, 1, 5, 5), dtype=np.float32)
    x[:, :, 2:4, 2:4] = rng.standard_normal((4, 1, 2, 2))
    rows = measured(miniature(layers, x, rng.integers(0, 2, 4)))
    assert max(row.error for row in rows) < WIDE / 10


def test_loss_of_ten_thousands_accuses_nobody(rng: np.random.Generator) -> None:
    """What rounding makes of a large loss is no slope."""
    x, _ = vectors(rng)
    y = (100.0 * rng.standard_normal((8, 2))).astype(np.float32)
    rows = measured(miniature(perceptrons(3, 4, 2), x, y, loss="MSELoss"))
    assert max(row.error for row in rows) < WIDE / 10


# --- wrong gradients --------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [2.0, 0.5, -1.0, 1.001, 0.0])
def test_wrong_factor_on_one_tensor_is_seen_on_that_tensor(factor: float) -> None:
    with backwards(LinearBackward, times(factor, 2)) as backend:
        rows = measured(shipped("mlp", backend))
    assert culprits(rows) == ["Linear", "hidden.bias", "output.bias", "the model"]
    for row in wrong(rows):
        if row.subject.endswith(".bias"):
            assert row.got == pytest.approx(factor * row.expected, rel=1e-5)


# The op, which of its gradients, and the layer that is to blame for it.
OPS: list[tuple[type[Function], int, str]] = [
    (LinearBackward, 0, "Linear"),
    (LinearBackward, 1, "Linear"),
    (LinearBackward, 2, "Linear"),
    (TanhBackward, 0, "Tanh"),
    (CrossEntropyBackward, 0, "CrossEntropyLoss"),
]


@given(st.sampled_from(OPS), st.floats(-3.0, 3.0), st.integers(0, 2**16))
def test_any_wrong_factor_is_seen_and_blamed_on_its_layer(
    op: tuple[type[Function], int, str], factor: float, seed: int
) -> None:
    assume(abs(factor - 1.0) > 1e-3)
    function, position, kind = op
    with backwards(function, times(factor, position)) as backend:
        rows = measured(of_two_layers(np.random.default_rng(seed), backend))
    assert culprits(rows)[0] == kind


@given(st.floats(-0.1, 0.1), st.integers(0, 3), st.integers(0, 2**16))
def test_any_term_that_is_lost_is_seen(share: float, place: int, seed: int) -> None:
    """One number of the gradient of layer norm is off by a share of itself."""
    assume(abs(share) > 1e-3)

    def lose(_: np.ndarray, grads: list[np.ndarray | None]) -> list[np.ndarray | None]:
        assert grads[1] is not None
        grads[1] = grads[1].copy()
        grads[1][place] *= 1.0 + share
        return grads

    rng = np.random.default_rng(seed)
    with backwards(LayerNormBackward, lose) as backend:
        rows = measured(miniature(reader(), *sequences(rng), backend=backend))
    assert culprits(rows)[:2] == ["LayerNorm", "norm.weight"]


def test_factor_of_the_loss_is_named_as_one_and_seen_on_every_tensor() -> None:
    with planted("ce_grad_factor2", "numpy") as ground:
        rows = measured(shipped("cnn", ground.backend))
    assert rows[0].subject == "CrossEntropyLoss"
    assert rows[0].what == "all gradients in training, as a multiple of the slopes"
    assert rows[0].got / rows[0].expected == pytest.approx(2.0)
    tensors = [row for row in rows if "." in row.subject]
    assert len(wrong(tensors)) == len(tensors) == 12
    assert {round(row.got / row.expected, 4) for row in tensors} == {2.0}


class DetachedLinear(nn.Linear):
    """The product does not know its weight."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        return x @ Tensor(self.weight.data.T) + self.bias


def test_gradient_that_never_arrives_is_said_to_be_missing() -> None:
    with swapped("layers", "Linear", DetachedLinear) as backend:
        rows = measured(shipped("xor", backend))
    found = [row for row in rows if row.subject == "output.weight"]
    assert [row.what for row in found] == [
        f"slope in {mode}, where no gradient arrives" for mode in ("training", "evaluation")
    ]
    assert all((row.got, row.error) == (0.0, np.inf) for row in found)
    assert all(row.expected != 0.0 for row in found)
    assert culprits(rows)[0] == "Linear"


def test_gradient_that_comes_transposed_is_seen(rng: np.random.Generator) -> None:
    def transpose(_: np.ndarray, grads: list[np.ndarray | None]) -> list[np.ndarray | None]:
        grads[1] = None if grads[1] is None else grads[1].T
        return grads

    with backwards(LinearBackward, transpose) as backend:
        rows = measured(miniature(perceptrons(3, 3, 3), *vectors(rng), backend=backend))
    assert culprits(rows)[0] == "Linear"
    assert {"linear0.weight", "linear1.weight"} <= set(culprits(rows))


# --- containers, modes and chance -------------------------------------------------------------


class DetachedSkip(nn.Residual):
    """x goes past the layers without its history."""

    def forward(self, x: Tensor) -> Tensor:
        return Tensor(x.data) + nn.Sequential.forward(self, x)


def test_broken_residual_is_blamed_and_not_the_layers_in_it(rng: np.random.Generator) -> None:
    with swapped("layers", "Residual", DetachedSkip) as backend:
        rows = measured(miniature(reader(), *sequences(rng), backend=backend))
    assert culprits(rows)[:2] == ["Residual", "embedding.weight"]
    assert "norm.weight" not in culprits(rows)


def test_backward_pass_that_loses_a_use_is_blamed_itself(rng: np.random.Generator) -> None:
    with planted("tape_overwrite_fanout", "numpy") as ground:
        rows = measured(miniature(reader(), *sequences(rng), backend=ground.backend))
    assert culprits(rows)[:2] == ["backward pass", "Residual"]


def test_pool_that_is_wrong_at_ties_only_is_blamed() -> None:
    """Away from ties it is right, so only the examples as they are can show it."""
    with planted("pool_ties_all", "numpy") as ground:
        rows = measured(shipped("cnn", ground.backend))
    assert culprits(rows)[0] == "MaxPool2d"


class WrongInTraining(nn.Tanh):
    """Half of the gradient gets lost while training, or while evaluating."""

    mode = True

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y * 0.5 + Tensor(y.data * 0.5) if self.training is self.mode else y


class WrongInEvaluation(WrongInTraining):
    mode = False


@pytest.mark.parametrize(
    ("kind", "mode"), [(WrongInTraining, "training"), (WrongInEvaluation, "evaluation")]
)
def test_each_mode_is_looked_at(kind: type[nn.Tanh], mode: str, rng: np.random.Generator) -> None:
    with swapped("layers", "Tanh", kind) as backend:
        rows = measured(of_two_layers(rng, backend))
    assert culprits(rows)[:3] == ["Tanh", "linear0.weight", "linear0.bias"]
    found = [row.what for row in wrong(rows) if row.subject.startswith("linear")]
    assert set(found) == {f"slope in {mode}"}


class Noisy(nn.Dropout):
    """A dropout whose backward pass draws other masks."""

    def forward(self, x: Tensor) -> Tensor:
        kept, other = super().forward(x), super().forward(x)
        return Tensor(kept.data - other.data) + other if self.training else x


@pytest.mark.parametrize("p", [0.05, 0.5])
@pytest.mark.parametrize(("kind", "seen"), [(nn.Dropout, False), (Noisy, True)])
def test_dropout_is_replayed_mask_by_mask(
    kind: type[nn.Dropout], seen: bool, p: float, rng: np.random.Generator
) -> None:
    layers = perceptrons(3, 40, 3)
    layers["act1"] = layer("Dropout", p=p)
    with swapped("layers", "Dropout", kind) as backend:
        rows = measured(miniature(layers, *vectors(rng), backend=backend))
    assert culprits(rows)[:1] == (["Dropout"] if seen else [])
    assert all("training" in row.what for row in wrong(rows) if "." in row.subject)


def test_wrong_relu_is_blamed_by_its_type(rng: np.random.Generator) -> None:
    def guided(g: np.ndarray, grads: list[np.ndarray | None]) -> list[np.ndarray | None]:
        return [None if grads[0] is None else grads[0] * (g > 0)]

    with backwards(ReLUBackward, guided) as backend:
        specimen = miniature(
            perceptrons(3, 8, 3, activation="ReLU"), *vectors(rng), backend=backend
        )
        assert culprits(measured(specimen))[0] == "ReLU"


def test_pool_that_sends_its_gradient_one_place_aside_is_blamed() -> None:
    def aside(_: np.ndarray, grads: list[np.ndarray | None]) -> list[np.ndarray | None]:
        return [None if each is None else np.roll(each, 1, axis=-1) for each in grads]

    with backwards(MaxPool2dBackward, aside) as backend:
        assert culprits(measured(shipped("cnn", backend)))[0] == "MaxPool2d"


# --- the check --------------------------------------------------------------------------------


def test_check_passes_on_agreeing_slopes_and_names_those_that_do_not() -> None:
    right = Measurement("hidden.weight", "slope in training", 0.5, 0.5, 0.0)
    off = replace(right, subject="hidden.bias", got=1.0, error=0.5)
    record = healthy()
    record.probed.measured["slopes"] = [right]
    passed = gradients_agree(small_config(), record)
    assert (passed.status, passed.reason) == ("pass", "1 slopes agree with finite differences")
    record.probed.measured["slopes"] = [right, off]
    failed = gradients_agree(small_config(), record)
    assert failed.status == "fail"
    assert failed.reason == "hidden.bias: slope in training: got 1, expected 0.5"
    assert failed.evidence["culprits"] == ["hidden.bias"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
