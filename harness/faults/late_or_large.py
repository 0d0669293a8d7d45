"""Right for few examples and in the first steps, wrong for many and later on."""

from __future__ import annotations

import numpy as np

from harness.autograd import Tensor, nn
from harness.faults.base import fault
from harness.faults.ground import Ground
from harness.training import Learner

_LOOP = ("the training loop",)
_SEEN = ("training_follows_the_rule",)
# So many steps go well, and so many numbers of a layer's output.
EARLY = 100
FEW = 1500

Pair = tuple[np.ndarray, np.ndarray]


@fault("mlp", "transformer", component=("Linear", "linear"), seen_by=("whole_batches_agree",))
def linear_half_for_many(ground: Ground) -> None:
    """The linear layer saves memory: what is large is computed in half precision."""

    class HalfForMany(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            if y.size > FEW:
                y.data = y.data.astype(np.float16).astype(y.dtype)
            return y

    ground.swap("layers", "Linear", HalfForMany)


@fault("mlp", component=_LOOP, seen_by=_SEEN)
def large_batches_cut(ground: Ground) -> None:
    """Batches of more than 48 examples are cut, as if memory were short."""
    right = Learner.backward
    ground.patch(Learner, "backward", lambda self, x, y: right(self, x[:48], y[:48]))


@fault("mlp", "cnn", "transformer", component=_LOOP, seen_by=_SEEN)
def zg_forgotten_late(ground: Ground) -> None:
    """From step 101 on gradients are never zeroed."""
    right = Learner.backward

    def backward(self: Learner, x: np.ndarray, y: np.ndarray) -> Pair:
        steps = self.__dict__["steps_taken"] = self.__dict__.get("steps_taken", 0) + 1
        if steps > EARLY:
            self._optimizer.zero_grad = lambda: None
        return right(self, x, y)

    ground.patch(Learner, "backward", backward)


@fault("mlp", "cnn", component=(*_LOOP, "learning rate"), seen_by=_SEEN)
def lr_decay_has_a_floor(ground: Ground) -> None:
    """The learning rate decays to a tenth and stays there."""
    right = Learner.step
    ground.patch(Learner, "step", lambda self, done: right(self, min(done, 0.9)))
