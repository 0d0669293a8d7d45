"""Cases of ops, losses and layers: their values, their gradients, and what they leave alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from harness.backends.base import Backend
from harness.conformance.case import Case, Engine, Finding, Kind, Need
from harness.oracles.ops import LOSSES, OPS
from harness.probes.engine import op_gradients, op_manners, op_values
from harness.probes.trials import cases
from harness.probes.trials.cases.case import Case as TrialCase
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.layers import layer_trial
from harness.probes.trials.ops import loss_trial, op_trial
from harness.probes.trials.trial import Trial

VALUE, GRADIENT, MANNERS = "value", "gradient", "manners"
_VALUE = "Compare its forward pass with the formula, on these inputs."
_GRADIENT = "Compare its backward pass with the derivative on paper, on these inputs."
_MANNERS = "It may change nothing that it is given and keep nothing from one call to the next."


@dataclass(frozen=True)
class Tried:
    """One call of one name; `turn` is its place in the table, which decides on layouts."""

    kind: Kind
    name: str
    case: TrialCase
    turn: int
    aspect: str
    is_large: bool = False

    def trial(self, backend: Backend, pool: Pool) -> Trial:
        """The call with its numbers drawn; raises what building a layer raises."""
        if self.kind == "ops":
            return op_trial(backend, self.name, self.case, pool, self.is_large)
        if self.kind == "losses":
            return loss_trial(backend, self.name, self.case, pool)
        is_training = self.aspect != VALUE
        return layer_trial(backend, self.name, self.case, pool, is_training)

    @property
    def way(self) -> int:
        """How the inputs of a value are laid out: see `layouts`."""
        return self.turn + 1


def cases_of(kind: Kind, name: str) -> Iterator[Case]:
    """All cases of one name: every call of the table in each aspect."""
    some = _table(kind, name)
    large = cases.LARGE.get(name, []) if kind == "ops" else []
    for aspect in (VALUE, GRADIENT, MANNERS):
        for turn, case in enumerate((*some, *large)):
            tried = Tried(kind, name, case, turn, aspect, turn >= len(some))
            if _is_told(tried):
                yield _case(tried)


def _table(kind: Kind, name: str) -> Sequence[TrialCase]:
    if kind == "layers":
        return {**cases.LAYERS, **cases.CONTAINERS}.get(name, [])
    return cases.OPS.get(LOSSES.get(name, "") if kind == "losses" else name, [])


def _is_told(tried: Tried) -> bool:
    """Whether there is anything to hold it against: no formula for what is drawn, no slope of
    what is fixed."""
    case = tried.case
    if tried.aspect == GRADIENT and tried.kind != "layers":
        return any(numbers is not None for numbers in case.numbers)
    if tried.aspect == VALUE and "rng" in case.arguments:
        drawn = [array for array in case.draw(Pool(0)) if array is not None]
        try:
            OPS[tried.name][0](*drawn, **case.arguments)
        except NotImplementedError:
            return False
    return True


def _case(tried: Tried) -> Case:
    case = tried.case
    look = {VALUE: _value, GRADIENT: _gradient, MANNERS: _manners}[tried.aspect]
    inside = [kind for kind, _ in case.arguments.get("layers", ())]
    words = "-".join(case.parts) if not inside else f"{case.parts[0]}-of {' and '.join(inside)}"
    given = frozenset() if inside else frozenset({*case.arguments, *case.tensors})
    return Case(
        "L1" if tried.kind == "ops" else "L2", tried.name, tried.aspect,
        f"{words}-large" if tried.is_large else words, partial(look, tried),
        (Need(tried.kind, tried.name, given), *(Need("layers", each) for each in inside)),
        case.may_refuse, tried,
    )  # fmt: skip


def _value(tried: Tried, engine: Engine, pool: Pool) -> Finding:
    trial = tried.trial(engine.backend, pool)
    readings = op_values.readings(engine.backend, trial, tried.way)
    return Finding(tuple(map(tuple, readings)), hint=_VALUE)


def _gradient(tried: Tried, engine: Engine, pool: Pool) -> Finding:
    trial = tried.trial(engine.backend, pool)
    if not trial.varied:
        return Finding(failed=f"{tried.name} has nothing that a gradient is taken of",
                       hint="Does the backend's parameters() list its tensors?")  # fmt: skip
    rows = op_gradients.rows_of(engine.backend, trial, pool, tried.turn)
    return Finding((tuple(rows),), hint=_GRADIENT)


def _manners(tried: Tried, engine: Engine, pool: Pool) -> Finding:
    trial = tried.trial(engine.backend, pool)
    rows = op_manners.bad_rows_of(engine.backend, trial, pool)
    return Finding((tuple(rows),), hint=_MANNERS)


def best_reading(findings: Sequence[Finding]) -> int:
    """The one convention that fits all cases of a name best; the first where several do."""
    count = max((len(finding.readings) for finding in findings), default=0)
    misfits = [
        op_values.misfit(
            row for each in findings if way < len(each.readings) for row in each.readings[way]
        )
        for way in range(count)
    ]
    return int(np.argmin(misfits)) if misfits else 0
