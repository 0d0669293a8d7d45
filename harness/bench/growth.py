"""Trainings that grow in one size: does the time grow as the arithmetic does?

Their inputs are random numbers: what they learn does not matter here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.bench.workload import Batch, Workload, drawn_weights
from harness.config import MilestoneConfig

# How many different batches each point has.
_BATCHES = 4
# A training that never ends: it is not what is measured.
_PLANNED = 10**9

Layers = dict[str, dict[str, Any]]  # as YAML has them


@dataclass(frozen=True)
class Series:
    """One size that grows, and the workload at each of its values."""

    what: str
    sizes: tuple[int, ...]
    at: Callable[[int], Workload]


def batch_of(size: int) -> Workload:
    """A network with one hidden layer on batches of `size`."""
    return _workload(f"batch_{size}", _dense(100, 64), _images(size, 100))


def width_of(size: int) -> Workload:
    """The same with `size` hidden numbers, on batches of 32."""
    return _workload(f"width_{size}", _dense(100, size), _images(32, 100))


def depth_of(size: int) -> Workload:
    """`size` residual blocks of width 32, on batches of 32.

    Each block starts with weights that are smaller the more there are: else rounding, through a
    thousand blocks, would become another loss.
    """
    layers: Layers = {"first": {"type": "Linear", "in_features": 100, "out_features": 32}}
    for i in range(size):
        inner = {
            f"linear{i}": {"type": "Linear", "in_features": 32, "out_features": 32},
            f"tanh{i}": {"type": "Tanh"},
        }
        layers[f"block{i}"] = {"type": "Residual", "layers": inner}
    layers["output"] = {"type": "Linear", "in_features": 32, "out_features": 10}
    workload = _workload(f"depth_{size}", layers, _images(32, 100))
    smaller = {
        label: array / np.float32(size) if label.startswith("linear") else array
        for label, array in workload.weights.items()
    }
    return replace(workload, weights=smaller)


def length_of(size: int) -> Workload:
    """A transformer of width 32 on sequences of `size` tokens, on batches of 16."""
    width = 32
    norm = {"type": "LayerNorm", "normalized_shape": width}
    attention = {"type": "MultiHeadAttention", "embed_dim": width, "num_heads": 2,
                 "is_causal": True}  # fmt: skip
    expand = {"type": "Linear", "in_features": width, "out_features": width}
    layers: Layers = {
        "embedding": {"type": "Embedding", "num_embeddings": 11, "embedding_dim": width},
        "positions": {"type": "SinusoidalPositions", "embedding_dim": width, "max_len": size},
        "attend": {"type": "Residual", "layers": {"norm1": norm, "attention": attention}},
        "think": {"type": "Residual", "layers": {"norm2": norm, "expand": expand,
                                                 "relu": {"type": "ReLU"}}},
        "head": {"type": "Linear", "in_features": width, "out_features": 10},
        "tokens": {"type": "Flatten", "start_dim": 0, "end_dim": 1},
    }  # fmt: skip
    rng = np.random.default_rng(0)
    batches = [(rng.integers(0, 11, (16, size)), rng.integers(0, 10, (16, size)))
               for _ in range(_BATCHES)]  # fmt: skip
    return _workload(f"length_{size}", layers, batches)


SERIES = (
    Series("batch", (8, 32, 128, 512), batch_of),
    Series("width", (32, 64, 128, 256, 512), width_of),
    Series("length", (8, 16, 32, 64), length_of),
    Series("depth", (10, 30, 100, 300, 1000), depth_of),
)


def _dense(inputs: int, hidden: int) -> Layers:
    return {
        "hidden": {"type": "Linear", "in_features": inputs, "out_features": hidden},
        "relu": {"type": "ReLU"},
        "output": {"type": "Linear", "in_features": hidden, "out_features": 10},
    }


def _images(size: int, width: int) -> list[Batch]:
    rng = np.random.default_rng(0)
    return [
        (rng.standard_normal((size, width), dtype=np.float32), rng.integers(0, 10, size))
        for _ in range(_BATCHES)
    ]


def _workload(name: str, layers: Mapping[str, Any], batches: Sequence[Batch]) -> Workload:
    config = MilestoneConfig.model_validate(
        {
            "name": name,
            "title": name,
            "year": 2024,
            "people": ["nobody"],
            "paper": "none",
            "summary": "It grows.",
            "data": {"recipe": "none"},
            "layers": layers,
            "training": {"loss": "CrossEntropyLoss", "optimizer": "SGD", "lr": 0.001, "epochs": 1,
                         "batch_size": len(batches[0][0]), "evaluate_every": 1},
            "targets": {"accuracy": 1.0, "loss_drop": 0.5},
            "expectations": {"tensors": 1},
        }
    )  # fmt: skip
    return Workload(config, drawn_weights(config, 0), batches, _PLANNED)
