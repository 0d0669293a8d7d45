"""Expressions of workflows are worth what GitHub says, and unknown ones are refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rehearsal.expressions import ExpressionError, Silent, evaluate, filled, holds

CONTEXT: dict[str, Any] = {
    "github": {"event_name": "schedule", "sha": "abc", "event": {"number": 7}},
    "inputs": {"seeds": None, "accept": False},
    "steps": {"run": {"outcome": "failure", "outputs": {"code": "1", "empty": ""}},
              "not_run": {"outcome": "skipped", "outputs": Silent()}},
    "needs": {"first": {"result": "success", "outputs": {"title": "it's red"}}},
    "success()": False, "failure()": True, "always()": True, "cancelled()": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("github.event.number", 7),
        ("'it''s'", "it's"),
        ("inputs.seeds || '5'", "5"),
        ("steps.run.outputs.code || '5'", "1"),
        ("github.event_name == 'SCHEDULE'", True),  # texts are compared without their case
        ("github.event_name != 'push'", True),
        ("inputs.seeds == ''", True),  # both count as 0
        ("inputs.accept == 0", True),
        ("steps.run.outputs.code == 1", True),
        ("'abc' == 1", False),  # not a number, and that equals nothing
        ("true || false && false", True),  # && binds closer
        ("(true || false) && false", False),
        ("!cancelled() && !(1 == 2)", True),
        ("!true == false", True),  # ! binds closest
        ("false && steps.never.outputs.x", False),  # the right side is not looked at
        ("'a' && 'b'", "b"),  # the value itself, not a truth value
    ],
)
def test_expression_has_the_value_that_github_gives(expression: str, expected: object) -> None:
    assert evaluate(expression, CONTEXT) == expected


def test_output_of_a_step_that_did_not_run_is_empty() -> None:
    assert evaluate("steps.not_run.outputs.anything", CONTEXT) == ""


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("steps.run.outputs.cod", "there is no 'cod'"),
        ("steps.never.outcome", "there is no 'never'"),
        ("secrets.TOKEN", "there is no 'secrets'"),
        ("hashFiles('x')", r"the function hashFiles\(\) is not known"),
        ("1 < 2", "'< 2' is not understood"),
        ("github.sha[0]", r"'\[0\]' is not understood"),
        ("1 ==", "ends too early"),
        ("(1 == 1", r"'\)' is missing"),
        ("github.sha 'x'", "more than is understood"),
    ],
)
def test_what_is_not_known_is_refused(expression: str, complaint: str) -> None:
    with pytest.raises(ExpressionError, match=complaint):
        evaluate(expression, CONTEXT)


def test_texts_are_filled_in_place() -> None:
    text = "a ${{ github.sha }} b ${{ inputs.accept }}${{ inputs.seeds }} c"

    assert filled(text, CONTEXT) == "a abc b false c"
    assert filled("${{ needs.first.outputs.title }}", CONTEXT) == "it's red"


def test_an_object_is_no_text() -> None:
    with pytest.raises(ExpressionError, match="is no text"):
        filled("${{ github.event }}", CONTEXT)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, False),  # a step before has failed
        ("github.sha == 'abc'", False),  # so does this mean: and all before succeeded
        (True, False),
        ("always()", True),
        ("${{ !cancelled() && steps.run.outputs.code != '' }}", True),
        ("failure()", True),
        ("${{ !cancelled() && steps.run.outputs.empty != '' }}", False),
    ],
)
def test_condition_holds_after_a_failure_only_where_it_asks(
    condition: str | bool | None, expected: bool
) -> None:
    assert holds(condition, CONTEXT) is expected


def test_condition_holds_by_itself_after_success() -> None:
    fine = {**CONTEXT, "success()": True, "failure()": False}

    assert holds(None, fine)
    assert holds("github.sha == 'abc'", fine)
    assert not holds(False, fine)
    assert not holds("failure()", fine)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
