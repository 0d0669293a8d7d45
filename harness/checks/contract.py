"""Is every function of a backend what the harness builds on?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, engine_check
from harness.checks.measured import judge_measurements
from harness.record import EngineRecord

_HINT = (
    "harness/backends/base.py says what each function of an adapter is to do; where it shares "
    "arrays with the harness, it makes a copy."
)


@engine_check(Stage.DATA, probe="contract")
def backend_keeps_its_contract(record: EngineRecord) -> Judgement:
    """Each function of the backend hands back what it was given, in its shape and its dtype.

    It changes none of its inputs, prints nothing and draws from no global random state.
    """
    rows = record.probed.measured["contract"]
    # Every row is a statement that holds or does not.
    good = f"{len(rows)} statements on the functions of the backend hold"
    return judge_measurements(rows, 0.0, good, _HINT)
