"""What depends on what: leaks are seen and blamed, and what may be seen is not a leak."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.autograd import Tensor, nn, ops
from harness.autograd.ops.attention import ScaledDotProductAttentionBackward
from harness.backends.base import Backend
from harness.checks.causality import causality_holds
from harness.checks.measured import WIDE
from harness.faults.composed import ComposedAttention, bias_against
from harness.measurement import Measurement, NotMeasurableError
from harness.model import Model
from harness.probes.milestone import causality
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
    vectors,
    wrong,
)

LENGTH = 5


def measured(specimen: Specimen) -> list[Measurement]:
    return list(causality.measure(specimen))


def reading(backend: Backend | None = None, *, causal: bool = True, seed: int = 0) -> Specimen:
    rng = np.random.default_rng(seed)
    layers, examples = reader(causal=causal), sequences(rng, length=LENGTH)
    return miniature(layers, *examples, backend=backend, seed=seed, causal=causal)


# --- healthy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_healthy_milestone_leaks_nothing(name: str, seed: int) -> None:
    assert max(row.error for row in measured(shipped(name, seed=seed))) < WIDE / 1e6


def test_model_that_may_see_everything_is_not_asked_for_places() -> None:
    rows = measured(reading(causal=False))
    assert wrong(rows) == []
    assert not any("place" in row.what for row in rows)


def test_dead_units_are_not_taken_for_a_mask(rng: np.random.Generator) -> None:
    """Narrow ReLUs without a way around them may hide every place from every other."""
    layers = reader()
    layers["narrow"] = layer("Linear", in_features=4, out_features=1)
    layers["relu"] = layer("ReLU")
    layers["head"] = layer("Linear", in_features=1, out_features=6)
    layers = {name: layers[name] for name in ("embedding", "attend", "narrow", "relu", "head")}
    layers["places"] = layer("Flatten", start_dim=0, end_dim=1)
    examples = sequences(rng)
    for seed in range(30):
        assert wrong(measured(miniature(layers, *examples, seed=seed, causal=True))) == []


@pytest.mark.parametrize("p", [0.01, 0.5, 0.99])
def test_dropout_is_not_taken_for_a_leak(p: float, rng: np.random.Generator) -> None:
    layers = perceptrons(3, 5, 3)
    layers["act1"] = layer("Dropout", p=p)
    for seed in range(10):
        assert wrong(measured(miniature(layers, *vectors(rng), seed=seed))) == []


@pytest.mark.parametrize("count", [2, 3, 8])
def test_few_examples_are_enough(count: int, rng: np.random.Generator) -> None:
    rows = measured(miniature(perceptrons(3, 3), *vectors(rng, count)))
    assert len(rows) == 4  # by value and by gradient, in both modes
    assert wrong(rows) == []


def test_one_example_depends_on_no_other(rng: np.random.Generator) -> None:
    with pytest.raises(NotMeasurableError, match="one example"):
        measured(miniature(perceptrons(3, 3), *vectors(rng, 1)))


def test_tokens_may_be_laid_flat_before_they_are_looked_up(rng: np.random.Generator) -> None:
    layers = {
        "flat": layer("Flatten"),
        "embedding": layer("Embedding", num_embeddings=6, embedding_dim=2),
        "together": layer("Flatten"),
        "head": layer("Linear", in_features=10, out_features=3),
    }
    x, _ = sequences(rng)
    rows = measured(miniature(layers, x, rng.integers(0, 3, len(x))))
    assert wrong(rows) == []
    assert any(row.what.startswith("gradient of one example") for row in rows)


# --- across a batch ---------------------------------------------------------------------------


@given(st.integers(0, 2), st.integers(0, 2), st.floats(1e-4, 1.0), st.integers(0, 2**16))
def test_any_leak_between_two_examples_is_seen(
    giver: int, taker: int, share: float, seed: int
) -> None:
    assume(giver != taker)

    class Leaking(nn.Linear):
        """One example gets a share of another's output."""

        def forward(self, x: Tensor) -> Tensor:
            mixed = np.eye(len(x.data))
            if len(mixed) > max(giver, taker):
                mixed[taker, giver] = share
            return Tensor(mixed.astype(x.dtype)) @ super().forward(x)

    rng = np.random.default_rng(seed)
    with swapped("layers", "Linear", Leaking) as backend:
        rows = measured(miniature(perceptrons(3, 4, 3), *vectors(rng, 3), backend=backend))
    assert culprits(rows) == ["Linear", "the model"]


class LeakingBackwards(nn.Tanh):
    """Right by value; a thousandth of each gradient goes to the next example."""

    def forward(self, x: Tensor) -> Tensor:
        leak = x * 1e-3
        others = np.roll(np.arange(len(x.data)), 1)
        return super().forward(x) + ops.index(leak, (others,)) - leak.data[others]


def test_leak_of_gradients_alone_is_seen(rng: np.random.Generator) -> None:
    with swapped("layers", "Tanh", LeakingBackwards) as backend:
        rows = measured(miniature(perceptrons(3, 4, 3), *vectors(rng), backend=backend))
    assert culprits(rows) == ["Tanh", "the model"]
    assert all(row.what.startswith("gradient of one example that goes") for row in wrong(rows))


