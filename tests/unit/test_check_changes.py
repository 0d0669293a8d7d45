"""Verdicts of checks side by side."""

from __future__ import annotations

import pytest

from harness.comparing.check_changes import (
    changes_of_engine,
    changes_of_milestone,
    counts,
    has_no_verdict,
)
from harness.errors import JobCrashedError, JobError, JobKilledError, JobTimeoutError
from harness.results import failed_result
from harness.scorecard import EngineResult, Result, VerdictRow
from tests.sides import side, small_milestone


def result(seed: int = 0, **statuses: str) -> Result:
    """A result whose checks have these statuses; other checks pass."""
    (first,) = side().results("small").values()
    rows = [
        row.model_copy(update={"status": statuses.pop(row.check, row.status)})
        for row in first.verdicts
    ]
    rows += [VerdictRow(check=name, status=status, reason=f"{name} says {status}")  # type: ignore[arg-type]  # a literal
             for name, status in statuses.items()]  # fmt: skip
    return first.model_copy(update={"verdicts": rows, "seed": seed})


def died(error: JobError, seed: int = 0) -> Result:
    return failed_result(small_milestone(), seed, "numpy", error)


def told(base: Result, head: Result) -> list[tuple[str, str]]:
    changes = changes_of_milestone({base.seed: base}, {head.seed: head})
    return [(each.check, each.change) for each in changes]


def test_equal_verdicts_say_nothing() -> None:
    assert told(result(), result()) == []


@pytest.mark.parametrize(
    ("base", "head", "change"),
    [
        ("pass", "fail", "newly failing"),
        ("pass", "error", "newly failing"),
        ("skip", "fail", "newly failing"),
        ("fail", "pass", "fixed"),
        ("error", "pass", "fixed"),
        ("fail", "fail", "still failing"),
        ("fail", "error", "still failing"),
        ("pass", "skip", "no longer made"),
        ("skip", "pass", "now made"),
    ],
)
def test_change_of_a_check_has_a_name(base: str, head: str, change: str) -> None:
    pair = result(odd=base), result(odd=head)
    assert told(*pair) == [("odd", change)]
    (found,) = changes_of_milestone({0: pair[0]}, {0: pair[1]})
    assert (found.base, found.head) == (base, head)


def test_check_that_one_side_does_not_know_is_named() -> None:
    assert told(result(odd="pass"), result()) == [("odd", "no longer made")]
    assert told(result(), result(odd="pass")) == [("odd", "now made")]
    assert told(result(), result(odd="fail")) == [("odd", "newly failing")]


def test_failing_check_that_is_skipped_now_is_not_fixed() -> None:
    assert told(result(odd="fail"), result(odd="skip")) == [("odd", "no longer made")]


def test_words_place_and_seeds_are_those_of_the_side_that_fails() -> None:
    row = VerdictRow(check="odd", status="fail", reason="it broke", hint="mend it",
                     evidence={"place": "engine.py:7"})  # fmt: skip
    base = {seed: result(seed) for seed in (0, 1, 2)}
    head = base | {s: base[s].model_copy(update={"verdicts": [row]}) for s in (1, 2)}
    (found,) = [each for each in changes_of_milestone(base, head) if each.check == "odd"]
    assert (found.reason, found.hint, found.place) == ("it broke", "mend it", "engine.py:7")
    assert found.seeds == [1, 2]


def test_crash_is_newly_failing_and_hides_no_check() -> None:
    crash = died(JobCrashedError("it raised ValueError: no", "", "Traceback"))
    assert told(result(), crash) == [("runs", "newly failing")]
    assert told(crash, result()) == [("runs", "fixed")]
    assert has_no_verdict(crash) == ""


@pytest.mark.parametrize("error", [JobKilledError("killed by SIGKILL"), JobTimeoutError("late")])
def test_kill_and_timeout_tell_nothing_of_the_code(error: JobError) -> None:
    assert has_no_verdict(died(error)) == error.message
    assert has_no_verdict(result()) == ""


@pytest.mark.parametrize(
    ("stage", "seeds", "failing", "is_identical", "expected"),
    [
        ("gradient", 32, 1, False, True),
        ("", 32, 1, False, True),  # a check that nobody knows is taken at its word
        ("target", 8, 1, False, False),
        ("target", 8, 2, False, True),
        ("band", 64, 6, False, False),
        ("band", 64, 7, False, True),
        ("loss", 8, 1, True, True),  # without noise nothing is luck
    ],
)
def test_outcomes_must_be_more_than_luck(
    stage: str, seeds: int, failing: int, is_identical: bool, expected: bool
) -> None:
    base = {seed: result(seed) for seed in range(failing)}
    head = {seed: result(seed, odd="fail") for seed in range(failing)}
    (change,) = changes_of_milestone(base, head)
    assert counts(change, stage, seeds, is_identical) is expected


def test_check_that_failed_before_is_no_regression() -> None:
    (change,) = changes_of_milestone({0: result(odd="fail")}, {0: result(odd="fail")})
    assert not counts(change, "gradient", 1, True)


def test_engine_is_compared_where_both_looked() -> None:
    def engine(status: str) -> EngineResult:
        row = VerdictRow(check="ops_behave", status=status, reason="so")  # type: ignore[arg-type]  # a literal
        return EngineResult(backend="numpy", status="pass", verdicts=[row])

    (change,) = changes_of_engine(engine("pass"), engine("fail"))
    assert (change.check, change.change, change.seeds) == ("ops_behave", "newly failing", [])
    assert changes_of_engine(None, engine("fail")) == []
    assert changes_of_engine(engine("pass"), engine("pass")) == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
