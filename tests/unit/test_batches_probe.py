"""Batches by a hand-made dataset: right ones pass, whatever is done to them is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import training
from harness.backends import load
from harness.checks.batches import batches_are_sound
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.measurement import Measurement
from harness.probes.milestone import batches as probe
from harness.probes.models.specimen import Specimen
from harness.probes.runs.short_run import changed
from harness.streams import stream
from tests.examples import healthy, small_config

ROWS, SIZE, EPOCHS = 50, 8, 12
Pair = tuple[np.ndarray, np.ndarray]
Batches = Callable[[MilestoneConfig, Dataset, int], Iterator[Pair]]
right = training.batches


def flowers(rows: int = ROWS) -> Dataset:
    """Points in the plane and on which side they are; no two are alike."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((rows + 10, 2)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    return Dataset(x[:rows], y[:rows], x[rows:], y[rows:])


def varied(rows: int = ROWS) -> Dataset:
    """The same, moved a little anew in every epoch."""
    return replace(
        flowers(rows), vary=lambda x, rng: x + rng.standard_normal(x.shape).astype(np.float32)
    )


def measured(
    dataset: Dataset,
    batches: Batches = right,
    size: int = SIZE,
    epochs: int = EPOCHS,
    seed: int = 0,
) -> list[Measurement]:
    config = changed(small_config(), batch_size=size, epochs=epochs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "batches", batches)
        return list(probe.measure(Specimen(config, load("numpy"), dataset, seed)))


def wrong(rows: list[Measurement]) -> list[str]:
    return [row.what for row in rows if not row.error <= 1.0]


@pytest.mark.parametrize("make", [flowers, varied])
@pytest.mark.parametrize(
    ("rows", "size", "epochs"),
    [(50, 8, 12), (48, 8, 12), (50, 50, 12), (50, 64, 30), (7, 1, 3), (4, 4, 300), (1, 1, 1),
     (2, 2, 5), (200, 64, 1)],
)  # fmt: skip
def test_right_batches_pass_whatever_their_number(
    make: Callable[[int], Dataset], rows: int, size: int, epochs: int
) -> None:
    for seed in range(3):
        assert wrong(measured(make(rows), right, size, epochs, seed)) == []


def varied_batch_by_batch(config: MilestoneConfig, dataset: Dataset, seed: int) -> Iterator[Pair]:
    vary, data = dataset.vary, stream(seed, "data")
    for x, y in right(config, replace(dataset, vary=None), seed):
        yield (vary(x, data) if vary else x), y


def sorted_inside(config: MilestoneConfig, dataset: Dataset, seed: int) -> Iterator[Pair]:
    order, data, size = stream(seed, "order"), stream(seed, "data"), config.training.batch_size
    for _ in range(config.training.epochs):
        x, y = dataset.epoch(data)
        rows = order.permutation(len(x))
        for start in range(0, len(x), size):
            chosen = np.sort(rows[start : start + size])
            yield x[chosen], y[chosen]


@pytest.mark.parametrize("batches", [varied_batch_by_batch, sorted_inside])
@pytest.mark.parametrize("make", [flowers, varied])
def test_other_right_ways_to_make_batches_pass(
    batches: Batches, make: Callable[[int], Dataset]
) -> None:
    assert wrong(measured(make(ROWS), batches)) == []


# --- what is done to batches is seen ------------------------------------------------------


def edited(change: Callable[[int, np.ndarray, np.ndarray], Pair | None]) -> Batches:
    """Batches of which each is what change(number, inputs, targets) makes of it."""

    def batches(config: MilestoneConfig, dataset: Dataset, seed: int) -> Iterator[Pair]:
        for number, (x, y) in enumerate(right(config, dataset, seed)):
            pair = change(number, x.copy(), y.copy())
            if pair is not None:
                yield pair

    return batches


def of_epochs(change: Callable[[int], int]) -> Batches:
    def batches(config: MilestoneConfig, dataset: Dataset, seed: int) -> Iterator[Pair]:
        epochs = change(config.training.epochs)
        return right(changed(config, epochs=epochs), dataset, seed)

    return batches


def swapped(number: int, x: np.ndarray, y: np.ndarray) -> Pair:
    y[:2] = y[1::-1].copy() if len(y) > 1 else y
    return x, y


def doubled(number: int, x: np.ndarray, y: np.ndarray) -> Pair:
    x[-1], y[-1] = x[0], y[0]
    return x, y


