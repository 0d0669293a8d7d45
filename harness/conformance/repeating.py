"""One case again, in this process: what a reproducing file calls."""

from __future__ import annotations

from collections.abc import Sequence

from harness import backends
from harness.conformance.case import Engine, Finding
from harness.conformance.listing import find
from harness.conformance.looking import look
from harness.conformance.outcomes import Result, judged
from harness.conformance.trying import best_reading


def repeated(id_: str, backend: str, earlier: Sequence[str] = ()) -> Result:
    """The result of a case by itself, or after others; `backend` is what `backends.load` finds."""
    finding = looked_again(id_, backend, earlier)
    return judged(find(id_), finding, best_reading([finding]))


def looked_again(id_: str, backend: str, earlier: Sequence[str] = ()) -> Finding:
    """What comes of a case after these, in this process."""
    engine = Engine(backend, backends.load(backend))
    for each in earlier:
        look(engine, find(each))
    return look(engine, find(id_))
