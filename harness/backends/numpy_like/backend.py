"""What every engine that is made of these parts answers alike: its names, layers, optimizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.backends.base import Backend, Layer, Namespace, Parameter
from harness.backends.numpy_like.binding import bound
from harness.backends.numpy_like.layers import GELU, LAYERS, LOSSES
from harness.backends.numpy_like.ops import NumpyLikeOps
from harness.backends.numpy_like.optimizers import OPTIMIZERS, Optimizer


class NumpyLikeBackend(Backend):
    """An engine's own are its tensors, and how gradients come to them; see `Backend`.

    An engine without an error function has no GELU.
    """

    def __init__(self, ops: NumpyLikeOps, *, has_erf: bool) -> None:
        self.namespace = Namespace(
            layers=bound((*LAYERS, GELU) if has_erf else LAYERS, ops=ops),
            losses=bound(LOSSES, ops=ops),
            optimizers=bound(OPTIMIZERS, engine=self),
            ops={**ops.named(), "gelu": ops.gelu} if has_erf else ops.named(),
        )

    def parameters(self, layer: Layer) -> Mapping[str, Parameter]:
        return dict(layer.named_parameters())

    def set_lr(self, optimizer: Optimizer, lr: float) -> None:
        optimizer.lr = lr

    def set_training(self, layers: Sequence[Layer], mode: bool) -> None:
        for layer in layers:
            layer.train(mode)