class ByPlaceInBatch(nn.Tanh):
    """What an example gets depends on how many stand before it."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + np.arange(len(x.data)).reshape(-1, 1).astype(x.dtype)


def test_dependence_on_the_place_in_a_batch_is_seen(rng: np.random.Generator) -> None:
    with swapped("layers", "Tanh", ByPlaceInBatch) as backend:
        rows = measured(miniature(perceptrons(3, 4, 3), *vectors(rng), backend=backend))
    assert culprits(rows) == ["Tanh", "the model"]


class LeakingContainer(nn.Residual):
    """The way around the layers is that of another example."""

    def forward(self, x: Tensor) -> Tensor:
        others = np.roll(np.arange(len(x.data)), 1)
        return ops.index(x, (others,)) + nn.Sequential.forward(self, x)


def test_container_is_blamed_when_all_in_it_are_right() -> None:
    with swapped("layers", "Residual", LeakingContainer) as backend:
        assert culprits(measured(reading(backend))) == ["Residual", "the model"]


def test_leak_of_the_model_itself_is_its_own(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Model.__call__

    def call(self: Model, x: Tensor) -> Tensor:
        y: Tensor = right(self, x)
        return y + Tensor(y.data.mean(axis=0))

    monkeypatch.setattr(Model, "__call__", call)
    assert culprits(measured(miniature(perceptrons(3, 3), *vectors(rng)))) == ["the model"]


# --- within a sequence ------------------------------------------------------------------------


@given(st.integers(-2, 2).filter(bool), st.integers(0, 2**16))
def test_mask_that_is_off_by_any_number_is_seen(off: int, seed: int) -> None:
    class OffBy(ComposedAttention):
        """Every place sees so many places more, or less."""

        def visible(self, scores: Tensor) -> np.ndarray:
            seen = np.tri(scores.shape[-1], k=off, dtype=bool)
            seen[:, 0] = True  # nobody sees nothing
            return seen

    with swapped("layers", "MultiHeadAttention", OffBy) as backend:
        rows = measured(reading(backend, seed=seed))
    assert culprits(rows)[0] == "MultiHeadAttention"
    word = "later" if off > 0 else "may see"
    assert word in wrong(rows)[0].what


@given(st.integers(0, LENGTH - 1), st.integers(0, LENGTH - 1), st.integers(0, 1))
def test_single_hole_in_a_mask_is_seen(query: int, key: int, head: int) -> None:
    assume(key > query)

    class Hole(ComposedAttention):
        """One place sees one later place, in one of the heads."""

        def masked(self, scores: Tensor) -> Tensor:
            seen = np.broadcast_to(self.visible(scores), scores.shape).copy()
            seen[:, head, query, key] = True
            return scores + bias_against(~seen, scores)

    with swapped("layers", "MultiHeadAttention", Hole) as backend:
        rows = measured(reading(backend))
    assert culprits(rows) == ["MultiHeadAttention", "the model"]
    assert f"place {query} of attention with place {key}, which comes later" in wrong(rows)[0].what


def test_leak_backwards_in_time_is_seen_by_gradient_alone() -> None:
    def leak(g: np.ndarray, grads: list[np.ndarray | None]) -> list[np.ndarray | None]:
        assert grads[2] is not None
        return [*grads[:2], grads[2] + 1e-3 * g.mean(axis=-2, keepdims=True)]

    with backwards(ScaledDotProductAttentionBackward, leak) as backend:
        rows = measured(reading(backend))
    assert culprits(rows) == ["MultiHeadAttention", "the model"]
    assert all(row.what.startswith("gradient at place") for row in wrong(rows))


def test_model_that_mixes_no_places_is_not_causal() -> None:
    class Blind(nn.MultiHeadAttention):
        """Every place sees itself only."""

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.value(x))

    with swapped("layers", "MultiHeadAttention", Blind) as backend:
        rows = measured(reading(backend))
    assert [row.what for row in wrong(rows)] == [
        "change of later places of the model with earlier ones"
    ]


def test_model_without_an_answer_for_every_place_is_not_causal(rng: np.random.Generator) -> None:
    layers = reader()
    layers["places"] = layer("Flatten")
    layers["last"] = layer("Linear", in_features=30, out_features=3)
    x, _ = sequences(rng)
    rows = measured(miniature(layers, x, rng.integers(0, 3, len(x)), causal=True))
    assert culprits(rows) == ["the model"]
    assert "declared causal" in wrong(rows)[0].what


# --- the check --------------------------------------------------------------------------------


def test_check_passes_on_what_it_should_and_names_a_leak() -> None:
    row = Measurement("MultiHeadAttention", "change at place 1 with place 2", 0.0, 0.0, 0.0)
    record = healthy()
    record.probed.measured["causality"] = [row]
    passed = causality_holds(small_config(), record)
    assert passed.status == "pass"
    assert passed.reason == "1 measurements show no dependence that must not be"
    record.probed.measured["causality"] = [row, replace(row, got=0.3, error=0.2)]
    failed = causality_holds(small_config(), record)
    assert failed.reason == (
        "MultiHeadAttention: change at place 1 with place 2: got 0.3, expected 0"
    )
    assert failed.evidence["culprits"] == ["MultiHeadAttention"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
