"""The comparison as it is saved."""

from __future__ import annotations

from harness.comparison import Comparison
from harness.json_files import to_json


def render(comparison: Comparison) -> str:
    """JSON text, one comparison."""
    return to_json(comparison)