BROKEN: dict[str, tuple[Batches, str]] = {
    "none at all": (edited(lambda n, x, y: None), "batches in 12 epochs of 50 examples"),
    "one lost": (edited(lambda n, x, y: None if n == 3 else (x, y)), "those in batch 6"),
    "one twice": (edited(doubled), "examples that an epoch does not show"),
    "targets swapped": (edited(swapped), "inputs with the target of another"),
    "targets short": (edited(lambda n, x, y: (x, y[1:])), "targets for all inputs"),
    "inputs flipped": (edited(lambda n, x, y: (-x, y)), "examples changed on the way"),
    "inputs noisy": (edited(lambda n, x, y: (x * np.float32(1.0001), y)), "changed on the way"),
    "other numbers": (edited(lambda n, x, y: (x.astype(np.float64), y)), "types of number"),
    "halved": (edited(lambda n, x, y: (x[::2], y[::2])), "those in batch 1"),
    "an epoch too few": (of_epochs(lambda epochs: epochs - 1), "batches in 12 epochs"),
    "an epoch too many": (of_epochs(lambda epochs: epochs + 1), "batches in 12 epochs"),
    "always one seed": (lambda config, data, seed: right(config, data, 1),
                        "epochs in the same order on another seed"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("make", [flowers, varied])
def test_broken_batches_are_seen(name: str, make: Callable[[int], Dataset]) -> None:
    batches, what = BROKEN[name]
    assert any(what in each for each in wrong(measured(make(ROWS), batches)))


@given(
    what=st.sampled_from(["swapped", "dropped", "doubled", "held out"]),
    batch=st.integers(0, 6),
    seed=st.integers(0, 1000),
)
def test_one_example_of_one_batch_is_enough(what: str, batch: int, seed: int) -> None:
    dataset = flowers()

    def change(number: int, x: np.ndarray, y: np.ndarray) -> Pair:
        if number == batch and what == "swapped":
            x[[0, -1]] = x[[-1, 0]]
        elif number == batch and what == "dropped":
            return x[1:], y[1:]
        elif number == batch and what == "doubled":
            x[0], y[0] = x[-1], y[-1]
        elif number == batch and x.shape[1:] == dataset.held_out_x.shape[1:]:
            x[0] = dataset.held_out_x[0]
        return x, y

    assert wrong(measured(dataset, edited(change), epochs=1, seed=seed))


# --- variation ----------------------------------------------------------------------------


def test_inputs_that_vary_the_same_in_every_epoch_are_seen() -> None:
    still = replace(flowers(), vary=lambda x, rng: x + np.float32(1.0))
    assert wrong(measured(still)) == [
        "variations that all epochs share",
        "seeds on which inputs vary to the same",
    ]


def test_few_inputs_may_vary_to_the_same_now_and_then() -> None:
    """Two of four sides for each of three examples: one pair of epochs in 64 is alike."""
    coarse = replace(
        flowers(3), vary=lambda x, rng: x * rng.choice([-1, 1], (3, 2)).astype(np.float32)
    )
    for seed in range(30):
        assert wrong(measured(coarse, size=3, seed=seed)) == []


def test_inputs_that_never_vary_are_seen() -> None:
    def batches(config: MilestoneConfig, dataset: Dataset, seed: int) -> Iterator[Pair]:
        return right(config, replace(dataset, vary=None), seed)

    assert wrong(measured(varied(), batches)) == ["epochs that are varied"]


def test_targets_that_stay_while_varied_inputs_are_shuffled_are_seen() -> None:
    """The numbered examples are left alone: only the real ones come apart."""

    def batches(config: MilestoneConfig, dataset: Dataset, seed: int) -> Iterator[Pair]:
        for x, y in right(config, dataset, seed):
            yield x, (y if x.shape[1] == 1 else np.roll(y, 1))

    assert wrong(measured(varied(), batches)) == ["inputs with a target that they do not have"]


def by_workers(draws: int) -> Dataset:
    """Inputs that are moved by as many draws as there are workers, or groups of neighbours."""

    def vary(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        moves = rng.standard_normal((draws, 1)).astype(np.float32)
        return x + np.tile(moves, (-(-len(x) // draws), 1))[: len(x)]

    return replace(flowers(80), vary=vary)


def by_neighbours(width: int) -> Dataset:
    def vary(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        moves = rng.standard_normal((-(-len(x) // width), 1)).astype(np.float32)
        return x + np.repeat(moves, width, axis=0)[: len(x)]

    return replace(flowers(80), vary=vary)


@pytest.mark.parametrize(
    ("dataset", "what"),
    [
        (by_workers(20), "equal inputs that vary as the one 20 before them does"),
        (by_workers(40), "equal inputs that vary as the one 40 before them does"),
        (by_workers(1), "share of equal inputs that vary to the same"),
        (by_neighbours(10), "equal inputs that vary as the one 1 before them does"),
        (by_neighbours(SIZE), "equal inputs that vary as the one 1 before them does"),
    ],
)
def test_inputs_that_share_their_draws_are_seen(dataset: Dataset, what: str) -> None:
    assert what in wrong(measured(dataset, epochs=2))


class Moving:
    """Every point goes to one of a few places; from some call on, to others."""

    def __init__(self, since: int) -> None:
        self.calls, self.since = 0, since

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        self.calls += 1
        shift = 0.0 if self.calls < self.since else 0.5
        return (x + rng.integers(0, 4, (len(x), 1)) + shift).astype(np.float32)


def test_inputs_that_vary_otherwise_in_later_epochs_are_seen() -> None:
    rows = 200
    (seen,) = wrong(measured(replace(flowers(rows), vary=Moving(since=30)), epochs=25))
    assert seen == "of 64 equal inputs, those that vary to something new after 25 epochs"
    assert wrong(measured(replace(flowers(rows), vary=Moving(since=10**6)), epochs=25)) == []


def test_inputs_with_several_targets_are_not_torn_when_they_vary() -> None:
    """Of each input there are two, with either target, and all may vary to one another."""
    x = np.repeat(np.float32([[0, 0], [0, 1], [1, 0], [1, 1]]), 2, axis=0)
    flips = replace(
        Dataset(x, np.arange(8) % 2, x, np.arange(8) % 2),
        vary=lambda x, rng: np.abs(x - rng.integers(0, 2, x.shape).astype(np.float32)),
    )
    for seed in range(10):
        assert wrong(measured(flips, size=3, seed=seed)) == []


# --- the check ----------------------------------------------------------------------------


def test_check_passes_on_sound_batches_and_fails_on_others() -> None:
    record = healthy()
    record.probed.measured["batches"] = [Measurement("the batches", "count", 5, 5, 0.0)]
    assert batches_are_sound(small_config(), record).status == "pass"
    record.probed.measured["batches"] += [Measurement("the batches", "examples lost", 1, 0, 1.5)]
    failed = batches_are_sound(small_config(), record)
    assert failed.status == "fail"
    assert failed.reason == "the batches: examples lost: got 1, expected 0"
    assert failed.evidence["culprits"] == ["the batches"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
