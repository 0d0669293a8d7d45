"""A scorecard as an endpoint badge: a label, a message, a colour."""

from __future__ import annotations

import json

import pytest

from harness.checks.base import Verdict
from harness.errors import JobTimeoutError
from harness.record import EngineRecord
from harness.reports.badge import render, to_badge
from harness.results import engine_result
from harness.scorecard import Scorecard, assemble
from tests.comparisons import HOSTILE
from tests.examples import bias_lost, healthy, judged, scorecard_of, without_verdict

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
        (scorecard_of(), "0 of 0 pass", "orange"),
    ],
)
def test_badge_counts_what_passes(card: Scorecard, message: str, colour: str) -> None:
    assert json.loads(render(card)) == {
        "schemaVersion": 1, "label": "milestones", "message": message, "color": colour,
    }  # fmt: skip


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
