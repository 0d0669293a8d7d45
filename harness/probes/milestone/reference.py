"""The first steps of a milestone against those of another engine, which are kept in a file.

Same weights, same batches, in float64 where the engine has it. As long as all is well, a few
numbers are compared; where something is off, every step is looked at, to find the first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from harness.config import MilestoneConfig
from harness.config_files import milestone_files
from harness.errors import DataError
from harness.measurement import Measurement, NotMeasurableError
from harness.probes.models.conventions import other_conventions
from harness.probes.models.specimen import Specimen
from harness.probes.models.walking import specs
from harness.probes.runs.followed import Held
from harness.probes.runs.partings import Apart
from harness.references import files
from harness.references.course import take
from harness.references.files import Reference, load

# From here on every step is looked at, to find the first that is off. Engines that sum in another
# order stay below it: after 20 steps, numpy and PyTorch are 2e-15 apart in float64 and 5e-7 in
# float32; a tensor whose gradient is zero by mathematics is 2e-11 apart, as Adam makes steps of
# its noise.
NOTICEABLE = {"float64": 1e-6, "float32": 1e-4}
# So many of the steps in the file are taken. All 20 cost twice as much in every run, and show none
# of the planted faults that the first 10 do not.
FOLLOWED = 10


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """One row for the type of numbers, then rows in the order in which causes come.

    Raises NotMeasurableError where there is no reference, or none of this config and these
    conventions.
    """
    try:
        reference = _require_same(specimen, load(specimen.config.name))
        _require_fit(specimen, reference)
    except DataError as error:
        yield Measurement("the reference", error.message, math.nan, math.nan, math.inf)
        return
    yield from followed(specimen, reference.first(FOLLOWED))


def followed(specimen: Specimen, reference: Reference) -> Iterator[Measurement]:
    """The rows of all steps of a reference."""
    try:
        course = take(specimen.config, specimen.backend, reference.start, reference.about["dtype"])
    except ValueError:
        if not (odd := list(_other_tensors(specimen, reference))):
            raise
        _require_pytorchs(specimen, reference)
        yield from odd
        return
    bits = 8.0 * np.dtype(course.dtype).itemsize
    yield Measurement("the model", f"its numbers are {course.dtype}", bits, bits, 0.0)
    enough = NOTICEABLE.get(course.dtype, NOTICEABLE["float32"])
    held = Held(specimen.config, reference, course)
    rows = [*held.first_step(), *held.losses(), *held.ends()]
    if all(row.error <= enough for row in rows):
        yield from rows
        return
    if any(row.error > enough for row in held.layers(specimen.backend)):
        _require_pytorchs(specimen, reference)
    yield from Apart(specimen, held, enough).rows()


def _require_same(specimen: Specimen, reference: Reference | None) -> Reference:
    name, config = specimen.config.name, specimen.config
    renew = f"`harness reference {_asked_for(config)}` writes one"
    if specimen.has("Dropout"):
        raise NotMeasurableError(f"{name} draws at random while it trains: no other engine can be "
                                 "held to the numbers of one")  # fmt: skip
    if reference is None:
        raise NotMeasurableError(f"there is no reference of {name}: {renew}")
    if reference.about["config"] != config.digest:
        how = "--set has changed" if config.modified else "there have been changes in"
        raise NotMeasurableError(
            f"the reference of {name} is of another config: {how} data, layers or training since; "
            f"{renew} of the config as it is saved"
        )
    return reference


def _asked_for(config: MilestoneConfig) -> str:
    """What names a milestone in a command: its name, or the path of one that is not shipped."""
    file, shipped = config.problem((), "").file, milestone_files()
    is_shipped = config.name in shipped and (
        not file or Path(file).resolve() == shipped[config.name].resolve()
    )
    return config.name if is_shipped else file or "FILE.yaml"


def _require_fit(specimen: Specimen, reference: Reference) -> None:
    """Raises DataError for a file that says it is of this config, and cannot be.

    Else the engine would be blamed for it.
    """
    config, about = specimen.config, reference.about
    labels, tensors = [*specs(config.layers)], list(about["shapes"])
    if about["layers"] != labels:
        problem = f"its layers are {_listed(about['layers'])}, expected {_listed(labels)}"
    elif tensors != sorted(tensors, key=lambda tensor: _place(tensor, labels)):
        problem = f"its tensors are in another order than its layers: {_listed(tensors)}"
    else:
        problem = _other_rows(specimen, reference)
    if problem:
        raise DataError(
            f"{files.file_for(config.name)} is no reference of {config.name}: {problem}"
        )


def _other_rows(specimen: Specimen, reference: Reference) -> str:
    """What is wrong with its batches: they are not like the milestone's data; "" if they are."""
    start, dataset = reference.start, specimen.dataset
    pairs = {"x": (start.x, dataset.held_out_x), "y": (start.y, dataset.held_out_y)}
    for name, (found, known) in pairs.items():
        if found.shape[2:] != known.shape[1:]:
            return f"a row of its {name} is {found.shape[2:]}, in the data it is {known.shape[1:]}"
    if (start.x.dtype.kind == "f") != (dataset.held_out_x.dtype.kind == "f"):
        return f"its x is {start.x.dtype}, in the data it is {dataset.held_out_x.dtype}"
    return ""


def _place(tensor: str, labels: Sequence[str]) -> int:
    """Of the layer whose label the tensor's begins with; after all if there is none."""
    label = tensor.split(".")[0]
    return labels.index(label) if label in labels else len(labels)


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(labels)


def _require_pytorchs(specimen: Specimen, reference: Reference) -> None:
    """Raises where a layer differs from the reference by a convention that is as right."""
    if others := other_conventions(specimen):
        raise NotMeasurableError(
            f"the reference, of {reference.origin}, follows another convention than this engine: "
            f"{others[0]}"
        )


def _other_tensors(specimen: Specimen, reference: Reference) -> Iterator[Measurement]:
    """Tensors that only one side has, or has in another shape."""
    backend, model = specimen.backend, specimen.model()
    arrays = backend.arrays(list(model.parameters.values()))
    found = {label: each.shape for label, each in zip(model.parameters, arrays, strict=True)}
    for label in {**reference.shapes, **found}:
        one, other = found.get(label), reference.shapes.get(label)
        if one != other:
            got, expected = (math.nan if each is None else math.prod(each) for each in (one, other))
            what = f"start at step 1: shape {one or 'none'} where the reference has {other}"
            yield Measurement(label, what, got, expected, math.inf)
