"""One case again, in this process: what a reproducing file calls."""

from __future__ import annotations

from harness import backends
from harness.conformance.case import Engine
from harness.conformance.listing import find
from harness.conformance.looking import look
from harness.conformance.outcomes import Result, judged
from harness.conformance.trying import best_reading


def repeated(id_: str, backend: str) -> Result:
    """The result of a case by itself; `backend` is what `backends.load` finds."""
    case = find(id_)
    finding = look(Engine(backend, backends.load(backend)), case)
    return judged(case, finding, best_reading([finding]))
