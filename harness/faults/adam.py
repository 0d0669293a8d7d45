"""Update rules of Adam and AdamW that are almost right."""

from __future__ import annotations

import math

import numpy as np

from harness.autograd.optim import Adam, AdamW
from harness.autograd.tensor import Tensor
from harness.faults.base import fault
from harness.faults.ground import Ground

_USERS = ("cnn", "transformer")
_BOTH = ("Adam", "AdamW")
_RULE = ("optimizers_follow_their_rule",)

Array = np.ndarray
Moments = list[np.ndarray]


def _advance(self: Adam, data: Array, grad: Array, moments: Moments) -> Array:
    """What the rule does to the moments, rightly; the gradient that they saw."""
    g = self._decay(data, grad) if self.weight_decay else grad
    mean, square = moments
    beta1, beta2 = self.betas
    mean *= beta1
    mean += (1.0 - beta1) * g
    square *= beta2
    square += (1.0 - beta2) * (g * g)
    return g


def _corrected(self: Adam, moments: Moments, count: int) -> tuple[Array, Array]:
    """Both moments without their bias."""
    (mean, square), (beta1, beta2) = moments, self.betas
    return mean / (1.0 - beta1**count), square / (1.0 - beta2**count)


def _arrived(self: Adam) -> list[Tensor]:
    """The parameters that have a gradient, their data in the optimizer's own memory."""
    for group in self._groups:
        group.flat.gather()
    return [parameter for parameter in self.parameters if parameter.grad is not None]


# --- the moments ----------------------------------------------------------------------------


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_inplace_corr(ground: Ground) -> None:
    """Bias correction is done in place, so that corrections compound."""

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        _advance(self, data, grad, moments)
        mean, square = moments
        mean[...], square[...] = _corrected(self, moments, count)
        data -= self.lr * mean / (np.sqrt(square) + self.eps)

    ground.patch(Adam, "_update", update)


@fault("transformer", component=_BOTH, seen_by=_RULE)
def adam_state_by_shape(ground: Ground) -> None:
    """Moments are kept by shape, so that tensors of equal shape share them."""

    def step(self: Adam) -> None:
        states = vars(self).setdefault("states", {})
        vars(self)["count"] = vars(self).get("count", 0) + 1
        for parameter in _arrived(self):
            assert parameter.grad is not None
            fresh = [np.zeros_like(parameter.data), np.zeros_like(parameter.data)]
            moments = states.setdefault((parameter.shape, parameter.dtype), fresh)
            self._update(parameter.data, parameter.grad, moments, vars(self)["count"])

    ground.patch(Adam, "step", step)


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_v_abs(ground: Ground) -> None:
    """The second moment averages |g| instead of its square."""

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        before = moments[1].copy()
        g = _advance(self, data, grad, moments)
        moments[1][...] = self.betas[1] * before + (1.0 - self.betas[1]) * np.abs(g)
        mean, square = _corrected(self, moments, count)
        data -= self.lr * mean / (np.sqrt(square) + self.eps)

    ground.patch(Adam, "_update", update)


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_v_never_shrinks(ground: Ground) -> None:
    """The second moment keeps its largest value (AMSGrad) although nobody asked for it."""

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        before = moments[1].copy()
        _advance(self, data, grad, moments)
        np.maximum(moments[1], before, out=moments[1])
        mean, square = _corrected(self, moments, count)
        data -= self.lr * mean / (np.sqrt(square) + self.eps)

    ground.patch(Adam, "_update", update)


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_state_fp16(ground: Ground) -> None:
    """Moments are kept in float16, where the squares of small gradients are zero."""
    right = Adam._update

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        right(self, data, grad, moments, count)
        with np.errstate(over="ignore"):
            for moment in moments:
                moment[...] = moment.astype(np.float16)

    ground.patch(Adam, "_update", update)


