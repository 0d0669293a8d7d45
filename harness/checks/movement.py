"""Does every parameter move?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.checks.tensors import names, tensor_verdicts
from harness.config import MilestoneConfig
from harness.record import RunRecord


@check(Stage.MOVEMENT)
def parameters_move(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Training changes every tensor that is not declared null; ten steps at rest fail."""
    null = config.expectations.null_gradients
    must_move = config.expectations.count - len(null)
    tensors = [t for t in tensor_verdicts(config, record) if t.label not in null]
    still = [tensor for tensor in tensors if tensor.rest]
    moved = len(tensors) - len(still)
    evidence = {"expected": must_move, "got": moved, "tensors": [t.label for t in still]}
    reason = f"{moved} of {must_move} parameters move"
    if still:
        same = [tensor.label for tensor in still if tensor.rest == still[0].rest]
        others = [tensor.label for tensor in still if tensor.rest != still[0].rest]
        text = f"{names(same)} {still[0].rest}"
        text += f"; nor did {names(others)} at every step" if others else ""
        hint = "Is it in the optimizer's list, as the same object?"
        return False, f"{text} ({reason})", hint, evidence
    hint = "Is every Parameter an attribute of its layer?"
    return moved == must_move, reason, hint, evidence
