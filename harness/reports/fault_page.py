"""The page about all planted faults, for people: `harness selftest --markdown`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.kill_matrix import ENGINE, KillMatrix, Row
from harness.reports.kill_matrix import FIGURES, sentences

_START = """\
# Planted faults

Each of these bugs was put into a correct engine, model, optimizer, training loop or data recipe
on purpose, one at a time, to see which checks notice, where, and whom they blame. Harmless
variants are other right ways to do it, which no check may accuse.

Written by `harness selftest --markdown > milestones/FAULTS.md`; a test compares it with the
code, and with a sample of faults planted anew."""
_HOW_TO_READ = """\
"seen by" lists every check that complains: `engine` stands for a look at the engine's parts
alone, a milestone's name for that milestone, `all` for all milestones that the fault touches.
"the first cause" is what the report says on top: the check, and whom it blames."""


def render(matrix: KillMatrix, not_expressible: Mapping[str, str]) -> str:
    """Markdown: figures, the matrix by family, what survives and why, what each check is worth.

    `not_expressible` are known faults that this engine has no way to have, and why not.
    """
    parts = [_START, _figures(matrix), "## The matrix", _HOW_TO_READ, *_families(matrix.faults)]
    parts += _harmless(matrix.harmless)
    parts += _survivors(matrix.survived_as_declared)
    parts += _impossible(not_expressible)
    parts += ["## What each check is worth", _worths(matrix)]
    wrong = [f"- {_plain(text)}" for text, _ in sentences(matrix)]
    parts += ["## What is not as it should be", "\n".join(wrong)] if wrong else []
    return "\n\n".join(parts) + "\n"


def _figures(matrix: KillMatrix) -> str:
    rows = [(FIGURES[name], str(share)) for name, share in matrix.figures.items()]
    rows.append(("looks at healthy engines and milestones", str(len(matrix.healthy))))
    return _table(("", f"seed {matrix.seed}"), rows)


def _families(rows: Sequence[Row]) -> Iterator[str]:
    for family in dict.fromkeys(row.fault.family for row in rows):
        yield f"### {family.replace('_', ' ')}"
        yield _table(
            ("fault", "what is wrong", "touches", "seen by", "the first cause"),
            (_cells(row) for row in rows if row.fault.family == family),
        )


def _cells(row: Row) -> tuple[str, ...]:
    fault = row.fault
    touches = ", ".join(fault.milestones) or "no milestone"
    return f"`{fault.name}`", fault.description, touches, seen_by(row), _first(row)


def seen_by(row: Row) -> str:
    """Such as "engine: ops_behave; all: slopes_agree, loss_falls; cnn: target_reached"."""
    everywhere = [look.where for look in row.looks if look.where != ENGINE]
    groups: dict[str, list[str]] = {}
    for check, places in row.seen.items():
        is_all = len(places) > 1 and set(places) == set(everywhere)
        groups.setdefault("all" if is_all else ", ".join(places), []).append(check)
    return "; ".join(f"{places}: {', '.join(checks)}" for places, checks in groups.items())


def _first(row: Row) -> str:
    if row.first is None:
        return "survives" if row.fault.survives else "**survived**"
    blamed = ", ".join(row.first.culprits[:3]) or "nobody"
    wrong = "" if row.is_named else f" (it is {' or '.join(row.fault.component)})"
    return f"{row.first.check}: {blamed}{wrong}"


def _harmless(rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        yield "### harmless variants"
        cells = (
            (f"`{row.fault.name}`", row.fault.description, seen_by(row) or "none") for row in rows
        )
        yield _table(("variant", "what is different", "accused by"), cells)


def _survivors(rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        yield "## Faults that nothing can see"
        yield _table(("fault", "why"), ((f"`{r.fault.name}`", r.fault.survives) for r in rows))


def _impossible(not_expressible: Mapping[str, str]) -> Iterator[str]:
    if not_expressible:
        yield "## Faults that this engine cannot have"
        cells = ((f"`{name}`", why) for name, why in not_expressible.items())
        yield _table(("fault", "why"), cells)


def _worths(matrix: KillMatrix) -> str:
    definitions = {check.name: check.definition.splitlines()[0] for check in matrix.checks}
    rows = (
        (
            worth.check,
            definitions.get(worth.check, "The job comes to an end."),
            str(worth.catches),
            str(worth.alone),
            str(worth.first),
            "" if worth.milliseconds is None else f"{worth.milliseconds:.0f} ms",
        )
        for worth in matrix.worths
    )
    table = _table(("check", "what must hold", "catches", "alone", "first cause", "probe"), rows)
    return f"{table}\n\nThe probe's time is that on all milestones together, or on the engine."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *(map(_plain, row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is, but for `names` and what is **bold**."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
