"""The nights in a terminal: all milestones on one screen, or one of them night by night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from json import dumps
from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.history.changes import LONGEST
from harness.history.nights import History, Night, Point, Skipped
from harness.history.trends import Drift, Streak, drifts, engine_streak, nights_of, streak
from harness.reports.console import console_to
from harness.reports.escapes import one_line

SCHEMA = "harness.history/1"
ROWS = 20
_SHOWN_SKIPPED = 10
_SHOWN_CHANGES = 5
_COLUMNS = 40
_BLOCKS = "▁▂▃▄▅▆▇█"
_FAILED = "x"
_WORDS = {
    "accuracy": "accuracy",
    "steps_to_target": "steps to target",
    "loss": "held-out loss",
    "seconds": "seconds of training",
}

_Nights = Sequence[tuple[Night, Point]]


def render(
    history: History,
    name: str | None = None,
    *,
    nights: int | None = None,
    colour: bool = False,
    width: int = 100,
) -> str:
    """Text for a terminal `width` columns wide: all milestones, or the nights of `name`.

    `nights` is how many of the last are drawn, searched for changes and listed; since when
    something fails is always told from all.
    """
    out = StringIO()
    console = console_to(out, colour=colour, width=width)
    found = {each: nights_of(history, each) for each in ([name] if name else history.milestones)}
    shown = {each: found[each][-nights:] if nights else found[each] for each in found}
    if name:
        console.print(_nights_table(found[name][-(nights or ROWS) :]))
    else:
        _print_overview(
            console, history, shown, history.nights[-nights:] if nights else history.nights
        )
    if not name and (failing := engine_streak(history.nights)):
        _print_streak(console, "the engine", failing)
    for each in found:
        _print_failing(console, each, found[each], history.nights[-1])
    _print_changes(console, shown)
    _print_skipped(console, history.skipped)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def to_json(history: History, name: str | None = None, *, nights: int | None = None) -> str:
    """The same as JSON: the last `nights`, and of each milestone its trend; or of `name` alone."""
    names = [name] if name else history.milestones
    found = {each: nights_of(history, each) for each in names}
    shown = history.nights if name is None else [night for night, _ in found[name]]
    data = {
        "schema": SCHEMA,
        "engine": {"failing": _failing(engine_streak(history.nights))},
        "milestones": {
            each: _trend(found[each][-nights:] if nights else found[each], found[each])
            for each in names
        },
        "nights": [_night(each, names) for each in (shown[-nights:] if nights else shown)],
        "skipped": [asdict(each) for each in history.skipped],
    }
    return dumps(data, ensure_ascii=False, allow_nan=False) + "\n"


# --- all milestones ----------------------------------------------------------------------------


def _print_overview(
    console: Console, history: History, shown: Mapping[str, _Nights], drawn: Sequence[Night]
) -> None:
    count = len(history.nights)
    first, last = history.nights[0], history.nights[-1]
    days = dict.fromkeys([first.created[:10], last.created[:10]])
    said = f"{count:,} night{'s' * (count > 1)}, {' to '.join(days)}; the last is {last.label}"
    console.print(Text(one_line(said)), end="\n\n")
    table = _table(["milestone", "last", "accuracy (lowest)", "target", "nights"], {2, 3})
    for name, nights in shown.items():
        night, point = nights[-1]
        is_last = night is last
        word = point.word if is_last else "not run"
        table.add_row(
            Text(one_line(name)),
            Text(word, style=_style(point) if is_last else ""),
            f"{_share(point.accuracy)} ({_share(point.lowest)})",
            f"{point.target:g}",
            _sparkline([each.milestones.get(name) for each in drawn], point.target),
        )
    console.print(table)
    if last.engine:
        cause = f": {one_line(last.engine_cause)}" if last.engine_cause else ""
        console.print(Text(f"\nengine: {last.engine}{cause}"))
    _print_wrapped(console, _legend(len(drawn)), "dim")


def _legend(longest: int) -> str:
    nights = -(-longest // _COLUMNS)
    each = f"a mark is up to {nights} nights; " if nights > 1 else ""
    return (
        f"nights: {each}the accuracy of the worst seed, from the lowest to the highest, the target "
        f"included; {_FAILED} where {'half of them or more' if nights > 1 else 'it'} did not pass, "
        "blank where it was not run"
    )


def _sparkline(points: Sequence[Point | None], target: float) -> Text:
    """A mark a night, or for several; each milestone on a scale of its own. None is not run."""
    size = -(-len(points) // _COLUMNS) or 1
    cuts = [points[at : at + size] for at in range(0, len(points), size)]
    pieces = [[point for point in cut if point is not None] for cut in cuts]
    lowest = [_lowest(piece) for piece in pieces]
    ends = [*(value for value in lowest if value is not None), target]
    line = Text()
    for piece, value in zip(pieces, lowest, strict=True):
        failed = sum(point.status != "pass" for point in piece)
        is_bad = failed > 0 and 2 * failed >= len(piece)
        mark = _FAILED if is_bad else _block(value, min(ends), max(ends))
        line.append(mark, style="bold red" if failed else "")
    return line


def _lowest(points: Sequence[Point]) -> float | None:
    return min((point.lowest for point in points if point.lowest is not None), default=None)


def _block(value: float | None, low: float, high: float) -> str:
    if value is None:
        return " "
    share = (value - low) / (high - low) if high > low else 1.0
    return _BLOCKS[round(share * (len(_BLOCKS) - 1))]


# --- one milestone -----------------------------------------------------------------------------


def _nights_table(nights: _Nights) -> Table:
    heads = ["night", "date", "commit", "verdict", "accuracy (lowest)", "steps", "loss", "seconds"]
    table = _table(heads, {4, 5, 6, 7})
    table.add_column("cause")
    for night, point in nights:
        table.add_row(
            Text(one_line(night.number)),
            night.created[:10],
            Text(one_line((night.commit or "-")[:7]) + "*" * night.dirty),
            Text(point.word, style=_style(point)),
            f"{_share(point.accuracy)} ({_share(point.lowest)})",
            _number(point.steps_to_target),
            _number(point.loss),
            _number(point.seconds),
            Text(one_line(point.cause)),
        )
    if any(night.dirty for night, _ in nights):
        table.caption = "*: files differed from the commit"
        table.caption_justify = "left"
    return table


# --- sentences ---------------------------------------------------------------------------------


def _print_failing(console: Console, name: str, nights: _Nights, last: Night) -> None:
    seen = nights[-1][0]
    if seen is not last:
        _print_wrapped(console, f"{name} was not run in the last night; its last is {seen.label}.")
    if found := streak(nights):
        _print_streak(console, name, found)


def _print_streak(console: Console, name: str, found: Streak) -> None:
    since = f"fails since {found.first.label}"
    row = f", {found.nights:,} nights in a row" if found.nights > 1 else ""
    cause = f": {found.cause}" if found.cause else ""
    _print_wrapped(console, f"{name} {since}{row}{cause}", "bold red")
    if found.now:
        _print_wrapped(console, f"     now: {found.now}", start="")
    if found.good:
        _print_wrapped(console, f"     the last good one is {found.good.label}", start="")


def _print_changes(console: Console, found: Mapping[str, _Nights]) -> None:
    """New levels in sentences, the last of each milestone; a look, and no verdict."""
    changed = {name: drifts(nights) for name, nights in found.items()}
    if not any(changed.values()):
        return
    cut = any(len(nights) > LONGEST for nights in found.values())
    among = f" in the last {LONGEST:,} nights of each" if cut else ""
    _print_wrapped(console, f"New levels{among} (for information, they decide nothing):")
    for name, drift in changed.items():
        order = {night.file: i for i, (night, _) in enumerate(found[name])}
        latest = sorted(drift, key=lambda each: order[each.night.file])
        for each in latest[-_SHOWN_CHANGES:]:
            _print_wrapped(console, f"  {_change(name, each)}", start="")
        if len(latest) > _SHOWN_CHANGES:
            console.print(f"  and {len(latest) - _SHOWN_CHANGES} before them")


def _change(name: str, drift: Drift) -> str:
    show = _share if drift.quantity == "accuracy" else _number
    by = f"{drift.after / drift.before - 1.0:+.1%}" if drift.before else ""
    noise = (
        "nights before and after repeat each other exactly"
        if drift.size is None
        else f"{drift.size:.1f} times the noise of a night"
    )
    return (
        f"{name}: {_WORDS[drift.quantity]} went from {show(drift.before)} to {show(drift.after)} "
        f"({', '.join(filter(None, [by, noise]))}) with {drift.night.label}"
    )


def _print_skipped(console: Console, skipped: Sequence[Skipped]) -> None:
    if not skipped:
        return
    count = len(skipped)
    _print_wrapped(console, f"Skipped {count:,} file{'s' * (count > 1)} that cannot be read:")
    for each in skipped[:_SHOWN_SKIPPED]:
        _print_wrapped(console, f"  {each.file}: {each.why}", start="")
    if count > _SHOWN_SKIPPED:
        console.print(f"  and {count - _SHOWN_SKIPPED:,} more; --format json lists all")


# --- pieces ------------------------------------------------------------------------------------


def _trend(nights: _Nights, all_nights: _Nights) -> dict[str, Any]:  # JSON
    """Since when it fails, told from all nights, and the changes among those that are shown."""
    return {
        "failing": _failing(streak(all_nights)),
        "changes": [
            {
                "quantity": each.quantity,
                "night": each.night.file,
                "before": each.before,
                "after": each.after,
                "size": each.size,
            }
            for each in drifts(nights)
        ],
    }


def _failing(found: Streak | None) -> dict[str, Any] | None:  # JSON
    if found is None:
        return None
    return {
        "since": found.first.file,
        "nights": found.nights,
        "cause": found.cause,
        "now": found.now,
        "good": found.good and found.good.file,
    }


def _night(night: Night, names: Sequence[str]) -> dict[str, Any]:  # JSON
    fields = {key: value for key, value in vars(night).items() if key != "milestones"}
    points = {name: vars(night.milestones[name]) for name in names if name in night.milestones}
    return fields | {"milestones": points}


def _table(heads: Sequence[str], right: set[int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if i in right else "left", no_wrap=True)
    return table


def _print_wrapped(console: Console, text: str, style: str = "", start: str = "\n") -> None:
    """Wrapped to the width, later lines indented like the text of the first."""
    indent = text[: len(text) - len(text.lstrip())]
    lines = wrap(
        one_line(text), console.width, initial_indent=indent, subsequent_indent="     ",
        break_on_hyphens=False,
    )  # fmt: skip
    console.print(start, end="")
    for line in lines:
        console.print(Text(line, style=style))


def _style(point: Point) -> str:
    return "green" if point.status == "pass" else "bold red"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _number(value: float | None) -> str:
    """Three significant digits, a whole number with all of its own."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e12 else f"{value:.3g}"
