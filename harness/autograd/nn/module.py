"""`Module`: parameters with names, and a switch between training and evaluation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy.typing as npt

from harness.autograd.tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that training changes."""

    __slots__ = ()

    def __init__(self, data: npt.ArrayLike, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)


class Module:
    """The base of every layer: finds parameters in its attributes, in order of assignment.

    A subclass sets `Parameter`s and `Module`s as attributes and gives `forward`.
    """

    training: bool = True

    def forward(self, x: Tensor) -> Tensor:
        """The output of the layer."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(x)")

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(x)

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its path, such as ("key.bias", ...); a shared one once."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield path + name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all inside it, each with the prefix of its parameters."""
        yield prefix, self
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield from value.named_modules(f"{prefix}{name}.")
            elif isinstance(value, (list, tuple)):
                for position, item in enumerate(value):
                    if isinstance(item, Module):
                        yield from item.named_modules(f"{prefix}{name}.{position}.")

    def parameters(self) -> list[Parameter]:
        """Every parameter, in order."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self) -> None:
        """Forget the gradients: `.grad` of every parameter is None again."""
        for parameter in self.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> Module:
        """Switch this module and all inside it to training (or, with False, evaluation)."""
        self.training = mode
        for value in vars(self).values():
            for item in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(item, Module):
                    item.train(mode)
        return self

    def eval(self) -> Module:
        """Switch to evaluation: dropout lets everything pass."""
        return self.train(False)


class Sequential(Module):
    """Layers one after the other."""

    def __init__(self, *layers: Module) -> None:
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """The output of the last layer."""
        for layer in self.layers:
            x = layer(x)
        return x


class Residual(Sequential):
    """x + layers(x): the layers learn what to add (He et al. 2015)."""

    def forward(self, x: Tensor) -> Tensor:
        """The input plus the output of the last layer."""
        return x + super().forward(x)
