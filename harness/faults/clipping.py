"""Clipping gradients by their norm, done wrong. No shipped milestone clips."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from harness.autograd.optim import clip_grad_norm
from harness.autograd.tensor import Tensor
from harness.faults.base import fault
from harness.faults.configuration import learner_sees
from harness.faults.ground import Ground
from harness.training import Learner

_CLIP = ("clip_grad_norm", "the training loop", "SGD")
_STEPS = ("steps_follow_the_rule",)


@fault(component=_CLIP, seen_by=_STEPS)
def clip_missing(ground: Ground) -> None:
    """Clipping is configured and never done."""
    learner_sees(ground, clip_grad_norm=None)


@fault(component=_CLIP, seen_by=_STEPS)
def clip_after_step(ground: Ground) -> None:
    """Gradients are clipped after the step, which has no effect."""

    def step(self: Learner, done: float) -> None:
        training, backend = self._training, self._model.backend
        if training.lr_decay is not None:
            backend.set_lr(self._optimizer, training.lr * (1.0 - done))
        self._optimizer.step()
        if training.clip_grad_norm is not None:
            backend.clip_grad_norm(self._parameters, training.clip_grad_norm)

    ground.patch(Learner, "step", step)


@fault(component=_CLIP, seen_by=_STEPS)
def clip_per_param(ground: Ground) -> None:
    """Each tensor is clipped to the norm by itself, instead of all together."""

    def clip(parameters: Iterable[Tensor], max_norm: float) -> float:
        return max((clip_grad_norm([p], max_norm) for p in parameters), default=0.0)

    ground.replace(clip_grad_norm, clip)


@fault(component=_CLIP, seen_by=_STEPS)
def clip_scales_up(ground: Ground) -> None:
    """Gradients below the norm are scaled up to it."""

    def clip(parameters: Iterable[Tensor], max_norm: float) -> float:
        grads, norm = _gradients(parameters)
        for grad in grads:
            grad *= max_norm / (norm + 1e-6)
        return norm

    ground.replace(clip_grad_norm, clip)


@fault(component=_CLIP, seen_by=_STEPS)
def clip_by_squared_norm(ground: Ground) -> None:
    """The root of the norm is forgotten: its square decides, and divides."""

    def clip(parameters: Iterable[Tensor], max_norm: float) -> float:
        grads, norm = _gradients(parameters)
        square = norm * norm
        if square > max_norm:
            for grad in grads:
                grad *= max_norm / (square + 1e-6)
        return square

    ground.replace(clip_grad_norm, clip)


@fault(component=_CLIP, seen_by=_STEPS)
def clip_by_value(ground: Ground) -> None:
    """Every number is clipped to the norm, which turns the gradient."""

    def clip(parameters: Iterable[Tensor], max_norm: float) -> float:
        grads, norm = _gradients(parameters)
        for grad in grads:
            np.clip(grad, -max_norm, max_norm, out=grad)
        return norm

    ground.replace(clip_grad_norm, clip)


@fault(component=_CLIP, seen_by=_STEPS)
def clip_leaves_copies(ground: Ground) -> None:
    """Scaled copies are made and the gradients stay as they are."""

    def clip(parameters: Iterable[Tensor], max_norm: float) -> float:
        grads, norm = _gradients(parameters)
        grads = [grad * (max_norm / (norm + 1e-6)) for grad in grads if norm > max_norm]
        return norm

    ground.replace(clip_grad_norm, clip)


def _gradients(parameters: Iterable[Tensor]) -> tuple[list[np.ndarray], float]:
    """All gradients and their norm."""
    grads = [p.grad for p in parameters if p.grad is not None]
    return grads, math.sqrt(sum(float(np.vdot(g, g)) for g in grads))
