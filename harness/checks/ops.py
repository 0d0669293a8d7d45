"""Is every op, layer and loss of an engine right by itself: value, gradient and manners?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, engine_check
from harness.checks.measured import WIDE, judge_measurements
from harness.record import EngineRecord

_VALUE = "Compare its forward pass with the formula, on the inputs named above."
_GRADIENT = (
    "Compare apply() with the derivative on paper: a factor, a sum over what was broadcast, a "
    "transpose, or a use that is not added up."
)
_MANNERS = (
    "An op may change nothing that it is given and keep nothing from one call to the next; a layer "
    "draws from its own generator and heeds its mode."
)


@engine_check(Stage.OP, probe="op_values")
def ops_compute_right(record: EngineRecord) -> Judgement:
    """Every op, loss and layer gives what its formula says, in float64 and in float32."""
    rows = record.probed.measured["op_values"]
    good = f"{len(rows)} values are what their formulas say"
    return judge_measurements(rows, WIDE, good, _VALUE)


@engine_check(Stage.OP, probe="op_gradients")
def ops_differentiate_right(record: EngineRecord) -> Judgement:
    """Every gradient of an op, loss or layer agrees with finite differences of its value."""
    rows = record.probed.measured["op_gradients"]
    good = f"{len(rows)} gradients agree with finite differences"
    return judge_measurements(rows, WIDE, good, _GRADIENT)


@engine_check(Stage.OP, probe="op_manners")
def ops_behave(record: EngineRecord) -> Judgement:
    """No op changes what it is given or depends on other calls; dropout drops as it should."""
    rows = record.probed.measured["op_manners"]
    return judge_measurements(rows, WIDE, f"{len(rows)} looks at manners find none bad", _MANNERS)
