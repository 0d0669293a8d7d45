"""A comparison as JUnit XML: its cases, and that it fails where, and only where, it regressed."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from harness.comparison import CheckChange, Comparison
from harness.reports.comparing.junit import render
from tests.comparisons import (
    EXAMPLES,
    comparison_of,
    hostile,
    milestone,
    regressed,
    same,
    step_time,
)
from tests.junit_rules import outcomes, sound


def suites(comparison: Comparison) -> dict[str, dict[str, str]]:
    """Name of each suite -> how its cases came out."""
    return {each.attrib["name"]: outcomes(each) for each in sound(render(comparison))}


def case(comparison: Comparison, name: str) -> ET.Element:
    """The case of that name which fails."""
    cases = sound(render(comparison)).findall(f"testsuite/testcase[@name='{name}']")
    (found,) = (each for each in cases if each.find("failure") is not None)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_document_keeps_the_rules(name: str) -> None:
    sound(render(EXAMPLES[name]))


@pytest.mark.parametrize("name", EXAMPLES)
def test_document_fails_exactly_where_the_comparison_regressed(name: str) -> None:
    found = [result for cases in suites(EXAMPLES[name]).values() for result in cases.values()]
    assert ("failure" in found) == EXAMPLES[name].regressed
    no_verdict = EXAMPLES[name].problem or name in ("not_comparable", "worst_of_all")
    assert ("error" in found) == bool(no_verdict)


def test_suite_has_a_case_a_tier_and_a_finding() -> None:
    found = suites(EXAMPLES["regressed"])
    assert list(found) == ["perceptron", "xor", "mlp", "cnn", "transformer"]
    assert found["cnn"] == {
        "comparable": "pass",
        "determinism": "failure",
        "graph_is_whole": "failure",
        "gradients_arrive": "failure",
        "loss_is_honest": "pass",
        "learning_speed": "failure",
        "final_accuracy": "skipped",
        "reach": "pass",
        "step_time": "pass",
        "peak_memory": "failure",
    }
    assert set(found["mlp"].values()) == {"pass"}


def test_failure_says_where_it_begins_and_how_to_see_it() -> None:
    failure = case(EXAMPLES["regressed"], "determinism").find("failure")
    assert failure is not None
    assert failure.text is not None
    assert failure.attrib == {
        "message": "cnn: conv1.bias's gradient differs from step 0: 2.1e-2 against none",
        "type": "CHANGED step 0 gradient conv1.bias",
    }
    assert failure.text.splitlines()[-1] == (
        "reproduce on the head: harness run cnn --seed 0 --explain conv1.bias"
    )


def test_failing_check_names_the_line_to_blame() -> None:
    failure = case(EXAMPLES["regressed"], "graph_is_whole").find("failure")
    assert failure is not None
    assert "(harness/autograd/ops/convolution.py:102)" in (failure.text or "")
    assert (failure.text or "").endswith("Is every input passed to Function.__init__?")


def test_commits_are_properties() -> None:
    root = sound(render(EXAMPLES["same"]))
    found = {each.attrib["name"]: each.attrib["value"] for each in root[0].iter("property")}
    assert found == {
        "base": "main",
        "base commit": "1f0c9a4be27d5530c8e1d7745f6a90b1c2d3e4f5",
        "head": "faster-conv",
        "head commit": "9d8e7f6a5b4c3d2e1f009182736455463728190a",
    }


def test_other_bits_are_no_failure_where_nothing_regressed() -> None:
    assert suites(EXAMPLES["faster"])["mlp"]["determinism"] == "pass"


def test_failure_that_may_be_luck_is_skipped() -> None:
    luck = CheckChange(
        check="target_reached", change="newly failing", base="pass", head="fail", reason="0.86",
        seeds=[4],
    )  # fmt: skip
    comparison = comparison_of(milestone("cnn", "same", "no difference seen", checks=[luck]))
    assert suites(comparison)["cnn"]["target_reached"] == "skipped"


def test_regression_that_no_case_explains_fails_all_the_same() -> None:
    bare = regressed().model_copy(update={"checks": [], "cells": [], "divergence": None})
    assert suites(comparison_of(bare)) == {"cnn": {"comparable": "pass", "determinism": "failure"}}


def test_slower_steps_of_identical_numbers_fail_by_their_cell_alone() -> None:
    slow = same().model_copy(
        update={"verdict": "REGRESSED", "cells": [step_time(1.1, 1.08, 1.12, "worse")]}
    )
    assert suites(comparison_of(slow))["mlp"] == {
        "comparable": "pass",
        "determinism": "pass",
        "step_time": "failure",
    }


def test_crash_is_an_error() -> None:
    crash = CheckChange(
        check="runs", change="newly failing", base=None, head="error", reason="it raised KeyError"
    )
    bare = regressed().model_copy(update={"checks": [crash]})
    assert suites(comparison_of(bare))["cnn"]["runs"] == "error"


def test_side_that_does_not_start_is_an_error() -> None:
    assert suites(EXAMPLES["does_not_start"]) == {"compare": {"both_sides_run": "error"}}


def test_milestones_of_one_side_are_skipped() -> None:
    found = suites(EXAMPLES["added_and_removed"])
    assert found["lstm"] == found["xor"] == {"comparable": "skipped"}


def test_hostile_words_keep_the_rules_and_their_text() -> None:
    root = sound(render(hostile()))
    assert len(root) == 12  # the problem, the engine, and ten milestones of one name
    (error,) = root[0].iter("error")
    assert error.attrib["message"] == (
        "a|b `c` <script>alert(1)</script> @someone #123 [x](y) *b* _i_ ]]> & \"q\" 'r' red line "
        "next ::error::no, evil 100%"
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
