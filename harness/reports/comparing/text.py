"""The comparison on one screen, worst first: a table, and what differs with how to see it."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from textwrap import wrap

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from harness.comparison import Comparison, MilestoneComparison, Verdict
from harness.reports.comparing.story import (
    Fact,
    all_of,
    engine_command,
    engine_facts,
    facts,
    headline,
    is_quiet,
    ordered,
    sentence,
    told,
    worths,
)
from harness.reports.comparing.wording import bits, cell_of, checks_in_short, effect, estimate
from harness.reports.console import console_to
from harness.reports.escapes import one_line

_INDENT = "     "
# Milestones whose facts are told; a catalogue of hundreds is in the comparison itself.
_SHOWN = 12
_STYLES: dict[Verdict, str] = {
    "REGRESSED": "bold red", "not comparable": "bold red", "CHANGED-FASTER": "bold yellow",
    "inconclusive": "bold yellow", "improved": "green", "same": "green",
}  # fmt: skip
_Column = Callable[[MilestoneComparison], str]


def render(
    comparison: Comparison, *, colour: bool = False, width: int = 100, verbose: bool = False
) -> str:
    """Text for a terminal `width` columns wide; `verbose` adds every cell of every milestone."""
    out = StringIO()
    console = console_to(out, colour=colour, width=width)
    style = _style(comparison)
    _print(console, headline(comparison), style)
    milestones = ordered(comparison)
    if milestones:
        console.print()
        console.print(_table(milestones))
    _print_problem(console, comparison)
    _print_engine(console, comparison)
    loud = [each for each in milestones if verbose or not is_quiet(each)]
    for each in loud[:_SHOWN]:
        _print_milestone(console, each, verbose)
    if len(loud) > _SHOWN:
        console.print(f"\n... and {len(loud) - _SHOWN} more; all are in the comparison.")
    if not verbose:
        _print_quiet(console, comparison)
    for note in comparison.notes[:_SHOWN]:
        _print(console, f"note: {note}", "")
    console.print()
    _print(console, f"{sentence(comparison)}.", style)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _style(comparison: Comparison) -> str:
    code = comparison.exit_code(strict=True)
    if code == 0:
        return "bold green"
    return "bold red" if comparison.exit_code() else "bold yellow"


def _table(milestones: list[MilestoneComparison]) -> Table:
    """A row a milestone; columns that say nothing of any milestone are left out."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    columns: dict[str, _Column] = {
        "bits": lambda each: bits(each.divergence),
        "checks": checks_in_short,
        "learning speed": lambda each: _shown(each, "learning speed", effect),
        "accuracy": lambda each: _shown(each, "final accuracy", estimate).replace("points", "pt"),
        "step time": lambda each: _shown(each, "step time", estimate),
        "memory": lambda each: _shown(each, "peak memory", estimate),
    }
    telling = {
        name: column for name, column in columns.items() if {*map(column, milestones)} != {"-"}
    }
    table.add_column("milestone", no_wrap=True, max_width=24)
    table.add_column("verdict", no_wrap=True)
    for name in telling:
        justify: JustifyMethod = "left" if name in ("bits", "checks") else "right"
        fixed = name in ("learning speed", "accuracy")
        table.add_column(name, no_wrap=fixed, justify=justify, overflow="fold")
    for each in milestones:
        cells = [one_line(column(each), 80) for column in telling.values()]
        word = Text(each.verdict, style=_STYLES.get(each.verdict, ""))
        table.add_row(Text(one_line(each.milestone)), word, *map(Text, cells))
    return table


def _shown(milestone: MilestoneComparison, quantity: str, as_text: Callable[..., str]) -> str:
    cell = cell_of(milestone, quantity)
    return "-" if cell is None else as_text(cell)


def _print_problem(console: Console, comparison: Comparison) -> None:
    if comparison.problem and comparison.problem != headline(comparison):
        console.print()
        _print(console, f"no verdict: {comparison.problem}", "bold red")


def _print_engine(console: Console, comparison: Comparison) -> None:
    if not comparison.engine:
        return
    _print_facts(console, engine_facts(comparison), "the engine by itself", "bold red")
    _print_command(console, engine_command(comparison))


def _print_milestone(console: Console, milestone: MilestoneComparison, verbose: bool) -> None:
    title = f"{milestone.verdict} {told(milestone)}"
    _print_facts(console, facts(milestone, verbose), title, _STYLES.get(milestone.verdict, ""))
    _print_command(console, milestone.reproduce)


def _print_command(console: Console, command: str) -> None:
    if command:
        _print(console, f"{_INDENT}reproduce on the head: {command}", "")


def _print_facts(console: Console, found: list[Fact], title: str, style: str) -> None:
    console.print()
    _print(console, title, style)
    for fact in found:
        place = f" ({fact.place})" if fact.place and fact.place not in fact.text else ""
        hint = f". {fact.hint}" if fact.hint else ""
        _print(console, f"{_INDENT}{fact.label}: {one_line(fact.text, 600)}{place}{hint}", "")


def _print_quiet(console: Console, comparison: Comparison) -> None:
    found = worths(comparison)
    if found:
        console.print()
    for text, names in found.items():
        _print(console, f"same {all_of(names)}: {text}", "")


def _print(console: Console, text: str, style: str) -> None:
    """Wrapped to the width, later lines indented like the text of the first."""
    start = _INDENT if text.startswith(_INDENT) else ""
    flat = f"{start}{one_line(text)}"
    for line in wrap(flat, console.width, subsequent_indent=_INDENT, break_on_hyphens=False):
        console.print(Text(line, style=style))
