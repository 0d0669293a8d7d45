"""Real trainings with a planted cut in the graph: the first divergence names the right tensor.

Right is the tensor that the cut starves; where a whole op is cut, that of the layer before it.
"""

from __future__ import annotations

from functools import cache

import pytest

from harness import config_files
from harness.comparing.looks import Trajectory
from harness.comparing.pairs import Parting
from harness.comparing.steps import first_parting
from harness.record import RunRecord
from harness.runner import Job, execute


@cache
def trajectory(milestone: str, fault: str | None = None) -> Trajectory:
    record = trained(milestone, fault)
    return Trajectory(
        tuple(record.labels), tuple(record.layers), record.dtype, record.checkpoints,
        record.loss, record.gradient_norm, record.movement,
    )  # fmt: skip


def trained(milestone: str, fault: str | None) -> RunRecord:
    asked = config_files.load(config_files.find(milestone))
    return execute(Job(asked, 0, checks=frozenset(), fault=fault))


def parted(milestone: str, fault: str) -> Parting:
    found = first_parting(trajectory(milestone), trajectory(milestone, fault))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("fault", "milestone", "phase", "tensor"),
    [
        ("linear_weight_detached_fc1", "xor", "gradient", "hidden.weight"),
        ("linear_bias_dropped", "perceptron", "forward", "output"),
        ("missing_return", "mlp", "gradient", "hidden.weight"),
        ("conv_bias_unlinked", "cnn", "gradient", "conv2.bias"),
        ("reshape_detached", "cnn", "gradient", "conv2.weight"),
        ("emb_detached", "transformer", "gradient", "embedding.weight"),
        ("positions_without_graph", "transformer", "gradient", "embedding.weight"),
        ("attn_q_detached", "transformer", "gradient", "attention.query.weight"),
        ("attn_k_detached", "transformer", "gradient", "attention.key.weight"),
        ("attn_weights_detached", "transformer", "gradient", "attention.key.weight"),
        ("attn_fake_gradient", "transformer", "forward", "attend"),
        ("skip_detached", "transformer", "gradient", "attention.out.bias"),
        ("resid_detached", "transformer", "gradient", "contract.weight"),
        ("ln_bias_unlinked", "transformer", "gradient", "norm2.bias"),
    ],
)
def test_first_divergence_of_a_cut_names_what_it_starves(
    fault: str, milestone: str, phase: str, tensor: str
) -> None:
    found = parted(milestone, fault)
    assert (found.level, found.phase, found.tensor, found.step) == ("CHANGED", phase, tensor, 0)


@pytest.mark.parametrize(
    ("fault", "milestone", "step"),
    [("adam_betas_swapped", "transformer", 1), ("update_every_second_step", "cnn", 1)],
)
def test_change_that_the_first_step_does_not_show_is_found_at_the_next(
    fault: str, milestone: str, step: int
) -> None:
    found = parted(milestone, fault)
    assert (found.level, found.phase, found.step) == ("CHANGED", "update", step)


@pytest.mark.parametrize(
    ("variant", "milestone"),
    [("ok_fused_linear", "transformer"), ("ok_ce_fused_logsumexp", "mlp"),
     ("ok_pool_tie_last", "cnn")],
)  # fmt: skip
def test_other_order_of_the_same_sums_is_rounding(variant: str, milestone: str) -> None:
    assert parted(milestone, variant).level == "ROUNDING"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
