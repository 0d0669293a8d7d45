"""A milestone's YAML as frozen, checked values: what to train, on what, and what must come out.

Names and arguments are held against what a backend and the recipes offer. `config_files` has
what finds and reads the YAML.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from harness.arguments import Known, MisfitError, require_fit, require_known
from harness.errors import Problem, UsageError, did_you_mean
from harness.yaml_source import KEY, Path_, Source

Label = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Share = Annotated[float, Field(gt=0, le=1)]


def _known(info: ValidationInfo) -> Known | None:
    """What names are held against; None while only the form of a config matters."""
    return info.context if isinstance(info.context, Known) else None


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Open(BaseModel):
    """Takes further keys: the arguments of whatever is named in it."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    @property
    def arguments(self) -> dict[str, Any]:
        """The further keys; `Any` because every factory has types of its own."""
        return dict(self.model_extra or {})


class LayerSpec(_Open):
    """One layer: its type by PyTorch's name, and its arguments. Containers have `layers`."""

    type: Text
    layers: dict[Label, LayerSpec] | None = None

    @field_validator("type")
    @classmethod
    def _is_known(cls, name: str, info: ValidationInfo) -> str:
        if known := _known(info):
            require_known("layer", name, known.layers, known.offered)
        return name

    @model_validator(mode="after")
    def _fits(self, info: ValidationInfo) -> Self:
        if known := _known(info):
            also = known.own.get(self.type)
            require_fit(self.type, known.layers, self.arguments, ("rng",), also)
        return self


class DataSpec(_Open):
    """Where the examples come from: a recipe of `harness/datasets/`, and its arguments."""

    recipe: Text

    @field_validator("recipe")
    @classmethod
    def _is_known(cls, name: str, info: ValidationInfo) -> str:
        if known := _known(info):
            require_known("recipe", name, known.recipes, "Known")
        return name

    @model_validator(mode="after")
    def _fits(self, info: ValidationInfo) -> Self:
        if known := _known(info):
            require_fit(self.recipe, known.recipes, self.arguments, own=("folder",))
        return self


class Training(_Frozen):
    """How the model is trained. From `lr` to `eps` all goes to the optimizer.

    `lr_decay: linear` takes the learning rate down to zero in equal steps. `evaluate_rows` is
    how many held-out examples the evaluations on the way look at; the last looks at all.
    """

    loss: Text
    optimizer: Text
    lr: Annotated[float, Field(gt=0)]
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    nesterov: bool | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] | None = None  # fmt: skip  # noqa: E501
    eps: Annotated[float, Field(gt=0)] | None = None
    lr_decay: Literal["linear"] | None = None
    clip_grad_norm: Annotated[float, Field(gt=0)] | None = None
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    evaluate_every: Annotated[int, Field(ge=1, description="in steps")]
    evaluate_rows: Annotated[int, Field(ge=1)] | None = None

    @field_validator("loss")
    @classmethod
    def _loss_is_known(cls, name: str, info: ValidationInfo) -> str:
        if known := _known(info):
            require_known("loss", name, known.losses, known.offered)
        return name

    @field_validator("optimizer")
    @classmethod
    def _optimizer_is_known(cls, name: str, info: ValidationInfo) -> str:
        if known := _known(info):
            require_known("optimizer", name, known.optimizers, known.offered)
        return name

    @model_validator(mode="after")
    def _fits(self, info: ValidationInfo) -> Self:
        if known := _known(info):
            own = ("parameters", "params")
            also = known.own.get(self.optimizer)
            given = self.optimizer_arguments
            require_fit(self.optimizer, known.optimizers, given, own, also)
        return self

    @property
    def optimizer_arguments(self) -> dict[str, Any]:
        """What goes to the optimizer, without what the config leaves to its defaults."""
        names = ("lr", "momentum", "nesterov", "weight_decay", "betas", "eps")
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}


class Targets(_Frozen):
    """What the training must reach. `loss_drop` is a share of the first loss."""

    accuracy: Share
    loss_drop: Annotated[float, Field(gt=0, lt=1)]
    loss_floor: Annotated[float, Field(ge=0)] = 0.0


def _count_or_labels(value: object) -> object:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    is_list = isinstance(value, list) and value and all(isinstance(each, str) for each in value)
    if isinstance(value, list) and is_list and len(set(value)) < len(value):
        raise ValueError(f"lists a label twice: {value!r}")
    if not is_count and not is_list:
        raise ValueError(f"must be a whole number, at least 1, or a list of labels, got {value!r}")
    return value


class Expectations(_Frozen):
    """What is known of the model: its tensors, and which have no gradient by mathematics.

    `tensors` lists their labels, or only counts them. In a `causal` model every place of a
    sequence depends on the tokens up to it, and on none after it.
    """

    tensors: Annotated[int | list[str], BeforeValidator(_count_or_labels)]
    null_gradients: dict[str, Text] = {}
    causal: bool = False

    @model_validator(mode="after")
    def _null_tensors_are_declared(self) -> Self:
        unknown = [label for label in self.null_gradients if label not in self.labels]
        if self.labels and unknown:
            message = f"'{unknown[0]}' is not in tensors.{did_you_mean(unknown[0], self.labels)}"
            raise MisfitError([(("null_gradients", unknown[0], KEY), message)])
        return self

    @property
    def labels(self) -> list[str]:
        """The labels of all tensors; none when they are only counted."""
        return [] if isinstance(self.tensors, int) else self.tensors

    @property
    def count(self) -> int:
        """How many tensors there are."""
        return self.tensors if isinstance(self.tensors, int) else len(self.tensors)


