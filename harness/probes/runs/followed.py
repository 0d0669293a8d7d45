"""A course held against the reference: the rows that tell whether it is the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.backends.base import Backend
from harness.config import MilestoneConfig
from harness.fingerprints import norm, sketch
from harness.measurement import Measurement, discrepancy
from harness.model import build
from harness.probes.models.walking import Stop, walk
from harness.references.course import Course, Start, in_dtype, place, prints, split
from harness.references.files import Reference

# What is small beside the largest of the model is mostly rounding itself; so is a change that
# is small beside the tensor that it changes.
LEAST, LEAST_CHANGE = 0.01, 1e-3
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Held:
    """What a course and the reference have in common, and where they differ."""

    config: MilestoneConfig
    reference: Reference
    course: Course

    # --- enough to know that all is well ------------------------------------------------

    def first_step(self) -> Iterator[Measurement]:
        """Its outputs, its loss by the harness and by the engine, and its gradients, in full."""
        reference, course = self.reference, self.course
        yield Measurement(
            "the model",
            "forward at step 1: output of the model",
            norm(course.logits),
            norm(reference.logits),
            discrepancy(course.logits, reference.logits),
        )
        what, kind = "loss at step 1: as the engine has it", self.config.training.loss
        expected = float(reference.about["engine_loss"])
        yield _numbers(kind, what, course.engine_loss, expected)
        floor = LEAST * max(map(norm, reference.gradients.values()))
        for label, part in split(course.gradients[0], course.shapes).items():
            right = reference.gradients[label]
            is_lost = label in course.missing[0]
            found = part.reshape(right.shape)
            got = math.nan if is_lost else norm(found)
            error = math.inf if is_lost else discrepancy(found, right, floor)
            what = f"gradient at step 1: that of {label}"
            yield Measurement(label, what, got, norm(right), error)

    def losses(self) -> list[Measurement]:
        """Of all steps but the first, as the harness has it: they tell of the outputs."""
        pairs = enumerate(zip(self.course.loss, self.reference.loss, strict=True))
        what = "forward at step {}: loss of its outputs"
        found = [_numbers("the model", what.format(k + 1), *pair) for k, pair in pairs]
        return found[1:]

    def ends(self) -> Iterator[Measurement]:
        """The tensors after the last step; those of which nothing is known are left out."""
        step = len(self.course.loss)
        for i, (label, last) in enumerate(
            split(self.course.values[-1], self.course.shapes).items()
        ):
            error = distance(sketch(last), self.reference.value_sketch[-1, i], 0.0)
            error = 0.0 if self._is_noise(label) else error
            what, right = (
                f"update at step {step}: {label} after it",
                self.reference.value_norm[-1, i],
            )
            kind = self.config.training.optimizer
            yield Measurement(kind, what, norm(last), float(right), error)

    # --- more, to know what is wrong ----------------------------------------------------

    def layers(self, backend: Backend) -> Iterator[Measurement]:
        """The first step's, one after the other, in a model by itself."""
        reference = self.reference
        for i, stop in enumerate(
            first_layers(self.config, backend, reference.start, self.course.dtype)
        ):
            error = distance(sketch(stop.y), reference.output_sketch[i], 0.0)
            what, right = f"forward at step 1: output of {stop.name}", reference.output_norm[i]
            yield Measurement(stop.node.type, what, norm(stop.y), float(right), error)

    def gradients(self, step: int) -> Iterator[Measurement]:
        """Every tensor's, in one of the steps."""
        norms, sketches, _, _ = self._prints
        expected, right = self.reference.gradient_norm[step], self.reference.gradient_sketch[step]
        floor = LEAST * float(expected.max())
        for i, label in enumerate(self.course.shapes):
            is_lost = label in self.course.missing[step]
            error = math.inf if is_lost else distance(sketches[step, i], right[i], floor)
            got = math.nan if is_lost else float(norms[step, i])
            what = f"gradient at step {step + 1}: that of {label}"
            yield Measurement(label, what, got, float(expected[i]), error)

    def changes(self, step: int) -> Iterator[Measurement]:
        """How every tensor moved in a step, by its sketches: their lengths are about the true."""
        mine, right = self._moves(self._prints[3], step), self._moves(
            self.reference.value_sketch, step)  # fmt: skip
        lengths = np.linalg.norm(right, axis=1)
        largest = LEAST * float(lengths.max())
        for i, label in enumerate(self.course.shapes):
            floor = max(largest, LEAST_CHANGE * float(self.reference.value_norm[step, i]))
            error = 0.0 if self._is_noise(label) else distance(mine[i], right[i], floor)
            got, expected = float(np.linalg.norm(mine[i])), float(lengths[i])
            what = f"update at step {step + 1}: change of {label}"
            yield Measurement(self.config.training.optimizer, what, got, expected, error)

    def _is_noise(self, label: str) -> bool:
        """In single precision a gradient of zero is noise, and Adam makes whole steps of it."""
        is_null = label in self.config.expectations.null_gradients
        return is_null and self.course.dtype != "float64"

    @cached_property
    def _prints(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        course = self.course
        return *prints(course.gradients, course.shapes), *prints(course.values, course.shapes)

    def _moves(self, sketches: np.ndarray, step: int) -> np.ndarray:
        before = sketches[step - 1] if step else self._start
        return np.asarray(sketches[step] - before)

    @cached_property
    def _start(self) -> np.ndarray:
        return np.array([sketch(each) for each in self.reference.start.weights.values()])


def first_layers(config: MilestoneConfig, backend: Backend, start: Start, dtype: str) -> list[Stop]:
    """Every layer of a fresh model with these weights, on the first of the batches."""
    model = build(config.layers, backend, 0)
    place(model, {label: each.astype(dtype) for label, each in start.weights.items()})
    return walk(model, in_dtype(start.x[0], dtype))


def _numbers(subject: str, what: str, got: float, expected: float) -> Measurement:
    error = abs(got - expected) / max(abs(expected), _TINY)
    error = error if math.isfinite(error) else math.inf
    return Measurement(subject, what, float(got), float(expected), error)


def distance(mine: np.ndarray, right: np.ndarray, floor: float) -> float:
    """Between two sketches, as a share of the right one's length (at least `floor`)."""
    apart = float(np.linalg.norm(mine - right))
    scale = max(float(np.linalg.norm(right)), floor, _TINY)
    return apart / scale if math.isfinite(apart) else math.inf
