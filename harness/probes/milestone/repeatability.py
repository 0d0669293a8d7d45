"""Trains a few steps twice on one seed, and starts once on another: equal bits, and different.

In between, the global random states of numpy and Python are set to something else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import numpy as np

from harness.arguments import accepts
from harness.measurement import Measurement
from harness.model import Model, build
from harness.probes.counting import counted
from harness.probes.global_randomness import global_seed, states
from harness.probes.models.specimen import Specimen
from harness.probes.models.walking import specs
from harness.probes.runs.births import measure_births
from harness.probes.runs.short_run import Batch, copies
from harness.probes.runs.witnessed import Witnessed, witnessed
from harness.streams import stream

SUBJECT = "random streams"
# Seeds have so many binary digits at the most; one in so many is looked at.
_BITS, _APART = 63, 3


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """All errors are 0 or inf."""
    yield _apart(specimen)
    yield from _streams(specimen)
    yield from _seeds(specimen)
    yield from measure_births(SUBJECT, specimen)
    other = build(specimen.config.layers, specimen.backend, specimen.seed + 1)
    types = _types(other)
    (first, drawn_from), (second, _) = (_run(specimen, state) for state in (1, 2))
    for name in drawn_from:
        yield counted(SUBJECT, f"runs that draw from {name}", 1, 0)
    differing = list(_differing(specimen, types, first, second))
    if any(row.error for row in differing):
        again = _differing(specimen, types, first, _run(specimen, 1)[0])
        if not any(row.error for row in again):
            yield counted(SUBJECT, "runs that read a global random state", 1, 0)
    yield from differing
    values = copies(specimen.backend, list(other.parameters.values()))
    yield from _another_seed(specimen, types, first.values[0], values)


def _apart(specimen: Specimen) -> Measurement:
    """Whether a model that is built again has tensors of its own, not those of the first."""
    backend, first, second = specimen.backend, specimen.model(), specimen.model()
    some, others = (backend.arrays([*model.parameters.values()]) for model in (first, second))
    shared = len(some) if first is second else sum(map(np.may_share_memory, some, others))
    return counted("the model", "tensors that it shares with a model built before", shared, 0)


def _streams(specimen: Specimen) -> Iterator[Measurement]:
    """Whether streams of other seeds and names give other numbers, and each its own again."""
    labels = specs(specimen.config.layers)
    names = [("order",), ("data",), *(("layer", label) for label in labels)]
    keys = [(specimen.seed, name) for name in names]
    keys += [(specimen.seed + i, name) for i in (1, 2) for name in names[:2]]
    first, again = ([stream(seed, *name).bytes(16) for seed, name in keys] for _ in range(2))
    repeated = len(keys) - len(set(first))
    yield counted(SUBJECT, "streams that give the numbers of another", repeated, 0)
    others = sum(mine != other for mine, other in zip(first, again, strict=True))
    yield counted(SUBJECT, "streams that give other numbers when asked again", others, 0)


def _seeds(specimen: Specimen) -> Iterator[Measurement]:
    """Whether all digits of a seed count, and all letters of a name but not its hash."""
    label = next(iter(specs(specimen.config.layers)))
    seeds = [0, *(2**k + i for k in range(0, _BITS, _APART) for i in (0, 1) if k or i)]
    found = {stream(seed, "layer", label).bytes(16) for seed in seeds}
    lost = len(set(seeds)) - len(found)
    yield counted(SUBJECT, "seeds that give the numbers of another seed", lost, 0)
    alike = {stream(specimen.seed, "layer", kind(label)).bytes(16) for kind in (str, *_NAMES)}
    yield counted(SUBJECT, "streams that depend on the hash of a name", len(alike) - 1, 0)


class _Name(str):
    """A name with a hash of its own: that of a text is another in every process."""

    def __hash__(self) -> int:
        return 7


class _OtherName(str):
    def __hash__(self) -> int:
        return 11


_NAMES = (_Name, _OtherName)


def _run(specimen: Specimen, global_state: int) -> tuple[Witnessed, list[str]]:
    """A short training, and the names of the global random states that it changed."""
    with global_seed(global_state):
        before = states()
        run = witnessed(specimen, evaluate_every=2)
        after = states()
    return run, [name for name, state in before.items() if after[name] != state]


def _differing(
    specimen: Specimen, types: list[str], first: Witnessed, second: Witnessed
) -> Iterator[Measurement]:
    """What two runs have different, in the order of time; what follows from it is left out."""
    starts = _unequal(first.values[0], second.values[0])
    subject = _culprit(types, starts, range(len(types)))
    yield counted(subject, "tensors that start otherwise in a second run", len(starts), 0)
    if starts:
        return
    pairs = zip_longest(first.batches, second.batches)
    fed = sum(not _same_batch(*pair) for pair in pairs)
    yield counted("the batches", "batches that are others in a second run", fed, 0)
    if fed:
        return
    losses = _unlike(first.record.loss, second.record.loss)
    ends = int(first.record.digest != second.record.digest)
    subject = _unlike_layer(specimen, first.batches[0][0]) if losses or ends else SUBJECT
    yield counted(subject, "steps whose loss is another in a second run", losses, 0)
    yield counted(subject, "runs that end otherwise the second time", ends, 0)


def _unlike_layer(specimen: Specimen, x: np.ndarray) -> str:
    """The type of the first layer whose output differs between two models of one seed."""
    some = others = specimen.backend.tensor(x)
    for mine, other in zip(specimen.model().nodes, specimen.model().nodes, strict=True):
        some, others = mine.layer(some), other.layer(others)
        if _unlike(specimen.backend.array(some), specimen.backend.array(others)):
            return mine.type
    return SUBJECT


def _unlike(some: np.ndarray, others: np.ndarray) -> int:
    """How many numbers differ."""
    if some.shape != others.shape:
        return max(some.size, others.size)
    return int((~((some == others) | (np.isnan(some) & np.isnan(others)))).sum())


def _same_batch(some: Batch | None, others: Batch | None) -> bool:
    if some is None or others is None:
        return False
    return all(np.array_equal(mine, other) for mine, other in zip(some, others, strict=True))


def _unequal(some: list[np.ndarray], others: list[np.ndarray]) -> list[int]:
    pairs = enumerate(zip(some, others, strict=True))
    return [i for i, pair in pairs if not np.array_equal(*pair, equal_nan=True)]


def _another_seed(
    specimen: Specimen, types: list[str], values: list[np.ndarray], others: list[np.ndarray]
) -> Iterator[Measurement]:
    """Which tensors that are drawn at random are drawn the same on another seed.

    That is seen by their numbers, whatever their layer says that it takes.
    """
    layers = specimen.backend.namespace.layers
    drawn = [i for i, value in enumerate(values) if _is_drawn(value)]
    same = sorted(set(drawn) - set(_unequal(values, others)))
    kinds = {types[i] for i in same}
    deaf = sorted(k for k in kinds if k in layers and not accepts(layers[k], "rng"))
    what = "tensors that start the same on another seed"
    if deaf and len(deaf) == len(kinds):
        yield counted(deaf[0], f"{what}: {deaf[0]} takes no rng", len(same), 0)
        return
    yield counted(_culprit(types, same, drawn), what, len(same), 0)


def _is_drawn(array: np.ndarray) -> bool:
    """Not all one number, as biases and gains may well be."""
    return array.size > 1 and not math.isclose(float(array.min()), float(array.max()))


def _types(model: Model) -> list[str]:
    """The type of the layer that each tensor belongs to."""
    return [
        leaf.type
        for node in model.nodes
        for leaf in node.leaves()
        for _ in model.backend.parameters(leaf.layer)
    ]


def _culprit(types: list[str], tensors: Sequence[int], among: Sequence[int]) -> str:
    """The type of layer that these tensors belong to, when others are not concerned."""
    kinds = {types[i] for i in tensors}
    return kinds.pop() if len(kinds) == 1 and len({types[i] for i in among}) > 1 else SUBJECT
