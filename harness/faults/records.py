"""What is written down is not what happened: watches, labels and the record."""

from __future__ import annotations

import hashlib

import numpy as np

from harness import training
from harness.faults.base import fault
from harness.faults.ground import Ground
from harness.model import Model
from harness.watches.gradients import GradientWatch

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_WATCH = ("the gradient watch",)
_SEEN = ("record_is_honest",)

Norms = tuple[np.ndarray, np.ndarray]


@fault(*_ALL, component=_WATCH, seen_by=_SEEN)
def watch_norms_squared(ground: Ground) -> None:
    """The watch forgets the root of the gradients' norms."""
    right = GradientWatch.finish

    def finish(self: GradientWatch) -> Norms:
        norms, moves = right(self)
        return norms * norms, moves

    ground.patch(GradientWatch, "finish", finish)


@fault(*_ALL, component=_WATCH, seen_by=_SEEN)
def watch_movement_shifted(ground: Ground) -> None:
    """The watch writes every movement beside the step before."""
    right = GradientWatch.finish

    def finish(self: GradientWatch) -> Norms:
        norms, moves = right(self)
        return norms, np.roll(moves, -1, axis=0)

    ground.patch(GradientWatch, "finish", finish)


@fault(*_ALL, component=("the record",), seen_by=_SEEN)
def digest_without_weights(ground: Ground) -> None:
    """The digest of a run is that of its losses: runs that end otherwise look equal."""

    def digest(loss: np.ndarray, arrays: list[np.ndarray]) -> str:
        return hashlib.sha256(loss.tobytes()).hexdigest()

    ground.patch(training, "_digest", digest)


@fault(
    "transformer",
    component=("attention.value.weight", "attention.out.weight"),
    seen_by=("forward_agrees",),
)
def labels_crossed(ground: Ground) -> None:
    """Two tensors of one shape go by each other's label, so that verdicts accuse the wrong one."""

    def cross(model: Model) -> None:
        held = model.parameters
        one, other = "attention.value.weight", "attention.out.weight"
        if one in held and other in held:
            held[one], held[other] = held[other], held[one]

    ground.change_model(cross)
