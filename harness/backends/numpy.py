"""The built-in engine, `harness.autograd`, as a backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import starmap
from pathlib import Path

import numpy as np

import harness
from harness.autograd import Function, Tensor, nn, no_grad, ops, optim, tracing
from harness.autograd.replay import Replayed
from harness.autograd.tensor import Stack
from harness.autograd.witness import is_own
from harness.backends.base import Backend, Event, Layer, Namespace, Place, Step, Trace, lay_out

_LOSSES = ("CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss")


class NumpyBackend(Backend):
    """See `Backend` for what each function does."""

    name = "numpy"
    version = harness.__version__
    namespace = Namespace(
        layers={name: getattr(nn, name) for name in nn.__all__
                if name not in (*_LOSSES, "Module", "Parameter")},
        losses={name: getattr(nn, name) for name in _LOSSES},
        optimizers={"SGD": optim.SGD, "Adam": optim.Adam, "AdamW": optim.AdamW},
        ops={name: getattr(ops, name) for name in ops.__all__ if name != "Key"},
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
            out[...] = data
        else:
            lay_out(self.arrays(parameters), out)

    def copy_gradients(self, parameters: Sequence[Tensor], out: np.ndarray) -> list[int]:
        flat = parameters[0]._flat
        grad = flat.all_grad(parameters) if flat else None
        if grad is not None:
            out[...] = grad
            return []
        grads = [np.zeros_like(p.data) if p.grad is None else p.grad for p in parameters]
        lay_out(grads, out)
        return [i for i, parameter in enumerate(parameters) if parameter.grad is None]

    def backward(self, output: Tensor, gradient: np.ndarray | None = None) -> None:
        if output.in_graph:
            output.backward(gradient)

    def leaf(self, array: np.ndarray) -> Tensor:
        return Tensor(array, requires_grad=True)

    def gradient(self, tensor: Tensor) -> np.ndarray | None:
        return tensor.grad

    def replayed(
        self, step: Step, parameters: Sequence[Tensor], sends_gradients: bool = True
    ) -> Step:
        return Replayed(step, parameters, sends_gradients, _is_known)

    def keep_gradient(self, tensor: Tensor) -> None:
        tensor.requires_grad = True
        tensor.retain_grad()

    def set_value(self, parameter: Tensor, array: np.ndarray) -> None:
        parameter.data = array

    def set_gradient(self, parameter: Tensor, array: np.ndarray | None) -> None:
        parameter.grad = array

    def trace(self, call: Callable[[], Tensor]) -> Trace:
        with tracing() as made:
            output = call()
        tensors = tuple(tensor for tensor, _, _ in made)
        own = set(map(id, tensors))
        functions = [tensor._grad_fn for tensor in tensors if tensor._grad_fn is not None]
        inputs = {id(each): each for function in functions for each in function.saved_tensors}
        leaves = {key: tensor for key, tensor in inputs.items() if key not in own}
        return Trace(tuple(starmap(_event, made)), output, tensors, leaves)

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


# What runs between a batch and its gradients when a milestone is trained, evaluated or timed.
_LOOP = {
    str(Path(harness.__file__).parent / name)
    for name in (
        "evaluation.py",
        "metrics.py",
        "model.py",
        "training.py",
        "bench/engine_trainer.py",
        "probes/runs/short_run.py",
    )
} | {__file__}


def _is_known(file: str) -> bool:
    return file in _LOOP or is_own(file)


def _event(tensor: Tensor, maker: Function | None, stack: Stack) -> Event:
    function = tensor._grad_fn
    places = tuple(Place(*frame) for frame in stack)
    sources = tuple(map(id, maker.saved_tensors)) if maker else ()
    if function is None:
        return Event(id(tensor), tensor.data, "", (), sources, places, None)
    code = getattr(type(function).apply, "__code__", None)
    apply = Place(code.co_filename, code.co_firstlineno, code.co_qualname) if code else None
    inputs = tuple(map(id, function.saved_tensors))
    name = type(function).__name__
    return Event(id(tensor), tensor.data, name, inputs, sources or inputs, places, apply)


BACKEND = NumpyBackend()
