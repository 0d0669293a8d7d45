"""Every format as it is printed: what changes here, a reader will see.

`pytest tests/unit/test_report_snapshots.py --snapshot-update` after a change that is meant.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from syrupy.assertion import SnapshotAssertion

from harness.comparison import Comparison
from harness.reports import comparing, renderer
from harness.scorecard import Scorecard
from tests.comparisons import EXAMPLES, MADE, hostile
from tests.examples import ROOT, bias_lost, healthy, judged, scorecard_of

NAMES = ["same", "regressed", "worst_of_all", "does_not_start"]
CARD = scorecard_of(judged(healthy(milestone="good")), judged(bias_lost(milestone="bad")))


def steady(report: str, name: str) -> str:
    """XML in its canonical form: Python's versions escape quotes in their own ways."""
    return ET.canonicalize(report) if name == "junit" else report


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations point to files from the root of the repository."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("name", ["text", "markdown", "github", "junit", "badge"])
@pytest.mark.parametrize("example", NAMES)
def test_comparison(snapshot: SnapshotAssertion, name: str, example: str) -> None:
    comparison: Comparison = EXAMPLES[example]
    assert steady(comparing.renderer(name)(comparison), name) == snapshot


def test_json_of_a_comparison(snapshot: SnapshotAssertion) -> None:
    assert comparing.renderer("json")(EXAMPLES["does_not_start"]) == snapshot


@pytest.mark.parametrize("name", ["text", "markdown", "github"])
def test_hostile_comparison(snapshot: SnapshotAssertion, name: str) -> None:
    small = hostile(seeds=2, tensors=2)
    first = small.milestones[0]
    (check, *_), (counter, *_) = first.checks, first.counters
    short = first.model_copy(
        update={
            "checks": [check.model_copy(update={"reason": first.headline})],
            "counters": [counter],
            "differences": first.differences[:1],
        }
    )
    comparison = small.model_copy(
        update={"milestones": [short], "engine": [], "notes": small.notes[:1]}
    )
    assert comparing.renderer(name)(comparison) == snapshot


@pytest.mark.parametrize("name", ["text", "markdown", "github", "junit", "badge"])
def test_scorecard(snapshot: SnapshotAssertion, name: str) -> None:
    card: Scorecard = CARD.model_copy(update={"created": MADE})
    assert steady(renderer(name)(card), name) == snapshot


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
