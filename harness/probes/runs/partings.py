"""Where a course parts from the reference, step by step, and who is to blame for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from harness.arguments import as_tuples
from harness.backends.base import Optimizer
from harness.fingerprints import norm, sketch
from harness.measurement import Measurement, NotMeasurableError, discrepancy
from harness.model import Model, build
from harness.oracles.optimizers import RULES, clipped, linear_decay
from harness.probes.models.specimen import Specimen
from harness.probes.runs.declared import declared_readings
from harness.probes.runs.followed import LEAST, LEAST_CHANGE, Held, distance
from harness.references.course import in_dtype, place, split

LOOP = "the training loop"


@dataclass(frozen=True)
class Apart:
    """A course that is not the reference's; `enough` is what may be off by rounding."""

    specimen: Specimen
    held: Held
    enough: float

    def rows(self) -> Iterator[Measurement]:
        """Everything in its order; the first that is off blames who is at fault.

        Raises NotMeasurableError when another right reading of the optimizer explains it.
        """
        held, losses, is_clean = self.held, self.held.losses(), True
        for step in range(held.reference.start.steps):
            if step:
                found = [losses[step - 1], *held.gradients(step)]
            else:
                found = [*held.layers(self.specimen.backend), *held.first_step()]
            if is_clean and self._is_off(found):
                found, is_clean = self._of_loop(found, step), False
            yield from found
            changes = list(held.changes(step))
            if is_clean and self._is_off(changes):
                changes, is_clean = _blaming(self._mover(step), changes), False
            yield from changes
        yield from held.ends()

    def _is_off(self, rows: Sequence[Measurement]) -> bool:
        return not all(row.error <= self.enough for row in rows)

    # --- gradients ------------------------------------------------------------------------

    def _of_loop(self, rows: list[Measurement], step: int) -> list[Measurement]:
        """Blames the loop, or the optimizer, where a model by itself has the right gradients.

        At a later step it may be a layer that remembers, whose outputs are then off as well.
        """
        if (step and self._is_off(rows[:1])) or not self._alone_is_right(step):
            return rows
        is_kept = step and not self._forgets()
        return _blaming(self.specimen.config.training.optimizer if is_kept else LOOP, rows)

    def _alone_is_right(self, step: int) -> bool:
        """Whether forward and backward by themselves give the reference's loss and gradients."""
        specimen, held = self.specimen, self.held
        backend, start, dtype = specimen.backend, held.reference.start, held.course.dtype
        model = self._fresh()
        if step:
            values = split(held.course.values[step - 1], held.course.shapes)
            shapes = held.course.shapes
            place(model, {k: v.reshape(shapes[k]).astype(dtype) for k, v in values.items()})
        logits = model(backend.tensor(in_dtype(start.x[step], dtype)))
        loss = specimen.loss(backend.array(logits), start.y[step])
        engine_loss = specimen.engine_loss(logits, start.y[step])
        own = float(np.mean(backend.array(engine_loss)))
        backend.backward(engine_loss)
        right = held.reference.gradient_sketch[step]
        floor = LEAST * float(held.reference.gradient_norm[step].max())
        found = [backend.gradient(each) for each in model.parameters.values()]
        errors = [
            np.inf if mine is None else distance(sketch(mine), theirs, floor)
            for mine, theirs in zip(found, right, strict=True)
        ]
        known = float(held.reference.loss[step])
        off = max(abs(each - known) / max(abs(known), LEAST) for each in (loss, own))
        return max(*errors, off) <= self.enough

    def _forgets(self) -> bool:
        """Whether the optimizer's own zero_grad leaves no gradient."""
        backend, (model, optimizer) = self.specimen.backend, self._optimizer()
        parameters = list(model.parameters.values())
        for parameter in parameters:
            backend.set_gradient(parameter, np.ones_like(backend.array(parameter)))
        optimizer.zero_grad()
        left = [backend.gradient(parameter) for parameter in parameters]
        return all(each is None or not each.any() for each in left)

    # --- steps of the optimizer -----------------------------------------------------------

    def _mover(self, step: int) -> str:
        """Who moves tensors otherwise: the optimizer by itself, or the loop that calls it.

        Raises NotMeasurableError when that is another right way.
        """
        self._require_first_reading()
        backend, (model, optimizer) = self.specimen.backend, self._optimizer()
        parameters = list(model.parameters.values())
        for k in range(step + 1):
            for parameter, each in zip(parameters, self._clipped(k), strict=True):
                backend.set_gradient(parameter, each.astype(self.held.course.dtype))
            backend.set_lr(optimizer, self._rates[k])
            optimizer.step()
        found = [sketch(each) for each in backend.arrays(parameters)]
        pairs = zip(found, self.held.reference.value_sketch[step], strict=True)
        alone = max(distance(mine, right, 0.0) for mine, right in pairs)
        return LOOP if alone <= self.enough else self.specimen.config.training.optimizer

    def _clipped(self, step: int) -> list[np.ndarray]:
        """The gradients of a step, tensor by tensor, clipped where that is declared."""
        course, limit = self.held.course, self.specimen.config.training.clip_grad_norm
        parts = split(course.gradients[step], course.shapes)
        found = [part.reshape(course.shapes[label]) for label, part in parts.items()]
        return found if limit is None else [g for g in clipped(found, limit) if g is not None]

    def _fresh(self) -> Model:
        """A model with the reference's weights, as they were at the start."""
        model = build(self.specimen.config.layers, self.specimen.backend, 0)
        weights = self.held.reference.start.weights
        place(model, {k: each.astype(self.held.course.dtype) for k, each in weights.items()})
        return model

    def _optimizer(self) -> tuple[Model, Optimizer]:
        """A fresh model and its optimizer, as is declared."""
        training, model = self.specimen.config.training, self._fresh()
        given = training.optimizer_arguments.items()
        arguments = {name: as_tuples(value) for name, value in given}
        factory = self.specimen.backend.namespace.optimizers[training.optimizer]
        return model, factory(list(model.parameters.values()), **arguments)

    @cached_property
    def _rates(self) -> list[float]:
        """The declared learning rate of every step of the whole training."""
        training, planned = self.specimen.config.training, self.held.reference.start.planned_steps
        is_linear = training.lr_decay == "linear"
        return linear_decay(training.lr, planned) if is_linear else [training.lr] * planned

    def _require_first_reading(self) -> None:
        """Raises NotMeasurableError where the whole course is that of another right reading."""
        config, reference = self.specimen.config, self.held.reference
        if config.training.optimizer not in RULES:
            return
        start = np.concatenate([each.ravel() for each in reference.start.weights.values()])
        values = np.concatenate([start[None], self.held.course.values])
        steps = range(len(values) - 1)
        gradients = [np.concatenate([g.ravel() for g in self._clipped(k)]) for k in steps]
        # The first is PyTorch's, with the declared schedule: it is the reference's.
        for factory, rates in [*declared_readings(config, self._rates)][1:]:
            rule = factory()
            changes = [rule.change(values[k], gradients[k], rates[k]) for k in steps]
            errors = [
                discrepancy(values[k + 1] - values[k], changes[k], LEAST_CHANGE * norm(values[k]))
                for k in steps
            ]
            if max(errors) <= self.enough:
                raise NotMeasurableError(
                    f"the reference, of {reference.origin}, reads {config.training.optimizer} "
                    "or its schedule in another way than this engine, which is as right"
                )


def _blaming(subject: str, rows: Sequence[Measurement]) -> list[Measurement]:
    return [replace(row, subject=subject) for row in rows]
