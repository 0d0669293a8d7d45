"""The scorecard as it is saved."""

from __future__ import annotations

from harness.scorecard import Scorecard, to_json


def render(scorecard: Scorecard) -> str:
    """JSON text, one scorecard."""
    return to_json(scorecard)
