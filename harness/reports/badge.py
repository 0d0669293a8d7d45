"""The scorecard as the JSON of an endpoint badge, which a badge service turns into a picture."""

from __future__ import annotations

import json

from harness.reports.escapes import one_line
from harness.reports.summary import NOT_SUPPORTED, is_whole, lines
from harness.scorecard import Scorecard

_COLOURS = {"pass": "brightgreen", "fail": "red", "error": "orange"}
# Of a label or a message: more is no badge.
_LONGEST = 60


def render(scorecard: Scorecard) -> str:
    """Such as {"schemaVersion": 1, "label": "milestones", "message": "5 of 5 pass", ...}.

    A pass of no milestone has no colour, and one of some of the checks not the brightest.
    """
    summed = lines(scorecard)
    message = f"{sum(line.passed for line in summed)} of {len(summed)} pass"
    if lacking := sum(line.verdict == NOT_SUPPORTED for line in summed):
        message += f", {lacking} not supported"
    if scorecard.engine and scorecard.engine.status != "pass":
        message += ", engine fails" if scorecard.engine.status == "fail" else ", engine unchecked"
    colour = _COLOURS[scorecard.status] if summed else "lightgrey"
    if not is_whole(scorecard):
        message += ", not all checks"
        colour = "yellowgreen" if colour == "brightgreen" else colour
    return to_badge("milestones", message, colour)


def to_badge(label: str, message: str, colour: str) -> str:
    """The JSON of one badge; neither text may be empty there."""
    badge = {
        "schemaVersion": 1,
        "label": one_line(label, _LONGEST) or "-",
        "message": one_line(message, _LONGEST) or "-",
        "color": colour,
    }
    return json.dumps(badge, ensure_ascii=False) + "\n"
