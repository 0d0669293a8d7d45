"""Parameters that the optimizer does not have, has twice, or has a copy of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from harness.autograd import nn
from harness.autograd.nn.module import Parameter
from harness.autograd.optim import Optimizer
from harness.autograd.tensor import Tensor
from harness.backends.base import Layer
from harness.config import MilestoneConfig
from harness.faults.base import fault
from harness.faults.ground import Ground
from harness.model import Model
from harness.training import Learner

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_DEEP = ("xor", "mlp", "cnn", "transformer")
_OPTIMIZERS = ("SGD", "Adam", "AdamW", "the training loop")
_STEPS = ("steps_follow_the_rule",)
_MATRICES_FIRST = (
    "output.weight", "hidden.weight", "conv1.weight", "conv1.bias", "hidden.bias",
    "embedding.weight",
)  # fmt: skip
_BIASES = (
    "output.bias", "hidden.bias", "conv1.bias", "conv2.bias", "head.bias", "norm1.weight",
    "norm1.bias", "norm2.weight", "norm2.bias", "expand.bias", "contract.bias",
    "attention.query.bias", "attention.value.bias", "attention.out.bias",
)  # fmt: skip


# --- the optimizer's list -----------------------------------------------------------------------


@fault(*_ALL, component=(*_OPTIMIZERS, *_MATRICES_FIRST), seen_by=_STEPS)
def opt_dup_first(ground: Ground) -> None:
    """The first parameter stands in the optimizer's list twice and is stepped twice."""
    right = Optimizer.step

    def step(self: Optimizer) -> None:
        right(self)
        group = self._groups[0]
        if self.parameters[0].grad is None:
            return
        group.steps[0] += 1
        run = slice(0, group.flat.ends[0])
        moments = [moment[run] for moment in group.moments]
        self._update(group.flat.data[run], group.flat.grad[run], moments, group.steps[0])

    ground.patch(Optimizer, "step", step)


@fault(*_ALL, component=(*_OPTIMIZERS, *_BIASES), seen_by=_STEPS)
def opt_skips_biases(ground: Ground) -> None:
    """Only matrices are given to the optimizer: biases and the like stay as they are."""
    right = Optimizer.__init__

    def init(self: Optimizer, parameters: Iterable[Tensor], lr: float) -> None:
        given = list(parameters)
        right(self, [p for p in given if p.ndim > 1] or given, lr)

    ground.patch(Optimizer, "__init__", init)


@fault(*_ALL, component=(*_OPTIMIZERS, "output.bias", "head.bias"), seen_by=_STEPS)
def opt_skips_last(ground: Ground) -> None:
    """step() goes over all parameters but the last."""
    right = Optimizer.step

    def step(self: Optimizer) -> None:
        last = self.parameters[-1]
        gradient, last.grad = last.grad, None
        right(self)
        last.grad = gradient

    ground.patch(Optimizer, "step", step)


@fault(*_DEEP, component=(*_OPTIMIZERS, *_MATRICES_FIRST), seen_by=_STEPS)
def reg_missing_layer(ground: Ground) -> None:
    """The first layer stands in a plain list: its parameters never reach the optimizer."""
    right = Learner.__init__

    def init(self: Learner, config: MilestoneConfig, model: Model) -> None:
        first = next(iter(model.parameters)).partition(".")[0]
        kept = {k: p for k, p in model.parameters.items() if not k.startswith(f"{first}.")}
        right(self, config, Model(model.backend, model.nodes, kept or model.parameters))

    ground.patch(Learner, "__init__", init)


@fault(*_ALL, component=_OPTIMIZERS, seen_by=_STEPS)
def typo_no_update(ground: Ground) -> None:
    """step() asks for `.gradient` where it is called `.grad`, finds none, and skips everything."""
    right = Optimizer.step

    def step(self: Optimizer) -> None:
        if any(getattr(parameter, "gradient", None) is not None for parameter in self.parameters):
            right(self)

    ground.patch(Optimizer, "step", step)


@fault(*_ALL, component=(*_OPTIMIZERS, *_MATRICES_FIRST), seen_by=_STEPS)
def opt_built_too_early(ground: Ground) -> None:
    """The first layer gets new parameters after the optimizer was built: it steps the old ones."""
    right = Learner.__init__

    def init(self: Learner, config: MilestoneConfig, model: Model) -> None:
        right(self, config, model)
        leaves = [leaf for node in model.nodes for leaf in node.leaves()]
        layer = next(leaf.layer for leaf in leaves if model.backend.parameters(leaf.layer))
        for name, value in list(vars(layer).items()):
            if isinstance(value, Parameter):
                setattr(layer, name, Parameter(value.data.copy()))

    ground.patch(Learner, "__init__", init)


# --- which object a layer works with ------------------------------------------------------------


@fault(*_ALL, component=("Linear", "MultiHeadAttention"), seen_by=("graph_is_whole",))
def reg_copies_given(ground: Ground) -> None:
    """Linear layers hand out copies of their parameters: whatever becomes of those, they stay."""
    right = ground.backend.parameters

    def parameters(layer: Layer) -> Mapping[str, Tensor]:
        given = right(layer)
        if not isinstance(layer, nn.Linear | nn.MultiHeadAttention):
            return given
        return {name: Parameter(value.data.copy()) for name, value in given.items()}

    ground.patch(ground.backend, "parameters", parameters)


@fault(*_ALL, component=("Linear", "linear"), seen_by=("outputs_feel_every_tensor",))
def weight_cached(ground: Ground) -> None:
    """Linear transposes its weight once and keeps the result, which no step changes."""
    right = nn.Linear.forward

    def forward(self: nn.Linear, x: Tensor) -> Tensor:
        turned = vars(self).setdefault("turned", self.weight.data.T.copy())
        out = right(self, x)
        bias = 0.0 if self.bias is None else self.bias.data
        out.data = np.asarray(x.data @ turned + bias, dtype=out.dtype)
        return out

    ground.patch(nn.Linear, "forward", forward)


@fault(
    "transformer",
    component=("MultiHeadAttention", "attention.key.weight", "attention.key.bias",
               "attention.query.weight", "attention.query.bias"),
    seen_by=("graph_is_whole",),
)  # fmt: skip
def reg_shared_by_accident(ground: Ground) -> None:
    """Attention uses one Linear layer for queries and keys."""
    right = nn.MultiHeadAttention.__init__

    def init(
        self: nn.MultiHeadAttention,
        embed_dim: int,
        num_heads: int,
        is_causal: bool = False,
        rng: np.random.Generator | None = None,
    ) -> None:
        right(self, embed_dim, num_heads, is_causal, rng)
        self.key = self.query

    ground.patch(nn.MultiHeadAttention, "__init__", init)
