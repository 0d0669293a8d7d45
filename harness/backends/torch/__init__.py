"""PyTorch on one CPU, as a backend: `TorchBackend`.

Layers, losses, optimizers and ops are PyTorch's own; only what draws at random draws from numpy
generators instead, so that equal seeds give equal weights in all engines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch

# The first step of any optimizer imports this, in about a second. Here it happens once, and
# not again in every process that a job is forked into.
import torch._dynamo

from harness.backends.base import Backend, Layer, Namespace, Trace, lay_out
from harness.backends.torch import layers, ops
from harness.backends.torch.ops import viewable
from harness.backends.torch.tracing import traced

# Threads do not survive the fork into a job: it would wait for them for ever.
torch.set_num_threads(1)


class TorchBackend(Backend):
    """See `Backend` for what each function does.

    Tensors share their numbers with the arrays that they are made of and that are made of them;
    `set_value` and `set_gradient` copy, because PyTorch changes both in place.
    """

    name = "torch"
    version = str(torch.__version__)
    namespace = Namespace(
        layers=layers.LAYERS,
        losses={
            "BCEWithLogitsLoss": torch.nn.BCEWithLogitsLoss,
            "CrossEntropyLoss": torch.nn.CrossEntropyLoss,
            "MSELoss": torch.nn.MSELoss,
        },
        optimizers={
            "SGD": torch.optim.SGD,
            "Adam": torch.optim.Adam,
            "AdamW": torch.optim.AdamW,
        },
        ops=ops.OPS,
    )

    # --- tensors and arrays -------------------------------------------------------------

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(viewable(array))

    def leaf(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(viewable(array)).requires_grad_()

    def array(self, tensor: torch.Tensor) -> np.ndarray:
        numbers: np.ndarray = tensor.numpy(force=True)
        return numbers

    def arrays(self, parameters: Sequence[torch.Tensor]) -> list[np.ndarray]:
        return [parameter.numpy(force=True) for parameter in parameters]

    def copy_values(self, parameters: Sequence[torch.Tensor], out: np.ndarray) -> None:
        lay_out(self.arrays(parameters), out)

    # --- layers -------------------------------------------------------------------------

    def parameters(self, layer: Layer) -> Mapping[str, torch.nn.Parameter]:
        return dict(layer.named_parameters()) if isinstance(layer, torch.nn.Module) else {}

    def set_training(self, layers: Sequence[Layer], mode: bool) -> None:
        for layer in layers:
            if isinstance(layer, torch.nn.Module):
                layer.train(mode)

    def set_value(self, parameter: torch.Tensor, array: np.ndarray) -> None:
        gradient, parameter.grad = parameter.grad, None
        parameter.data = torch.from_numpy(np.array(array))
        if gradient is not None and gradient.shape == parameter.shape:
            parameter.grad = gradient.to(parameter.dtype)  # PyTorch allows no other type

    # --- gradients ----------------------------------------------------------------------

    def backward(self, output: torch.Tensor, gradient: np.ndarray | None = None) -> None:
        if output.requires_grad:
            # A copy: what arrives at a leaf may be the very tensor that came in.
            given = None if gradient is None else torch.from_numpy(np.array(gradient))
            given = None if given is None else given.to(output.dtype)
            torch.autograd.backward(output, given)

    def gradient(self, tensor: torch.Tensor) -> np.ndarray | None:
        if not (tensor.is_leaf or tensor.retains_grad) or tensor.grad is None:
            return None  # asked for a gradient that it does not keep, PyTorch warns
        numbers: np.ndarray = tensor.grad.numpy(force=True)
        return numbers

    def set_gradient(self, parameter: torch.Tensor, array: np.ndarray | None) -> None:
        if array is None:
            parameter.grad = None
        else:
            parameter.grad = torch.from_numpy(np.array(array)).to(parameter.dtype)

    def copy_gradients(self, parameters: Sequence[torch.Tensor], out: np.ndarray) -> list[int]:
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        lay_out(self.arrays(gradients), out)
        return [i for i, parameter in enumerate(parameters) if parameter.grad is None]

    def clip_grad_norm(self, parameters: Sequence[torch.Tensor], max_norm: float) -> None:
        torch.nn.utils.clip_grad_norm_(parameters, max_norm)

    def keep_gradient(self, tensor: torch.Tensor) -> None:
        """Also at a tensor without history, as far as PyTorch can.

        PyTorch links an op to its inputs when it is called: of a tensor that wants a gradient
        only now, what was computed before knows nothing, and its gradient stays None.
        """
        if tensor.grad_fn is not None:
            tensor.retain_grad()
        elif tensor.is_floating_point():  # PyTorch differentiates nothing else
            tensor.requires_grad_()

    def no_grad(self) -> AbstractContextManager[None]:
        context: AbstractContextManager[None] = torch.no_grad()
        return context

    # --- training and looking -----------------------------------------------------------

    def set_lr(self, optimizer: torch.optim.Optimizer, lr: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = lr

    def trace(self, call: Callable[[], torch.Tensor]) -> Trace:
        return traced(call)


BACKEND = TorchBackend()