class Control(_Frozen):
    """A model that must fail where the milestone passes. No layers: the majority class."""

    why: Text
    layers: dict[Label, LayerSpec] | None = None
    at_most: Share | None = None


@dataclass(frozen=True)
class Origin:
    """Where a config was read from, and with which `--set` changes.

    `misread` is where its file says something else, as a second reader has it: each path, and
    how. `written` and `read_as` are digests of what is written, and of what it was read as.
    """

    source: Source
    folder: Path
    modified: tuple[str, ...] = ()
    misread: tuple[tuple[str, str], ...] = ()
    written: str = ""
    read_as: str = ""


class MilestoneConfig(_Frozen):
    """The whole definition of one milestone."""

    name: Label
    title: Text
    year: Annotated[int, Field(ge=1900, le=2100)]
    people: Annotated[list[Text], Field(min_length=1)]
    paper: Text
    summary: Text
    data: DataSpec
    layers: Annotated[dict[Label, LayerSpec], Field(min_length=1)]
    training: Training
    targets: Targets
    expectations: Expectations
    controls: dict[Label, Control] = {}

    _origin: Origin = PrivateAttr(default_factory=lambda: Origin(Source("", ""), Path()))
    # Where the layers stand in the YAML: inside a control, for a control.
    _inside: Path_ = PrivateAttr(default=())

    @model_validator(mode="after")
    def _labels_are_unique(self) -> Self:
        seen: set[str] = set()
        for label, path in flat_layers(self.layers):
            if label in seen:
                message = f"two layers have the label '{label}'"
                raise MisfitError([((*path, KEY), message)])
            seen.add(label)
        return self

    def read_from(self, origin: Origin) -> MilestoneConfig:
        """The same config, which knows where it comes from."""
        known = self.model_copy()
        known._origin = origin
        return known

    @property
    def folder(self) -> Path:
        """Where the YAML is: paths in it start there."""
        return self._origin.folder

    @property
    def modified(self) -> tuple[str, ...]:
        """The `--set` changes it was loaded with."""
        return self._origin.modified

    @property
    def digest(self) -> str:
        """sha256 of all that decides the numbers; prose and targets may change freely."""
        decides = self.model_dump(mode="json", include={"data", "training"})
        decides["layers"] = _in_order(self.layers)
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()

    @property
    def decisive(self) -> dict[str, str]:
        """All that decides the numbers, one by one: "training.lr" -> "0.1"."""
        values = self.model_dump(mode="json", include={"data", "training"})
        flat = [(f"{part}.{key}", value) for part in values for key, value in values[part].items()]
        found = [*flat, *_settings(self.layers)]
        return {path: json.dumps(value, sort_keys=True) for path, value in found}

    @property
    def misread(self) -> tuple[tuple[str, str], ...]:
        """Where its file says something else, as a second reader has it: each path, and how."""
        return self._origin.misread

    @property
    def written(self) -> str:
        """sha256 of the YAML that says all that decides; "" where it was changed since."""
        return self._origin.written if self._origin.read_as == self.digest else ""

    def problem(self, path: Path_, message: str) -> Problem:
        """`message` at the line of `path` in the YAML."""
        return self._origin.source.problem((*self._inside, *path), message)

    def control(self, label: str) -> MilestoneConfig:
        """This milestone with the model of one of its controls."""
        layers = self.controls[label].layers
        if layers is None:
            raise UsageError(f"the control '{label}' of {self.name} has no layers to train")
        changed = self.model_copy(update={"layers": layers, "name": f"{self.name}_{label}"})
        changed._inside = ("controls", label)
        return changed


def _in_order(layers: Mapping[str, LayerSpec]) -> list[Any]:
    """Layers as a list: their order decides the model, unlike that of their arguments."""
    return [
        [label, spec.type, spec.arguments, _in_order(spec.layers or {})]
        for label, spec in layers.items()
    ]


def _settings(layers: Mapping[str, LayerSpec], inside: str = "") -> list[tuple[str, Any]]:
    """Every layer's type and arguments by their paths, and which layers stand in which order."""
    found: list[tuple[str, Any]] = []
    for label, spec in layers.items():
        found.append((f"layers.{label}.type", spec.type))
        found += [(f"layers.{label}.{name}", value) for name, value in spec.arguments.items()]
        if spec.layers is not None:
            found += _settings(spec.layers, f".{label}")
    return [*found, (f"layers{inside}.order", list(layers))]


def flat_layers(
    layers: Mapping[str, LayerSpec], path: tuple[str, ...] = ("layers",)
) -> list[tuple[str, tuple[str, ...]]]:
    """Every layer's label with its path in the YAML, containers included."""
    found = []
    for label, spec in layers.items():
        found.append((label, (*path, label)))
        found += flat_layers(spec.layers or {}, (*path, label, "layers"))
    return found
