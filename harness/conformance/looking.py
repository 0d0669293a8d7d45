"""Looking at one case in this process: what an engine lacks for it, and what comes of it."""

from __future__ import annotations

import traceback
import zlib
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache
from io import StringIO
from time import perf_counter

import numpy as np

from harness.arguments import accepts
from harness.backends.base import Backend
from harness.checks.crashes import raised_in
from harness.conformance.case import Case, Engine, Finding
from harness.errors import NotSupportedError
from harness.measurement import NotMeasurableError
from harness.probes.trials.cases.pool import Pool
from harness.raised import text_of, told


@cache
def _numbers() -> Pool:
    return Pool(0)


def pool_for(case: Case) -> Pool:
    """Random numbers of a case's own: the same whatever else is run."""
    return _numbers().at(zlib.crc32(case.id.encode()))


def lacking(case: Case, backend: Backend) -> str:
    """What the engine has not that the case is about, in a sentence; nothing when it has all."""
    for need in case.needs:
        offered = getattr(backend.namespace, need.kind)
        what = {"losses": "loss"}.get(need.kind, need.kind.removesuffix("s"))
        if need.name not in offered:
            return f"backend '{backend.name}' offers no {what} {need.name}"
        if not accepts(offered[need.name], *need.arguments):
            lacks = [each for each in sorted(need.arguments)
                     if not accepts(offered[need.name], each)]  # fmt: skip
            return f"{need.name} of backend '{backend.name}' takes no argument {', '.join(lacks)}"
    return ""


def look(engine: Engine, case: Case) -> Finding:
    """What comes of a case; whatever the engine raises is told, and what it prints is not."""
    start = perf_counter()
    found = _looked(engine, case)
    return replace(found, seconds=perf_counter() - start)


def _looked(engine: Engine, case: Case) -> Finding:
    if lacks := lacking(case, engine.backend):
        return Finding(refused=lacks)
    try:
        with np.errstate(all="ignore"), redirect_stdout(StringIO()):
            return case.look(engine, pool_for(case))
    except NotMeasurableError as reason:
        return Finding(refused=str(reason))
    except NotSupportedError as error:
        return Finding(refused=error.message)
    except NotImplementedError as error:  # how an engine says that it has not all of a name
        return Finding(refused=f"NotImplementedError: {text_of(error) or 'it does not say why'}")
    except Exception as error:  # a broken engine may raise anything
        if case.may_refuse:
            return Finding(refused=f"it may refuse that, and does: {told(error)}")
        details = traceback.format_exc()
        place = raised_in(details).get("place", "")
        where = f" ({place})" if place else ""
        return Finding(raised=f"it raised {told(error)}{where}", details=details)
