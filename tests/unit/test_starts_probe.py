"""Where training starts: all usual ways pass, what is too small, too large or alike does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.autograd import init, nn
from harness.backends import load
from harness.checks.starts import starts_are_plausible
from harness.config import LayerSpec, MilestoneConfig
from harness.datasets.base import Dataset
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.probes.milestone import starts as probe
from harness.probes.models.specimen import Specimen
from harness.probes.runs.short_run import changed
from tests.examples import healthy, small_config

Init = Callable[[tuple[int, ...], int, np.random.Generator], np.ndarray]
WIDTHS = (30, 40, 5)


def config(*widths: int) -> MilestoneConfig:
    """Linear layers of these widths, and five classes."""
    layers = {
        f"layer{i}": LayerSpec(type="Linear", in_features=narrow, out_features=wide)
        for i, (narrow, wide) in enumerate(pairwise(widths))
    }
    return changed(small_config(), loss="CrossEntropyLoss").model_copy(update={"layers": layers})


def data(inputs: int, classes: int) -> Dataset:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((80, inputs)).astype(np.float32)
    y = np.arange(80) % classes
    return Dataset(x, y, x, y)


def measured(how: Init, *widths: int, seed: int = 0) -> list[Measurement]:
    ground = Ground(load("numpy"))
    ground.replace(init.uniform_fan_in, how)
    try:
        dataset = data(widths[0], widths[-1])
        return list(probe.measure(Specimen(config(*widths), ground.backend, dataset, seed)))
    finally:
        ground.restore()


def wrong(rows: list[Measurement]) -> list[str]:
    return [row.what for row in rows if row.error]


default = init.uniform_fan_in


def zero_biases(weights: Init) -> Init:
    def start(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
        drawn = weights(shape, fan_in, rng) if len(shape) > 1 else np.zeros(shape)
        return drawn.astype(np.float32)

    return start


def normal(variance: Callable[[int, int], float]) -> Init:
    return zero_biases(
        lambda shape, fan_in, rng: (
            math.sqrt(variance(fan_in, shape[0])) * rng.standard_normal(shape)
        )
    )


USUAL: dict[str, Init] = {
    "PyTorch's": default,
    "He's": normal(lambda fan_in, fan_out: 2.0 / fan_in),
    "Xavier's": normal(lambda fan_in, fan_out: 2.0 / (fan_in + fan_out)),
    "LeCun's": normal(lambda fan_in, fan_out: 1.0 / fan_in),
    "small": normal(lambda fan_in, fan_out: 0.01**2),
}


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize("widths", [(100, 100, 10), (30, 40, 5), (64, 512, 3), (4, 300, 2)])
def test_usual_ways_to_start_pass_on_many_seeds(name: str, widths: tuple[int, ...]) -> None:
    if name == "small" and widths[0] < 64:
        return  # in use where fan-ins are large
    for seed in range(20):
        assert wrong(measured(USUAL[name], *widths, seed=seed)) == []


@given(widths=st.lists(st.integers(1, 40), min_size=2, max_size=4), seed=st.integers(0, 10**6))
def test_default_start_passes_for_any_widths(widths: list[int], seed: int) -> None:
    assert wrong(measured(default, *widths, seed=seed)) == []


def of_weights(change: Callable[[np.ndarray], np.ndarray]) -> Init:
    def start(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
        drawn = default(shape, fan_in, rng)
        return change(drawn).astype(np.float32) if len(shape) > 1 else drawn

    return start


UNUSUAL: dict[str, tuple[Init, str]] = {
    "zero": (of_weights(np.zeros_like), "root mean square of layer0.weight"),
    "all one number": (of_weights(lambda w: np.full_like(w, 0.1)),
                       "numbers of layer0.weight (40, 30) that are all the same"),
    "far too small": (of_weights(lambda w: 0.01 * w), "root mean square of layer0.weight"),
    "far too large": (of_weights(lambda w: 20.0 * w), "root mean square of layer0.weight"),
    "positive": (of_weights(np.abs), "mean of layer0.weight in standard errors"),
    "shifted": (of_weights(lambda w: w + 0.5 * w.std()), "mean of layer0.weight"),
    "rows alike": (of_weights(lambda w: np.tile(w[:1], (len(w), 1))),
                   "rows of layer0.weight that are alike"),
    "columns alike": (of_weights(lambda w: np.tile(w[:, :1], (1, w.shape[1]))),
                      "columns of layer0.weight that are alike"),
    "two units alike": (of_weights(lambda w: np.concatenate([w[:1], w[:1], w[2:]])),
                        "rows of layer0.weight that are alike"),
    "of few numbers": (of_weights(lambda w: np.round(w, 1)),
                       "numbers of layer0.weight that stand there twice, of 1200"),
    "not finite": (of_weights(lambda w: w * np.nan), "root mean square of layer0.weight"),
    "one seed for all": (lambda shape, fan_in, rng: default(shape, fan_in,
                                                            np.random.default_rng(0)),
                         "layer0.bias starts with the numbers of layer0.weight: copies"),
    "large biases": (lambda shape, fan_in, rng: default(shape, fan_in, rng) + 5.0
                     * (len(shape) == 1), "root mean square of layer0.bias"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_start_is_seen_and_named(name: str) -> None:
    how, what = UNUSUAL[name]
    for seed in range(5):
        found = wrong(measured(how, *WIDTHS, seed=seed))
        assert any(each.startswith(what) for each in found), found


@given(
    seed=st.integers(0, 1000),
    factor=st.floats(0.1, 10.0),
    other=st.sampled_from([(40, 30), (20, 30), (30, 40)]),
)
def test_seed_that_is_used_twice_is_seen_whatever_the_factor(
    seed: int, factor: float, other: tuple[int, int]
) -> None:
    """Two tensors that begin with the same draws, by rows or by columns."""
    first = np.random.default_rng(seed).standard_normal((40, 30))
    again = factor * np.random.default_rng(seed).standard_normal(other)
    tensors = [probe.Tensor("a", "Linear", first), probe.Tensor("b", "Linear", again)]
    assert [row.what for row in probe.same_draws(tensors)] == [
        "b starts with the numbers of a: copies"
    ]


def test_first_loss_of_confident_nonsense_is_seen() -> None:
    """A head that is large enough to be sure of itself: ln 5 is 1.6."""
    rows = measured(of_weights(lambda w: 3.0 * w * (w.shape[0] == 5) + w), *WIDTHS)
    assert wrong(rows) == []
    rows = measured(of_weights(lambda w: 300.0 * w), *WIDTHS)
    assert wrong(rows)[0].startswith("of 64 examples (plausible: 0.")


def test_embedding_is_no_sum_over_its_rows() -> None:
    layers = {
        "embedding": LayerSpec(type="Embedding", num_embeddings=500, embedding_dim=8),
        "tokens": LayerSpec(type="Flatten"),
        "head": LayerSpec(type="Linear", in_features=8, out_features=5),
    }
    asked = config(1, 5).model_copy(update={"layers": layers})
    x = (np.arange(80) * 37 % 500).reshape(80, 1)
    specimen = Specimen(asked, load("numpy"), Dataset(x, x[:, 0] % 5, x, x[:, 0] % 5), 0)
    assert wrong(list(probe.measure(specimen))) == []
    ground = Ground(load("numpy"))
    ground.swap("layers", "Embedding", Tiny)
    specimen = Specimen(asked, ground.backend, specimen.dataset, 0)
    (row,) = (row for row in probe.measure(specimen) if row.error)
    assert (row.subject, row.what[:39]) == ("Embedding", "root mean square of embedding.weight (5")


class Tiny(nn.Embedding):
    """A hundredth of the usual size."""

    def __init__(self, num_embeddings: int, embedding_dim: int, rng: np.random.Generator) -> None:
        super().__init__(num_embeddings, embedding_dim, rng=rng)
        self.weight.data *= 0.01


# --- the check ----------------------------------------------------------------------------


def calibration(median: float) -> dict[str, object]:
    asked = small_config()
    return {
        "config": asked.digest,
        "bands": {},
        "initial_norm": {},
        "loss_first": {"lowest": median - 0.05, "median": median, "highest": median + 0.05},
    }


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (None, "pass"),
        (calibration(0.7), "pass"),
        (calibration(0.89), "pass"),  # four times as far as any seed on record
        (calibration(0.95), "fail"),
        (calibration(0.45), "fail"),
        (calibration(0.95) | {"config": "0" * 64}, "pass"),  # stale: compared with nothing
        (calibration(0.95) | {"initial_norm": {"hidden.bias": [2.0, 3.0]}}, "pass"),
    ],
)
def test_first_loss_is_held_against_those_on_record(
    found: dict[str, object] | None, status: str
) -> None:
    """The healthy record starts at 0.7."""
    record = healthy()
    record.initial_norm = np.ones(4)
    record.probed.measured["starts"] = [Measurement("Linear", "size", 0.5, 0.5, 0.0)]
    verdict = starts_are_plausible(small_config(), record, found)
    assert verdict.status == status
    if status == "fail":
        assert verdict.evidence["culprits"] == ["the first loss"]


def test_implausible_property_fails_whatever_is_on_record() -> None:
    record = healthy()
    record.probed.measured["starts"] = [Measurement("Linear", "size", 9.0, 0.5, 17.0)]
    verdict = starts_are_plausible(small_config(), record, None)
    assert (verdict.status, verdict.evidence["culprits"]) == ("fail", ["Linear"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
