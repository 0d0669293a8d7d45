"""What the shipped recipes should give, written out row by row from their arguments.

Nothing here is shared with `harness.datasets`. A function for each recipe that is known: it
takes the recipe's own arguments, and the raw arrays of a shipped file where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]
Pair = tuple[np.ndarray, np.ndarray]

_SPECIES = {"setosa": 0, "versicolor": 1, "virginica": 2}
_COLUMNS = {"sepal_length": 0, "sepal_width": 1, "petal_length": 2, "petal_width": 3}
# Of the sequences there are, those that are taken are drawn with this seed, for ever.
_REVERSAL_SEED = 2017
# A task with more sequences than this takes longer to write out than it is worth.
_MOST = 10**5


@dataclass(frozen=True)
class Expected:
    """Inputs and targets of both halves, and which targets of an example are scored, if not all.

    Images that move have only their total ink and the total of its squares for inputs.
    """

    train: Pair
    held_out: Pair
    scored: np.ndarray | None = None
    is_ink: bool = False


def truth_table(arrays: Arrays, *, inputs: list[list[float]], outputs: list[int]) -> Expected:
    """Every row as it stands in the config, trained on and judged."""
    table = np.array(inputs, dtype=np.float64), np.array(outputs)
    return Expected(table, table)


def separable(
    arrays: Arrays, *, species: list[str], measurements: list[str], held_out_per_species: int
) -> Expected:
    """Flower by flower, millimetres in centimetres; the last of each species are held out."""
    train, held_out = [], []
    for target, name in enumerate(species):
        flowers = [
            ([row[_COLUMNS[each]] / 10 for each in measurements], target)
            for row, kind in zip(
                arrays["measurements"].tolist(), arrays["species"].tolist(), strict=True
            )
            if kind == _SPECIES[name]
        ]
        first = len(flowers) - held_out_per_species
        train += flowers[:first]
        held_out += flowers[first:]
    return Expected(_pair(train), _pair(held_out))


def _pair(rows: list[tuple[list[float], int]]) -> Pair:
    return np.array([x for x, _ in rows]), np.array([y for _, y in rows])


def reversal(
    arrays: Arrays, *, alphabet: int, length: int, train_rows: int, held_out_rows: int
) -> Expected | None:
    """Letters, a separator, the same letters backwards; each place is to tell the next."""
    if alphabet**length > _MOST:
        return None
    # RandomState, because its numbers are frozen across numpy versions (NEP 19).
    rest = np.random.RandomState(_REVERSAL_SEED).permutation(alphabet**length)
    rest = rest[: train_rows + held_out_rows]
    sequence = np.full((2 * length + 1, len(rest)), alphabet)
    for place in range(length):
        rest, letter = np.divmod(rest, alphabet)
        sequence[place] = sequence[2 * length - place] = letter
    x, y = sequence[:-1].T, sequence[1:].T
    scored = np.array([False] * length + [True] * length)
    halves = (x[:train_rows], y[:train_rows]), (x[train_rows:], y[train_rows:])
    return Expected(*halves, scored=scored)


def digits(
    arrays: Arrays,
    *,
    canvas: int,
    train_rows: int,
    held_out_places: int,
    mean: float = 0.0,
    std: float = 1.0,
) -> Expected:
    """The ink of every image, wherever it stands; held-out ones stand at several places."""
    ink = arrays["images"].reshape(len(arrays["images"]), -1) / 16.0
    dark, area = ink.sum(axis=1), canvas * canvas
    squares = (ink * ink).sum(axis=1) - 2 * mean * dark + area * mean * mean
    x = np.stack([(dark - area * mean) / std, squares / (std * std)], axis=1)
    y = arrays["labels"].astype(np.int64)
    held_out = tuple(np.repeat(each[train_rows:], held_out_places, axis=0) for each in (x, y))
    return Expected((x[:train_rows], y[:train_rows]), (held_out[0], held_out[1]), is_ink=True)


# By the name of the recipe: what it should give, and the file in data/ that it reads, if any.
RECIPES: dict[str, tuple[Callable[..., Expected | None], str]] = {
    "truth_table": (truth_table, ""),
    "separable": (separable, "iris"),
    "reversal": (reversal, ""),
    "digits": (digits, "digits"),
}
