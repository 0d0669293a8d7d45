"""The page: all that was given of a run in one file of HTML, to be read anywhere.

No script, nothing from elsewhere, and the same bytes for the same material. Each section is a
module with a template of its name: the one says what there is to see, the other where it stands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.reports.escapes import printable
from harness.reports.page import (
    accuracies,
    checks,
    differences,
    flow,
    losses,
    palette,
    table,
    trend,
    verdict,
)
from harness.reports.page.material import Material

_TEMPLATES = Path(__file__).parent / "templates"


def render(material: Material) -> str:
    """The whole page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html").render(
        verdict=verdict.section(material),
        table=table.section(material),
        losses=losses.section(material),
        flow=flow.section(material),
        accuracies=accuracies.section(material),
        checks=checks.section(material),
        differences=differences.section(material),
        kills=material.kills,
        trend=trend.section(material),
        palette=palette,
    )
    return "\n".join(line for line in page.splitlines() if line.strip()) + "\n"


def _finalized(value: Any) -> Any:  # `Any`: whatever a template prints
    """Foreign text without what steers a terminal or is no text at all."""
    if type(value) is str and not (value.isascii() and value.isprintable()):
        return printable(value)
    return value
