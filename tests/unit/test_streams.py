"""Randomness by name: the same name gives the same numbers, other names others."""

from __future__ import annotations

import numpy as np
import pytest

from harness.backends import load
from harness.model import build
from harness.streams import stream
from tests.examples import small_config

NAMES = [("order",), ("data",), ("dropout",), ("layer", "a"), ("layer", "b"), ("layer",), ()]


def draws(seed: int, *name: str) -> tuple[int, ...]:
    return tuple(stream(seed, *name).integers(0, 2**62, 4).tolist())


def test_same_name_and_seed_draw_the_same() -> None:
    assert draws(3, "layer", "conv1") == draws(3, "layer", "conv1")


def test_every_name_and_seed_draws_its_own() -> None:
    found = [draws(seed, *name) for seed in range(3) for name in NAMES]
    assert len(set(found)) == len(found)


def test_streams_of_one_seed_are_uncorrelated() -> None:
    drawn = np.stack([stream(0, *name).standard_normal(4000) for name in NAMES])
    correlation = np.corrcoef(drawn) - np.eye(len(NAMES))
    # Of independent draws each is below 5 / sqrt(4000) but for one in a million.
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


def test_another_layer_leaves_the_draws_of_all_others_alone() -> None:
    config, backend = small_config(), load("numpy")
    layers = dict(config.layers)
    before = build(layers, backend, 0).parameters
    more = {"first": layers["tanh"], **layers, "last": layers["output"]}
    after = build(more, backend, 0).parameters
    for label, parameter in before.items():
        np.testing.assert_array_equal(after[label].data, parameter.data)
    assert not np.array_equal(after["last.weight"].data, after["output.weight"].data)


def test_another_seed_gives_another_model() -> None:
    config, backend = small_config(), load("numpy")
    one, other = (build(config.layers, backend, seed).parameters for seed in (0, 1))
    assert all(not np.array_equal(one[label].data, other[label].data) for label in one)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
