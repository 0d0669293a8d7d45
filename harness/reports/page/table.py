"""The table: a row for each milestone, as on the terminal, and what the comparison says of it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.comparison import MilestoneComparison
from harness.reports.page.differences import tone
from harness.reports.page.material import Material
from harness.reports.page.words import number
from harness.reports.summary import engine_line, lines, not_run


@dataclass(frozen=True)
class TableRow:
    """One milestone; `compared` is what the comparison says, and `tone` how good that is.

    `verdict_tone` is how good its verdict is.
    """

    title: str
    year: int
    verdict: str
    verdict_tone: str
    loss: str
    gradients: str
    moved: str
    accuracy: str
    seconds: str
    compared: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """All rows, the name of the base if there is one, and what stands below the table."""

    rows: tuple[TableRow, ...]
    base: str
    below: tuple[str, ...]


def section(material: Material) -> Table | None:
    """The table of the scorecard; None without one."""
    card = material.scorecard
    if card is None:
        return None
    titles = {result.milestone: result.title for result in card.results}
    rows = []
    for each in lines(card):
        row = material.compared(each.milestone)
        rows.append(
            TableRow(
                titles[each.milestone], each.year, each.verdict, each.tone, each.loss,
                each.gradients, each.moved, each.accuracy, each.seconds,
                compared=_compared(row) if row else "", tone=tone(row) if row else "",
            )
        )  # fmt: skip
    below = [engine_line(card), *(f"Not run: {sentence}" for sentence in not_run(card))]
    if card.provenance.modified:
        below.append(f"Modified: {', '.join(card.provenance.modified)}")
    base = material.comparison.base.name if material.comparison else ""
    return Table(tuple(rows), base, tuple(text for text in below if text))


def _compared(row: MilestoneComparison) -> str:
    """The verdict, and the effect that decided it where there is one."""
    cells = [c for c in row.cells if c.verdict in ("worse", "better") and c.estimate is not None]
    if row.verdict not in ("REGRESSED", "CHANGED-FASTER", "improved") or not cells:
        return row.verdict
    unit = "x" if cells[0].unit == "x" else f" {cells[0].unit}"
    return f"{row.verdict}: {cells[0].quantity} {number(cells[0].estimate)}{unit}"
