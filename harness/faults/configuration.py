"""A config that says one thing and a training that does another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from harness import model, training
from harness.autograd.optim import SGD, Adam, AdamW
from harness.autograd.tensor import Tensor
from harness.backends.base import Backend
from harness.config import LayerSpec, MilestoneConfig
from harness.datasets.base import Dataset
from harness.faults.base import fault
from harness.faults.ground import Ground
from harness.model import Model
from harness.training import Learner

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_LOOP = ("the training loop", "SGD", "Adam")
_STEPS = ("steps_follow_the_rule",)
_ACTIVATIONS = ("ReLU", "Tanh", "Sigmoid", "GELU")


def learner_sees(ground: Ground, **changes: object) -> None:
    """The training loop gets a config whose training settings are changed."""
    right = Learner.__init__

    def init(self: Learner, config: MilestoneConfig, model: Model) -> None:
        changed = config.training.model_copy(update=changes)
        right(self, config.model_copy(update={"training": changed}), model)

    ground.patch(Learner, "__init__", init)


def _with_lr(ground: Ground, factor: float) -> None:
    right = Learner.__init__

    def init(self: Learner, config: MilestoneConfig, model: Model) -> None:
        changed = config.training.model_copy(update={"lr": factor * config.training.lr})
        right(self, config.model_copy(update={"training": changed}), model)

    ground.patch(Learner, "__init__", init)


@fault(*_ALL, component=_LOOP, seen_by=_STEPS)
def cfg_lr_div10(ground: Ground) -> None:
    """The learning rate arrives 10 times too small."""
    _with_lr(ground, 0.1)


@fault(*_ALL, component=_LOOP, seen_by=_STEPS)
def cfg_lr_x10(ground: Ground) -> None:
    """The learning rate arrives 10 times too large."""
    _with_lr(ground, 10.0)


@fault(*_ALL, component=_LOOP, seen_by=_STEPS)
def cfg_lr_string(ground: Ground) -> None:
    """The learning rate was a text ('1e-1' without a dot): a default is used instead."""
    learner_sees(ground, lr=1e-3)


@fault("mlp", component=("SGD", "the training loop"), seen_by=_STEPS)
def cfg_key_ignored(ground: Ground) -> None:
    """Optimizers ignore every setting but the learning rate and use their defaults."""
    for name, right in {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}.items():
        ground.swap("optimizers", name, _deaf(right))


def _deaf(right: Any) -> Any:
    """An optimizer that takes settings and forgets them."""

    def optimizer(parameters: Iterable[Tensor], lr: float = 1e-3, **settings: object) -> Any:
        return right(parameters, lr)

    return optimizer


@fault(
    "xor", "mlp", "cnn", "transformer",
    component=(*_ACTIVATIONS, "relu", "tanh", "hidden.weight", "expand.weight"),
    seen_by=("forward_agrees",),
)  # fmt: skip
def cfg_no_activation(ground: Ground) -> None:
    """The builder leaves the activations out: a network of linear layers."""
    right = model.build

    def build(layers: Mapping[str, LayerSpec], backend: Backend, seed: int) -> Model:
        return right(_without_activations(layers), backend, seed)

    ground.replace(right, build)


def _without_activations(layers: Mapping[str, LayerSpec]) -> dict[str, LayerSpec]:
    return {
        label: spec.model_copy(update={"layers": _without_activations(spec.layers)})
        if spec.layers
        else spec
        for label, spec in layers.items()
        if spec.type not in _ACTIVATIONS
    }


@fault(
    "perceptron", "xor", "mlp", "cnn",
    component=("the batches", "the training loop"), seen_by=("batches_are_sound",),
)  # fmt: skip
def cfg_epoch_too_few(ground: Ground) -> None:
    """The last epoch is not run."""
    right = training.batches

    def batches(
        config: MilestoneConfig, dataset: Dataset, seed: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        fewer = {"epochs": max(1, config.training.epochs - 1)}
        changed = config.training.model_copy(update=fewer)
        return right(config.model_copy(update={"training": changed}), dataset, seed)

    ground.replace(right, batches)


@fault(
    "perceptron", "xor", "mlp", "cnn", "transformer",
    component=("the batches", "the training loop"), seen_by=("batches_are_sound",),
)  # fmt: skip
def cfg_batch_halved(ground: Ground) -> None:
    """Batches are half as large as asked for."""
    right = training.batches

    def batches(
        config: MilestoneConfig, dataset: Dataset, seed: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        smaller = {"batch_size": max(1, config.training.batch_size // 2)}
        changed = config.training.model_copy(update=smaller)
        return right(config.model_copy(update={"training": changed}), dataset, seed)

    ground.replace(right, batches)


# --- the config itself is misread ------------------------------------------------------------


@fault("mlp", component=("the config", "training.nesterov"), seen_by=("config_is_as_written",))
def config_nesterov_lost(ground: Ground) -> None:
    """An option of the optimizer is lost while the config is read."""

    def without(config: MilestoneConfig) -> MilestoneConfig:
        training = config.training.model_copy(update={"nesterov": None})
        return config.model_copy(update={"training": training})

    ground.change_config(without)


@fault(
    "transformer",
    component=("the config", "layers.attention.num_heads", "MultiHeadAttention"),
    seen_by=("config_is_as_written",),
)
def config_heads_halved(ground: Ground) -> None:
    """Attention is built with half as many heads as the config has."""

    def halved(layers: Mapping[str, LayerSpec]) -> dict[str, LayerSpec]:
        return {label: _halved(spec) for label, spec in layers.items()}

    def _halved(spec: LayerSpec) -> LayerSpec:
        if spec.layers:
            return spec.model_copy(update={"layers": halved(spec.layers)})
        if spec.type != "MultiHeadAttention":
            return spec
        arguments = {**spec.arguments, "num_heads": spec.arguments["num_heads"] // 2}
        return LayerSpec(type=spec.type, **arguments)

    ground.change_config(lambda c: c.model_copy(update={"layers": halved(c.layers)}))
