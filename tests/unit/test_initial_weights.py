"""Where weights start: all ways in use pass, and whatever is odd about random numbers is seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.autograd import init, nn
from harness.backends import load
from harness.backends.base import Backend, Namespace
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.probes.engine import initial_weights
from harness.probes.global_randomness import states
from harness.probes.weight_statistics import oddities

Draw = Callable[[tuple[int, ...], int, np.random.Generator], np.ndarray]


def measured(draw: Draw | None = None, embed: Draw | None = None) -> list[Measurement]:
    """What the probe sees when weights and biases are drawn like this."""
    ground = Ground(load("numpy"))
    try:
        if draw is not None:
            drawn = draw
            ground.replace(
                init.uniform_fan_in,
                lambda shape, fan_in, rng: drawn(shape, fan_in, rng).astype(np.float32),
            )
        if embed is not None:
            ground.replace(
                init.normal, lambda shape, rng: embed(shape, shape[0], rng).astype(np.float32)
            )
        return list(initial_weights.measure(ground.backend))
    finally:
        ground.restore()


def accused(rows: list[Measurement]) -> list[str]:
    return list(dict.fromkeys(row.subject for row in rows if row.error != 0.0))


def torch_like(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform in +-1/sqrt(fan_in)."""
    bound = 1.0 / math.sqrt(fan_in)
    return rng.uniform(-bound, bound, shape)


