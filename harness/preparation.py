"""Everything that can be wrong with a milestone, found before anything is trained.

`prepare` holds a config against the backend and the recipes, loads the data, builds the
model and sends two examples through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from harness import datasets
from harness.arguments import Factory, misfits
from harness.backends.base import Backend, EngineTensor
from harness.config import LayerSpec, MilestoneConfig
from harness.datasets.base import Dataset
from harness.errors import ConfigError, Problem, UsageError, did_you_mean
from harness.metrics import LOSSES, targets_for
from harness.model import Model, Node, build


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


def prepare(config: MilestoneConfig, backend: Backend) -> Outline:
    """The outline of a milestone; raises ConfigError or DataError with all that is wrong."""
    problems = [*_name_problems(config, backend), *_data_problems(config)]
    if problems:
        raise ConfigError(problems)
    dataset = datasets.load(config)
    outline = Outline(config, dataset, _trace(config, backend, dataset))
    problems = list(_expectation_problems(outline))
    if problems:
        raise ConfigError(problems)
    return outline


def _name_problems(config: MilestoneConfig, backend: Backend) -> Iterator[Problem]:
    """Layers, loss and optimizer: do they exist, and do they take what they are given?"""
    space, training = backend.namespace, config.training
    yield from _layer_problems(config, config.layers, ("layers",), backend)
    for label, control in config.controls.items():
        path = ("controls", label, "layers")
        yield from _layer_problems(config, control.layers or {}, path, backend)
    for kind, name, known in (
        ("loss", training.loss, {k: v for k, v in space.losses.items() if k in LOSSES}),
        ("optimizer", training.optimizer, space.optimizers),
    ):
        if name not in known:
            message = _unknown(kind, name, known, backend)
            yield config.problem(("training", kind), message)
        elif kind == "optimizer":
            given = training.optimizer_arguments
            for argument, message in misfits(known[name], given, own=("parameters", "params")):
                yield config.problem(("training", argument), f"{name}: {argument} {message}")


def _layer_problems(
    config: MilestoneConfig,
    layers: Mapping[str, LayerSpec],
    path: tuple[str, ...],
    backend: Backend,
) -> Iterator[Problem]:
    known = backend.namespace.layers
    for label, spec in layers.items():
        here = (*path, label)
        if spec.type not in known:
            yield config.problem((*here, "type"), _unknown("layer", spec.type, known, backend))
        else:
            for argument, message in misfits(known[spec.type], spec.arguments):
                place = (*here, argument) if argument in spec.arguments else here
                yield config.problem(place, f"{spec.type}: {argument} {message}")
        yield from _layer_problems(config, spec.layers or {}, (*here, "layers"), backend)


def _unknown(kind: str, name: str, known: Mapping[str, Factory], backend: Backend) -> str:
    return (
        f"unknown {kind} '{name}'.{did_you_mean(name, known)} "
        f"backend '{backend.name}' offers: {', '.join(sorted(known))}"
    )


def _data_problems(config: MilestoneConfig) -> Iterator[Problem]:
    try:
        recipe = datasets.recipe(config.data.recipe)
    except UsageError as error:
        yield config.problem(("data", "recipe"), f"{error.message} {error.hint}")
        return
    for argument, message in misfits(recipe, config.data.arguments, own=("folder",)):
        place = ("data", argument) if argument in config.data.arguments else ("data",)
        yield config.problem(place, f"{config.data.recipe}: {argument} {message}")


def _trace(config: MilestoneConfig, backend: Backend, dataset: Dataset) -> list[Row]:
    """Send two examples through the model and note every shape."""
    model = _built(config, backend)
    model.set_training(False)
    x, _ = dataset.epoch(np.random.default_rng(0))
    rows: list[Row] = []
    with backend.no_grad():
        logits = _through(config, model, model.nodes, backend.tensor(x[:2]), rows, 0)
    try:
        targets_for(config.training.loss, backend.array(logits), dataset.train_y[:2])
    except ValueError as error:
        raise ConfigError([config.problem(("layers",), str(error))]) from error
    return rows


def _built(config: MilestoneConfig, backend: Backend) -> Model:
    problems = []
    for label, spec in config.layers.items():
        try:
            build({label: spec}, backend, 0)
        except (ValueError, TypeError, ArithmeticError) as error:
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
        except (ValueError, TypeError, IndexError, RuntimeError) as error:
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
    for label in outline.config.expectations.null_gradients:
        if label not in known:
            place = ("expectations", "null_gradients", label)
            message = f"the model has no tensor '{label}'.{did_you_mean(label, known)}"
            yield outline.config.problem(place, message)
