"""Cases of what names owe beyond one call: how layers start and draw, how gradients add up, and
what optimizers and clipping do, option by option."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from harness.backends.base import Backend
from harness.conformance.case import Case, Engine, Finding, Kind, Need
from harness.measurement import Measurement
from harness.probes.engine import accumulation, initial_weights
from harness.probes.engine.optimizer_rules import VARIANTS, Material, of_options
from harness.probes.runs.optimizer_manners import CLIP, MANNERS, clipping_in
from harness.probes.trials import cases, dropout_manners, layer_manners
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.layers import inside
from harness.probes.trials.uses import used_once

BACKWARD = "backward"
MANNER = "manners"
Precision = type[np.floating[Any]]
SINGLE: Precision = np.float32
DOUBLE: Precision = np.float64
_START = "Draw every number by itself, from the generator that the layer is given; see its fan-in."
_LAYER = "A layer draws from its own generator, heeds its mode, and lists every tensor once."
_ADD = "Every use of a tensor must add to its gradient, as must every backward pass."
_STEP = "Compare step() with the rule of its paper, step by step; keep one state for each tensor."
_DROP = "Drop each number by itself with probability p, and divide what is left by 1 - p."

# What gives rows about an engine by itself.
Rows = Callable[[Backend, Pool], Iterable[Measurement]]


def _looking(rows: Rows, hint: str, tolerance: float | None, engine: Engine, pool: Pool) -> Finding:
    found = Finding((tuple(rows(engine.backend, pool)),), hint=hint)
    return found if tolerance is None else replace(found, tolerance=tolerance)


def _case(
    level: str, subject: str, aspect: str, words: str, rows: Rows, hint: str,
    needs: tuple[Need, ...], tolerance: float | None = None, source: object = None,
) -> Case:  # fmt: skip
    look = partial(_looking, rows, hint, tolerance)
    return Case(level, subject, aspect, words, look, needs, source=source)


# --- layers ---------------------------------------------------------------------------------------


def of_layer(name: str, takes_rng: bool) -> Iterator[Case]:
    """How a layer starts, draws, heeds its mode, lists what is in it, and drops."""
    probes: dict[str, tuple[Any, bool]] = {
        "modes": (layer_manners.modes, name not in layer_manners.MODAL),
        "draws": (layer_manners.draws, takes_rng),
        "lists": (layer_manners.lists, name in cases.CONTAINERS),
        "drops": (dropout_manners.of_layer, name == "Dropout"),
    }
    arguments = {"draws": {"rng"}, "drops": {"p"}}
    if name in initial_weights.SIZES or name in initial_weights.CONSTANT:
        yield _case("L2", name, "start", "", partial(_start, name), _START,
                    (Need("layers", name),), 0.0)  # fmt: skip
    for aspect, (probe, applies) in probes.items():
        if applies:
            needs = [Need("layers", name, frozenset(arguments.get(aspect, ())))]
            needs += [Need("layers", layer_manners.REPEATED[0])] if aspect == "lists" else []
            needs += _around(name) if aspect == "modes" else []
            hint = _DROP if aspect == "drops" else _LAYER
            yield _case("L2", name, MANNER, aspect, partial(_of_name, probe, name), hint,
                        tuple(needs))  # fmt: skip


def _around(name: str) -> list[Need]:
    """The layers that a container is tried around, the first time."""
    table = cases.CONTAINERS.get(name, [])
    return [Need("layers", kind) for each in table[:1] for kind in inside(each)]


def _start(name: str, backend: Backend, pool: Pool) -> Iterable[Measurement]:
    return initial_weights.of_layer(backend, name, backend.namespace.layers[name])


def _of_name(
    probe: Callable[[Backend, str, Pool], Iterator[Measurement]],
    name: str,
    backend: Backend,
    pool: Pool,
) -> Iterable[Measurement]:
    return probe(backend, name, pool)


def of_dropout() -> Case:
    """How the op drops."""
    needs = (Need("ops", "dropout", frozenset({"p", "training"})),)
    rows = partial(_of_name, dropout_manners.of_op, "dropout")
    return _case("L1", "dropout", MANNER, "drops", rows, _DROP, needs)


# --- the backward pass ----------------------------------------------------------------------------


def of_backward() -> Iterator[Case]:
    """What several uses, outputs and passes come to."""
    ops = (Need("ops", "add"), Need("ops", "mul"))
    layers = (Need("layers", "Linear"), Need("losses", "MSELoss"))
    tables: list[tuple[str, Mapping[str, accumulation.Case], tuple[Need, ...]]] = [
        ("L1", {"used_once": used_once, **accumulation.OF_ARITHMETIC}, ops),
        ("L2", accumulation.OF_LAYERS, layers),
        ("L3", accumulation.OF_OPTIMIZERS, ops),
    ]
    for level, table, needs in tables:
        for words, probe in table.items():
            own = needs[:1] if words == "layer_used_twice" else needs
            yield _case(level, BACKWARD, "", words, partial(_of_engine, probe), _ADD, own)


def _of_engine(probe: accumulation.Case, backend: Backend, pool: Pool) -> Iterable[Measurement]:
    return probe(backend)


# --- optimizers -----------------------------------------------------------------------------------


def of_optimizer(name: str) -> Iterator[Case]:
    """Each of its options against the rule, the longest also in float32, and its manners."""
    known = VARIANTS.get(name, [])
    longest = max(known, key=len, default={})
    for options, dtype in (*((each, DOUBLE) for each in known), (longest, SINGLE)):
        words = "-".join(f"{key}={value}" for key, value in options.items()) or "no options"
        words = words if dtype is DOUBLE else f"{words}-float32"
        rows = partial(_steps, name, options, dtype)
        needs = (_optimizer(name, *options),)
        yield _case("L3", name, "", words, rows, _STEP, needs, source=Stepped(name, options, dtype))
    for words, probe in MANNERS.items():
        yield _case("L3", name, MANNER, words, partial(_manner, probe, name), _STEP,
                    (_optimizer(name),))  # fmt: skip


def _optimizer(name: str, *options: str) -> Need:
    kind: Kind = "optimizers"
    return Need(kind, name, frozenset(options))


@dataclass(frozen=True)
class Stepped:
    """An optimizer with some options, in float64 or float32."""

    name: str
    options: Mapping[str, Any]  # each optimizer has its own
    dtype: Precision


def _steps(
    name: str,
    options: Mapping[str, Any],
    dtype: Precision,
    backend: Backend,
    pool: Pool,
) -> Iterable[Measurement]:
    factory = backend.namespace.optimizers[name]
    return of_options(backend, name, factory, options, Material.of(dtype))


def _manner(probe: Any, name: str, backend: Backend, pool: Pool) -> Iterable[Measurement]:
    rows: Iterable[Measurement] = probe(backend, name, backend.namespace.optimizers[name])
    return rows


def of_clipping() -> Iterator[Case]:
    """Clipping in either precision."""
    for dtype in (DOUBLE, SINGLE):
        rows = partial(_clipping, dtype)
        yield _case("L3", CLIP, "", np.dtype(dtype).name, rows, _STEP, ())


def _clipping(dtype: Precision, backend: Backend, pool: Pool) -> Iterable[Measurement]:
    return clipping_in(backend, dtype)
