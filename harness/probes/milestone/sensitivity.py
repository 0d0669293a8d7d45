"""Whether each tensor matters, in the type of number that is trained with.

Attention that is uniform in float32 may look healthy in float64; a tensor that nobody reads
looks healthy in both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from harness.measurement import Measurement, discrepancy
from harness.probes.models.specimen import Specimen, jitter

EXAMPLES = 8
# So many times what a number is rounded by: what changes by less does not feel it.
FELT = 100.0


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """One row a tensor: the share by which the outputs change when it is moved."""
    backend, (x, _) = specimen.backend, specimen.examples(EXAMPLES)
    null = specimen.config.expectations.null_gradients
    model = specimen.model()
    model.set_training(False)

    def outputs() -> np.ndarray:
        with backend.no_grad():
            return backend.array(model(backend.tensor(x))).copy()

    before, rng = outputs(), specimen.rng("sensitivity")
    enough = FELT * float(np.finfo(before.dtype).eps)
    for label, parameter in model.parameters.items():
        (array,) = (each.copy() for each in backend.arrays([parameter]))
        backend.set_value(parameter, (array + jitter(array, rng)).astype(array.dtype))
        share = discrepancy(outputs(), before)
        backend.set_value(parameter, array)
        if label not in null:
            what = f"share by which the outputs change with it, in {before.dtype}"
            is_felt = math.isfinite(share) and share > enough
            yield Measurement(label, what, share, enough, 0.0 if is_felt else math.inf)
