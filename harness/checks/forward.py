"""Does every layer compute what its formula says, and the model what its layers do?"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from harness.checks.base import Judgement, Stage, check
from harness.checks.measured import WIDE, judge_measurements
from harness.config import LayerSpec, MilestoneConfig
from harness.measurement import Measurement
from harness.record import RunRecord

# How the probe begins a row about a layer, by its label.
_OUTPUT = re.compile(r"output of (\w+)")
_HINT = "Compare its forward pass with the formula, on the input that the layer before it gives."


@check(Stage.FORWARD, probe="forward")
def forward_agrees(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Every declared layer gives what its formula says, and the model what its layers give."""
    rows = record.probed.measured["forward"]
    rows = [*_misplaced(_in_order(config.layers), rows), *rows]
    known = sum(not math.isnan(row.got) for row in rows)
    good = f"{known} of {len(rows)} outputs are what their formulas say"
    return judge_measurements(rows, WIDE, good, _HINT)


def _in_order(layers: Mapping[str, LayerSpec]) -> list[tuple[str, str]]:
    """(label, type) of every layer as a model goes through them, containers after the rest."""
    found = []
    for label, spec in layers.items():
        found += [*_in_order(spec.layers or {}), (label, spec.type)]
    return found


def _misplaced(declared: list[tuple[str, str]], rows: Sequence[Measurement]) -> list[Measurement]:
    """Layers that the config has, but not the model that was measured, or not there."""
    built = [(match[1], row.subject) for row in rows if (match := _OUTPUT.match(row.what))]
    lost = [(label, kind) for label, kind in declared if (label, kind) not in built]
    if not lost and built != declared:
        return [Measurement("the model", "order of its layers", math.nan, math.nan, math.inf)]
    what = "output of {}, which the config declares"
    return [Measurement(kind, what.format(label), 0.0, 1.0, math.inf) for label, kind in lost]
