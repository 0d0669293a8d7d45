"""The kill matrix for a terminal and as JSON: who saw which fault where, and what that comes to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from string import ascii_letters
from textwrap import wrap

from rich.console import Console
from rich.text import Text

from harness.faults.base import Fault
from harness.kill_matrix import ENGINE, Finding, KillMatrix, Look, Row, Share, Worth
from harness.reports.console import console_to

SCHEMA = "harness.selftest/1"
FIGURES = {
    "caught": "faults caught",
    "caught_before_training": "before the first step of training",
    "named": "of the caught, the right part named",
    "named_first": "before any other",
    "graph_breaking_with_line": "of those that cut the graph, with the line of code",
    "harmless_accused": "harmless variants accused",
    "healthy_accused": "healthy looks with an alarm",
}
_PARTS_OF = {"caught_before_training", "named_first"}  # shown under the line before


def render(matrix: KillMatrix, *, colour: bool = False, width: int = 100) -> str:
    """Text for a terminal: the matrix by family, every check's worth, what is wrong, figures."""
    out = StringIO()
    console = console_to(out, colour=colour, width=width)
    letters = _letters(matrix)
    _print_matrix(console, matrix, letters)
    _print_worths(console, matrix.worths, letters)
    for text, style in sentences(matrix):
        for line in wrap(text, width, subsequent_indent="     ", break_on_hyphens=False):
            console.print(Text(line, style=style))
    console.print()
    for name, share in matrix.figures.items():
        indent = "  " if name in _PARTS_OF else ""
        console.print(Text(f"{indent + FIGURES[name]:52}{share}"))
    console.print(Text(f"\n{headline(matrix)}.", style="bold " + _colour(matrix)))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def headline(matrix: KillMatrix) -> str:
    """One sentence: what became of it."""
    found = {
        "survived": len(matrix.survived),
        "not seen by a check that must see them": len(matrix.missed),
        "alarms without reason": len(matrix.accused),
        "looks came to nothing": len(matrix.broken),
    }
    said = ", ".join(f"{count} {what}" for what, count in found.items() if count)
    looks = len(matrix.healthy) + sum(len(row.looks) for row in matrix.rows)
    text = (
        f"{_count(len(matrix.faults), 'fault')}, {_count(len(matrix.harmless), 'harmless variant')}"
    )
    return f"{text} in {looks} looks, {matrix.seconds:.0f} s: {said or 'all as declared'}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _colour(matrix: KillMatrix) -> str:
    return "green" if matrix.exit_code == 0 else "red"


def listing(faults: Iterable[Fault]) -> str:
    """All faults by family, with what is wrong and where it shows."""
    lines: list[str] = []
    family = ""
    for fault in faults:
        if fault.family != family:
            family = fault.family
            lines += ["", family] if lines else [family]
        mark = "harmless; " if fault.is_harmless else "survives; " if fault.survives else ""
        where = ", ".join(fault.milestones) or "no milestone"
        lines.append(f"  {fault.name}: {fault.description} ({mark}{where})")
    return "\n".join(lines) + "\n"


# --- the matrix -------------------------------------------------------------------------


def _letters(matrix: KillMatrix) -> dict[str, str]:
    """One letter for each check, early stages first, the engine's before the others."""
    engine = [check.name for check in matrix.checks if check.scope == "engine"]
    order = sorted(matrix.worths, key=lambda worth: worth.check not in engine)
    return dict(zip((worth.check for worth in order), ascii_letters, strict=False))


def _print_matrix(console: Console, matrix: KillMatrix, letters: dict[str, str]) -> None:
    longest = max((len(row.fault.name) for row in matrix.rows), default=0)
    looks = [*matrix.healthy, *(look for row in matrix.rows for look in row.looks)]
    milestones = [name for name in dict.fromkeys(look.where for look in looks) if name != ENGINE]
    for family in dict.fromkeys(row.fault.family for row in matrix.rows):
        initials = "".join(name[0] for name in milestones)
        head = f"{family:{longest + 2}}  {initials}  {''.join(letters.values())}  the first cause"
        console.print(Text(head, style="bold"))
        for row in (row for row in matrix.rows if row.fault.family == family):
            cells = f"{_places(row, milestones)}  {_cells(row, letters)}"
            text = Text(f"  {row.fault.name:{longest}}  {cells}  {_said(row)}", style=_style(row))
            console.print(text, overflow="ellipsis", no_wrap=True)
        console.print()
    if milestones:
        meant = ", ".join(f"{name[0]} {name}" for name in milestones)
        console.print(f"x complained, · looked and did not: {meant}")
        console.print("digits: on how many milestones each check complains, or 1 on the engine\n")


def _places(row: Row, milestones: Sequence[str]) -> str:
    """One character a milestone: whether any check complains there, blank not looked."""
    looked = {look.where: bool(look.bad) for look in row.looks}
    return "".join(
        " " if name not in looked else "x" if looked[name] else "·" for name in milestones
    )


def _cells(row: Row, letters: dict[str, str]) -> str:
    """One character a check: on how many places it complains, blank not looked."""
    judged = {f.check for look in row.looks for f in look.findings if f.status != "skip"}
    return "".join(
        str(len(row.seen[name])) if name in row.seen else "·" if name in judged else " "
        for name in letters
    )


