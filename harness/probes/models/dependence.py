"""Which outputs feel which inputs, by value and by gradient: examples, and places of sequences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.backends.base import Backend, EngineTensor


@dataclass(frozen=True)
class Part:
    """A layer, or a whole model, as a function of one tensor, with names for a sentence."""

    backend: Backend
    function: Callable[[EngineTensor], EngineTensor]
    subject: str
    name: str

    def values(self, x: np.ndarray) -> np.ndarray:
        """What it gives for x, without a graph."""
        with self.backend.no_grad():
            return self.backend.array(self.function(self.backend.tensor(x.copy())))

    def pulled(self, x: np.ndarray, weigh: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
        """The gradient at x of the outputs y weighted by weigh(y); None where none arrives."""
        leaf = self.backend.leaf(x.copy())
        y = self.function(leaf)
        self.backend.backward(y, weigh(self.backend.array(y)))
        return self.backend.gradient(leaf)


def split(array: np.ndarray, *counts: int) -> np.ndarray | None:
    """The array as (examples, places, rest), whatever axes were merged; None where none fit."""
    fits = array.size > 0 and array.size % math.prod(counts) == 0
    return array.reshape(*counts, -1) if fits else None


# --- examples: how much each of `count` feels of one among them -----------------------------


def examples_by_gradient(part: Part, x: np.ndarray, count: int, one: int) -> np.ndarray | None:
    """(count,) largest gradient at each example's inputs of the outputs of `one`."""

    def weigh(y: np.ndarray) -> np.ndarray:
        weights = np.zeros_like(y)
        rows = split(weights, count)
        if rows is not None:
            rows[one] = _uneven(rows.shape[1])
        return weights

    felt = part.pulled(x, weigh)
    rows = None if felt is None else split(felt, count)
    return None if rows is None else np.abs(rows).max(axis=1)


# --- places: how much place i of the outputs feels place j of the inputs --------------------


def places_by_value(part: Part, x: np.ndarray, other: np.ndarray) -> np.ndarray | None:
    """(places, places) for one sequence x, place j of which becomes that of `other` in turn."""
    places = len(x)
    many = np.repeat(x[None], places + 1, axis=0)
    for j in range(places):
        many[j + 1, j] = other[j]
    y = split(part.values(many), places + 1, places)
    return None if y is None else np.abs(y[1:] - y[0]).max(axis=2).T


def places_by_gradient(part: Part, x: np.ndarray) -> np.ndarray | None:
    """(places, places) from one backward pass: copy i of the sequence asks for its place i only."""
    places = len(x)

    def weigh(y: np.ndarray) -> np.ndarray:
        weights = np.zeros_like(y)
        rows = split(weights, places, places)
        if rows is not None:
            rows[range(places), range(places)] = _uneven(rows.shape[2])
        return weights

    felt = part.pulled(np.repeat(x[None], places, axis=0), weigh)
    rows = None if felt is None else split(felt, places, places)
    return None if rows is None else np.abs(rows).max(axis=2)


def _uneven(size: int) -> np.ndarray:
    """Weights that are not all alike: sums of softmax or layer norm are constant."""
    return np.asarray(np.cos(np.arange(1, size + 1)))
