"""Goes through the batches as training does: who is in them, with which target, in which order.

Once through all epochs with examples that are only numbers, and through the first few with
the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from harness import training
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.datasets.summary import among, pair_codes, row_codes
from harness.measurement import Measurement
from harness.probes.counting import counted
from harness.probes.models.specimen import Specimen
from harness.probes.runs.orders import IMPOSSIBLE, measure_orders, room
from harness.probes.runs.short_run import Batch, changed
from harness.probes.runs.varying import MANY, Varied, measure_variation

SUBJECT = "the batches"
_FEW = 8


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """Errors are inf for wrong counts; of orders, the share of what chance could do."""
    yield from _numbered(specimen)
    yield from _remainder(specimen)
    yield from _real(specimen)


# --- examples that are only numbers -----------------------------------------------------------


def _numbered(specimen: Specimen) -> Iterator[Measurement]:
    """All epochs of as many examples as there are."""
    config, rows = specimen.config, len(specimen.dataset.train_x)
    dataset = _numbers_for(specimen.dataset, rows)
    batches = list(training.batches(config, dataset, specimen.seed))
    yield from _sizes(config, rows, batches)
    seen, answers = _numbers([x for x, _ in batches]), _numbers([y for _, y in batches])
    if len(seen) != len(answers):
        yield counted(SUBJECT, "targets for all inputs", len(answers), len(seen))
        return
    yield counted(SUBJECT, "inputs with the target of another", int((seen != answers).sum()), 0)
    strange = int(((seen < 0) | (seen >= rows) | (seen != np.floor(seen))).sum())
    yield counted(SUBJECT, "examples changed on the way", strange, 0)
    if strange or len(seen) != config.training.epochs * rows:
        return
    orders = seen.astype(np.int64).reshape(-1, rows)
    unseen = int((np.diff(np.sort(orders, axis=1), axis=1) == 0).sum())
    yield counted(SUBJECT, "examples that an epoch does not show", unseen, 0)
    if unseen == 0:
        size = config.training.batch_size
        yield from measure_orders(SUBJECT, orders, size, specimen.rng("orders"))
        yield from _another_seed(specimen, dataset, seen)


def _numbers_for(dataset: Dataset, rows: int) -> Dataset:
    """So many examples, each of them only its own number, which is its target, too."""

    def numbers(like: np.ndarray) -> np.ndarray:
        fits = np.can_cast(np.min_scalar_type(rows), like.dtype)
        shape = (rows, *([1] * (like.ndim - 1)))
        return np.arange(rows).astype(like.dtype if fits else np.int64).reshape(shape)

    vary = None if dataset.vary is None else (lambda x, rng: x)
    x, y = numbers(dataset.train_x), numbers(dataset.train_y)
    return replace(dataset, train_x=x, train_y=y, vary=vary)


def _numbers(parts: list[np.ndarray]) -> np.ndarray:
    """The numbers of all examples in these parts of batches, one after the other."""
    numbers = [part.reshape(len(part), -1)[:, 0] for part in parts if len(part)]
    return np.concatenate([np.zeros(0), *numbers])


def _sizes(config: MilestoneConfig, rows: int, batches: list[Batch]) -> Iterator[Measurement]:
    """How many batches there are, and the size of the first that is not as asked for."""
    size, epochs = config.training.batch_size, config.training.epochs
    expected = [min(size, rows - start) for start in range(0, rows, size)] * epochs
    for number, ((x, _), right) in enumerate(zip(batches, expected, strict=False), start=1):
        if len(x) != right:
            yield counted(SUBJECT, f"of {rows} examples, those in batch {number}", len(x), right)
            break
    what = f"batches in {epochs} epochs of {rows} examples"
    yield counted(SUBJECT, what, len(batches), len(expected))


def _another_seed(specimen: Specimen, dataset: Dataset, seen: np.ndarray) -> Iterator[Measurement]:
    """Whether another seed gives another order, where there is room for one."""
    rows, section = len(dataset.train_x), specimen.config.training
    epochs = min(section.epochs, 1 + int(IMPOSSIBLE / max(room(rows), 1e-9)))
    if epochs * room(rows) <= IMPOSSIBLE:
        return
    others = training.batches(specimen.config, dataset, specimen.seed + 1)
    other = _numbers([x for x, _ in islice(others, epochs * -(-rows // section.batch_size))])
    same = np.array_equal(other, seen[: len(other)])
    yield counted("random streams", "epochs in the same order on another seed", same * epochs, 0)


def _remainder(specimen: Specimen) -> Iterator[Measurement]:
    """Two batches and a half, whether or not the real examples leave a remainder."""
    size = specimen.config.training.batch_size
    config, rows = changed(specimen.config, epochs=2), 2 * size + (size + 1) // 2
    dataset = _numbers_for(specimen.dataset, rows)
    yield from _sizes(config, rows, list(training.batches(config, dataset, specimen.seed)))


# --- the real examples ------------------------------------------------------------------------


def _real(specimen: Specimen) -> Iterator[Measurement]:
    """Whether batches are made of the very numbers that the data have, or vary to."""
    dataset, rows = specimen.dataset, len(specimen.dataset.train_x)
    epochs = 2 + MANY // rows if dataset.vary else 1
    config, varied = changed(specimen.config, epochs=epochs), Varied(dataset)
    batches = list(training.batches(config, varied.dataset, specimen.seed))
    if dataset.vary:
        yield counted(SUBJECT, "epochs that are varied", min(varied.times, epochs), epochs)
    if not batches or (dataset.vary and not varied.times):
        return
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    alien = (x.dtype != varied.dtype) + (y.dtype != dataset.train_y.dtype)
    yield counted(SUBJECT, "types of number that the data do not have", int(alien), 0)
    if len(x) == len(y):  # else it is said already
        yield from _pairs(dataset, varied, row_codes(x), row_codes(y))
    if dataset.vary:
        yield from _variation(specimen, config, varied)
    yield from _left_alone(specimen, x[:_FEW], y[:_FEW])


def _pairs(dataset: Dataset, varied: Varied, x: np.ndarray, y: np.ndarray) -> Iterator[Measurement]:
    """Whether all inputs, by their codes, are the data's own, with their own targets."""
    own_x, own_pairs = varied.pairs()
    known = among(x, own_x)
    held_out = ~known & among(x, row_codes(dataset.held_out_x))
    torn = known & ~among(pair_codes(x, y), own_pairs)
    yield counted(SUBJECT, "held-out inputs in training batches", int(held_out.sum()), 0)
    yield counted(SUBJECT, "inputs that the data do not have", int((~known).sum()), 0)
    yield counted(SUBJECT, "inputs with a target that they do not have", int(torn.sum()), 0)
    if dataset.vary is None:
        same = np.array_equal(np.sort(pair_codes(x, y)), np.sort(own_pairs))
        yield counted(SUBJECT, "epochs that show each example once", int(same), 1)


