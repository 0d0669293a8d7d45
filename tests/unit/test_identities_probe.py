"""What mathematics says of gradients holds on a right engine, and is missed on a wrong one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.autograd import Tensor, nn
from harness.autograd.function import Function
from harness.autograd.ops.attention import ScaledDotProductAttentionBackward
from harness.autograd.ops.embedding import EmbeddingBackward
from harness.autograd.ops.losses import (
    BinaryCrossEntropyWithLogitsBackward,
    CrossEntropyBackward,
    MSELossBackward,
)
from harness.autograd.ops.matmul import LinearBackward
from harness.backends.base import Backend
from harness.checks.identities import identities_hold
from harness.checks.measured import WIDE
from harness.measurement import Measurement
from harness.probes.milestone import identities
from harness.probes.models.specimen import Specimen
from tests.examples import NAMES, healthy, small_config
from tests.specimens import (
    backwards,
    culprits,
    layer,
    miniature,
    perceptrons,
    reader,
    sequences,
    shipped,
    swapped,
    times,
    vectors,
    wrong,
)

KEY_BIAS = "attention.key.bias"


def measured(specimen: Specimen) -> list[Measurement]:
    return list(identities.measure(specimen))


def reading(backend: Backend | None = None, null: str = KEY_BIAS) -> Specimen:
    examples = sequences(np.random.default_rng(0), tokens=5)
    nulls = {null: "softmax ignores it"}
    return miniature(reader(), *examples, backend=backend, null_gradients=nulls)


def of_two_layers(backend: Backend | None = None, loss: str = "CrossEntropyLoss") -> Specimen:
    rng = np.random.default_rng(0)
    x, classes = vectors(rng)
    y = classes if loss == "CrossEntropyLoss" else rng.integers(0, 2, (8, 3)).astype(np.float32)
    return miniature(perceptrons(3, 4, 3), x, y, loss=loss, backend=backend)


# --- healthy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_identities_of_a_healthy_milestone_hold(name: str, seed: int) -> None:
    rows = measured(shipped(name, seed=seed))
    assert max(row.error for row in rows) < WIDE / 100


@pytest.mark.parametrize("loss", ["CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss"])
def test_identities_of_every_loss_hold(loss: str) -> None:
    assert wrong(measured(of_two_layers(loss=loss))) == []


def test_unit_that_is_dead_is_nobodys_fault(rng: np.random.Generator) -> None:
    """A single ReLU is dead on some seeds; then the layer before it has no gradient."""
    layers, examples = perceptrons(3, 1, 3, activation="ReLU"), vectors(rng, 4)
    for seed in range(20):
        assert wrong(measured(miniature(layers, *examples, seed=seed))) == []


def test_dropout_is_nobodys_fault(rng: np.random.Generator) -> None:
    layers = perceptrons(3, 8, 3)
    layers["act1"] = layer("Dropout", p=0.3)
    assert wrong(measured(miniature(layers, *vectors(rng)))) == []


# --- the loss ---------------------------------------------------------------------------------

LOSSES: dict[str, type[Function]] = {
    "CrossEntropyLoss": CrossEntropyBackward,
    "BCEWithLogitsLoss": BinaryCrossEntropyWithLogitsBackward,
    "MSELoss": MSELossBackward,
}


@given(st.sampled_from(sorted(LOSSES)), st.floats(-2.0, 2.0))
def test_any_wrong_factor_of_a_loss_is_seen_and_named(loss: str, factor: float) -> None:
    assume(abs(factor - 1.0) > 1e-4)
    with backwards(LOSSES[loss], times(factor, 0)) as backend:
        rows = measured(of_two_layers(backend, loss))
    assert culprits(rows)[0] == loss
    assert wrong(rows)[0].what == "gradient for its logits"


def test_loss_that_gives_up_on_large_logits_is_seen() -> None:
    """Near the start, where logits are small, it is exact."""

    def saturated(_: np.ndarray, grads: list[np.ndarray | None]) -> list[np.ndarray | None]:
        assert grads[0] is not None
        return [np.where(np.abs(grads[0]) < 0.999 / len(grads[0]), grads[0], 0.0)]

    with backwards(CrossEntropyBackward, saturated) as backend:
        assert culprits(measured(of_two_layers(backend)))[0] == "CrossEntropyLoss"


def test_mean_over_a_batch_of_fixed_size_is_seen() -> None:
    """Right for whole batches, wrong for the last and for any other."""

    class ForEight(nn.CrossEntropyLoss):
        def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
            return super().__call__(logits, target) * (len(logits.data) / 8)

    with swapped("losses", "CrossEntropyLoss", ForEight) as backend:
        assert culprits(measured(of_two_layers(backend)))[0] == "CrossEntropyLoss"


# --- tensors ----------------------------------------------------------------------------------


@given(st.integers(0, 5), st.floats(1e-3, 1.0))
def test_gradient_of_a_row_that_nobody_looked_up_is_seen(row: int, size: float) -> None:
    def spill(_: np.ndarray, grads: list[np.ndarray | None]) -> list[np.ndarray | None]:
        assert grads[0] is not None
        grads[0] = grads[0].copy()
        grads[0][row] += size
        return grads

    specimen = reading()
    looked_up = set(specimen.examples(specimen.config.training.batch_size)[0][0])
    with backwards(EmbeddingBackward, spill) as backend:
        rows = measured(reading(backend))
    unused = [each for each in wrong(rows) if "not looked up" in each.what]
    assert bool(unused) == (row not in looked_up)
    assert {each.subject for each in unused} <= {"Embedding"}


def test_declared_null_that_is_none_is_seen() -> None:
    (found,) = wrong(measured(reading(null="attention.query.bias")))
    assert found.subject == "attention.query.bias"
    assert found.what == "gradient as a share of the largest, zero by mathematics"


def test_null_tensor_with_a_gradient_is_seen() -> None:
    def spill(_: np.ndarray, grads: list[np.ndarray | None]) -> list[np.ndarray | None]:
        return [grads[0], None if grads[1] is None else grads[1] + 1e-6, grads[2]]

    with backwards(ScaledDotProductAttentionBackward, spill) as backend:
        assert KEY_BIAS in culprits(measured(reading(backend)))


# --- the batch --------------------------------------------------------------------------------


def test_gradient_that_is_no_mean_is_seen_on_its_layer() -> None:
    """Weights get the sum over examples of gradients that the loss already shared out by 8."""

    def by_count(g: np.ndarray, grads: list[np.ndarray | None]) -> list[np.ndarray | None]:
        return [grads[0], None if grads[1] is None else grads[1] * len(g), *grads[2:]]

    with backwards(LinearBackward, by_count) as backend:
        rows = measured(of_two_layers(backend))
    twice = [row for row in wrong(rows) if row.what.endswith("with every example twice")]
    assert [row.what.split()[2] for row in twice] == ["linear1.weight", "linear0.weight"]
    assert {row.subject for row in twice} == {"Linear"}


def test_gradient_that_is_wrong_in_whole_batches_only_is_seen_and_blamed() -> None:
    """The other probes look at a few examples; training never does."""

    def cut_off(g: np.ndarray, grads: list[np.ndarray | None]) -> list[np.ndarray | None]:
        assert grads[1] is not None
        return [grads[0], grads[1] * (0.9 if len(g) > 16 else 1.0), *grads[2:]]

    with backwards(LinearBackward, cut_off) as backend:
        rows = measured(shipped("mlp", backend))
    assert culprits(rows) == ["Linear", "the model"]


# --- the check --------------------------------------------------------------------------------


def test_check_passes_on_identities_and_names_the_first_that_fails() -> None:
    row = Measurement("CrossEntropyLoss", "gradient for its logits", 0.1, 0.1, 1e-12)
    record = healthy()
    record.probed.measured["identities"] = [row]
    passed = identities_hold(small_config(), record)
    assert (passed.status, passed.reason) == ("pass", "1 identities of gradients hold")
    record.probed.measured["identities"] = [row, replace(row, got=0.2, error=1.0)]
    failed = identities_hold(small_config(), record)
    assert failed.reason == "CrossEntropyLoss: gradient for its logits: got 0.2, expected 0.1"
    assert failed.evidence["culprits"] == ["CrossEntropyLoss"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
