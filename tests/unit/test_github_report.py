"""Annotations for GitHub Actions: where they point, what they say, and how they are escaped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.checks.base import Stage, Verdict
from harness.errors import JobCrashedError
from harness.explanation import End, Explanation, Slope
from harness.record import EngineRecord
from harness.reports import renderer
from harness.reports.github import annotation, render
from harness.results import engine_result, judged_result
from harness.scorecard import Result, Scorecard
from tests.examples import (
    bias_lost,
    healthy,
    judged,
    scorecard_of,
    small_config,
    without_verdict,
)


def result_of(*verdicts: Verdict, milestone: str = "small") -> Result:
    return judged_result(small_config(name=milestone), healthy(milestone=milestone), verdicts)


def failed(check: str, place: str = "", stage: Stage = Stage.GRAPH) -> Verdict:
    evidence = {"place": place} if place else {}
    return Verdict(check, "fail", f"{check} is not so", "Look there.", evidence, stage)


def annotations(card: Scorecard) -> list[tuple[str, str, str]]:
    """(level, properties, message) of each; fails for a line that is none."""
    found = []
    for line in render(card).splitlines():
        match = re.fullmatch(r"::(error|warning|notice) (\S.*?)::(.*)", line)
        assert match, line
        found.append((match[1], match[2], match[3]))
    return found


def test_pass_is_one_notice_with_the_summary() -> None:
    assert render(scorecard_of(judged(healthy()))) == (
        "::notice title=harness::1 of 1 milestones pass: small pass\n"
    )


def test_report_is_found_by_its_name_and_shows_every_milestone() -> None:
    report = renderer("github")(
        scorecard_of(judged(healthy(milestone="good")), judged(bias_lost()))
    )
    assert report.splitlines()[-1].endswith("1 of 2 milestones pass: good pass, small FAIL")


def test_cause_is_an_error_at_its_line() -> None:
    (level, properties, message), *_ = annotations(
        scorecard_of(result_of(failed("graph_is_whole", "harness/x.py:31")))
    )
    assert level == "error"
    assert properties == "file=harness/x.py,line=31,title=small%3A graph_is_whole"
    assert message == "small, seed 0: graph_is_whole is not so%0ALook there."


def test_cause_without_a_line_is_an_error_without_a_file() -> None:
    (level, properties, _), *_ = annotations(scorecard_of(judged(bias_lost())))
    assert (level, properties) == ("error", "title=small%3A gradients_arrive")


def test_consequences_are_folded_into_their_cause() -> None:
    card = scorecard_of(
        result_of(
            failed("first", "x.py:1"),
            failed("second", stage=Stage.GRADIENT),
            failed("third", "x.py:1", stage=Stage.TARGET),
        )
    )
    (level, _, message), (last, _, _) = annotations(card)
    assert (level, last) == ("error", "notice")
    assert message.endswith("%0ATherefore also: second, third.")


def test_consequence_with_a_line_of_its_own_is_a_warning_there() -> None:
    card = scorecard_of(
        result_of(failed("first", "x.py:1"), failed("second", "y.py:2", stage=Stage.LOSS))
    )
    _, (level, properties, message), _ = annotations(card)
    assert level == "warning"
    assert properties == "file=y.py,line=2,title=small%3A second"
    assert message.endswith("Follows from first.")


def test_engine_is_an_error_that_names_what_it_spoils() -> None:
    spoiled = judged(bias_lost(milestone="bad")).model_copy(update={"uses": ["softmax"]})
    broken = Verdict("ops_right", "fail", "softmax: wrong", "",
                     {"culprits": ["softmax"], "place": "s.py:3"})  # fmt: skip
    engine = engine_result(EngineRecord("numpy"), [broken])
    card = scorecard_of(spoiled).model_copy(update={"engine": engine})
    (level, properties, message), (last, _, summary) = annotations(card)
    assert (level, last) == ("error", "notice")
    assert properties == "file=s.py,line=3,title=engine%3A ops_right"
    assert "Therefore bad, seed 0: gradients_arrive: hidden.bias received no" in message
    assert "the engine fails its own checks" in summary


def test_milestone_that_the_engine_spoils_is_a_warning_at_its_own_line() -> None:
    spoiled = result_of(failed("graph_is_whole", "y.py:2")).model_copy(update={"uses": ["softmax"]})
    broken = Verdict("ops_right", "fail", "softmax: wrong", "",
                     {"culprits": ["softmax"], "place": "s.py:3"})  # fmt: skip
    engine = engine_result(EngineRecord("numpy"), [broken])
    card = scorecard_of(spoiled).model_copy(update={"engine": engine})
    _, (level, properties, message), _ = annotations(card)
    assert (level, properties) == ("warning", "file=y.py,line=2,title=small%3A graph_is_whole")
    assert message.endswith("Follows from ops_right.")


def test_run_without_a_verdict_is_an_error() -> None:
    card = scorecard_of(without_verdict(JobCrashedError("it raised E: 100%\nand more")))
    (level, _, message), _ = annotations(card)
    assert level == "error"
    assert "it raised E: 100%25%0Aand more" in message


def test_each_milestone_has_its_own_error() -> None:
    card = scorecard_of(
        result_of(failed("one"), milestone="a"), result_of(failed("one"), milestone="b")
    )
    assert [level for level, _, _ in annotations(card)] == ["error", "error", "notice"]


@pytest.mark.parametrize(
    ("message", "escaped"),
    [
        ("a: b, c", "a: b, c"),
        ("50%", "50%25"),
        ("one\ntwo\r\nthree", "one%0Atwo%0D%0Athree"),
        ("%0A", "%250A"),
    ],
)
def test_message_is_escaped_by_the_rules(message: str, escaped: str) -> None:
    assert annotation("error", "t", message) == f"::error title=t::{escaped}"


def test_properties_are_escaped_by_the_rules() -> None:
    line = annotation("error", "a: b, 5%\n", "m", "odd, name.py:7")
    assert line == "::error file=odd%2C name.py,line=7,title=a%3A b%2C 5%25%0A::m"


@pytest.mark.parametrize("place", ["", "nowhere", "x.py:", ":3", "x.py:three"])
def test_what_is_no_place_makes_no_file(place: str) -> None:
    assert annotation("error", "t", "m", place) == "::error title=t::m"


@pytest.mark.parametrize("is_absolute", [False, True])
def test_paths_are_relative_to_the_root_of_the_repository(
    is_absolute: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    place = f"{below}/x.py:3" if is_absolute else "x.py:3"
    assert annotation("error", "t", "m", place) == "::error file=below/x.py,line=3,title=t::m"


def test_path_outside_of_a_repository_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "file=x.py,line=3" in annotation("error", "t", "m", "x.py:3")


def test_end_of_an_explained_way_is_an_error_at_its_line() -> None:
    end = End("cut", "a tensor is made without a history", "harness/x.py:5", 1)
    told = Explanation("hidden.bias", ends=(end,))
    card = scorecard_of(judged(healthy()).model_copy(update={"explanation": told}))
    (level, properties, message), _ = annotations(card)
    assert (level, properties) == (
        "error", "file=harness/x.py,line=5,title=small%3A hidden.bias",
    )  # fmt: skip
    assert message.startswith("no gradient arrives, lost at harness/x.py:5%0Aa tensor is made")


@pytest.mark.parametrize("ends", [(), (End("cut", "made anew", "x.py:1", 1),)])
def test_way_whose_gradient_is_right_is_a_notice(ends: tuple[End, ...]) -> None:
    told = Explanation(
        "hidden.bias", reached=True, arrived=True, norm=0.5, ends=ends, slope=Slope(0.3, 0.3, True)
    )
    card = scorecard_of(judged(healthy()).model_copy(update={"explanation": told}))
    assert [level for level, _, _ in annotations(card)] == ["notice", "notice"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
