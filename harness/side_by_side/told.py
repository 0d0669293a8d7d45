"""What two engines side by side say of each other, as versioned JSON."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from harness.comparison import Divergence
from harness.json_files import write_model
from harness.record import RunRecord

SCHEMA_NAME, SCHEMA_VERSION = "harness.side_by_side", 1
FILE_NAME = "backends.json"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Trained(_Model):
    """One engine's training of a milestone. The loss is the harness's own."""

    backend: str
    dtype: str
    steps: int
    first_loss: float | None
    last_loss: float | None
    held_out_accuracy: float | None

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        """What is told of a record."""
        first, last = (record.loss[0], record.loss[-1]) if record.steps else (None, None)
        return cls(
            backend=record.backend,
            dtype=record.dtype,
            steps=record.steps,
            first_loss=_finite(first),
            last_loss=_finite(last),
            held_out_accuracy=_finite(record.final_accuracy),
        )


class MilestoneTold(_Model):
    """One milestone with both engines.

    `dtype` is the type of numbers that both were given. `divergence` counts steps from 0, its
    base is the first engine. `loss_apart` is the largest difference of the losses of one step, as
    a share of the loss. `problem` says why there is nothing to compare, `lacks` what one of the
    engines has not of the milestone, such as "layer Conv2d".
    """

    milestone: str
    dtype: str
    divergence: Divergence | None = None
    trained: list[Trained] = []
    loss_apart: float | None = None
    loss_apart_at: int | None = None
    problem: str = ""
    lacks: list[str] = []


class SideBySide(_Model):
    """All milestones with two engines."""

    schema_: str = Field(default=f"{SCHEMA_NAME}/{SCHEMA_VERSION}", alias="schema")
    backends: list[str]
    versions: list[str]
    seed: int
    milestones: list[MilestoneTold]

    @property
    def exit_code(self) -> int:
        """0 the same but for rounding, 1 more than that or not supported, 3 no verdict."""
        levels = [each.divergence.level for each in self.milestones if each.divergence]
        if "CHANGED" in levels or any(each.lacks for each in self.milestones):
            return 1
        unknown = len(levels) < len(self.milestones) or "unknown" in levels
        return 3 if unknown or not levels else 0


def save(told: SideBySide, folder: Path) -> Path:
    """Write `backends.json` into a folder, whole or not at all."""
    return write_model(told, folder / FILE_NAME)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
