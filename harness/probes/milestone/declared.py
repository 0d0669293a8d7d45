"""Repeats what it is told to train, setting by setting, to be held against what was declared."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.measurement import Measurement
from harness.probes.models.specimen import Specimen


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """A row for every setting of data, training and layers: its path, and its value in JSON."""
    for path, value in specimen.config.decisive.items():
        yield Measurement(path, value, math.nan, math.nan, 0.0)
