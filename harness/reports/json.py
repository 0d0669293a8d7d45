"""The scorecard as it is saved."""

from __future__ import annotations

from harness.json_files import to_json
from harness.scorecard import Scorecard


def render(scorecard: Scorecard) -> str:
    """JSON text, one scorecard."""
    return to_json(scorecard)
