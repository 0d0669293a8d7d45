"""The same arrays of two trainings, by their fingerprints: which differ, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.comparison import Level, Phase

# How far two arrays may be apart, as a share of their length, to differ by rounding alone.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12, "float16": 1e-2}
# What is small beside the largest gradient of the model is mostly rounding itself.
LEAST_SCALE = 0.01
_ZERO = 1e-6
# Of what is granted to rounding, hardly any real rounding takes as much.
_HARDLY_ROUNDING = 0.1


@dataclass(frozen=True)
class Parting:
    """Where two trainings part: `step` from 0, `since` the last step known to be equal.

    `base` and `head` are norms, NaN for a gradient that did not arrive, `difference` their
    distance as a share of the larger; None where nothing was measured.
    """

    level: Level
    phase: Phase
    step: int | None = None
    since: int | None = None
    tensor: str = ""
    also: tuple[str, ...] = ()
    base: float | None = None
    head: float | None = None
    difference: float | None = None


def tolerance_of(dtype: str) -> float:
    """How far apart is rounding, for numbers of this type."""
    return TOLERANCE.get(dtype, TOLERANCE["float32"])


def epsilon_of(dtype: str) -> float:
    """The distance from 1 to the next number of this type."""
    return float(np.finfo(dtype if dtype in TOLERANCE else "float32").eps)


@dataclass(frozen=True)
class Pair:
    """The same n arrays of both sides: (n,) checksums, (n, w) sketches, (2, n) norms.

    `lengths` are those of the whole arrays where only a part of them, a movement, is compared.
    """

    base: np.ndarray
    head: np.ndarray
    base_sketch: np.ndarray
    head_sketch: np.ndarray
    norms: np.ndarray
    lengths: np.ndarray | None = None

    @property
    def are_equal(self) -> bool:
        """Whether all bits are."""
        return bool((self.base == self.head).all())

    @property
    def are_zero(self) -> np.ndarray:
        """(n,) whether each is nothing beside the largest, on both sides."""
        return np.asarray(self.norms.max(axis=0) < _ZERO * self.largest)

    @property
    def largest(self) -> float:
        """The largest finite norm."""
        finite = self.norms[np.isfinite(self.norms)]
        return float(finite.max()) if finite.size else 0.0

    @property
    def distance(self) -> np.ndarray:
        """(n,) from the sketches, in units of the true norms; infinite where one is missing."""
        both = np.stack([self.base_sketch, self.head_sketch]).reshape(2, len(self.base), -1)
        lengths = np.linalg.norm(both, axis=-1)
        apart = np.linalg.norm(both[1] - both[0], axis=-1)
        scale = self.norms.max(axis=0) / np.maximum(lengths.max(axis=0), np.finfo(float).tiny)
        return np.asarray(np.nan_to_num(apart * scale, nan=np.inf, posinf=np.inf))

    def partings(
        self,
        phase: Phase,
        labels: Sequence[str],
        tolerance: float,
        floor: float,
        step: int,
        since: int | None,
        grain: float = 0.0,
    ) -> Iterator[Parting]:
        """One parting if any array differs; its tensor is the one to name first."""
        odd = np.flatnonzero(self.base != self.head)
        if phase == "forward":  # a loop that calls no model leaves no outputs
            odd = odd[(self.base[odd] != 0) & (self.head[odd] != 0)]
        if not len(odd):
            return
        norms = self.norms
        distance = self.distance
        allowed = tolerance * np.maximum(norms.max(axis=0), floor)
        if self.lengths is not None:
            allowed = allowed + grain * self.lengths
        changed = odd[~(distance[odd] <= allowed[odd])]
        shown = changed if changed.size else odd
        if phase == "forward" and changed.size:  # later layers make more of what began before
            shown = odd[~(distance[odd] <= _HARDLY_ROUNDING * allowed[odd])]
        longer = np.maximum(np.nan_to_num(norms).max(axis=0), np.finfo(float).tiny)
        share = distance / np.maximum(longer, floor)
        first = to_name(phase, [labels[k] for k in shown.tolist()], share[shown])
        k = int(shown[first])
        yield Parting(
            "CHANGED" if changed.size else "ROUNDING",
            phase,
            step,
            since,
            labels[k],
            tuple(labels[each] for each in shown.tolist() if each != k),
            float(norms[0, k]),
            float(norms[1, k]),
            float(distance[k] / longer[k]),
        )


def to_name(phase: Phase, labels: Sequence[str], shares: np.ndarray) -> int:
    """Which of several is nearest to the cause: the first layer forward, the last one back.

    Of that layer's tensors the one that differs most.
    """
    if phase == "forward":
        return 0
    chosen = labels[-1 if phase == "gradient" else int(shares.argmax())].rpartition(".")[0]
    own = [k for k, label in enumerate(labels) if label.rpartition(".")[0] == chosen]
    return max(own, key=lambda k: shares[k])
