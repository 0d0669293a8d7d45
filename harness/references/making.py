"""Makes a reference: an engine draws the weights, takes some steps, and all is noted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice

import numpy as np

import harness
from harness.backends.base import Backend
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.errors import UsageError
from harness.fingerprints import norm, sketch
from harness.model import build
from harness.probes.models.conventions import other_conventions
from harness.probes.models.specimen import Specimen
from harness.probes.models.walking import Stop
from harness.probes.runs.followed import first_layers
from harness.references.conventions import declared
from harness.references.course import Course, Start, prints, split, take
from harness.references.files import SCHEMA_NAME, SCHEMA_VERSION, Reference
from harness.references.whole import Json
from harness.training import batches, planned_steps

STEPS, DTYPE = 20, "float64"
# Of each batch: enough for every class to come up, few enough to cost every run little.
ROWS = 8


def make(
    config: MilestoneConfig,
    backend: Backend,
    dataset: Dataset,
    dtype: str = DTYPE,
    steps: int = STEPS,
    rows: int = ROWS,
) -> Reference:
    """The reference of a milestone by this engine; raises UsageError when it can be none."""
    _require_fit(config, backend, dataset, steps)
    start = _start(config, backend, dataset, steps, rows)
    with np.errstate(all="ignore"):  # what overflows is refused below, not printed
        course = take(config, backend, start, dtype)
    if course.dtype != dtype:
        raise UsageError(
            f"{backend.name} keeps numbers as {course.dtype} where {dtype} was asked for",
            f"--dtype {course.dtype} makes a reference of what it can.",
        )
    bad = ~np.isfinite(course.loss)
    if bad.any():
        raise UsageError(f"{config.name}: with {backend.name} the loss of step "
                         f"{int(bad.argmax()) + 1} is not finite")  # fmt: skip
    if lost := course.missing[0]:
        raise UsageError(f"{config.name}: with {backend.name} {lost[0]} gets no gradient")
    stops = first_layers(config, backend, start, dtype)
    about = _about(config, backend, dataset, course, start)
    return _noted({**about, "layers": [stop.name for stop in stops]}, start, course, stops)


def _require_fit(config: MilestoneConfig, backend: Backend, dataset: Dataset, steps: int) -> None:
    planned = planned_steps(config, dataset)
    if steps > planned:
        raise UsageError(f"{config.name} has {planned} steps, {steps} were asked for",
                         f"--steps {planned} takes them all.")  # fmt: skip
    specimen = Specimen(config, backend, dataset, 0)
    if specimen.has("Dropout"):
        raise UsageError(f"{config.name} draws at random while it trains: no other engine can "
                         "be held to the numbers of one")  # fmt: skip
    if others := other_conventions(specimen):
        raise UsageError(
            f"{backend.name} has another convention than a reference declares: {others[0]}",
            "Make the reference with an engine that has PyTorch's.",
        )


def _start(
    config: MilestoneConfig, backend: Backend, dataset: Dataset, steps: int, rows: int
) -> Start:
    """The engine's own weights for seed 0, and the first rows of that seed's batches."""
    model = build(config.layers, backend, 0)
    arrays = backend.arrays(list(model.parameters.values()))
    weights = dict(zip(model.parameters, (each.astype(np.float32) for each in arrays), strict=True))
    taken = [(x[:rows], y[:rows]) for x, y in islice(batches(config, dataset, 0), steps)]
    fewest = min(len(x) for x, _ in taken)
    x, y = (np.stack([batch[i][:fewest] for batch in taken]) for i in (0, 1))
    x = x.astype(np.float32) if x.dtype.kind == "f" else x
    return Start(weights, x, y, planned_steps(config, dataset))


def _about(
    config: MilestoneConfig, backend: Backend, dataset: Dataset, course: Course, start: Start
) -> Json:
    return {
        "schema": f"{SCHEMA_NAME}/{SCHEMA_VERSION}",
        "milestone": config.name,
        "config": config.digest,
        "data": dataset.digest,
        "backend": backend.name,
        "backend_version": backend.version,
        "dtype": course.dtype,
        "harness": harness.__version__,
        "numpy": np.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "seed": 0,
        "steps": start.steps,
        "rows": int(start.x.shape[1]),
        "planned_steps": start.planned_steps,
        "x_dtype": str(start.x.dtype),
        "y_dtype": str(start.y.dtype),
        "shapes": {label: list(shape) for label, shape in course.shapes.items()},
        "engine_loss": course.engine_loss,
        "conventions": declared(config, f"{backend.name} {backend.version}"),
    }


def _noted(about: Json, start: Start, course: Course, stops: Sequence[Stop]) -> Reference:
    first = split(course.gradients[0], course.shapes)
    gradient_norm, gradient_sketch = prints(course.gradients, course.shapes)
    value_norm, value_sketch = prints(course.values, course.shapes)
    return Reference(
        about=about,
        start=start,
        logits=course.logits,
        loss=course.loss,
        gradients={label: each.reshape(course.shapes[label]) for label, each in first.items()},
        output_norm=np.array([norm(stop.y) for stop in stops]),
        output_sketch=np.array([sketch(stop.y) for stop in stops]),
        gradient_norm=gradient_norm,
        gradient_sketch=gradient_sketch,
        value_norm=value_norm,
        value_sketch=value_sketch,
    )