def _variation(
    specimen: Specimen, config: MilestoneConfig, varied: Varied
) -> Iterator[Measurement]:
    """Whether inputs vary anew in every epoch, on every seed, and each by itself."""
    dataset, rows = specimen.dataset, len(specimen.dataset.train_x)
    changes, other = varied.changes(), Varied(dataset)
    epochs = np.sort(changes[: len(changes) // rows * rows].reshape(-1, rows), axis=1)
    alike = int((epochs == epochs[:1]).all())
    yield counted(SUBJECT, "variations that all epochs share", alike, 0)
    for _ in training.batches(config, other.dataset, specimen.seed + 1):
        pass
    same = int(np.array_equal(changes, other.changes()))
    yield counted("random streams", "seeds on which inputs vary to the same", same, 0)
    rng, size = specimen.rng("variation"), config.training.batch_size
    last = specimen.config.training.epochs
    yield from measure_variation(SUBJECT, dataset, size, last, rng)


def _left_alone(specimen: Specimen, x: np.ndarray, y: np.ndarray) -> Iterator[Measurement]:
    """Whether a step of training leaves its batch as it was."""
    used = x.copy(), y.copy()
    learner = training.Learner(specimen.config, specimen.model())
    learner.backward(*used)
    learner.step(0.0)
    for part, before, after in zip(("inputs", "targets"), (x, y), used, strict=True):
        changes = int(not np.array_equal(before, after, equal_nan=True))
        yield counted("the training loop", f"batches whose {part} a step changes", changes, 0)
