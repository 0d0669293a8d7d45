"""Does history lead from the loss to every tensor, and does every tensor matter?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.checks.measured import WIDE, judge_measurements
from harness.config import MilestoneConfig
from harness.record import RunRecord


@check(Stage.GRAPH, probe="graph")
def graph_is_whole(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """What is computed from a tensor remembers it, as far as gradients need that.

    The leaves of the graph are the declared tensors, each once.
    """
    rows = record.probed.measured["graph"]
    good = f"{len(rows)} parts of the graph are linked as they should be"
    hint = (
        "Use Tensor operations instead of Tensor(x.data ...), and pass every tensor that an op "
        "reads to Function.__init__; every Parameter is an attribute of its layer."
    )
    return judge_measurements(rows, WIDE, good, hint)


@check(Stage.GRAPH, probe="sensitivity")
def outputs_feel_every_tensor(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Moving any tensor changes the outputs, in the type of number that is trained with."""
    rows = record.probed.measured["sensitivity"]
    hint = "Is it read at all, and not scaled or masked away on its way to the outputs?"
    return judge_measurements(rows, WIDE, f"the outputs feel each of {len(rows)} tensors", hint)
