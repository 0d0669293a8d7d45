"""Two runs of one seed: equal to the bit on a right engine, and on no other."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest

from harness import config_files, datasets, training
from harness.autograd import Tensor, nn
from harness.backends import load
from harness.backends.base import Backend
from harness.checks.repeatability import runs_repeat
from harness.config import LayerSpec, MilestoneConfig
from harness.datasets.base import Dataset
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.model import Model
from harness.model import build as right_build
from harness.probes.global_randomness import global_seed, states
from harness.probes.milestone import repeatability as probe
from harness.probes.models import specimen
from harness.probes.models.specimen import Specimen
from harness.streams import stream
from tests.examples import NAMES, healthy, small_config

Batches = Iterator[tuple[np.ndarray, np.ndarray]]
right = training.batches
CONFIG = small_config()
DATA = datasets.load(CONFIG)


def with_layer(name: str, **arguments: object) -> MilestoneConfig:
    """SMALL with another layer in the place of its activation."""
    layers = dict(CONFIG.layers)
    layers["tanh"] = LayerSpec(type=name, **arguments)
    return CONFIG.model_copy(update={"layers": layers})


def measured(
    asked: MilestoneConfig = CONFIG, backend: Backend | None = None, dataset: Dataset = DATA
) -> list[Measurement]:
    return list(probe.measure(Specimen(asked, backend or load("numpy"), dataset, 0)))


def wrong(rows: list[Measurement]) -> list[tuple[str, str]]:
    return [(row.subject, row.what) for row in rows if row.error]


@pytest.mark.parametrize("name", NAMES)
def test_right_engine_repeats_to_the_bit(name: str) -> None:
    asked = config_files.load(config_files.find(name))
    assert wrong(measured(asked, dataset=datasets.load(asked))) == []


def test_dropout_that_draws_from_its_own_stream_repeats() -> None:
    assert wrong(measured(with_layer("Dropout", p=0.5))) == []


def test_probe_leaves_the_global_random_states_alone() -> None:
    before = states()
    measured()
    assert states() == before


# --- layers that do not repeat ------------------------------------------------------------


def layer(draw: Callable[[Tensor], float]) -> type[nn.Module]:
    """A layer that adds a number of its own to what it gets."""

    class Restless(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + draw(x)

    return Restless


def counter() -> Callable[[Tensor], float]:
    calls = iter(range(10**6))
    return lambda x: 1e-3 * next(calls)


def unseeded(x: Tensor) -> float:
    return float(np.random.default_rng().random())


def from_numpy(x: Tensor) -> float:
    return float(np.random.random())


def from_python(x: Tensor) -> float:
    return random.random()


def that_only_looks(x: Tensor) -> float:
    """Depends on numpy's state and leaves it as it was."""
    state = np.random.get_state()
    drawn = float(np.random.random())
    np.random.set_state(state)
    return drawn


@pytest.mark.parametrize(
    ("draw", "seen"),
    [
        (unseeded, ("Tanh", "steps whose loss is another in a second run")),
        (counter(), ("Tanh", "steps whose loss is another in a second run")),
        (from_numpy, ("random streams", "runs that draw from numpy's global random state")),
        (from_python, ("random streams", "runs that draw from Python's global random state")),
        (that_only_looks, ("random streams", "runs that read a global random state")),
    ],
)
def test_layer_that_draws_otherwise_is_seen(
    draw: Callable[[Tensor], float], seen: tuple[str, str]
) -> None:
    ground = Ground(load("numpy"))
    ground.swap("layers", "Tanh", layer(draw))
    with global_seed(0):  # what is planted draws where it should not
        assert wrong(measured(backend=ground.backend))[0] == seen


class Unseeded(nn.Linear):
    """Weights that no seed decides."""

    def __init__(self, in_features: int, out_features: int, rng: np.random.Generator) -> None:
        super().__init__(in_features, out_features, rng=np.random.default_rng())


class AlwaysTheSame(nn.Linear):
    """Weights that are drawn with a seed of their own."""

    def __init__(self, in_features: int, out_features: int, rng: np.random.Generator) -> None:
        super().__init__(in_features, out_features, rng=np.random.default_rng(0))


class Constant(nn.Linear):
    """Weights that are not drawn at all."""

    def __init__(self, in_features: int, out_features: int, rng: np.random.Generator) -> None:
        super().__init__(in_features, out_features, rng=rng)
        for parameter in (self.weight, self.bias):
            parameter.data = np.full_like(parameter.data, 0.5)


@pytest.mark.parametrize(
    ("factory", "seen"),
    [
        (Unseeded, [("random streams", "tensors that start otherwise in a second run")]),
        (AlwaysTheSame, [("random streams", "tensors that start the same on another seed")]),
        (Constant, []),
    ],
)
def test_weights_are_decided_by_the_seed(
    factory: type[nn.Linear], seen: list[tuple[str, str]]
) -> None:
    ground = Ground(load("numpy"))
    ground.swap("layers", "Linear", factory)
    assert wrong(measured(backend=ground.backend)) == seen


