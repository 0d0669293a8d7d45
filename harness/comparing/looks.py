"""Two trainings by the fingerprints of their steps: the first look at which they are apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from harness.comparing.pairs import LEAST_SCALE, Pair, Parting, epsilon_of, tolerance_of
from harness.record import Checkpoints

# Rounding grows from step to step, by less than the square of their number for so many steps
# (measured on all milestones: at most a fifth of that).
_FOLLOWED = 32
# Adam turns the noise in a gradient of nearly zero into whole steps: after gradients that
# differ by rounding, steps are held to no more than this.
_TOLERANCE_OF_STEPS = 0.05
_EPSILONS = 4.0


@dataclass(frozen=True)
class Trajectory:
    """What is left of one training: labels of tensors and layers, fingerprints, and per step
    the loss (steps,), gradient norms and movements (steps, tensors); None where not kept.

    `digest` is that of every loss and of all that was learned, "" where not kept."""

    labels: tuple[str, ...]
    layers: tuple[str, ...]
    dtype: str
    checkpoints: Checkpoints | None = None
    loss: np.ndarray | None = None
    gradient_norm: np.ndarray | None = None
    movement: np.ndarray | None = None
    digest: str = ""


def by_checkpoints(base: Trajectory, head: Trajectory) -> Parting | None:
    """The first step with a difference that is more than rounding, else the first at all."""
    one, other = base.checkpoints, head.checkpoints
    if one is None or other is None or one.start_sketch.shape != other.start_sketch.shape:
        return None
    rounding = _worst([*_at_start(base, one, other)])
    since: int | None = None
    steps = np.intersect1d(one.steps, other.steps, return_indices=True)
    for step, i, j in zip(*(each.tolist() for each in steps), strict=True):
        if rounding and (rounding.level == "CHANGED" or step > _followed_to(rounding)):
            break
        age = step - (rounding.step or 0) if rounding else 0
        tolerance = tolerance_of(base.dtype) * (age + 1) ** 2
        look = Look(base, head, one, other, i, j, step, since, tolerance)
        found = _worst([*look.partings()])
        if found and (rounding is None or found.level == "CHANGED"):
            rounding = found
        since = step
    return rounding


def _followed_to(parting: Parting) -> int:
    """How long rounding grows slowly enough to tell it from a change."""
    return (parting.step or 0) + _FOLLOWED


def _worst(found: Sequence[Parting]) -> Parting | None:
    """The first that is more than rounding, else the first."""
    changed = [each for each in found if each.level == "CHANGED"]
    return next(iter(changed or found), None)


def _at_start(base: Trajectory, one: Checkpoints, other: Checkpoints) -> Iterator[Parting]:
    pair = Pair(
        one.start_crc,
        other.start_crc,
        one.start_sketch,
        other.start_sketch,
        np.stack([one.start_norm, other.start_norm]),
    )
    yield from pair.partings(
        "start", base.labels, tolerance_of(base.dtype), LEAST_SCALE * pair.largest, 0, None
    )


@dataclass(frozen=True)
class Look:
    """One step of both sides, in rows `i` and `j` of their fingerprints."""

    base: Trajectory
    head: Trajectory
    one: Checkpoints
    other: Checkpoints
    i: int
    j: int
    step: int
    since: int | None
    tolerance: float

    def partings(self) -> Iterator[Parting]:
        """What differs, in the order in which a step goes."""
        if self._has_other_batches():
            yield Parting("CHANGED", "batch", self.step, self.since)
            return
        labels, at = self.base.labels, (self.step, self.since)
        if self.base.layers == self.head.layers:
            yield from self._pair("output").partings(
                "forward", self.base.layers, self.tolerance, 0.0, *at
            )
        else:
            yield self._other_layers()
        gradients = self._pair("gradient")
        floor = LEAST_SCALE * gradients.largest
        yield from gradients.partings("gradient", labels, self.tolerance, floor, *at)
        steps = self._steps(gradients)
        allowed = self.tolerance if gradients.are_equal else _TOLERANCE_OF_STEPS
        grain = _EPSILONS * epsilon_of(self.base.dtype)
        floor = LEAST_SCALE * steps.largest
        yield from steps.partings("update", labels, allowed, floor, *at, grain)

    def _has_other_batches(self) -> bool:
        """Whether checksums say so and no digest speaks against them.

        Batches have nothing else to be measured by, and other batches do not give every loss and
        all that is learned to the same bits: then it is the checksums that are made otherwise.
        """
        if self.base.digest and self.base.digest == self.head.digest:
            return False
        return bool(self.one.batch_crc[self.i] != self.other.batch_crc[self.j])

    def _other_layers(self) -> Parting:
        """The first layer that only one side has, or has at another place."""
        pairs = zip_longest(self.base.layers, self.head.layers, fillvalue="")
        one, other = next(pair for pair in pairs if pair[0] != pair[1])
        return Parting("CHANGED", "forward", self.step, self.since, one or other)

    def _pair(self, name: str) -> Pair:
        a, b = (vars(side) for side in (self.one, self.other))
        sums, norms, sketches = (f"{name}_{what}" for what in ("crc", "norm", "sketch"))
        return Pair(
            a[sums][self.i],
            b[sums][self.j],
            a[sketches][self.i],
            b[sketches][self.j],
            np.stack([a[norms][self.i], b[norms][self.j]]),
        )

    def _steps(self, gradients: Pair) -> Pair:
        """How the parameters moved since the look before.

        Where the gradient is nothing but rounding, so may be the step that is made of it.
        """
        values = self._pair("value")
        moved = (
            values.base_sketch - _before(self.one, self.i),
            values.head_sketch - _before(self.other, self.j),
        )
        noise = (gradients.base != gradients.head) & gradients.are_zero
        return Pair(
            values.base,
            np.where(noise, values.base, values.head),
            *moved,
            np.linalg.norm(np.stack(moved), axis=-1),
            values.norms[0],
        )


def _before(seen: Checkpoints, row: int) -> np.ndarray:
    """The parameters at the look before, or at the start."""
    return np.asarray(seen.value_sketch[row - 1] if row else seen.start_sketch)
