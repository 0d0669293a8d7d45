"""From two sides to a verdict: real trainings of a small milestone, with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness.comparing.judging import compare
from harness.comparing.side import Side, Timed
from harness.comparison import Comparison, MilestoneComparison
from harness.errors import JobCrashedError, JobKilledError
from harness.json_files import to_json
from harness.results import failed_result
from harness.scorecard import CostRow, EngineResult, Result, VerdictRow
from tests.sides import record, side, small_milestone, with_curve

SEEDS = range(8)
COST = CostRow(ops=6, nodes=4, by_op={"LinearBackward": 2}, size_bytes=100, peak_bytes=1000)


def many(fault: str | None = None, **changes: object) -> Side:
    """A side of eight seeds."""
    return side([record(seed, fault) for seed in SEEDS], name="topic", **changes)


def compared(head: Side, base: Side | None = None, **others: object) -> Comparison:
    base = base or side([record(seed) for seed in SEEDS])
    return compare(base, head, {}, {"small": None}, **others)  # type: ignore[arg-type]  # keywords as they are


def only(comparison: Comparison) -> MilestoneComparison:
    (found,) = comparison.milestones
    return found


def edited(change: Callable[[Result], Result]) -> Callable[[list[Result]], list[Result]]:
    return lambda results: [change(each) for each in results]


def with_verdict(status: str, stage: str = "gradient") -> Callable[[Result], Result]:
    row = VerdictRow(check="odd", status=status, reason=f"it says {status}", stage=stage,
                     evidence={"place": "engine.py:3"})  # type: ignore[arg-type]  # a literal  # fmt: skip
    return lambda result: result.model_copy(update={"verdicts": [*result.verdicts, row]})


def test_same_code_is_the_same_and_says_how_it_knows() -> None:
    told = compared(many())
    found = only(told)
    assert (found.verdict, told.exit_code(strict=True)) == ("same", 0)
    assert found.headline == "identical to the bit on 8 seeds"
    assert {cell.verdict for cell in found.cells} <= {"same", "not measured"}
    assert found.seeds == list(SEEDS)
    assert found.base_accuracy == found.head_accuracy
    assert found.base_loss == found.head_loss
    assert len(found.base_loss.step) == 60
    assert found.base_loss.step[-1] == 80


def test_newly_failing_structural_check_is_a_regression_on_one_seed() -> None:
    def one(results: list[Result]) -> list[Result]:
        return [with_verdict("fail")(results[0]), *map(with_verdict("pass"), results[1:])]

    told = compared(many(results=one), many(results=edited(with_verdict("pass"))))
    found = only(told)
    assert (found.verdict, told.exit_code()) == ("REGRESSED", 1)
    assert found.headline == "odd fails: it says fail"
    assert found.checks[0].place == "engine.py:3"
    assert found.reproduce == "harness run small"


def test_missed_target_of_one_seed_in_eight_is_luck_unless_the_bits_are_equal() -> None:
    def one(results: list[Result]) -> list[Result]:
        missed = with_verdict("fail", "target")(results[0])
        return [missed, *map(with_verdict("pass", "target"), results[1:])]

    base = many(results=edited(with_verdict("pass", "target")))
    assert only(compared(many(results=one), base)).verdict == "REGRESSED"
    other = [record(seed, "ok_order_drawn_otherwise") for seed in SEEDS]
    loud = compared(side(other, results=one), base)
    assert "odd" not in only(loud).headline
    assert only(loud).verdict != "REGRESSED"
    assert only(loud).checks[0].change == "newly failing"


def test_broken_gradient_is_a_regression_whose_headline_is_the_first_divergence() -> None:
    told = compared(many("tanh_bwd_not_squared"))
    found = only(told)
    assert found.headline.startswith("hidden.weight's gradient differs from step 0: 0.")
    assert found.divergence is not None
    assert (found.divergence.level, found.divergence.tensor) == ("CHANGED", "hidden.weight")


def test_slower_learning_is_a_regression_and_quicker_is_suspicious() -> None:
    slow = [replace(record(s, "bce_grad_sum"), digest=f"{s:064d}") for s in SEEDS]
    for each in slow:
        healthy = record(each.seed).loss
        each.loss = np.interp(np.arange(80) / 3, np.arange(80), healthy)
    told = compared(side(slow))
    assert only(told).verdict == "REGRESSED"
    (speed,) = [c for c in only(told).cells if c.quantity == "learning speed"]
    assert speed.verdict == "worse"
    assert speed.estimate == pytest.approx(3.0, rel=0.25)
    back = compared(many(), side(slow))
    assert (only(back).verdict, back.exit_code(), back.exit_code(strict=True)) == (
        "CHANGED-FASTER", 0, 1,
    )  # fmt: skip


def test_better_learning_with_a_mended_check_is_an_improvement() -> None:
    slow = [replace(record(s), digest=f"{s:064d}") for s in SEEDS]
    for each in slow:
        each.loss = np.interp(np.arange(80) / 3, np.arange(80), each.loss)
    base = side(slow, results=edited(with_verdict("fail")))
    told = compared(many(results=edited(with_verdict("pass"))), base)
    assert only(told).verdict == "improved"
    assert only(told).checks[0].change == "fixed"


def test_more_memory_is_a_regression_and_counters_are_told() -> None:
    def with_cost(**fields: object) -> Callable[[list[Result]], list[Result]]:
        cost = COST.model_copy(update=fields)
        return edited(lambda result: result.model_copy(update={"cost": cost}))

    told = compared(many(results=with_cost(peak_bytes=2000, ops=7)), many(results=with_cost()))
    found = only(told)
    assert (found.verdict, found.headline) == ("REGRESSED", "peak memory 2x")
    assert [(each.name, each.base, each.head) for each in found.counters] == [
        ("tensors made per step", 6, 7)
    ]


def test_slower_steps_are_a_regression_and_faster_ones_an_improvement() -> None:
    base = many()
    for ratio, verdict in ((np.log(1.2), "REGRESSED"), (-np.log(1.2), "improved")):
        times = Timed(tuple(ratio + 0.002 * np.sin(np.arange(7.0))), 1e-4, 1.2e-4)
        told = compare(base, many(), {"small": times}, {"small": None})
        assert only(told).verdict == verdict
        assert only(told).headline.startswith(f"step time {np.exp(ratio):.3g}x")


def test_another_config_gives_no_verdict_and_the_reason() -> None:
    told = compared(many(configs={"small": "f" * 64}, settings={}))
    found = only(told)
    assert (found.verdict, told.exit_code()) == ("not comparable", 3)
    assert found.headline.startswith("the config is another one")
    assert (found.cells, found.divergence) == ([], None)


@pytest.mark.parametrize(
    ("error", "verdict", "code"),
    [
        (JobCrashedError("it raised ValueError: no", "", "Traceback"), "REGRESSED", 1),
        (JobKilledError("its process was killed by SIGKILL"), "not comparable", 3),
    ],
)
def test_crash_of_the_head_is_its_fault_and_a_kill_is_not(
    error: JobCrashedError | JobKilledError, verdict: str, code: int
) -> None:
    dead = edited(lambda result: failed_result(small_milestone(), result.seed, "numpy", error))
    told = compared(many(results=dead))
    assert (only(told).verdict, told.exit_code()) == (verdict, code)
    assert error.message in only(told).headline


def test_milestone_of_one_side_is_added_or_removed() -> None:
    renamed = many(results=edited(lambda r: r.model_copy(update={"milestone": "other"})))
    told = compared(renamed)
    assert [(each.milestone, each.verdict) for each in told.milestones] == [
        ("other", "added"), ("small", "removed"),
    ]  # fmt: skip
    assert told.exit_code() == 0


def test_newly_failing_engine_is_a_regression_of_the_whole() -> None:
    def engine(status: str) -> EngineResult:
        row = VerdictRow(check="ops_behave", status=status, reason="so")  # type: ignore[arg-type]  # a literal
        return EngineResult(backend="numpy", status="pass", verdicts=[row])

    told = compared(many(engine=engine("fail")), many(engine=engine("pass")))
    assert (told.regressed, told.exit_code(), only(told).verdict) == (True, 1, "same")


def test_notes_tell_of_dropped_checks_lower_targets_and_unsteady_sides() -> None:
    base = many(results=edited(with_verdict("pass")))
    head = replace(many(), unsteady=frozenset({"small"}))
    told = compared(head, base, notes=["and this"])
    notes = told.notes
    assert "small: odd is no longer made" in notes
    assert told.weaker == ["small: odd is no longer made"]
    assert (told.exit_code(), told.exit_code(strict=True)) == (0, 4)
    assert "small: the head does not repeat itself: the same seed gave other bits twice" in notes
    assert notes[-1] == "and this"


def test_lower_target_is_less_evidence_and_a_higher_one_is_not() -> None:
    def with_target(target: float) -> Side:
        change = lambda r: r.model_copy(  # noqa: E731  (short)
            update={"accuracy": r.accuracy.model_copy(update={"target": target})}
        )
        return many(results=edited(change))

    told = compared(with_target(0.5), with_target(0.9))
    assert told.weaker == ["small: the target is 0.9 against 0.5"]
    assert (told.exit_code(), told.exit_code(strict=True)) == (0, 4)
    told = compared(with_target(0.9), with_target(0.5))
    assert (told.weaker, told.exit_code(strict=True)) == ([], 0)
    assert "small: the target is 0.5 against 0.9" in told.notes


def test_other_bits_each_time_are_no_headline() -> None:
    head = replace(many("tanh_bwd_not_squared"), unsteady=frozenset({"small"}))
    assert "gradient differs" not in only(compared(head)).headline


def test_one_seed_is_too_little_evidence_unless_the_bits_are_equal() -> None:
    one = side([record(0)])
    assert compared(one, one).exit_code(strict=True) == 0
    other = compared(side([record(0, "ok_bias_init_uniform")]), one)
    assert only(other).verdict in ("inconclusive", "REGRESSED")
    assert other.exit_code(strict=True) in (1, 4)


def test_missed_band_of_a_training_that_is_only_evaluated_otherwise_is_no_luck() -> None:
    def one(results: list[Result]) -> list[Result]:
        missed = with_verdict("fail", "band")(results[0])
        return [missed, *map(with_verdict("pass", "band"), results[1:])]

    base = many(results=edited(with_verdict("pass", "band")))
    head = with_curve(many(results=one), "0/accuracy", lambda array: array * 0.5)
    assert only(compared(head, base)).verdict == "REGRESSED"


def test_seed_without_a_verdict_is_left_out_where_others_have_one() -> None:
    killed = JobKilledError("its process was killed by SIGKILL")

    def last_killed(results: list[Result]) -> list[Result]:
        return [*results[:-1], failed_result(small_milestone(), 7, "numpy", killed)]

    told = compared(many(results=last_killed))
    assert only(told).verdict == "same"
    assert only(told).seeds == list(SEEDS)[:-1]
    assert "small: seed 7 is left out: its process was killed by SIGKILL (head)" in told.notes


def test_probed_check_of_a_first_seed_that_the_other_side_lacks_is_not_new() -> None:
    def first_only(results: list[Result]) -> list[Result]:
        return [with_verdict("pass")(results[0]), *map(with_verdict("skip"), results[1:])]

    base = side([record(seed) for seed in range(4)], results=first_only)
    head = side([record(seed) for seed in range(2, 6)], results=first_only)
    found = only(compared(head, base))
    assert [change for change in found.checks if change.check == "odd"] == []


def test_command_goes_to_the_commit_of_a_ref_first() -> None:
    head = many("tanh_bwd_not_squared")
    source = head.source.model_copy(update={"kind": "ref", "commit": "0123456789abcdef"})
    told = compared(replace(head, source=source))
    assert only(told).reproduce.startswith("git switch --detach 012345678 && harness run small")
    assert only(compared(head)).reproduce.startswith("harness run small")


def test_what_cannot_be_compared_has_no_command() -> None:
    head = many("tanh_bwd_not_squared", configs={"small": "f" * 64}, settings={})
    assert only(compared(head)).reproduce == ""


def test_too_little_evidence_is_said_and_only_strict_fails_on_it() -> None:
    base = many()
    noisy = Timed((0.3, -0.2, 0.1), 1e-4, 1e-4)
    told = compare(base, base, {"small": noisy}, {"small": None})
    assert only(told).verdict == "inconclusive"
    assert only(told).headline == "too little evidence on step time"
    assert (told.exit_code(), told.exit_code(strict=True)) == (0, 4)


def test_comparison_is_json_and_back() -> None:
    told = compared(many("tanh_bwd_not_squared"))
    assert Comparison.model_validate_json(to_json(told)) == told


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
