"""Everything that can be wrong with a milestone, found before anything is trained.

`known_to` says what a config may name; `prepare` loads the data, builds the model and sends
two examples through it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness import datasets
from harness.arguments import Known
from harness.backends.base import Backend, EngineTensor
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.errors import ConfigError, DataError, Problem, did_you_mean
from harness.metrics import LOSSES, require_targets, targets_for
from harness.model import Model, Node, build
from harness.training import Learner
from harness.yaml_source import KEY


@dataclass(frozen=True)
class Row:
    """One layer as `harness show` prints it; `depth` counts the containers around it."""

    label: str
    type: str
    depth: int
    out_shape: tuple[int, ...]
    parameters: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Outline:
    """A milestone that is ready to be trained: its shapes, layer by layer."""

    config: MilestoneConfig
    dataset: Dataset
    rows: list[Row]

    @property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Every tensor with its shape."""
        return {name: shape for row in self.rows for name, shape in row.parameters.items()}


def known_to(backend: Backend) -> Known:
    """What a config for this backend may name."""
    space = backend.namespace
    return Known(
        backend=backend.name,
        layers=space.layers,
        losses={name: loss for name, loss in space.losses.items() if name in LOSSES},
        optimizers=space.optimizers,
        recipes={name: datasets.recipe(name) for name in datasets.available()},
    )


def load_data(config: MilestoneConfig) -> Dataset:
    """The data of a milestone; raises ConfigError, at its place, for data that do not fit."""
    try:
        return datasets.load(config)
    except DataError as error:
        raise ConfigError([config.problem(("data",), error.message)], error.hint) from error


def prepare(config: MilestoneConfig, backend: Backend) -> Outline:
    """The outline of a milestone; raises ConfigError with what is wrong and where."""
    dataset = load_data(config)
    outline = Outline(config, dataset, _trace(config, backend, dataset))
    for label, control in config.controls.items():
        if control.layers is not None:
            _trace(config.control(label), backend, dataset)
    problems = list(_expectation_problems(outline))
    if problems:
        raise ConfigError(problems)
    return outline


def _trace(config: MilestoneConfig, backend: Backend, dataset: Dataset) -> list[Row]:
    """Send two examples through the model and note every shape."""
    model = _built(config, backend)
    model.set_training(False)
    x, _ = dataset.epoch(np.random.default_rng(0))
    rows: list[Row] = []
    try:
        Learner(config, model)
    except (ValueError, TypeError) as error:
        message = f"{config.training.optimizer}: {error}"
        raise ConfigError([config.problem(("training", "optimizer"), message)]) from error
    with backend.no_grad():
        logits = _through(config, model, model.nodes, backend.tensor(x[:2]), rows, 0)
    try:
        outputs = backend.array(logits)
        targets_for(config.training.loss, outputs, dataset.train_y[:2])
        for targets in (dataset.train_y, dataset.held_out_y):
            require_targets(config.training.loss, outputs.shape[-1], targets)
    except ValueError as error:
        raise ConfigError([config.problem(("training", "loss"), str(error))]) from error
    return rows


def _built(config: MilestoneConfig, backend: Backend) -> Model:
    problems = []
    for label, spec in config.layers.items():
        try:
            build({label: spec}, backend, 0)
        except (ValueError, TypeError, ArithmeticError, MemoryError) as error:
            problems.append(config.problem(("layers", label), f"{spec.type}: {error}"))
    if problems:
        raise ConfigError(problems)
    return build(config.layers, backend, 0)


def _through(
    config: MilestoneConfig,
    model: Model,
    nodes: tuple[Node, ...],
    x: EngineTensor,
    rows: list[Row],
    depth: int,
) -> EngineTensor:
    """The output of `nodes` for x; children go first, so that an error names the inner layer."""
    backend = model.backend
    for node in nodes:
        at = len(rows)
        _through(config, model, node.children, x, rows, depth + 1)
        got = backend.array(x).shape
        try:
            x = node.layer(x)
        except (ValueError, TypeError, IndexError, RuntimeError, MemoryError) as error:
            message = f"{node.type} does not fit its input {_examples(got)}: {error}"
            raise ConfigError([config.problem(node.path, message)]) from error
        own = {} if node.children else backend.parameters(node.layer)
        named = {f"{node.label}.{name}": backend.arrays([p])[0].shape for name, p in own.items()}
        rows.insert(at, Row(node.label, node.type, depth, backend.array(x).shape, named))
    return x


def _examples(shape: tuple[int, ...]) -> str:
    """The shape of a traced batch, without its arbitrary 2: (2, 1, 8, 8) -> (N, 1, 8, 8)."""
    return f"({', '.join(['N', *map(str, shape[1:])])})"


def _expectation_problems(outline: Outline) -> Iterator[Problem]:
    known = outline.parameters
    if outline.config.expectations.labels:
        return  # held against them already; what the model lacks is for the checks to say
    for label in outline.config.expectations.null_gradients:
        if label not in known:
            place = ("expectations", "null_gradients", label, KEY)
            message = f"the model has no tensor '{label}'.{did_you_mean(label, known)}"
            yield outline.config.problem(place, message)
