"""Do the weights of every layer start as one of the ways in use has it?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, engine_check
from harness.checks.measured import judge_measurements
from harness.record import EngineRecord

_HINT = (
    "Draw every number by itself, around zero, from the generator that the layer is given, in a "
    "size that goes by the inputs of the layer; biases start small, gains at 1."
)


@engine_check(Stage.START, probe="initial_weights")
def weights_start_right(record: EngineRecord) -> Judgement:
    """Weights start as independent random numbers around zero, drawn from the given generator.

    Their size goes by fan-in or fan-out in the same way for small and large layers.
    """
    rows = record.probed.measured["initial_weights"]
    # The probe allows for chance and for all ways to start that are in use.
    good = f"{len(rows)} properties of the weights of all layers are right"
    return judge_measurements(rows, 0.0, good, _HINT)
