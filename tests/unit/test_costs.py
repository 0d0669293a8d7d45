"""What a step costs: counted by hand on a model of three layers."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest

from harness import backends, costs, datasets
from harness.config_files import load as load_config
from harness.record import Cost
from tests.examples import small_file


def counted(folder: Path, *changes: tuple[str, str]) -> Cost | None:
    config = load_config(small_file(folder, *changes))
    return costs.count(config, backends.load("numpy"), datasets.load(config), 0)


def test_ops_nodes_and_bytes_are_those_of_the_model(tmp_path: Path) -> None:
    cost = counted(tmp_path)
    assert cost is not None
    # Inputs and targets; two linear layers, tanh, the loss.
    assert (cost.ops, cost.nodes) == (6, 4)
    assert cost.by_op == {"BinaryCrossEntropyWithLogitsBackward": 1, "LinearBackward": 2,
                          "TanhBackward": 1}  # fmt: skip
    # float32: x (4, 2), hidden and tanh (4, 4), logits and targets (4, 1), the loss.
    assert cost.size_bytes == 4 * (8 + 16 + 16 + 4 + 4 + 1)


def test_counts_are_the_same_every_time_and_the_peak_grows_with_the_model(tmp_path: Path) -> None:
    # numpy keeps some small blocks of memory for itself, which are not counted when used again.
    narrow, again = [counted(tmp_path) for _ in range(10)][-2:]
    wide = counted(
        tmp_path, ("out_features: 4}", "out_features: 64}"), ("in_features: 4,", "in_features: 64,")
    )
    assert narrow is not None
    assert wide is not None
    assert narrow == again
    assert wide.peak_bytes is not None
    assert wide.peak_bytes > (narrow.peak_bytes or 0) + 4 * 4 * 60


def test_counting_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    counted(tmp_path)
    assert gc.isenabled()
    assert not tracemalloc.is_tracing()


def test_who_traces_memory_already_is_not_disturbed(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        cost = counted(tmp_path)
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
    assert cost is not None
    assert cost.peak_bytes is None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
