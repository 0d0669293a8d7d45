"""Where random generators begin: apart on a right training, and together on none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from harness import config_files, datasets, training
from harness import model as models
from harness.backends import load
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.probes.models.specimen import Specimen
from harness.probes.runs.births import measure_births
from harness.streams import stream
from tests.examples import NAMES

ORDERS = "orders of examples drawn from where another generator begins"
Draw = Callable[[np.random.Generator, int], np.ndarray]


def seen(name: str = "mlp") -> list[str]:
    asked = config_files.load(config_files.find(name))
    specimen = Specimen(asked, load("numpy"), datasets.load(asked), 0)
    rows = measure_births("streams", specimen)
    return [row.what for row in rows if row.error]


def drawing(
    streams: Callable[[int], tuple[np.random.Generator, np.random.Generator]], draw: Draw
) -> Callable[..., Iterator[tuple[np.ndarray, np.ndarray]]]:
    """Batches whose order and data come from these streams."""

    def batches(
        asked: MilestoneConfig, dataset: Dataset, seed: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order, data = streams(seed)
        size = asked.training.batch_size
        for _ in range(asked.training.epochs):
            x, y = dataset.epoch(data)
            rows = draw(order, len(x))
            for start in range(0, len(x), size):
                chosen = np.sort(rows[start : start + size])
                yield x[chosen], y[chosen]

    return batches


def permuted(rng: np.random.Generator, rows: int) -> np.ndarray:
    return rng.permutation(rows)


def by_keys(rng: np.random.Generator, rows: int) -> np.ndarray:
    return np.argsort(rng.random(rows))


def backwards(rng: np.random.Generator, rows: int) -> np.ndarray:
    return rng.permutation(rows)[::-1]


@pytest.mark.parametrize("name", NAMES)
def test_generators_of_a_right_training_begin_apart(name: str) -> None:
    assert seen(name) == []


@pytest.mark.parametrize("draw", [permuted, by_keys, backwards])
def test_one_stream_that_draws_data_and_order_in_turn_is_right(
    draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = drawing(lambda seed: (stream(seed, "data"),) * 2, draw)
    monkeypatch.setattr(training, "batches", one)
    assert seen() == []


@pytest.mark.parametrize("draw", [permuted, by_keys, backwards])
@pytest.mark.parametrize("name", [("data",), ("layer", "hidden")])
def test_order_from_where_another_generator_begins_is_seen(
    draw: Draw, name: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = drawing(lambda seed: (stream(seed, *name), stream(seed, "data")), draw)
    monkeypatch.setattr(training, "batches", twins)
    assert seen() == [ORDERS]


@pytest.mark.parametrize("name", [("layer",), ("data",)])
def test_layers_that_begin_alike_or_as_the_data_do_are_seen(
    name: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "stream", lambda seed, *given: stream(seed, *name))
    assert seen() == ["generators that begin where another does"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
