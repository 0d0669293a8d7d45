"""Where the time of a run went: phases of each milestone, and every probe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import StringIO

from rich.console import Console
from rich.table import Table

from harness.scorecard import Result, Scorecard

_PHASES = ("probing", "building", "training", "watching", "evaluating")


def render(scorecard: Scorecard) -> str:
    """Two tables in milliseconds, and what probing costs beside training one seed of each."""
    out = StringIO()
    console = Console(file=out, width=140, no_color=True, highlight=False)
    probed = [result for result in scorecard.results if result.probe_seconds]
    console.print(_phases(scorecard.results))
    console.print()
    console.print(_probes(scorecard, probed))
    training = sum(_trained(result) for result in probed)
    engine = sum(scorecard.engine.seconds.values()) if scorecard.engine else 0.0
    probing = engine + sum(sum(result.probe_seconds.values()) for result in probed)
    console.print(
        f"\nprobes {1000 * probing:.0f} ms, of it {1000 * engine:.0f} ms on the engine itself; "
        f"training one seed of each {1000 * training:.0f} ms"
    )
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _trained(result: Result) -> float:
    """Seconds of one run but for its probes."""
    return sum(spent for phase, spent in result.seconds.items() if phase != "probing")


def _table(first: str, columns: Iterable[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _phases(results: Iterable[Result]) -> Table:
    """One row a milestone, all its seeds together."""
    spent: dict[str, dict[str, float]] = {}
    for result in results:
        row = spent.setdefault(result.milestone, dict.fromkeys(_PHASES, 0.0))
        for phase, seconds in result.seconds.items():
            row[phase] = row.get(phase, 0.0) + seconds
    table = _table("ms", _PHASES)
    for milestone, row in spent.items():
        table.add_row(milestone, *(_ms(row[phase]) for phase in _PHASES))
    return table


def _probes(scorecard: Scorecard, probed: Iterable[Result]) -> Table:
    """One row a probe, one column a milestone."""
    columns: dict[str, Mapping[str, float]] = {}
    if scorecard.engine:
        columns["engine"] = scorecard.engine.seconds
    columns |= {result.milestone: result.probe_seconds for result in probed}
    table = _table("probe, ms", columns)
    for probe in dict.fromkeys(name for column in columns.values() for name in column):
        cells = (_ms(column[probe]) if probe in column else "" for column in columns.values())
        table.add_row(probe, *cells)
    return table


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f}"
