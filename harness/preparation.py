"""Everything that can be wrong with a milestone, found before anything is trained.

`known_to` says what a config may name, `lacking` which of that a backend has not; `prepare` loads
the data, builds the model and sends two examples through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from harness import backends, datasets
from harness.arguments import Factory, Known, accepts, first_argument, misfits
from harness.backends.base import Backend, EngineTensor
from harness.config import LayerSpec, MilestoneConfig
from harness.datasets.base import Dataset
from harness.errors import ConfigError, DataError, NotSupportedError, Problem, did_you_mean
from harness.metrics import LOSSES, require_targets, targets_for
from harness.model import Model, Node, build
from harness.training import Learner, planned_steps
from harness.yaml_source import KEY

# What a name is called, and where in a namespace it is.
KINDS = (("layer", "layers"), ("loss", "losses"), ("optimizer", "optimizers"), ("op", "ops"))


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


@dataclass(frozen=True)
class Facts:
    """What is told of a milestone's data to those who do not hold them."""

    digest: str
    steps: int


def known_to(backend: Backend) -> Known:
    """What a config may name: what this backend offers, and what the harness's own does.

    A name that is in neither is a mistake; one that only this backend lacks is not.
    """
    vocabulary = backends.load(backends.VOCABULARY)
    own, space = backend.namespace, vocabulary.namespace
    losses = {**own.losses, **space.losses}
    is_other = backend.name != vocabulary.name
    return Known(
        backend=backend.name,
        layers={**own.layers, **space.layers},
        losses={name: loss for name, loss in losses.items() if name in LOSSES},
        optimizers={**own.optimizers, **space.optimizers},
        recipes={name: datasets.recipe(name) for name in datasets.available()},
        own={**own.layers, **own.optimizers} if is_other else {},
    )


def lacking(config: MilestoneConfig, backend: Backend) -> list[str]:
    """What a milestone names and the backend has not: "layer Conv2d", "argument eps of Adam"."""
    space, training = backend.namespace, config.training
    found = [*_lacking_layers(config.layers, space.layers)]
    found += _lacking("loss", training.loss, space.losses, {}, ())
    optimizer = space.optimizers.get(training.optimizer)
    own = (first_argument(optimizer),) if optimizer else ()
    given = training.optimizer_arguments
    found += _lacking("optimizer", training.optimizer, space.optimizers, given, own)
    return list(dict.fromkeys(found))


def not_offered(backend: Backend) -> list[str]:
    """All that the harness knows and a backend has not: "op matmul", "function trace".

    A function is one that an engine need not answer, and that this one does not.
    """
    whole = backends.load(backends.VOCABULARY).namespace
    names = [
        f"{kind} {name}"
        for kind, kinds in KINDS
        for name in getattr(whole, kinds)
        if name not in getattr(backend.namespace, kinds)
    ]
    optional = ("no_grad", "keep_gradient", "trace")
    given = type(backend)
    return names + [
        f"function {name}" for name in optional if getattr(given, name) is getattr(Backend, name)
    ]


def unknown_to_the_harness(backend: Backend) -> list[str]:
    """All that a backend offers and the harness does not know: "unknown layer Swish".

    Of these there is no formula to hold them against. A question says which may be misspelt.
    """
    whole = backends.load(backends.VOCABULARY).namespace
    found = []
    for kind, kinds in KINDS:
        known = getattr(whole, kinds)
        strange = [name for name in getattr(backend.namespace, kinds) if name not in known]
        for name in strange:
            asked = did_you_mean(name, known).strip()
            found.append(f"unknown {kind} {name}{f' ({asked})' if asked else ''}")
    return found


def _lacking_layers(
    layers: Mapping[str, LayerSpec], offered: Mapping[str, Factory]
) -> Iterator[str]:
    for spec in layers.values():
        yield from _lacking("layer", spec.type, offered, spec.arguments, ("rng",))
        yield from _lacking_layers(spec.layers or {}, offered)


def _lacking(
    kind: str,
    name: str,
    offered: Mapping[str, Factory],
    given: Mapping[str, object],
    own: tuple[str, ...],
) -> Iterator[str]:
    """The name, or each argument that its factory does not take, or takes and was not given.

    One of the backend's own names that is nearly it, and is no other of the harness's, is told.
    """
    if name not in offered:
        known = getattr(backends.load(backends.VOCABULARY).namespace, dict(KINDS)[kind])
        own_names = {each.lower(): each for each in offered if each not in known}
        close = get_close_matches(name.lower(), own_names, 1)
        yield f"{kind} {name} (it has '{own_names[close[0]]}')" if close else f"{kind} {name}"
        return
    for argument, text in misfits(offered[name], given, own):
        is_taken = argument not in given or accepts(offered[name], argument)
        yield f"{name} ({text})" if is_taken else f"argument {argument} of {name}"


def load_data(config: MilestoneConfig) -> Dataset:
    """The data of a milestone; raises ConfigError, at its place, for data that do not fit."""
    try:
        return datasets.load(config)
    except DataError as error:
        raise ConfigError([config.problem(("data",), error.message)], error.hint) from error


def facts(config: MilestoneConfig) -> Facts:
    """The digest of a milestone's data, now loaded, and how many steps it takes on them.

    Raises ConfigError as `load_data` does.
    """
    dataset = load_data(config)
    return Facts(dataset.digest, planned_steps(config, dataset))


def prepare(config: MilestoneConfig, backend: Backend) -> Outline:
    """The outline of a milestone; raises ConfigError with what is wrong and where.

    Raises NotSupportedError, before that, with what the backend lacks of it.
    """
    if lacks := lacking(config, backend):
        raise NotSupportedError.of(backend.name, lacks)
    dataset = load_data(config)
    outline = Outline(config, dataset, _trace(config, backend, dataset))
    offered = backend.namespace.layers
    for label, control in config.controls.items():
        # A control is trained by the harness's own engine only: others may lack what it names.
        if control.layers is not None and not [*_lacking_layers(control.layers, offered)]:
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
    except NotImplementedError as error:
        raise _unsupported(backend, config.training.optimizer, "the config", error) from error
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
        except NotImplementedError as error:
            raise _unsupported(backend, spec.type, label, error) from error
        except (ValueError, TypeError, ArithmeticError, MemoryError) as error:
            problems.append(config.problem(("layers", label), f"{spec.type}: {error}"))
    if problems:
        raise ConfigError(problems)
    return build(config.layers, backend, 0)


def _unsupported(
    backend: Backend, name: str, where: str, error: NotImplementedError
) -> NotSupportedError:
    """What an engine says by raising NotImplementedError: it has the name, but not all of it."""
    why = str(error) or "it does not say why"
    return NotSupportedError.of(backend.name, [f"{name} as {where} has it ({why})"])


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
        except NotImplementedError as error:
            raise _unsupported(backend, node.type, node.label, error) from error
        except RecursionError:  # nothing about the config: the job says what raised, and where
            raise
        except MemoryError as error:
            message = f"{node.type} ran out of memory on its input {_examples(got)}: {error}"
            message = message.removesuffix(": ")
            raise ConfigError([config.problem(node.path, message)]) from error
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
    if outline.config.expectations.labels:
        return  # held against them already; what the model lacks is for the checks to say
    for label in outline.config.expectations.null_gradients:
        if label not in known:
            place = ("expectations", "null_gradients", label, KEY)
            message = f"the model has no tensor '{label}'.{did_you_mean(label, known)}"
            yield outline.config.problem(place, message)
