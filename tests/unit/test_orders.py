"""Orders of chance pass whatever their shape; orders that are none do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measurement import Measurement
from harness.probes.runs.orders import measure_orders

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
EPOCHS, ROWS, SIZE = 12, 320, 16


def at_random(epochs: int, rows: int, seed: int = 0) -> np.ndarray:
    return np.argsort(np.random.default_rng(seed).random((epochs, rows)), axis=1)


def wrong(orders: np.ndarray, size: int = SIZE) -> list[str]:
    rows = measure_orders("orders", orders, size, np.random.default_rng(1))
    return [row.what for row in rows if not row.error <= 1.0]


@given(
    epochs=st.integers(1, 30),
    rows=st.integers(1, 200),
    size=st.integers(1, 250),
    seed=st.integers(0, 2**32 - 1),
)
def test_orders_of_chance_pass(epochs: int, rows: int, size: int, seed: int) -> None:
    assert wrong(at_random(epochs, rows, seed), size) == []


def in_blocks(orders: np.ndarray, rng: np.random.Generator, width: int) -> np.ndarray:
    """Neighbours in the file stay together, in a random order among themselves."""
    blocks = np.arange(ROWS).reshape(-1, width)
    return np.stack(
        [rng.permuted(rng.permutation(blocks), axis=1).ravel() for _ in range(len(orders))]
    )


def same_batches(orders: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The batches of the first epoch, shuffled inside and among themselves."""
    batches = orders[0].reshape(-1, SIZE)
    return np.stack(
        [rng.permuted(rng.permutation(batches), axis=1).ravel() for _ in range(len(orders))]
    )


def small_buffer(orders: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What is far apart never meets."""
    return np.argsort(np.arange(ROWS) + 40 * rng.random(orders.shape), axis=1)


ORDERLY: dict[str, Change] = {
    "that of the file": lambda orders, rng: np.tile(np.arange(ROWS), (EPOCHS, 1)),
    "the file backwards": lambda orders, rng: np.tile(np.arange(ROWS)[::-1], (EPOCHS, 1)),
    "one for all epochs": lambda orders, rng: np.tile(orders[:1], (EPOCHS, 1)),
    "two in turns": lambda orders, rng: np.tile(orders[:2], (EPOCHS // 2, 1)),
    "one that is only rotated": lambda orders, rng: np.stack(
        [np.roll(orders[0], shift) for shift in rng.integers(0, ROWS, EPOCHS)]
    ),
    "shuffled pairs": lambda orders, rng: in_blocks(orders, rng, 2),
    "shuffled blocks": lambda orders, rng: in_blocks(orders, rng, SIZE),
    "shuffled batches": same_batches,
    "a small buffer": small_buffer,
}


@pytest.mark.parametrize("name", ORDERLY)
@pytest.mark.parametrize("seed", range(5))
def test_order_that_is_none_is_seen(name: str, seed: int) -> None:
    orders = ORDERLY[name](at_random(EPOCHS, ROWS, seed), np.random.default_rng(seed))
    assert (np.sort(orders, axis=1) == np.arange(ROWS)).all()
    assert wrong(orders)


def test_order_inside_a_batch_does_not_matter() -> None:
    orders = at_random(EPOCHS, ROWS).reshape(-1, SIZE)
    assert wrong(np.sort(orders, axis=1).reshape(EPOCHS, ROWS)) == []


def test_order_inside_the_only_batch_does() -> None:
    assert wrong(np.tile(np.arange(ROWS), (EPOCHS, 1)), size=ROWS)


def test_few_examples_have_few_orders() -> None:
    """Of 4 rows there are 24: 300 epochs cannot all differ, but they cannot all be one."""
    assert wrong(at_random(300, 4), size=4) == []
    assert len(wrong(np.tile(np.arange(4), (300, 1)), size=4)) == 5


@pytest.mark.parametrize("epoch", [0, 5, EPOCHS - 1])
def test_single_epoch_in_the_order_of_the_file_or_of_another_is_seen(epoch: int) -> None:
    orders = at_random(EPOCHS, 30)
    orders[epoch] = np.arange(30)
    assert wrong(orders, size=30) == ["different orders in 12 epochs, but for that of the file"]
    orders[epoch] = orders[epoch - 2]
    assert wrong(orders, size=30) == ["different orders in 12 epochs, but for that of the file"]


def test_correlation_is_one_with_the_order_of_the_file() -> None:
    rows: list[Measurement] = list(
        measure_orders("orders", np.arange(5)[None], 5, np.random.default_rng(0))
    )
    assert rows[0].got == pytest.approx(1.0)
    assert rows[1].got == 4  # every one of five but the last is followed by its neighbour


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
