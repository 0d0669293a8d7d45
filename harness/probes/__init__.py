"""Probes measure a live engine, a model, or what training did to it; they judge nothing.

A probe is a file in `engine/` (it gets a backend), in `milestone/` (it gets a Specimen, before
training) or in `training/` (it gets a WholeTraining, after it) with a function `measure` that
gives Measurements; the file's name is the probe's name.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pkgutil import iter_modules
from time import perf_counter
from typing import Any

import numpy as np

from harness.measurement import Measurement, NotMeasurableError
from harness.record import Probed

KINDS = ("engine", "milestone", "training")
# `Any` stands for a Backend in engine/, a Specimen in milestone/, a WholeTraining in training/.
Measure = Callable[[Any], Iterable[Measurement]]


def available(kind: str) -> list[str]:
    """The names of all probes of one of the KINDS."""
    package = import_module(f"{__name__}.{kind}")
    return [module.name for module in iter_modules(package.__path__)]


def among(kind: str, names: Sequence[str]) -> list[str]:
    """Those of these names that are probes of a kind."""
    known = available(kind)
    return [name for name in names if name in known]


def load(names: Iterable[str]) -> None:
    """Import these probes, of whatever kind: a process that is forked now finds them there."""
    for kind in KINDS:
        for name in among(kind, tuple(names)):
            import_module(f"{__name__}.{kind}.{name}")


def examine(kind: str, names: Sequence[str], subject: Any) -> Probed:
    """What each of these probes saw of `subject`. One that raises stops none of the others."""
    probed = Probed()
    for name in names:
        measure: Measure = import_module(f"{__name__}.{kind}.{name}").measure
        start = perf_counter()
        try:
            # What overflows is measured, and what an engine warns of is no user's concern.
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                probed.measured[name] = list(measure(subject))
        except NotMeasurableError as reason:
            probed.unmeasurable[name] = str(reason)
        except Exception:  # a broken engine may raise anything
            probed.crashed[name] = traceback.format_exc()
        probed.seconds[name] = perf_counter() - start
    return probed
