"""Where two trainings part: on real trainings with a planted fault, and on changed curves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.comparing import divergence
from harness.comparing.headlines import parting
from harness.comparing.side import Side
from harness.comparison import Divergence
from tests.sides import record, side, with_curve, without


def found(head: Side, base: Side | None = None) -> Divergence:
    return divergence.find(base or side(), head, "small")


def of_fault(name: str) -> Divergence:
    return found(side([record(fault=name)]))


def test_same_code_is_identical_to_the_bit() -> None:
    both = side([record(0), record(1)])
    told = found(both, both)
    assert (told.level, told.seeds, told.step) == ("IDENTICAL", [0, 1], None)
    assert divergence.stream(told) == "identical"
    assert parting(told) == "identical to the bit on 2 seeds"


@pytest.mark.parametrize(
    ("fault", "phase", "tensor", "step", "stream"),
    [
        ("ok_bias_init_uniform", "start", "hidden.bias", 0, "other"),
        ("linear_bias_dropped", "forward", "hidden", 0, "same"),
        ("tanh_bwd_not_squared", "gradient", "hidden.weight", 0, "same"),
        ("bce_grad_sum", "gradient", "output.weight", 0, "same"),
        ("opt_skips_last", "update", "output.bias", 0, "same"),
        ("weight_cached", "forward", "hidden", 1, "same"),
    ],
)
def test_phase_tensor_and_step_of_a_fault_are_found(
    fault: str, phase: str, tensor: str, step: int, stream: str
) -> None:
    told = of_fault(fault)
    assert (told.level, told.phase, told.tensor, told.step) == ("CHANGED", phase, tensor, step)
    assert divergence.stream(told) == stream
    assert divergence.is_exact(told)


def test_headline_has_tensor_step_and_both_norms() -> None:
    told = of_fault("tanh_bwd_not_squared")
    norms = [side([record(fault=f)]).curves["small/0/gradient_norm"][0, 0]
             for f in (None, "tanh_bwd_not_squared")]  # fmt: skip
    assert parting(told) == (
        f"hidden.weight's gradient differs from step 0: {norms[0]:.3g} against {norms[1]:.3g}"
    )


def test_gradient_that_no_longer_arrives_is_said_so() -> None:
    told = of_fault("opt_built_too_early")
    assert told.head is None
    assert parting(told).startswith("hidden.weight receives no gradient from step 0: 0.")


def test_change_of_sign_is_seen_though_all_norms_are_equal() -> None:
    one = side()
    key = "checkpoints/gradient_"
    head = with_curve(one, f"0/{key}sketch", lambda array: -array)
    head = with_curve(head, f"0/{key}crc", lambda array: array + np.uint64(1))
    head = replace(head, scorecard=side([record(1)]).scorecard)  # another digest, seed 1
    results = [r.model_copy(update={"seed": 0}) for r in head.scorecard.results]
    head = replace(head, scorecard=head.scorecard.model_copy(update={"results": results}))
    told = found(head)
    assert (told.level, told.phase, told.step) == ("CHANGED", "gradient", 0)
    assert told.base == pytest.approx(told.head)
    assert told.difference == pytest.approx(2.0)
    assert "apart by 2 of that" in parting(told)


def turned(head: Side) -> Side:
    """The side as if its trainings had ended with other numbers."""
    results = [r.model_copy(update={"digest": "e" * 64}) for r in head.scorecard.results]
    return replace(head, scorecard=head.scorecard.model_copy(update={"results": results}))


@pytest.mark.parametrize(("factor", "level"), [(1 + 3e-7, "ROUNDING"), (1 + 1e-3, "CHANGED")])
def test_rounding_is_told_from_a_change_by_its_size(factor: float, level: str) -> None:
    head = with_curve(side(), "0/checkpoints/gradient_sketch", lambda array: array * factor)
    head = with_curve(head, "0/checkpoints/gradient_crc", lambda array: array + np.uint64(1))
    told = found(turned(head))
    assert (told.level, told.phase, told.step) == (level, "gradient", 0)
    assert told.difference == pytest.approx(factor - 1, rel=1e-3)
    assert ("by rounding" in parting(told)) == (level == "ROUNDING")


def test_change_after_rounding_is_found() -> None:
    def late(array: np.ndarray) -> np.ndarray:
        array[0] *= 1 + 1e-7
        array[3:] *= 1.5
        return array

    head = with_curve(side(), "0/checkpoints/gradient_sketch", late)
    head = with_curve(head, "0/checkpoints/gradient_crc", lambda array: array + np.uint64(1))
    told = found(turned(head))
    assert (told.level, told.phase, told.step, told.since) == ("CHANGED", "gradient", 4, 2)


def test_norms_narrow_down_a_step_between_two_checkpoints() -> None:
    def late(array: np.ndarray) -> np.ndarray:
        array[5:, 2] *= 2.0
        return array

    def checks(array: np.ndarray) -> np.ndarray:
        array[4:] += np.uint64(1)  # steps 8 and later
        return array

    head = with_curve(side(), "0/gradient_norm", late)
    head = with_curve(head, "0/checkpoints/gradient_crc", checks)
    told = found(turned(head))
    assert (told.level, told.phase, told.tensor) == ("CHANGED", "gradient", "output.weight")
    assert (told.step, told.since) == (5, 4)
    assert divergence.is_exact(told)


def test_without_fingerprints_the_norms_of_every_step_are_compared() -> None:
    base, head = without(side(), "checkpoints"), side([record(fault="tanh_bwd_not_squared")])
    told = found(without(head, "checkpoints"), base)
    assert (told.level, told.phase, told.tensor, told.step) == (
        "CHANGED", "gradient", "hidden.weight", 0,
    )  # fmt: skip


def test_checksums_of_another_kind_are_not_compared() -> None:
    """An older harness kept others, under another name."""
    base = side()
    older = {key.replace("_crc", "_checksum"): array + array.dtype.type(key.endswith("_crc"))
             for key, array in base.curves.items()}  # fmt: skip
    assert found(base, replace(base, curves=older)).level == "IDENTICAL"


def recounted(one: Side) -> Side:
    """The side as a harness would leave it that makes its checksums another way."""
    new = {key: array + np.uint64(1) for key, array in one.curves.items() if key.endswith("_crc")}
    assert {key.rsplit("/", 1)[-1] for key in new} >= {"batch_crc", "start_crc", "gradient_crc"}
    return replace(one, curves={**one.curves, **new})


def test_equal_digests_are_believed_before_checksums_that_are_made_otherwise() -> None:
    told = found(recounted(side()))
    assert (told.level, told.step) == ("IDENTICAL", None)
    assert divergence.stream(told) == "identical"


def test_checksums_of_batches_are_believed_where_digests_differ_too() -> None:
    told = found(turned(recounted(side())))
    assert (told.level, told.phase, told.step) == ("CHANGED", "batch", 0)
    assert divergence.stream(told) == "other"


def test_gradient_that_turns_is_told_though_the_digests_are_equal() -> None:
    """It need not reach what is learned: a digest does not hold gradients."""
    head = with_curve(recounted(side()), "0/checkpoints/gradient_sketch", lambda array: -array)
    told = found(head)
    assert (told.level, told.phase, told.step) == ("CHANGED", "gradient", 0)


def test_without_any_curve_other_digests_are_unknown_and_equal_ones_identical() -> None:
    bare = without(side(), "/")
    assert found(bare, bare).level == "IDENTICAL"
    told = found(without(side([record(fault="bce_grad_sum")]), "/"), bare)
    assert (told.level, told.step) == ("unknown", None)
    assert "no step was kept" in told.why
    assert divergence.stream(told) == "other"


def test_equal_trainings_that_are_evaluated_otherwise_are_told() -> None:
    head = with_curve(side(), "0/accuracy", lambda array: array * 0.5)
    told = found(head)
    assert (told.level, told.phase, told.tensor) == ("CHANGED", "evaluation", "accuracy")
    assert parting(told).startswith("the training is the same to the bit, but the accuracy differs")


def test_training_that_ends_early_is_told_by_its_steps() -> None:
    names = ("loss", "gradient_norm", "movement")
    head = side()
    for name in names:
        head = with_curve(head, f"0/{name}", lambda array: array[:60])
    told = found(turned(without(head, "checkpoints")), without(side(), "checkpoints"))
    assert (told.level, told.phase, told.step) == ("CHANGED", "batch", 60)
    assert parting(told) == "the training takes 60 steps, not 80"


@pytest.mark.parametrize(
    ("curve", "tensor"),
    [
        ("loss", "recorded loss"),
        ("gradient_norm", "recorded gradient norm of hidden.weight"),
        ("movement", "recorded movement of hidden.weight"),
    ],
)
def test_equal_trainings_that_are_recorded_otherwise_are_told(curve: str, tensor: str) -> None:
    def once(array: np.ndarray) -> np.ndarray:
        array.reshape(len(array), -1)[9, 0] *= 1.001
        return array

    told = found(with_curve(side(), f"0/{curve}", once))
    assert (told.level, told.phase, told.tensor, told.step) == ("CHANGED", "evaluation", tensor, 9)
    assert divergence.stream(told) == "same"


def test_norms_that_differ_by_rounding_in_equal_trainings_are_nothing() -> None:
    head = with_curve(side(), "0/gradient_norm", lambda array: array * (1 + 2e-7))
    assert found(head).level == "IDENTICAL"


def test_worst_seed_is_told() -> None:
    base = side([record(0), record(1)])
    head = side([record(0), record(1, "bce_grad_sum")])
    told = found(head, base)
    assert (told.level, told.seed, told.seeds) == ("CHANGED", 1, [0, 1])


def test_side_that_does_not_repeat_itself_is_no_stream_of_the_other() -> None:
    head = replace(side(), unsteady=frozenset({"small"}))
    told = found(head)
    assert told.unsteady == ["head"]
    assert divergence.stream(told) == "other"


def test_seeds_that_were_not_trained_on_both_say_nothing() -> None:
    told = found(side([record(1)]))
    assert (told.level, told.why) == ("unknown", "no seed was trained on both")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
