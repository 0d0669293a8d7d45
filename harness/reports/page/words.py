"""How the page writes numbers, seeds and commits, and how it cuts what is too long."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from statistics import median

NOTHING = "–"  # noqa: RUF001  (a dash where there is no number)
LONGEST = 700


def cut(text: str, longest: int = LONGEST) -> str:
    """Text of at most about `longest` characters, with the number of those left out."""
    if len(text) <= longest + 40:
        return text
    return f"{text[:longest].rstrip()} … ({len(text) - longest} more characters)"


def number(value: float | None) -> str:
    """Three significant digits, a whole number with all of its own; a dash for none."""
    if value is None or math.isnan(value):
        return NOTHING
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e12 else f"{value:.3g}"


def share(value: float | None) -> str:
    """An accuracy in three decimals; a dash for none."""
    return NOTHING if value is None or math.isnan(value) else f"{value:.3f}"


def middle(values: Sequence[float | None]) -> float | None:
    """The median of what is known; None where nothing is."""
    known = finite(values)
    return median(known) if known else None


def finite(values: Sequence[float | None]) -> list[float]:
    """The numbers among them."""
    return [value for value in values if value is not None and math.isfinite(value)]


def count(many: int, thing: str, plural: str = "") -> str:
    """ "1 seed", "2 seeds"."""
    return f"{many:,} {thing if many == 1 else plural or thing + 's'}"


def seeds(numbers: Collection[int]) -> str:
    """ "seed 0", "seeds 0, 1, 2", "seeds 0, 1, 2, 3, 4, 5 and 194 more"."""
    if not numbers:
        return ""
    first = list(numbers)[:6]
    more = f" and {len(numbers) - 6} more" if len(numbers) > 6 else ""
    return f"seed{'s' if len(numbers) > 1 else ''} {', '.join(map(str, first))}{more}"


def listed(things: Sequence[str], most: int = 8) -> str:
    """ "a, b and 3 more"."""
    more = f" and {len(things) - most} more" if len(things) > most else ""
    return ", ".join(cut(each, 120) for each in things[:most]) + more


def commit(full: str | None, dirty: bool | None = False) -> str:
    """A short commit, and whether files differ from it; "" for none."""
    if not full:
        return ""
    return f"{full[:9]}{' with changes' if dirty else ''}"


def day(moment: str) -> str:
    """ "2026-11-28T03:10:00+00:00" -> "2026-11-28 03:10 UTC"; as it is where it is no time."""
    date, mark, time = moment.partition("T")
    if not mark or len(time) < 5:
        return moment
    zone = " UTC" if time.endswith(("+00:00", "Z")) else ""
    return f"{date} {time[:5]}{zone}"
