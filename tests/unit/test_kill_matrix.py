"""The kill matrix made of looks written by hand: every figure, every exit code, every format."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from harness.checks.base import Check, Scope, Stage, Verdict
from harness.faults import all_faults
from harness.faults.base import Fault
from harness.kill_matrix import (
    ENGINE,
    GRAPH_BREAKING,
    RUNS,
    Finding,
    KillMatrix,
    Look,
    Row,
    Share,
    early_checks,
)
from harness.reports import fault_page
from harness.reports.kill_matrix import listing, render, to_json
from tests.examples import ROOT


def check_named(name: str, stage: Stage, probe: str | None, scope: Scope = "milestone") -> Check:
    return Check(name, stage, f"{name} holds.", lambda: None, scope, probe=probe)  # type: ignore[arg-type, return-value]  # never called


CHECKS = (
    check_named("ops_right", Stage.OP, "ops", "engine"),
    check_named("graph_whole", Stage.GRAPH, "graph"),
    check_named("slopes_right", Stage.SLOPE, "slopes"),
    check_named("loss_falls", Stage.LOSS, None),
)
STAGES = {check.name: check.stage for check in CHECKS}


def fault_named(name: str, family: str = "scaling", **what: Any) -> Fault:
    """A fault of softmax in the mlp that `ops_right` must see, or as `what` says."""

    def plant(ground: object) -> None:
        raise AssertionError("never planted")

    plant.__module__ = f"harness.faults.{family}"
    given = {"milestones": ("mlp",), "component": ("softmax",), "seen_by": ("ops_right",)} | what
    return Fault(name, f"{name} is wrong.", plant, **given)


def says(check: str, status: str = "fail", **what: Any) -> Finding:
    given = {"reason": f"{check} says so", "culprits": ("softmax",)} | what
    return Finding(check, status, STAGES[check], **given)


def engine(*bad: Finding, fault: str | None = None, seed: int = 0) -> Look:
    return _look(ENGINE, bad, fault, seed, {"ops": 0.010 + 0.010 * seed})


def milestone(*bad: Finding, where: str = "mlp", fault: str | None = None, seed: int = 0) -> Look:
    return _look(where, bad, fault, seed, {"graph": 0.001, "slopes": 0.002})


def _look(
    where: str, bad: tuple[Finding, ...], fault: str | None, seed: int, probes: dict[str, float]
) -> Look:
    """All checks of that scope pass but for the bad ones."""
    scope = "engine" if where == ENGINE else "milestone"
    fine = [Finding(check.name, "pass", check.stage) for check in CHECKS if check.scope == scope]
    kept = [finding for finding in fine if finding.check not in {f.check for f in bad}]
    return Look(where, seed, fault, (*kept, *bad), probes, 0.1)


def row(fault: Fault, *looks: Look, is_whole: bool = True) -> Row:
    own = tuple(replace(look, fault=fault.name) for look in looks)
    return Row(fault, own, early_checks(CHECKS), is_whole)


def matrix(*rows: Row, healthy: tuple[Look, ...] = (engine(), milestone())) -> KillMatrix:
    return KillMatrix(CHECKS, healthy, rows, seconds=2.0)


OP_WRONG = fault_named("op_wrong")
CAUGHT = row(
    OP_WRONG, engine(says("ops_right")), milestone(says("slopes_right"), says("loss_falls"))
)
NOT_CAUGHT = row(OP_WRONG, engine(), milestone())


# --- one fault ------------------------------------------------------------------------------


def test_fault_seen_by_its_check_is_caught_early_and_named() -> None:
    assert CAUGHT.seen == {"ops_right": [ENGINE], "slopes_right": ["mlp"], "loss_falls": ["mlp"]}
    assert (CAUGHT.is_caught, CAUGHT.is_caught_early, CAUGHT.is_named) == (True, True, True)
    assert (CAUGHT.survived, CAUGHT.missed) == (False, [])


def test_check_of_the_whole_training_is_not_early_though_it_has_a_probe() -> None:
    late = replace(check_named("training_right", Stage.STEP, "whole_training"), of_training=True)
    assert early_checks([*CHECKS, late]) == {"ops_right", "graph_whole", "slopes_right"}


def test_fault_seen_only_while_training_is_not_caught_early() -> None:
    late = row(OP_WRONG, engine(), milestone(says("loss_falls")))
    assert (late.is_caught, late.is_caught_early) == (True, False)
    assert late.missed == ["ops_right"]


def test_first_cause_is_the_engines_and_else_that_of_the_earliest_stage() -> None:
    late, early = says("loss_falls"), says("graph_whole")
    on_two = row(OP_WRONG, milestone(late, where="xor"), milestone(late, early))
    assert on_two.first == early
    engines = replace(says("ops_right"), stage=99)
    assert row(OP_WRONG, milestone(early), engine(engines)).first == engines


def test_first_cause_that_blames_another_part_names_nothing() -> None:
    others = says("ops_right", culprits=("matmul",))
    wrong = row(OP_WRONG, engine(others), milestone(says("slopes_right")))
    assert (wrong.is_named, wrong.is_named_first) == (False, False)


def test_part_among_other_culprits_is_named_but_not_first() -> None:
    mixed = row(OP_WRONG, engine(says("ops_right", culprits=("matmul", "softmax"))))
    assert (mixed.is_named, mixed.is_named_first) == (True, False)


def test_error_names_a_part_by_a_whole_word_in_its_reason() -> None:
    reason = "it raised IndexError: too many indices (ops/softmax.py:30 in softmax)"
    assert row(OP_WRONG, milestone(Finding.of_crash(reason))).is_named
    assert not row(OP_WRONG, milestone(Finding.of_crash("in log_softmax"))).is_named
    said = says("ops_right", culprits=(), reason="in softmax")
    assert not row(OP_WRONG, engine(said)).is_named
    assert row(OP_WRONG, engine(replace(said, status="error"))).is_named


def test_crash_is_caught_by_the_job_itself_and_not_early() -> None:
    crashed = row(OP_WRONG, engine(), milestone(Finding.of_crash("it raised ZeroDivisionError")))
    assert crashed.seen == {RUNS: ["mlp"]}
    assert not crashed.is_caught_early


def test_fault_that_nothing_sees_survives_unless_it_is_declared_to() -> None:
    assert NOT_CAUGHT.survived
    declared = fault_named("quiet", seen_by=(), survives="It is the same number.")
    assert not row(declared, engine(), milestone()).survived


def test_fault_looked_at_in_part_is_not_held_to_its_declaration() -> None:
    partly = row(OP_WRONG, engine(), is_whole=False)
    assert (partly.survived, partly.missed) == (False, [])


def test_finding_takes_culprits_or_tensors_and_the_place_of_a_verdict() -> None:
    verdict = Verdict("a", "fail", "b", "", {"culprits": ["c"], "place": "d.py:1"}, Stage.OP)
    assert Finding.of(verdict) == Finding("a", "fail", Stage.OP, "b", ("c",), "d.py:1")
    tensors = replace(verdict, evidence={"tensors": ["x.weight"]})
    assert Finding.of(tensors).culprits == ("x.weight",)


# --- all of them ----------------------------------------------------------------------------


def test_figures_count_faults_apart_from_harmless_variants() -> None:
    late = row(
        fault_named("late", seen_by=("loss_falls",)), milestone(says("loss_falls", culprits=()))
    )
    variant = fault_named("variant", seen_by=(), is_harmless=True)
    whole = matrix(CAUGHT, late, NOT_CAUGHT, row(variant, engine(), milestone()))
    assert whole.figures == {
        "caught": Share(2, 3),
        "caught_before_training": Share(1, 3),
        "named": Share(1, 2),
        "named_first": Share(1, 2),
        "graph_breaking_with_line": Share(0, 0),
        "harmless_accused": Share(0, 1),
        "healthy_accused": Share(0, 2),
    }


def test_faults_that_cut_the_graph_want_a_line_of_code() -> None:
    cut = fault_named("cut", family=GRAPH_BREAKING, seen_by=("graph_whole",))
    with_line = row(cut, milestone(says("graph_whole", place="ops/shaping.py:12")))
    without = row(replace(cut, name="other"), milestone(says("graph_whole")))
    whole = matrix(with_line, without)
    assert whole.figures["graph_breaking_with_line"] == Share(1, 2)
    assert [each.fault.name for each in whole.placeless] == ["other"]


def test_worth_counts_what_a_check_catches_alone_first_and_what_its_probe_costs() -> None:
    alone = row(fault_named("b", seen_by=("slopes_right",)), milestone(says("slopes_right")))
    healthy = (*(engine(seed=seed) for seed in (0, 1, 4)), milestone(), milestone(where="xor"))
    worths = {worth.check: worth for worth in matrix(CAUGHT, alone, healthy=healthy).worths}
    assert list(worths) == [check.name for check in CHECKS]
    ops, slopes = worths["ops_right"], worths["slopes_right"]
    assert (ops.catches, ops.alone, ops.first) == (1, 0, 1)
    assert (slopes.catches, slopes.alone, slopes.first) == (2, 1, 1)
    assert ops.milliseconds == pytest.approx(20.0)  # the median of 10, 20 and 50
    assert slopes.milliseconds == pytest.approx(4.0)  # 2 on each of two milestones
    assert worths["loss_falls"].milliseconds is None


def test_crashes_are_a_line_of_their_own_where_there_are_any() -> None:
    crashed = row(OP_WRONG, milestone(Finding.of_crash("it raised ZeroDivisionError")))
    assert matrix(crashed).worths[-1].check == RUNS


# --- exit codes -----------------------------------------------------------------------------


def test_all_as_declared_exits_0() -> None:
    declared = row(fault_named("quiet", seen_by=(), survives="The same."), engine(), milestone())
    whole = matrix(CAUGHT, declared)
    assert (whole.passed, whole.exit_code) == (True, 0)
    assert whole.survived_as_declared == [declared]
    assert "all as declared" in render(whole)


def test_survivor_exits_1_and_is_named() -> None:
    whole = matrix(CAUGHT, NOT_CAUGHT)
    assert whole.exit_code == 1
    assert "SURVIVED op_wrong: op_wrong is wrong. (looked at: engine, mlp)" in render(whole)


def test_fault_missed_by_a_check_that_must_see_it_exits_1() -> None:
    late = row(OP_WRONG, engine(), milestone(says("loss_falls")))
    assert matrix(late).exit_code == 1
    text = " ".join(render(matrix(late)).split())
    assert "MISSED op_wrong: ops_right must see it and did not; seen by loss_falls" in text


@pytest.mark.parametrize("status", ["fail", "error"])
def test_accused_healthy_milestone_exits_1(status: str) -> None:
    whole = matrix(CAUGHT, healthy=(engine(), milestone(says("slopes_right", status))))
    assert whole.exit_code == 1
    assert whole.figures["healthy_accused"] == Share(1, 2)
    text = " ".join(render(whole).split())
    assert "ACCUSED healthy on mlp, seed 0: slopes_right: slopes_right says so" in text


def test_accused_harmless_variant_exits_1() -> None:
    variant = fault_named("variant", seen_by=(), is_harmless=True)
    whole = matrix(row(variant, engine(says("ops_right")), milestone()))
    assert whole.exit_code == 1
    assert whole.figures["harmless_accused"] == Share(1, 1)
    assert "ACCUSED harmless variant on engine, seed 0: ops_right" in render(whole)


def test_declared_survivor_that_is_seen_is_said_to_be_stale_and_exits_0() -> None:
    quiet = fault_named("quiet", seen_by=(), survives="The same.")
    whole = matrix(row(quiet, engine(says("ops_right"))))
    assert whole.exit_code == 0
    assert "STALE quiet is declared to survive, but is seen by ops_right" in render(whole)


def test_look_that_came_to_nothing_exits_3_and_catches_nothing() -> None:
    broken = replace(engine(), findings=(), broken="fault 'op_wrong' cannot be planted: KeyError")
    whole = matrix(row(OP_WRONG, broken, is_whole=False))
    assert (whole.exit_code, whole.figures["caught"]) == (3, Share(0, 1))
    assert "NOT LOOKED AT op_wrong on engine, seed 0: fault 'op_wrong' cannot" in render(whole)


# --- formats --------------------------------------------------------------------------------


def test_text_has_one_line_a_fault_with_where_and_who_and_the_first_cause() -> None:
    (line,) = [line for line in render(matrix(CAUGHT)).splitlines() if "  op_wrong" in line]
    assert line.split() == ["op_wrong", "x", "1·11", "ops_right:", "softmax"]


def test_json_holds_every_verdict_of_every_look() -> None:
    whole = json.loads(to_json(matrix(CAUGHT, NOT_CAUGHT)))
    assert whole["schema"] == "harness.selftest/1"
    assert whole["figures"]["caught"] == {"part": 1, "whole": 2, "share": 0.5}
    first = whole["faults"][0]
    assert first["seen"] == {"ops_right": ["engine"], "slopes_right": ["mlp"],
                             "loss_falls": ["mlp"]}  # fmt: skip
    verdicts = {v["check"]: v for look in first["looks"] for v in look["verdicts"]}
    assert verdicts["graph_whole"] == {"check": "graph_whole", "status": "pass"}
    assert verdicts["ops_right"]["culprits"] == ["softmax"]


def test_page_says_who_saw_it_where_and_whom_they_blame() -> None:
    both = row(
        fault_named("both", milestones=("xor", "mlp")),
        engine(says("ops_right")),
        milestone(says("slopes_right"), where="xor"),
        milestone(says("slopes_right"), says("loss_falls")),
    )
    page = fault_page.render(matrix(both), {"no_gpu": "There is no GPU."})
    seen = "engine: ops_right; all: slopes_right; mlp: loss_falls"
    assert f"| `both` | both is wrong. | xor, mlp | {seen} | ops_right: softmax |" in page
    assert "| `no_gpu` | There is no GPU. |" in page


def test_page_gives_the_reasons_of_survivors() -> None:
    quiet = fault_named("quiet", seen_by=(), survives="It is the same number.")
    page = fault_page.render(matrix(row(quiet, engine(), milestone())), {})
    assert "## Faults that nothing can see" in page
    assert "| `quiet` | It is the same number. |" in page


def test_list_marks_what_is_harmless_and_where_it_shows() -> None:
    variant = fault_named("variant", seen_by=(), is_harmless=True)
    text = listing([OP_WRONG, replace(variant, milestones=())])
    assert text == (
        "scaling\n  op_wrong: op_wrong is wrong. (mlp)\n"
        "  variant: variant is wrong. (harmless; no milestone)\n"
    )


def described(page: str) -> dict[str, str]:
    """What the page says of each fault, by name."""
    matrix, _, _ = page.partition("\n## Faults that ")
    lines = [line for line in matrix.splitlines() if line.startswith("| `")]
    cells = [line.split(" | ") for line in lines]
    return {name.strip("| `"): what for name, what, *_ in cells}


def test_page_on_record_lists_the_faults_that_there_are() -> None:
    rows = [Row(fault, (), frozenset()) for fault in all_faults().values()]
    now = fault_page.render(matrix(*rows), {})
    page = (ROOT / "milestones" / "FAULTS.md").read_text(encoding="utf-8")
    assert described(page) == described(now), (
        "out of date: harness selftest --markdown > milestones/FAULTS.md"
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
