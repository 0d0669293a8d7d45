"""The built-in engine, `harness.autograd`, as a backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np

import harness
from harness.autograd import Tensor, nn, no_grad, optim
from harness.backends.base import Layer, Namespace, lay_out

_LOSSES = ("CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss")


class NumpyBackend:
    """See `Backend` for what each function does."""

    name = "numpy"
    version = harness.__version__
    namespace = Namespace(
        layers={name: getattr(nn, name) for name in nn.__all__
                if name not in (*_LOSSES, "Module", "Parameter")},
        losses={name: getattr(nn, name) for name in _LOSSES},
        optimizers={"SGD": optim.SGD, "Adam": optim.Adam, "AdamW": optim.AdamW},
    )  # fmt: skip

    def tensor(self, array: np.ndarray) -> Tensor:
        return Tensor(array)

    def array(self, tensor: Tensor) -> np.ndarray:
        return tensor.data

    def parameters(self, layer: nn.Module) -> Mapping[str, nn.Parameter]:
        return dict(layer.named_parameters())

    def arrays(self, parameters: Sequence[Tensor]) -> list[np.ndarray]:
        return [parameter.data for parameter in parameters]

    def copy_values(self, parameters: Sequence[Tensor], out: np.ndarray) -> None:
        flat = parameters[0]._flat
        data = flat.all_data(parameters) if flat else None
        if data is not None:
            np.copyto(out, data)
        else:
            lay_out(self.arrays(parameters), out)

    def copy_gradients(self, parameters: Sequence[Tensor], out: np.ndarray) -> list[int]:
        flat = parameters[0]._flat
        grad = flat.all_grad(parameters) if flat else None
        if grad is not None:
            np.copyto(out, grad)
            return []
        grads = [np.zeros_like(p.data) if p.grad is None else p.grad for p in parameters]
        lay_out(grads, out)
        return [i for i, parameter in enumerate(parameters) if parameter.grad is None]

    def backward(self, loss: Tensor) -> None:
        if loss.in_graph:
            loss.backward()

    def set_lr(self, optimizer: optim.Optimizer, lr: float) -> None:
        optimizer.lr = lr

    def clip_grad_norm(self, parameters: Sequence[Tensor], max_norm: float) -> None:
        optim.clip_grad_norm(parameters, max_norm)

    def set_training(self, layers: Sequence[Layer], mode: bool) -> None:
        for layer in layers:
            if isinstance(layer, nn.Module):
                layer.train(mode)

    def no_grad(self) -> AbstractContextManager[None]:
        return no_grad()


BACKEND = NumpyBackend()
