"""A scorecard as an endpoint badge: a label, a message, a colour."""

from __future__ import annotations

import json

import pytest

from harness.checks.base import NOT_ASKED_FOR, Verdict
from harness.errors import JobTimeoutError
from harness.record import EngineRecord
from harness.reports.badge import render, to_badge
from harness.reports.comparing.badge import render as render_comparison
from harness.results import engine_result
from harness.scorecard import Scorecard, VerdictRow, assemble
from tests.comparisons import EXAMPLES, HOSTILE
from tests.examples import bias_lost, healthy, judged, scorecard_of, without_verdict


def with_left_out(card: Scorecard) -> Scorecard:
    row = VerdictRow(check="loss_falls", status="skip", reason=NOT_ASKED_FOR)
    first, *others = card.results
    fewer = first.model_copy(update={"verdicts": [*first.verdicts, row]})
    return card.model_copy(update={"results": [fewer, *others]})


PASS = scorecard_of(judged(healthy()), judged(healthy(milestone="b")))
FAIL = scorecard_of(judged(healthy()), judged(bias_lost(milestone="b")))
ERROR = scorecard_of(without_verdict(JobTimeoutError("it was stopped after 1 s")))
BROKEN = engine_result(EngineRecord("numpy"), [Verdict("ops_compute_right", "fail", "wrong")])


@pytest.mark.parametrize(
    ("card", "message", "colour"),
    [
        (PASS, "2 of 2 pass", "brightgreen"),
        (FAIL, "1 of 2 pass", "red"),
        (ERROR, "0 of 1 pass", "orange"),
        (assemble(PASS.results, PASS.provenance, BROKEN), "2 of 2 pass, engine fails", "red"),
        (scorecard_of(), "0 of 0 pass", "lightgrey"),
        (with_left_out(PASS), "2 of 2 pass, not all checks", "yellowgreen"),
        (with_left_out(FAIL), "1 of 2 pass, not all checks", "red"),
    ],
)
def test_badge_counts_what_passes(card: Scorecard, message: str, colour: str) -> None:
    assert json.loads(render(card)) == {
        "schemaVersion": 1, "label": "milestones", "message": message, "color": colour,
    }  # fmt: skip


def test_badge_of_a_comparison_names_the_engine_beside_milestones() -> None:
    both = EXAMPLES["regressed"].model_copy(update={"engine": EXAMPLES["engine_alone"].engine})
    badge = json.loads(render_comparison(both))
    assert (badge["message"], badge["color"]) == ("engine, cnn regressed", "red")


def test_badge_of_hostile_words_is_short_and_on_one_line() -> None:
    got = to_badge(HOSTILE, "", "red")
    assert got.count("\n") == 1
    badge = json.loads(got)
    assert badge["message"] == "-"
    assert len(badge["label"]) <= 60
    assert badge["label"].startswith("a|b `c` <script>")
    assert badge["label"].endswith("…")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
