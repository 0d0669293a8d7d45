"""How an explanation reads, from hand-made ones, and that a scorecard keeps it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from harness.explanation import ISSUES, End, Explanation, Hop, Sibling, Slope
from harness.json_files import to_json
from harness.reports import explanation, text
from harness.scorecard import SCHEMA_NAME, Scorecard, load, save
from tests.examples import ROOT, bias_lost, healthy, judged, scorecard_of

LOSS = Hop("loss", "MSEBackward", (), True, 1.0, "ops/losses.py:9", "ops/losses.py:5")
LINEAR = Hop("hidden", "LinearBackward", (2, 4), True, 0.25, "ops/linear.py:31", "other.py:12")
CUT = End("cut", "made anew", "x.py:1", 1)
WHOLE = Explanation(
    "hidden.bias",
    shape=(4,),
    reached=True,
    arrived=True,
    norm=0.5,
    hops=(LOSS, LINEAR),
    siblings=(Sibling("hidden.weight", (4, 2), True, 0.125),),
    slope=Slope(0.3, 0.3, True),
)
UNLINKED = replace(
    WHOLE,
    reached=False,
    arrived=False,
    norm=None,
    ends=(End("unlinked", "LinearBackward links to nothing", "ops/linear.py:31", 4),),
    slope=Slope(None, 0.3, False),
)


def shown(told: Explanation, whole: bool = False) -> str:
    """The report of it as one line, however it was wrapped."""
    record = bias_lost() if not told.arrived else healthy()
    result = judged(record).model_copy(update={"explanation": told})
    report = text.render(scorecard_of(result)) if whole else explanation.render(result)
    return " ".join(report.split())


def test_nothing_is_shown_where_nothing_was_asked() -> None:
    assert explanation.render(judged(healthy())) == ""


def test_whole_way_shows_every_op_with_shape_norm_and_lines() -> None:
    report = shown(WHOLE)
    assert "hidden.bias of small, seed 0: a gradient of norm 0.5 arrives over 2 ops." in report
    assert "loss MSE () 1 ops/losses.py:9, apply :5" in report
    assert "hidden Linear (2, 4) 0.25 ops/linear.py:31, apply other.py:12" in report
    assert report.index("loss MSE") < report.index("hidden Linear") < report.index("(4) 0.5")
    assert "finite differences agree with it: 0.3" in report
    assert "ends here" not in report


def test_siblings_stand_beside_it_with_their_verdicts() -> None:
    assert "hidden.bias (4) 0.5 OK hidden.weight (4, 2) 0.125 OK" in shown(WHOLE)
    report = shown(UNLINKED)
    assert "hidden.bias (4) none MISSING hidden.weight (4, 2) 0.125 OK" in report


def test_end_names_the_line_and_the_bug_that_it_resembles() -> None:
    report = shown(UNLINKED)
    assert "no gradient arrives, lost at ops/linear.py:31." in report
    assert "ends here: ops/linear.py:31: LinearBackward links to nothing" in report
    assert "resembles bug 4 of 'The four common bugs' in CONTRIBUTING.md" in report
    assert "finite differences do not agree: got none, expected 0.3" in report


def test_end_that_resembles_no_bug_names_none() -> None:
    end = End("unread", "the forward pass does not read hidden.bias")
    report = shown(replace(UNLINKED, ends=(end,)))
    assert "ends here: the forward pass does not read hidden.bias" in report
    assert "resembles" not in report


def test_what_lies_behind_the_end_is_shown_after_it() -> None:
    report = shown(replace(UNLINKED, behind=(replace(LINEAR, arrived=False, norm=None),)))
    behind = report.index("behind it, where no gradient arrives:")
    assert report.index("ends here") < behind
    assert "hidden Linear (2, 4) none" in report[behind:]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (replace(WHOLE, null="it cancels", norm=1e-9),
         "declared to have no gradient: it cancels (a gradient of norm 1e-09 arrives)"),
        (replace(WHOLE, null="it cancels", arrived=False),
         "declared to have no gradient: it cancels (none arrives)"),
        (replace(WHOLE, ends=(CUT,), slope=Slope(0.2, 0.3, False)),
         "a gradient of norm 0.5 arrives, but not all of it"),
        (replace(WHOLE, ends=(CUT,)), "a gradient of norm 0.5 arrives and is right, though one "
         "way ends: what came through it would cancel"),
        (replace(WHOLE, ends=(End("zero", "ReLU hands on zeros", "r.py:3"),)),
         "only zeros arrive, lost at r.py:3"),
        (replace(UNLINKED, ends=(End("unread", "it is not read"),)), "no gradient arrives"),
        (replace(WHOLE, slope=Slope(0.6, 0.3, False, ("ReLU: gradient",))),
         "a gradient of norm 0.5 arrives, but it is wrong"),
        (replace(WHOLE, problem="the backward pass raised E"), "the backward pass raised E"),
    ],
)  # fmt: skip
def test_headline_says_whether_a_gradient_arrives(told: Explanation, words: str) -> None:
    assert f"seed 0: {words}." in shown(told)


def test_part_that_passes_on_wrong_gradients_is_named() -> None:
    report = shown(replace(WHOLE, slope=Slope(0.6, 0.3, False, ("ReLU: its input",))))
    assert "got 0.6, expected 0.3 wrong by itself: ReLU: its input" in report


def test_gradient_that_is_no_number_is_not_called_missing() -> None:
    hop = replace(LINEAR, norm=None)
    assert "(2, 4) not finite" in shown(replace(WHOLE, hops=(LOSS, hop)))


def test_text_report_shows_it_after_the_failures() -> None:
    report = shown(UNLINKED, whole=True)
    assert report.index("FAIL small, seed 0") < report.index("hidden.bias of small, seed 0")


def test_bugs_are_those_of_the_contributors_page() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "## The four common bugs" in page
    for number, name in ISSUES.items():
        assert f"**{number}. {name[0].upper()}{name[1:]}.**" in page.replace("`", "")


# --- the scorecard -----------------------------------------------------------------------------


def card_with(told: Explanation) -> Scorecard:
    return scorecard_of(judged(bias_lost()).model_copy(update={"explanation": told}))


@pytest.mark.parametrize("told", [WHOLE, UNLINKED])
def test_scorecard_keeps_an_explanation(told: Explanation, tmp_path: Path) -> None:
    save(card_with(told), [], tmp_path)
    assert load(tmp_path).results[0].explanation == told


def test_explanation_is_plain_json() -> None:
    (result,) = json.loads(to_json(card_with(UNLINKED)))["results"]
    assert result["explanation"]["hops"][1]["op"] == "LinearBackward"
    assert result["explanation"]["ends"][0]["issue"] == 4


def test_number_that_is_none_is_null_in_json() -> None:
    told = replace(WHOLE, slope=Slope(0.3, math.inf, False))
    (result,) = json.loads(to_json(card_with(told)))["results"]
    assert result["explanation"]["slope"]["expected"] is None


@pytest.mark.parametrize("version", [1, 2])
def test_older_scorecard_without_an_explanation_is_read(version: int, tmp_path: Path) -> None:
    data = json.loads(to_json(scorecard_of(judged(healthy()))))
    del data["results"][0]["explanation"]
    data["schema"] = f"{SCHEMA_NAME}/{version}"
    (tmp_path / "scorecard.json").write_text(json.dumps(data), encoding="utf-8")
    assert load(tmp_path).results[0].explanation is None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
