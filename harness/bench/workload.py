"""What contenders train: a config, the weights it starts from, and its batches, as files.

Written once and read by every contender, so that all start from the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from harness import backends, config_files
from harness.backends.base import Backend
from harness.bench.flops import Flops, step_flops
from harness.config import LayerSpec, MilestoneConfig
from harness.config_files import milestone_files
from harness.datasets.files import read_arrays
from harness.errors import HarnessError, UsageError, did_you_mean
from harness.model import build
from harness.preparation import known_to, load_data
from harness.resources import root
from harness.training import batches, planned_steps

Batch = tuple[np.ndarray, np.ndarray]

# The engine that draws the weights, for all.
_DRAWS = "numpy"
# More batches in memory would only measure the memory.
_MOST_BATCHES = 64
_BARS = "bars"
_HINT = "It was written by this run. Is somebody else writing there?"


class UnsupportedError(HarnessError):
    """A workload that names what a contender does not offer."""


@dataclass(frozen=True)
class Step:
    """One batch by its number, and how much of the training is over before it, from 0 to 1."""

    batch: int
    x: np.ndarray
    y: np.ndarray
    done: float


@dataclass(frozen=True)
class Workload:
    """A training before its first step; `weights` by label, `planned` steps until it ends."""

    config: MilestoneConfig
    weights: Mapping[str, np.ndarray]
    batches: Sequence[Batch]
    planned: int

    @property
    def name(self) -> str:
        """Short and stable."""
        return self.config.name

    def steps(self, start: int, count: int) -> list[Step]:
        """`count` steps from the `start`th on, the training beginning again after its last."""
        chosen = []
        for at in range(start, start + count):
            batch = at % len(self.batches)
            chosen.append(Step(batch, *self.batches[batch], at % self.planned / self.planned))
        return chosen

    @cached_property
    def flops(self) -> Flops:
        """What one step costs in floating-point operations."""
        size = sum(array.size for array in self.weights.values())
        return step_flops(self.config, self.batches[0][0].shape, size)

    @property
    def layer_types(self) -> set[str]:
        """The types of all layers, those in containers too."""
        return set(_types(self.config.layers))


def _types(layers: Mapping[str, LayerSpec]) -> list[str]:
    found = []
    for spec in layers.values():
        found += [spec.type, *_types(spec.layers or {})]
    return found


def workload_files() -> dict[str, Path]:
    """The five milestones and the larger workloads: name -> YAML."""
    larger = sorted((root("configs") / "bench").glob("*.yaml"))
    return milestone_files() | {file.stem: file for file in larger if file.stem != _BARS}


def bars_file() -> Path:
    """What the project asks of its own engine."""
    return root("configs") / "bench" / f"{_BARS}.yaml"


def find(name: str) -> Path:
    """The YAML of a workload by name, or by path when it looks like one."""
    files = workload_files()
    if name in files:
        return files[name]
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return config_files.find(name)
    raise UsageError(
        f"unknown workload '{name}'.{did_you_mean(name, files)}",
        f"Known are {', '.join(files)}; a path to a .yaml file works too.",
    )


def load(file: Path, seed: int = 0) -> Workload:
    """The workload of a YAML; raises ConfigError for one that cannot be trained."""
    engine = backends.load(_DRAWS)
    loaded = config_files.load(file, known_to(engine))
    dataset = load_data(loaded)
    size = min(loaded.training.batch_size, len(dataset.train_x))
    whole = (batch for batch in batches(loaded, dataset, seed) if len(batch[0]) == size)
    chosen = list(islice(whole, _MOST_BATCHES))
    return Workload(loaded, drawn_weights(loaded, seed), chosen, planned_steps(loaded, dataset))


def drawn_weights(config: MilestoneConfig, seed: int) -> dict[str, np.ndarray]:
    """The first weights of a model by label."""
    engine = backends.load(_DRAWS)
    parameters = build(config.layers, engine, seed).parameters
    arrays = engine.arrays(list(parameters.values()))
    return {label: array.copy() for label, array in zip(parameters, arrays, strict=True)}


def write(workload: Workload, folder: Path) -> None:
    """Put a workload into an existing folder."""
    about = {"config": workload.config.model_dump(mode="json", exclude_none=True),
             "planned": workload.planned}  # fmt: skip
    (folder / "workload.json").write_text(json.dumps(about), encoding="utf-8")
    np.savez(folder / "weights.npz", **dict(workload.weights))  # type: ignore[arg-type]  # by name
    arrays = {f"{part}{i}": array for i, batch in enumerate(workload.batches)
              for part, array in zip("xy", batch, strict=True)}  # fmt: skip
    np.savez(folder / "batches.npz", **arrays)  # type: ignore[arg-type]  # by name


def read(folder: Path) -> Workload:
    """The workload that `write` put there."""
    about: Any = json.loads((folder / "workload.json").read_text(encoding="utf-8"))
    arrays = read_arrays(folder / "batches.npz", _HINT)
    pairs = [(arrays[f"x{i}"], arrays[f"y{i}"]) for i in range(len(arrays) // 2)]
    weights = read_arrays(folder / "weights.npz", _HINT)
    return Workload(
        MilestoneConfig.model_validate(about["config"]), weights, pairs, about["planned"]
    )


def require_offered(workload: Workload, backend: Backend) -> None:
    """Raise UnsupportedError, with the first name, unless an engine offers all of a workload."""
    space, training = backend.namespace, workload.config.training
    wanted = [(name, space.layers) for name in _types(workload.config.layers)]
    wanted += [(training.loss, space.losses), (training.optimizer, space.optimizers)]
    for name, offered in wanted:
        if name not in offered:
            raise UnsupportedError(f"{backend.name} offers no {name}")