def weights(change: Callable[[np.ndarray], np.ndarray]) -> Draw:
    """PyTorch's start with matrices and kernels changed; biases stay."""

    def draw(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
        right = torch_like(shape, fan_in, rng)
        return change(right) if len(shape) > 1 else right

    return draw


def fan_out(shape: tuple[int, ...], fan_in: int) -> int:
    return fan_in * shape[0] // shape[1]


def without_biases(std: Callable[[tuple[int, ...], int], float]) -> Draw:
    """Normal weights of this size, and biases of zero."""

    def draw(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
        if len(shape) == 1:
            return np.zeros(shape)
        return std(shape, fan_in) * rng.standard_normal(shape)

    return draw


def orthogonal(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
    """Rows, or columns, of length 1 that stand at right angles (Saxe et al. 2014)."""
    if len(shape) == 1:
        return np.zeros(shape)
    long, short = max(shape[0], fan_in), min(shape[0], fan_in)
    q, _ = np.linalg.qr(rng.standard_normal((long, short)))
    return (q if shape[0] >= fan_in else q.T).reshape(shape)


RIGHT: dict[str, Draw] = {
    "torch": torch_like,
    "lecun": without_biases(lambda shape, fan: 1.0 / math.sqrt(fan)),
    "he": without_biases(lambda shape, fan: math.sqrt(2.0 / fan)),
    "he, fan-out": without_biases(lambda shape, fan: math.sqrt(2.0 / fan_out(shape, fan))),
    "xavier": without_biases(lambda shape, fan: math.sqrt(2.0 / (fan + fan_out(shape, fan)))),
    "small": without_biases(lambda shape, fan: 0.02),
    "smaller": without_biases(lambda shape, fan: 0.01),
    "orthogonal": orthogonal,
}


@pytest.mark.parametrize("name", RIGHT)
def test_every_way_to_start_that_is_in_use_passes(name: str) -> None:
    assert accused(measured(RIGHT[name])) == []


@pytest.mark.parametrize("std", [1.0, 0.02, 0.1])
def test_embeddings_may_be_of_any_usual_size(std: float) -> None:
    assert accused(measured(embed=without_biases(lambda shape, fan: std))) == []


WRONG: dict[str, Draw] = {
    "zeros": weights(np.zeros_like),
    "ones": weights(np.ones_like),
    "not a number": weights(lambda w: np.full_like(w, np.nan)),
    "ten times": weights(lambda w: 10.0 * w),
    "one hundredth": weights(lambda w: 0.01 * w),
    "no scaling": without_biases(lambda shape, fan: 1.0),
    "by the fan, not its root": without_biases(lambda shape, fan: 5.0 / fan),
    "by channels, not by windows": without_biases(lambda shape, fan: 1.0 / math.sqrt(shape[1])),
    "by the fourth root": without_biases(lambda shape, fan: fan**-0.25),
    "positive": weights(np.abs),
    "shifted": weights(lambda w: w + 0.5 * w.max()),
    "skewed": lambda shape, fan, rng: (rng.exponential(size=shape) - 1.0) / math.sqrt(fan),
    "heavy": lambda shape, fan, rng: 0.1 * rng.standard_cauchy(shape) / math.sqrt(fan),
    "signs": weights(np.sign),
    "rows alike": weights(lambda w: np.broadcast_to(w[:1], w.shape).copy()),
    "rows turned around": weights(lambda w: np.concatenate([w[::2], -w[: len(w) // 2]])),
    "columns alike": weights(lambda w: np.broadcast_to(w[:, :1], w.shape).copy()),
    "drawn for one half": weights(lambda w: w * (np.arange(w.size).reshape(w.shape) < w.size / 2)),
    "drawn once and tiled": weights(lambda w: np.resize(w.ravel()[: w.size // 3], w.shape)),
    "of rank one": weights(
        lambda w: (np.outer(w.reshape(len(w), -1)[:, 0], w[0].ravel()) / w.std()).reshape(w.shape)
    ),
    "large biases": lambda shape, fan, rng: (
        torch_like(shape, fan, rng) if len(shape) > 1 else np.ones(shape)
    ),
    "one generator for all": lambda shape, fan, rng: torch_like(
        shape, fan, np.random.default_rng(0)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_odd_about_weights_is_seen_on_each_layer_that_has_it(name: str) -> None:
    found = accused(measured(WRONG[name]))
    expected = ["Conv2d", "Linear", "MultiHeadAttention"]
    windows_only = "by channels, not by windows"
    assert found == (["Conv2d"] if name == windows_only else expected)


@given(power=st.floats(0.5, 2.5), gain=st.floats(0.5, 1.5))
def test_size_must_go_by_a_root_of_the_fan(power: float, gain: float) -> None:
    assume(abs(power - 1.0) > 0.35)
    draw = without_biases(lambda shape, fan: gain * 5.0 ** (power - 1.0) * fan ** (-power / 2.0))
    assert "Linear" in accused(measured(draw))


# --- one tensor of numbers ----------------------------------------------------------------------


def odd(array: np.ndarray) -> list[str]:
    return [row.what for row in oddities("Linear", "weight", array) if row.error != 0.0]


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(8, 60), columns=st.integers(8, 60))
def test_random_numbers_are_never_odd(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    assert odd(rng.standard_normal((rows, columns))) == []
    assert odd(rng.uniform(-1.0, 1.0, (rows, columns))) == []


@given(
    seed=st.integers(0, 1000),
    places=st.lists(st.integers(0, 39), min_size=2, max_size=2, unique=True),
    factor=st.sampled_from([1.0, -1.0, 0.5]),
)
def test_two_rows_that_are_alike_are_found(seed: int, places: list[int], factor: float) -> None:
    array = np.random.default_rng(seed).standard_normal((40, 12))
    array[places[0]] = factor * array[places[1]]
    assert "places that are alike along axis 0 of weight (40, 12)" in odd(array)
    assert "places that are alike along axis 1 of weight (12, 40)" in odd(array.T.copy())


# --- generators ---------------------------------------------------------------------------------


@dataclass
class Made:
    """A layer of one matrix."""

    weight: nn.Parameter = field(default_factory=lambda: nn.Parameter(np.zeros((1, 1))))


class OneLayer:
    """A backend with one layer, whose matrix is drawn by a function of its generator."""

    def __init__(self, draw: Callable[[np.random.Generator], np.ndarray]) -> None:
        self.parameters = lambda layer: {"weight": layer.weight}
        self.arrays = lambda parameters: [parameter.data for parameter in parameters]

        def strange(size: int, rng: np.random.Generator) -> Made:
            return Made(nn.Parameter(draw(rng)))

        self.namespace = Namespace({"Strange": strange}, {}, {})


def of(draw: Callable[[np.random.Generator], np.ndarray]) -> list[str]:
    backend: Any = OneLayer(draw)
    before = states()
    rows = list(initial_weights.measure(backend))
    assert states() == before
    return [row.what for row in rows if row.error != 0.0]


def test_unknown_layer_that_draws_is_looked_at_too() -> None:
    assert of(lambda rng: rng.standard_normal((12, 12))) == []
    assert of(lambda rng: np.abs(rng.standard_normal((12, 12)))) != []


def test_draws_from_elsewhere_are_seen() -> None:
    free = of(lambda rng: np.random.default_rng().standard_normal((12, 12)))
    assert free == ["tensors that the same generator starts otherwise"]
    fixed = of(lambda rng: np.random.default_rng(5).standard_normal((12, 12)))
    assert all("start alike" in what for what in fixed)
    assert len(fixed) == 2


def test_generator_that_is_not_used_up_is_seen() -> None:
    def draw(rng: np.random.Generator) -> np.ndarray:
        state = rng.bit_generator.state
        array = rng.standard_normal((12, 12))
        rng.bit_generator.state = state
        return array

    (what,) = of(draw)
    assert what.startswith("tensors that start alike, of one generator, used twice")


def test_layers_without_a_generator_that_start_alike_are_seen() -> None:
    ground = Ground(load("numpy"))
    ground.replace(init.fresh, lambda rng: np.random.default_rng(0) if rng is None else rng)
    try:
        rows = list(initial_weights.measure(ground.backend))
    finally:
        ground.restore()
    assert {"Linear", "Conv2d", "Embedding", "MultiHeadAttention"} <= set(accused(rows))
    assert all("without a generator" in row.what for row in rows if row.error != 0.0)


def test_layer_that_cannot_be_built_is_a_finding() -> None:
    class Broken(nn.Linear):
        def __init__(self, *args: Any, **options: Any) -> None:
            raise RuntimeError("no")

    ground = Ground(load("numpy"))
    ground.swap("layers", "Linear", Broken)
    backend: Backend = ground.backend
    rows = [row for row in initial_weights.measure(backend) if row.subject == "Linear"]
    assert [row.what for row in rows] == ["building it: RuntimeError: no"]


def test_gain_that_is_not_one_is_seen() -> None:
    class Doubled(nn.LayerNorm):
        def __init__(self, normalized_shape: int, eps: float = 1e-5) -> None:
            super().__init__(normalized_shape, eps)
            self.weight.data[...] = 2.0

    ground = Ground(load("numpy"))
    ground.swap("layers", "LayerNorm", Doubled)
    assert accused(list(initial_weights.measure(ground.backend))) == ["LayerNorm"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