def _said(row: Row) -> str:
    if any(look.broken for look in row.looks):
        return "NOT LOOKED AT"
    if row.first is None:
        if row.fault.is_harmless:
            return "harmless, and left alone"
        return "survives, as declared" if row.fault.survives else "SURVIVED"
    if row.fault.is_harmless:
        return f"harmless, but ACCUSED by {row.first.check}"
    said = f"{row.first.check}: {', '.join(row.first.culprits[:3]) or '-'}"
    return said if row.is_named else f"{said} (is {', '.join(row.fault.component)})"


def _style(row: Row) -> str:
    if row.survived or row.missed or (row.fault.is_harmless and row.is_caught):
        return "red"
    return "" if row.is_named or row.first is None else "yellow"


def _print_worths(console: Console, worths: Sequence[Worth], letters: dict[str, str]) -> None:
    heads = ("catches", "alone", "first", "accuses", "ms")
    title = f"{'check':36}" + "".join(f"{head:>9}" for head in heads)
    console.print(Text(title, style="bold"))
    for worth in sorted(worths, key=lambda worth: list(letters).index(worth.check)):
        cost = "" if worth.milliseconds is None else f"{worth.milliseconds:.1f}"
        numbers = (worth.catches, worth.alone, worth.first, worth.accuses, cost)
        name = f"{letters[worth.check]}  {worth.check}"
        console.print(Text(f"{name:36}" + "".join(f"{number:>9}" for number in numbers)))
    console.print(Text("ms: its probe on all milestones together, or on the engine\n"))


# --- what is wrong ----------------------------------------------------------------------


def sentences(matrix: KillMatrix) -> Iterator[tuple[str, str]]:
    """What is not as it should be, each with its style: the worst last, next to the figures."""
    for row in matrix.not_as_declared:
        names = ", ".join(row.seen)
        yield f"STALE {row.fault.name} is declared to survive, but is seen by {names}", "yellow"
    for row in matrix.placeless:
        yield f"NO LINE {row.fault.name}: {row.fault.description}", "yellow"
    for row in matrix.named_wrongly:
        yield f"MISNAMED {row.fault.name}: {_misnamed(row)}", "yellow"
    for look in matrix.broken:
        yield f"NOT LOOKED AT {look}, seed {look.seed}: {look.broken}", "red"
    for row in matrix.missed:
        if not row.survived:
            seen = ", ".join(row.seen)
            text = f"{', '.join(row.missed)} must see it and did not; seen by {seen or 'none'}"
            yield f"MISSED {row.fault.name}: {text}", "red"
    for row in matrix.survived:
        where = ", ".join(look.where for look in row.looks)
        yield f"SURVIVED {row.fault.name}: {row.fault.description} (looked at: {where})", "bold red"
    for accused in matrix.accused:
        what = f"{'harmless ' if accused.fault else ''}{accused.look}, seed {accused.look.seed}"
        yield f"ACCUSED {what}: {accused.finding.check}: {accused.finding.reason}", "bold red"


def _misnamed(row: Row) -> str:
    first = row.first
    said = f"{first.check} says: {first.reason}" if first else ""
    return f"it is {' or '.join(row.fault.component)}; {said}"


# --- JSON -------------------------------------------------------------------------------


def to_json(matrix: KillMatrix) -> str:
    """Everything: figures, each fault with each verdict of each look, each check's worth."""
    whole = {
        "schema": SCHEMA,
        "seed": matrix.seed,
        "seconds": round(matrix.seconds, 3),
        "passed": matrix.passed,
        "figures": {name: _share(share) for name, share in matrix.figures.items()},
        "survived": [row.fault.name for row in matrix.survived],
        "survived_as_declared": [row.fault.name for row in matrix.survived_as_declared],
        "missed": {row.fault.name: row.missed for row in matrix.missed},
        "named_wrongly": [row.fault.name for row in matrix.named_wrongly],
        "accused": [
            {"fault": each.fault and each.fault.name, "where": each.look.where,
             "seed": each.look.seed, "check": each.finding.check, "reason": each.finding.reason}
            for each in matrix.accused
        ],
        "checks": [vars(worth) for worth in matrix.worths],
        "healthy": [_look(look) for look in matrix.healthy],
        "faults": [_row(row) for row in matrix.rows],
    }  # fmt: skip
    return json.dumps(whole, indent=1) + "\n"


def _share(share: Share) -> dict[str, object]:
    return {"part": share.part, "whole": share.whole, "share": share.value}


def _row(row: Row) -> dict[str, object]:
    fault = row.fault
    return {
        "name": fault.name,
        "family": fault.family,
        "description": fault.description,
        "milestones": fault.milestones,
        "component": fault.component,
        "seen_by": fault.seen_by,
        "is_harmless": fault.is_harmless,
        "survives": fault.survives,
        "is_caught": row.is_caught,
        "is_caught_before_training": row.is_caught_early,
        "is_named": row.is_named,
        "is_named_first": row.is_named_first,
        "first": row.first and row.first.check,
        "place": row.place,
        "seen": row.seen,
        "looks": [_look(look) for look in row.looks],
    }


def _look(look: Look) -> dict[str, object]:
    return {
        "where": look.where,
        "seed": look.seed,
        "seconds": round(look.seconds, 4),
        "broken": look.broken,
        "probes": {name: round(spent, 6) for name, spent in look.probes.items()},
        "verdicts": [_finding(finding) for finding in look.findings],
    }


def _finding(finding: Finding) -> dict[str, object]:
    """A verdict; the words only of those that complain."""
    found: dict[str, object] = {"check": finding.check, "status": finding.status}
    if finding.is_bad:
        found |= {"reason": finding.reason, "culprits": finding.culprits, "place": finding.place}
    return found
