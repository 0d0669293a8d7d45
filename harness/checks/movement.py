"""Does every parameter move?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.checks.tensors import names, tensor_verdicts
from harness.config import MilestoneConfig
from harness.record import RunRecord


@check(Stage.MOVEMENT)
def parameters_move(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Training changes every tensor that is not declared null; ten steps at rest fail."""
    tensors = tensor_verdicts(config, record)
    must_move = config.expectations.tensors - len(config.expectations.null_gradients)
    null = [tensor for tensor in tensors if tensor.verdict == "NULL"]
    still = [tensor for tensor in tensors if not tensor.moves]
    moved = len(tensors) - len(null) - len(still)
    evidence = {"expected": must_move, "got": moved, "tensors": [t.label for t in still]}
    if still:
        frozen = [tensor for tensor in still if tensor.verdict == "FROZEN"] or still
        why = frozen[0].reason if frozen[0].verdict == "FROZEN" else "cannot be said to move"
        labels = names([tensor.label for tensor in frozen])
        reason = f"{labels} {why} ({moved} of {must_move} parameters move)"
        return False, reason, "Is it in the optimizer's list, as the same object?", evidence
    passed = moved == must_move
    reason = f"{moved} of {must_move} parameters move"
    return passed, reason, "Is every Parameter an attribute of its layer?", evidence
