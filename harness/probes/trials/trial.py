"""`Trial`: one call of an op, a layer or a loss with its inputs drawn, the same for all probes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from harness.backends.base import Backend, EngineTensor
from harness.probes.trials.cases.case import Array, Case, Numbers, positive

Arrays = Sequence[Array | None]
# Passes a tensor on, so that what comes next gets no leaf.
Lead = Callable[[EngineTensor], EngineTensor]
# What an op of an unknown name may take; those that it refuses are left out.
GUESSES = [
    Case((positive(3, 4),), may_refuse=True),
    Case((positive(3, 4), positive(3, 4)), may_refuse=True),
]


@dataclass(frozen=True)
class Run:
    """What a call gave, and the engine's tensors of all inputs, parameters included."""

    output: EngineTensor
    tensors: Sequence[EngineTensor | None]


class Call(Protocol):
    """What calls; see Trial."""

    def __call__(
        self, arrays: Arrays, wanted: Collection[int], lead: Lead | None = None
    ) -> Run: ...


@dataclass(frozen=True)
class Trial:
    """One call that can be repeated with any numbers.

    `arrays` are inputs, then a layer's parameters; `numbers` say how they were drawn, None for
    what is held fixed. `run(arrays, wanted)` calls; gradients are wanted for inputs at the
    positions `wanted`, and for `parameters` always. With `lead`, a function that passes its
    tensor on, these inputs come out of another op. Each of `oracles` makes of the arrays what
    one right convention gives; none where no formula is known.
    """

    subject: str
    what: str
    arrays: tuple[Array | None, ...]
    numbers: tuple[Numbers | None, ...]
    names: tuple[str, ...]
    run: Call
    oracles: tuple[Callable[[Arrays], Array], ...] = ()
    parameters: tuple[int, ...] = ()
    is_op: bool = False
    is_known: bool = True
    may_refuse: bool = False
    # Whether one tensor is given for several inputs.
    fans_out: bool = False
    # Whether it is there for how many numbers it takes.
    is_large: bool = False

    @cached_property
    def varied(self) -> list[int]:
        """Positions of what a gradient is taken of."""
        return [i for i, numbers in enumerate(self.numbers) if numbers is not None]

    @property
    def is_hard(self) -> bool:
        """Whether its numbers are special, such as large ones."""
        return any(n is not None and (n.scale > 1.0 or n.kind == "exact") for n in self.numbers)


def input_names(arrays: Arrays) -> tuple[str, ...]:
    """What the inputs of an op are called."""
    return tuple(f"input {i} {shape_of(array)}" for i, array in enumerate(arrays))


def shape_of(array: Array | None) -> str:
    """The shape as a reader sees it."""
    return "left out" if array is None else str(array.shape)


def tensors_of(
    backend: Backend, arrays: Arrays, wanted: Collection[int]
) -> list[EngineTensor | None]:
    """The engine's tensors: leaves where a gradient is wanted."""
    return [
        None if array is None else backend.leaf(array) if i in wanted else backend.tensor(array)
        for i, array in enumerate(arrays)
    ]


def led(
    tensors: list[EngineTensor | None], wanted: Collection[int], lead: Lead | None
) -> list[EngineTensor | None]:
    """What goes in: the tensors themselves, or what `lead` makes of those that matter."""
    if lead is None:
        return tensors
    return [lead(tensor) if i in wanted else tensor for i, tensor in enumerate(tensors)]
