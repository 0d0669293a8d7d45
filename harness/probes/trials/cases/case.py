"""`Case`: one call of an op as data, and `Numbers`: what to draw for one of its inputs.

A table of cases is a list a reader can extend; nothing here knows an engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from harness.probes.trials.cases.pool import Pool

Array = np.ndarray
Shape = tuple[int, ...]
# signed: of either sign, away from 0. positive: from 0.5 to 1.5. spaced: no two within 0.3.
# tied: few different numbers, each many times. exact: as given.
Kind = Literal["signed", "positive", "spaced", "tied", "exact"]


@dataclass(frozen=True)
class Numbers:
    """What an input is made of; `scale` multiplies it.

    An input that `may_lack` its gradient gets a right one or none, as targets of a loss do.
    """

    shape: Shape
    kind: Kind = "signed"
    scale: float = 1.0
    values: Array | None = None
    may_lack: bool = False

    def draw(self, pool: Pool) -> Array:
        """The numbers in float64."""
        array = self._draw(pool)
        return array if self.scale == 1.0 else np.asarray(self.scale * array)

    def _draw(self, pool: Pool) -> Array:
        if self.values is not None:
            return self.values
        if self.kind == "signed":
            return pool.signed(self.shape)
        if self.kind == "positive":
            return pool.positive(self.shape)
        if self.kind == "tied":
            return np.floor(3.0 * (pool.positive(self.shape) - 0.5))
        size = math.prod(self.shape)
        places = pool.rng.permutation(size).reshape(self.shape)
        return 0.37 * (places - 0.45 * size) + 0.05 * pool.positive(self.shape)

    def direction(self, array: Array, pool: Pool) -> Array:
        """A way to move the numbers; equal ones move together where they are tied.

        What one of several equal maxima gets is a convention, what they get together is not.
        """
        if self.kind != "tied":
            return pool.normal(self.shape)
        _, groups = np.unique(array, return_inverse=True)
        return pool.normal((int(groups.max()) + 1,))[groups].reshape(self.shape)


def positive(*shape: int) -> Numbers:
    """Numbers between 0.5 and 1.5."""
    return Numbers(shape, "positive")


def spaced(*shape: int) -> Numbers:
    """Numbers of either sign that a small step does not bring into another order."""
    return Numbers(shape, "spaced")


def tied(*shape: int) -> Numbers:
    """0, 1 and 2, each many times."""
    return Numbers(shape, "tied")


def nearly_tied(*shape: int) -> Numbers:
    """Different numbers that are closer to each other than a careless comparison can tell."""
    size = math.prod(shape)
    places = np.arange(size) * 7 % size
    return Numbers(shape, "exact", values=(1.0 + 5e-5 * places).reshape(shape))


def scaled(scale: float, *shape: int) -> Numbers:
    """Numbers of either sign around this size."""
    return Numbers(shape, "signed", scale)


def exactly(values: object) -> Numbers:
    """These numbers."""
    array = np.asarray(values, dtype=np.float64)
    return Numbers(array.shape, "exact", values=array)


# As many rows as one small case of everything has: an engine may do otherwise with many, and a
# batch of training is seldom larger.
ROWS = 301

# A shape stands for signed numbers, an array is held fixed, None is an input left out.
Input = Shape | Numbers | Array | None


@dataclass(frozen=True)
class Case:
    """One call: `inputs` in order, then `arguments` by name.

    `tensors` are arguments that are tensors, held fixed. A function among the arguments is
    called for each call of the op: a generator in its first state. `then` are the arguments
    of a second application, to the result. With `copies`, the op gets its one input so often.
    An engine `may_refuse` what not all of them take. One that `is_spare` adds little to others of
    its table: conformance tries it, the probes of every run have no time for it.
    """

    inputs: tuple[Input, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)  # each op has its own
    tensors: Mapping[str, Array] = field(default_factory=dict)
    then: Mapping[str, Any] | None = None
    copies: int = 1
    may_refuse: bool = False
    is_spare: bool = False

    def __str__(self) -> str:
        return self._words

    @cached_property
    def _words(self) -> str:
        return ", ".join(self.parts)

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """What goes in and how, each in a few words."""
        words = [_words(each) for each in self.inputs for _ in range(self.copies)]
        words += [f"{name}={_short(value)}" for name, value in self.arguments.items()]
        words += [f"{name} {value.dtype}{value.shape}" for name, value in self.tensors.items()]
        words += [] if self.then is None else ["twice"]
        words += ["the same tensor"] if self.copies > 1 else []
        return tuple(words)

    @cached_property
    def numbers(self) -> tuple[Numbers | None, ...]:
        """How each input is drawn; None for those held fixed."""
        return tuple(
            Numbers(each) if isinstance(each, tuple) else
            each if isinstance(each, Numbers) else None
            for each in self.inputs
        )  # fmt: skip

    @property
    def is_hard(self) -> bool:
        """Whether its numbers are special, such as large ones."""
        return any(n is not None and (n.scale > 1.0 or n.kind == "exact") for n in self.numbers)

    def draw(self, pool: Pool) -> tuple[Array | None, ...]:
        """All inputs."""
        return tuple(
            numbers.draw(pool) if numbers is not None else
            given if isinstance(given, np.ndarray) else None
            for given, numbers in zip(self.inputs, self.numbers, strict=True)
        )  # fmt: skip


def usual(table: Sequence[Case]) -> list[Case]:
    """What the probes of every run try."""
    return [case for case in table if not case.is_spare]


def spares(*table: Case) -> list[Case]:
    """The same cases, spare."""
    return [replace(case, is_spare=True) for case in table]


def _words(given: Input) -> str:
    if isinstance(given, Numbers):
        return f"{'' if given.kind == 'signed' else given.kind + ' '}{given.shape}" + (
            f" of size {given.scale:g}" if given.scale != 1.0 else ""
        )
    if isinstance(given, np.ndarray):
        return f"{given.dtype}{given.shape}"
    return str(given)


def _short(value: object) -> str:
    if callable(value):
        return "seeded"
    return f"array{value.shape}" if isinstance(value, np.ndarray) else str(value)