# --- the step -------------------------------------------------------------------------------


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_m_not_used(ground: Ground) -> None:
    """The raw gradient stands where the first moment should (RMSProp)."""

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        g = _advance(self, data, grad, moments)
        _, square = _corrected(self, moments, count)
        data -= self.lr * g / (np.sqrt(square) + self.eps)

    ground.patch(Adam, "_update", update)


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_no_bias_corr(ground: Ground) -> None:
    """No bias correction: the first steps are three times too large."""

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        _advance(self, data, grad, moments)
        mean, square = moments
        data -= self.lr * mean / (np.sqrt(square) + self.eps)

    ground.patch(Adam, "_update", update)


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_only_m_corr(ground: Ground) -> None:
    """Only the first moment is corrected: the first steps are 31 times too large."""

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        _advance(self, data, grad, moments)
        mean, _ = _corrected(self, moments, count)
        data -= self.lr * mean / (np.sqrt(moments[1]) + self.eps)

    ground.patch(Adam, "_update", update)


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_no_sqrt(ground: Ground) -> None:
    """Divides by the second moment (and 1e-3) without the square root."""

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        _advance(self, data, grad, moments)
        mean, square = _corrected(self, moments, count)
        data -= self.lr * mean / (square + 1e-3)

    ground.patch(Adam, "_update", update)


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_eps_inside(ground: Ground) -> None:
    """eps stands inside the square root, where 1e-8 does what 1e-4 would do outside."""

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        _advance(self, data, grad, moments)
        mean, square = _corrected(self, moments, count)
        data -= self.lr * mean / np.sqrt(square + self.eps)

    ground.patch(Adam, "_update", update)


@fault(*_USERS, component=("Adam",), seen_by=_RULE)
def adam_eps_big(ground: Ground) -> None:
    """eps is 1e-2 where nothing else is asked for, instead of 1e-8: small gradients are damped."""
    right = Adam.__init__

    def init(
        self: Adam,
        parameters: list[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-2,
        weight_decay: float = 0.0,
    ) -> None:
        right(self, parameters, lr, betas, eps, weight_decay)

    ground.patch(Adam, "__init__", init)


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_betas_swapped(ground: Ground) -> None:
    """beta1 and beta2 are swapped."""
    right = Adam._update

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        self.betas = self.betas[::-1]
        right(self, data, grad, moments, count)
        self.betas = self.betas[::-1]

    ground.patch(Adam, "_update", update)


# --- the step count -------------------------------------------------------------------------


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_count_from_two(ground: Ground) -> None:
    """The step count is one ahead in the bias correction."""
    right = Adam._update

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        right(self, data, grad, moments, count + 1)

    ground.patch(Adam, "_update", update)


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_count_per_tensor(ground: Ground) -> None:
    """One step count for all, and every tensor counts it up: corrections differ and end early."""

    def step(self: Adam) -> None:
        states = vars(self).setdefault("states", {})
        for parameter in _arrived(self):
            assert parameter.grad is not None
            vars(self)["count"] = vars(self).get("count", 0) + 1
            fresh = [np.zeros_like(parameter.data), np.zeros_like(parameter.data)]
            moments = states.setdefault(id(parameter), fresh)
            self._update(parameter.data, parameter.grad, moments, vars(self)["count"])

    ground.patch(Adam, "step", step)


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_correction_once(ground: Ground) -> None:
    """Bias correction as in the first step for ever: the step count stays at 1."""
    right = Adam._update

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        right(self, data, grad, moments, 1)

    ground.patch(Adam, "_update", update)


# --- weight decay ---------------------------------------------------------------------------


@fault(component=("AdamW",), seen_by=_RULE)
def adam_l2_coupled(ground: Ground) -> None:
    """AdamW adds the weight decay to the gradient instead of shrinking the weights."""
    ground.patch(AdamW, "_decay", Adam._decay)


@fault(component=("AdamW",), seen_by=_RULE)
def wd_no_lr(ground: Ground) -> None:
    """AdamW shrinks the weights by the weight decay without the learning rate."""

    def decay(self: AdamW, data: Array, grad: Array) -> Array:
        data *= 1.0 - self.weight_decay
        return grad

    ground.patch(AdamW, "_decay", decay)


@fault(component=("AdamW",), seen_by=_RULE)
def wd_sign(ground: Ground) -> None:
    """AdamW decays with the wrong sign and 50 times as strongly: the weights grow."""

    def decay(self: AdamW, data: Array, grad: Array) -> Array:
        data *= 1.0 + 50.0 * self.lr * self.weight_decay
        return grad

    ground.patch(AdamW, "_decay", decay)


@fault(component=("Adam",), seen_by=_RULE)
def adam_decay_decoupled(ground: Ground) -> None:
    """Adam shrinks the weights instead of adding the weight decay to the gradient."""
    ground.patch(Adam, "_decay", AdamW._decay)


@fault(*_USERS, component=_BOTH, seen_by=_RULE)
def adam_lr_by_root_count(ground: Ground) -> None:
    """The learning rate is divided by the square root of the step count, uninvited."""
    right = Adam._update

    def update(self: Adam, data: Array, grad: Array, moments: Moments, count: int) -> None:
        lr, self.lr = self.lr, self.lr / math.sqrt(count)
        right(self, data, grad, moments, count)
        self.lr = lr

    ground.patch(Adam, "_update", update)