# --- streams ------------------------------------------------------------------------------


STREAMS: dict[str, tuple[Callable[..., np.random.Generator], str]] = {
    "one for all names": (lambda seed, *name: stream(seed), "give the numbers of another"),
    "one for all seeds": (lambda seed, *name: stream(1, *name), "give the numbers of another"),
    "seeds in pairs": (lambda seed, *name: stream(seed // 2, *name),
                       "give the numbers of another"),
    "one for all layers": (lambda seed, *name: stream(seed, *name[:1]),
                           "give the numbers of another"),
    "two bits of the seed": (lambda seed, *name: stream(seed & 3, *name),
                             "give the numbers of another seed"),
    "seeds in single precision": (lambda seed, *name: stream(int(np.float32(seed)), *name),
                                  "give the numbers of another seed"),
    "seeds of 32 bits": (lambda seed, *name: stream(seed % 2**32, *name),
                         "give the numbers of another seed"),
    "names by their hash": (lambda seed, *name: stream(seed, *(str(hash(each)) for each in name)),
                            "depend on the hash of a name"),
    "without a seed": (lambda seed, *name: np.random.default_rng(),
                       "give other numbers when asked again"),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_streams_that_are_none_are_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streams, what = STREAMS[name]
    monkeypatch.setattr(probe, "stream", streams)
    seen = [what for subject, what in wrong(measured()) if subject == "random streams"]
    assert any(each in (f"streams that {what}", f"seeds that {what}") for each in seen)


def test_model_that_is_handed_out_twice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    models: dict[int, Model] = {}

    def build(layers: Mapping[str, LayerSpec], backend: Backend, seed: int) -> Model:
        return models.setdefault(seed, right_build(layers, backend, seed))

    monkeypatch.setattr(specimen, "build", build)
    assert wrong(measured())[0] == (
        "the model", "tensors that it shares with a model built before"
    )  # fmt: skip


# --- batches that do not repeat -----------------------------------------------------------


def shuffled_without_a_seed(asked: MilestoneConfig, dataset: Dataset, seed: int) -> Batches:
    return right(asked, dataset, int(np.random.default_rng().integers(2**31)))


def longer_every_time() -> Callable[[MilestoneConfig, Dataset, int], Batches]:
    calls: list[int] = []

    def batches(asked: MilestoneConfig, dataset: Dataset, seed: int) -> Batches:
        calls.append(seed)
        for _ in calls:
            yield from right(asked, dataset, seed)

    return batches


@pytest.mark.parametrize("batches", [shuffled_without_a_seed, longer_every_time()])
def test_batches_that_differ_in_a_second_run_are_seen(
    batches: Callable[[MilestoneConfig, Dataset, int], Batches], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "batches", batches)
    assert wrong(measured())[0] == ("the batches", "batches that are others in a second run")


# --- layers that take no generator ---------------------------------------------------------


def deaf(in_features: int, out_features: int) -> nn.Linear:
    return nn.Linear(in_features, out_features, rng=np.random.default_rng(3))


def nothing_to_seed(in_features: int, out_features: int) -> nn.Linear:
    return nn.Linear(in_features, out_features)


@pytest.mark.parametrize(
    ("linear", "what"),
    [
        (deaf, ("Linear", "tensors that start the same on another seed: Linear takes no rng")),
        (nothing_to_seed, ("random streams", "tensors that start otherwise in a second run")),
    ],
)
def test_weights_that_no_seed_reaches_are_seen_in_the_built_model(
    linear: Callable[[int, int], nn.Linear], what: tuple[str, str]
) -> None:
    ground = Ground(load("numpy"))
    ground.swap("layers", "Linear", linear)

    assert what in wrong(measured(backend=ground.backend))


# --- the states, and the check ------------------------------------------------------------


def test_global_seed_holds_inside_and_gives_back_what_was() -> None:
    before = states()
    with global_seed(1):
        first = random.random(), float(np.random.random())
    with global_seed(1):
        assert (random.random(), float(np.random.random())) == first
    assert states() == before


def test_states_tell_who_draws() -> None:
    with global_seed(1):
        before = states()
        np.random.random()
        after = states()
        assert [name for name in before if before[name] != after[name]] == [
            "numpy's global random state"
        ]


def test_check_passes_on_equal_runs_and_names_what_differs() -> None:
    record = healthy()
    record.probed.measured["repeatability"] = [Measurement("random streams", "a", 0, 0, 0.0)]
    assert runs_repeat(small_config(), record).status == "pass"
    record.probed.measured["repeatability"] += [
        Measurement("Dropout", "steps whose loss is another", 3, 0, np.inf)
    ]
    failed = runs_repeat(small_config(), record)
    assert failed.status == "fail"
    assert failed.evidence["culprits"] == ["Dropout"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
