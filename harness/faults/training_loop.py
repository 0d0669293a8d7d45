"""Steps in the wrong order, gradients that stay or are scaled, schedules that are not kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.autograd.optim import Optimizer
from harness.faults.base import fault
from harness.faults.ground import Ground
from harness.metrics import targets_for
from harness.training import Learner

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_DECAYING = ("mlp", "cnn", "transformer")
_LOOP = ("the training loop", "SGD", "Adam")
_ZEROING = ("zero_grad", *_LOOP, "AdamW")
_STEPS = ("steps_follow_the_rule",)

Pair = tuple[np.ndarray, np.ndarray]


# --- the order of calls -----------------------------------------------------------------------


@fault(*_ALL, component=_LOOP, seen_by=_STEPS)
def step_stale(ground: Ground) -> None:
    """The step stands before backward, so that each update uses the previous batch's gradient."""
    right = Learner.backward

    def backward(self: Learner, x: np.ndarray, y: np.ndarray) -> Pair:
        self._optimizer.step()
        return right(self, x, y)

    def step(self: Learner, done: float) -> None:
        training, backend = self._training, self._model.backend
        if training.clip_grad_norm is not None:
            backend.clip_grad_norm(self._parameters, training.clip_grad_norm)
        if training.lr_decay is not None:
            backend.set_lr(self._optimizer, training.lr * (1.0 - done))

    ground.patch(Learner, "backward", backward)
    ground.patch(Learner, "step", step)


@fault(*_ALL, component=(*_LOOP, "zero_grad"), seen_by=_STEPS)
def zg_before_step(ground: Ground) -> None:
    """zero_grad stands between backward and step, so that nothing is left to step with."""
    right = Learner.step

    def step(self: Learner, done: float) -> None:
        self._optimizer.zero_grad()
        right(self, done)

    ground.patch(Learner, "step", step)


@fault(*_ALL, component=_LOOP, seen_by=_STEPS)
def step_twice(ground: Ground) -> None:
    """The loop calls step() twice for every batch."""
    right = Learner.step

    def step(self: Learner, done: float) -> None:
        right(self, done)
        self._optimizer.step()

    ground.patch(Learner, "step", step)


# --- zero_grad --------------------------------------------------------------------------------


@fault(*_ALL, component=_ZEROING, seen_by=_STEPS)
def zg_misses_first(ground: Ground) -> None:
    """zero_grad skips the first parameter, whose gradients add up for ever."""

    def zero_grad(self: Optimizer) -> None:
        for parameter in self.parameters[1:]:
            parameter.grad = None

    ground.patch(Optimizer, "zero_grad", zero_grad)


@fault(*_ALL, component=_ZEROING, seen_by=_STEPS)
def zg_misses_vectors(ground: Ground) -> None:
    """zero_grad takes matrices only: the gradients of biases add up for ever."""

    def zero_grad(self: Optimizer) -> None:
        for parameter in self.parameters:
            if parameter.ndim > 1:
                parameter.grad = None

    ground.patch(Optimizer, "zero_grad", zero_grad)


@fault(*_ALL, component=_ZEROING, seen_by=_STEPS)
def zg_every_second(ground: Ground) -> None:
    """zero_grad works at every second call: training is suspiciously fast."""
    right = Optimizer.zero_grad

    def zero_grad(self: Optimizer) -> None:
        calls = vars(self)["zeroed"] = vars(self).get("zeroed", 0) + 1
        if calls % 2:
            right(self)

    ground.patch(Optimizer, "zero_grad", zero_grad)


@fault(*_ALL, component=_ZEROING, seen_by=_STEPS)
def zg_only_halves(ground: Ground) -> None:
    """zero_grad leaves half of each gradient, an average where nothing should remain."""

    def zero_grad(self: Optimizer) -> None:
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad = 0.5 * parameter.grad

    ground.patch(Optimizer, "zero_grad", zero_grad)


# --- the gradient of a batch ------------------------------------------------------------------


@fault(*_ALL, component=_LOOP, seen_by=_STEPS)
def accum_no_div(ground: Ground) -> None:
    """Two half batches are accumulated without dividing by two: the gradient is doubled."""

    def backward(self: Learner, x: np.ndarray, y: np.ndarray) -> Pair:
        self._optimizer.zero_grad()
        halves = zip(np.array_split(x, 2), np.array_split(y, 2), strict=True)
        seen = [_add_gradient(self, *half) for half in halves if len(half[0])]
        outputs, targets = zip(*seen, strict=True)
        return np.concatenate(outputs), np.concatenate(targets)

    ground.patch(Learner, "backward", backward)


