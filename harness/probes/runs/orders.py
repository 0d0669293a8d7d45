"""Are the orders of some epochs a work of chance? Numbers about permutations, no engine."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from harness.measurement import Measurement

# Errors are shares of so many standard deviations: 1e-15 for a normal number is no chance.
UNUSUAL = 8.0
# Neither is what has a probability below exp of minus this.
IMPOSSIBLE = 30.0


def room(rows: int) -> float:
    """ln(rows!): how much room for chance an order has."""
    return math.lgamma(rows + 1)


def measure_orders(
    subject: str, orders: np.ndarray, size: int, rng: np.random.Generator
) -> Iterator[Measurement]:
    """Rows about the orders of epochs that go in batches of `size`. Shape: (epochs, rows).

    A batch is a set: the order inside it does not matter, unless it holds all examples.
    """
    epochs, rows = orders.shape
    if rows < 2:
        return
    yield from _different(subject, orders)
    if size < rows:
        orders = _shuffled_inside(orders, size, rng)
    places = np.empty_like(orders)
    np.put_along_axis(places, orders, np.arange(rows)[None], axis=1)
    in_file = np.arange(rows)[None]
    yield _correlation(subject, "the order of an epoch and that of the file", places, in_file)
    yield _neighbours(subject, "that stand together in the file, too", orders)
    if epochs > 1:
        what = "the orders of two epochs that follow each other"
        yield _correlation(subject, what, places[1:], places[:-1])
        before = np.take_along_axis(places[:-1], orders[1:], axis=1)
        yield _neighbours(subject, "that stood together in the epoch before", before)


def _different(subject: str, orders: np.ndarray) -> Iterator[Measurement]:
    """How many epochs have an order of their own, which chance gives to each where it can.

    That of the file is none.
    """
    epochs, rows = orders.shape
    found = {order.tobytes() for order in orders}
    if room(rows) > IMPOSSIBLE + 2 * math.log(epochs):
        least = epochs
        found.discard(np.arange(rows, dtype=orders.dtype).tobytes())
    elif (epochs - 1) * room(rows) > IMPOSSIBLE:
        least = 2
    else:
        return
    error = 0.0 if len(found) >= least else math.inf
    what = f"different orders in {epochs} epochs, but for that of the file"
    yield Measurement(subject, what, len(found), least, error)


def _shuffled_inside(orders: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Every batch in a random order of its own."""
    epochs, rows = orders.shape
    whole = rows - rows % size
    full = rng.permuted(orders[:, :whole].reshape(-1, size), axis=1).reshape(epochs, -1)
    return np.hstack([full, rng.permuted(orders[:, whole:], axis=1)])


def _correlation(subject: str, what: str, some: np.ndarray, others: np.ndarray) -> Measurement:
    """The mean rank correlation of two sets of orders: 0 but for chance."""
    epochs, rows = some.shape
    middle, spread = (rows - 1) / 2.0, (rows * rows - 1) / 12.0
    mean = float(((some - middle) * (others - middle)).mean() / spread)
    # The rank correlation of two random orders has the variance 1 / (rows - 1).
    deviations = abs(mean) * math.sqrt((rows - 1) * epochs)
    return Measurement(subject, f"correlation of {what}", mean, 0.0, deviations / UNUSUAL)


def _neighbours(subject: str, what: str, orders: np.ndarray) -> Measurement:
    """How many examples stand beside one of the next number: about two an epoch by chance."""
    epochs, rows = orders.shape
    together = int((np.abs(np.diff(orders, axis=1)) == 1).sum())
    usual = 2.0 * epochs * (rows - 1) / rows
    deviations = max(together - usual, 0.0) / math.sqrt(usual + UNUSUAL)
    return Measurement(subject, f"neighbours {what}", together, usual, deviations / UNUSUAL)
