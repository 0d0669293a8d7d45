"""A count as one Measurement: right to the last one, or wrong."""

from __future__ import annotations

import math

from harness.measurement import Measurement


def counted(subject: str, what: str, got: float, expected: float) -> Measurement:
    """A row about a count; its error is 0 or inf, as nearly right is wrong."""
    return Measurement(subject, what, got, expected, 0.0 if got == expected else math.inf)