@fault(*_ALL, component=_LOOP, seen_by=_STEPS)
def backward_on_half(ground: Ground) -> None:
    """All of a batch is shown and logged, but only its first half is learned from."""

    def backward(self: Learner, x: np.ndarray, y: np.ndarray) -> Pair:
        outputs, targets = _forward(self, x, y)
        self._optimizer.zero_grad()
        half = -(-len(x) // 2)
        _add_gradient(self, x[:half], y[:half])
        return outputs, targets

    ground.patch(Learner, "backward", backward)


@fault(*_ALL, component=_LOOP, seen_by=_STEPS)
def mean_twice(ground: Ground) -> None:
    """The gradient of the mean loss is divided by the size of the batch once more."""
    _with_gradients(ground, lambda gradient, rows: gradient / rows)


@fault(*_ALL, component=_LOOP, seen_by=_STEPS)
def gradient_normalised(ground: Ground) -> None:
    """Each gradient is scaled to length 1 before the step."""
    _with_gradients(ground, lambda gradient, rows: gradient / (np.linalg.norm(gradient) + 1e-12))


@fault(*_ALL, component=_LOOP, seen_by=_STEPS)
def gradient_centred(ground: Ground) -> None:
    """The mean of each gradient is taken from it, which nobody asked for."""
    _with_gradients(ground, lambda gradient, rows: gradient - gradient.mean())


def _with_gradients(ground: Ground, change: Callable[[np.ndarray, int], np.ndarray]) -> None:
    """Put change(gradient, rows of the batch) in the place of every gradient."""
    right = Learner.backward

    def backward(self: Learner, x: np.ndarray, y: np.ndarray) -> Pair:
        seen = right(self, x, y)
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad = change(parameter.grad, len(x)).astype(parameter.dtype)
        return seen

    ground.patch(Learner, "backward", backward)


def _forward(learner: Learner, x: np.ndarray, y: np.ndarray) -> Pair:
    backend = learner._model.backend
    outputs = backend.array(learner._model(backend.tensor(x)))
    return outputs, targets_for(learner._training.loss, outputs, y)


def _add_gradient(learner: Learner, x: np.ndarray, y: np.ndarray) -> Pair:
    """Logits and targets of some rows, whose gradient is added to what is there."""
    backend = learner._model.backend
    logits = learner._model(backend.tensor(x))
    outputs = backend.array(logits)
    targets = targets_for(learner._training.loss, outputs, y)
    backend.backward(learner._loss(logits, backend.tensor(targets)))
    return outputs, targets


# --- the learning rate ------------------------------------------------------------------------


@fault(*_DECAYING, component=_LOOP, seen_by=_STEPS)
def lr_decay_ignored(ground: Ground) -> None:
    """Setting the learning rate does nothing: it never decays."""
    ground.patch(ground.backend, "set_lr", lambda optimizer, lr: None)


@fault(*_DECAYING, component=_LOOP, seen_by=_STEPS)
def lr_decay_squared(ground: Ground) -> None:
    """The learning rate decays with the square of what is left of the training."""
    _with_progress(ground, lambda done: 1.0 - (1.0 - done) ** 2)


@fault(*_DECAYING, component=_LOOP, seen_by=_STEPS)
def lr_decay_backwards(ground: Ground) -> None:
    """The learning rate grows from zero instead of falling to it."""
    _with_progress(ground, lambda done: 1.0 - done)


@fault(*_DECAYING, component=_LOOP, seen_by=_STEPS)
def lr_decay_to_half(ground: Ground) -> None:
    """The learning rate only falls to half of what it was."""
    _with_progress(ground, lambda done: 0.5 * done)


def _with_progress(ground: Ground, change: Callable[[float], float]) -> None:
    """The schedule takes change(done) for how much of the training is over."""
    right = Learner.step
    ground.patch(Learner, "step", lambda self, done: right(self, change(done)))


@fault(*_DECAYING, component=_LOOP, seen_by=_STEPS)
def lr_change_forgets_moments(ground: Ground) -> None:
    """Every change of the learning rate makes the optimizer forget its moments."""
    right = ground.backend.set_lr

    def set_lr(optimizer: Optimizer, lr: float) -> None:
        right(optimizer, lr)
        for group in optimizer._groups:
            group.steps = [0] * len(group.steps)
            for moment in group.moments:
                moment[...] = 0.0

    ground.patch(ground.backend, "set_lr", set_lr)
