"""A comparison as the JSON of an endpoint badge: what came out against the base, in a word."""

from __future__ import annotations

from harness.comparison import Comparison, Verdict
from harness.reports.badge import to_badge
from harness.reports.comparing.story import WORST_FIRST, ordered
from harness.reports.escapes import listed

_COLOURS: dict[Verdict, str] = {
    "CHANGED-FASTER": "orange", "inconclusive": "yellow", "improved": "brightgreen",
    "removed": "yellowgreen", "added": "brightgreen",
}  # fmt: skip


def render(comparison: Comparison) -> str:
    """Such as {"schemaVersion": 1, "label": "vs main", "message": "same", "color": ...}."""
    message, colour = _message(comparison)
    return to_badge(f"vs {comparison.base.name}", message, colour)


def _message(comparison: Comparison) -> tuple[str, str]:
    if comparison.regressed:
        newly = any(each.change == "newly failing" for each in comparison.engine)
        names = [each.milestone for each in ordered(comparison) if each.verdict == "REGRESSED"]
        return f"{listed([*(['engine'] if newly else []), *names], 2)} regressed", "red"
    if comparison.exit_code() == 3:
        return "no verdict", "lightgrey"
    found = {each.verdict for each in comparison.milestones}
    worst = next(word for word in WORST_FIRST if word in found)
    names = [each.milestone for each in comparison.milestones if each.verdict == worst]
    if worst == "same":
        return "same", "brightgreen"
    return f"{listed(names, 2)} {worst}", _COLOURS[worst]
