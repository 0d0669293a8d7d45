"""Numbers of a comparison in words: effects with intervals, norms, bits, what could be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.comparison import LEARNING, Cell, CheckChange, Counter, Divergence, MilestoneComparison
from harness.reports.escapes import listed

# What a factor or a difference is one of, as it stands behind the number.
_OF_WHAT = {
    "learning speed": "the steps to learn as much",
    "final accuracy": "points of accuracy",
    "reach": "seeds that reach the target",
    "step time": "the time a step",
    "peak memory": "the memory",
}


def number(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return "unknown"
    return f"{value:.3g}" if math.isfinite(value) else "not finite"


def signed(value: float | None) -> str:
    """The same of a difference, always with its sign."""
    if value is None or not math.isfinite(value):
        return number(value)
    return f"{value:+.3g}" if f"{value:.3g}" not in ("0", "-0") else "0"


def norm(value: float | None) -> str:
    """The norm of an array, which one side may not have at all."""
    return "none" if value is None else number(value)


def estimate(cell: Cell) -> str:
    """Such as "1.02x" or "-0.3 points"; "-" where nothing was measured."""
    if cell.estimate is None:
        return "-"
    if cell.unit == "x":
        return f"{number(cell.estimate)}x"
    return f"{signed(cell.estimate)} {cell.unit}"


def effect(cell: Cell) -> str:
    """Such as "1.02x (0.97 to 1.08)"; without the interval where it has no width."""
    if cell.estimate is None or cell.low is None or cell.high is None or cell.low == cell.high:
        return estimate(cell)
    as_text = number if cell.unit == "x" else signed
    return f"{estimate(cell)} ({as_text(cell.low)} to {as_text(cell.high)})"


def smallest(cell: Cell) -> str:
    """The smallest effect that this many samples would have shown: "1.27x", "1.35 points"."""
    if cell.detectable is None:
        return "unknown"
    if cell.unit == "x":
        return f"{number(1.0 + cell.detectable)}x"
    return f"{number(cell.detectable)} {cell.unit}"


def cell_sentence(cell: Cell) -> str:
    """All of one cell: estimate, interval, verdict, what could have been seen, and its note."""
    note = f" ({cell.note})" if cell.note else ""
    if cell.verdict == "not measured":
        return f"not measured{note}"
    seen = f"; smallest effect this run could have seen: {smallest(cell)}"
    # By bits, as the note says: then there is no interval, and nothing too small to be seen.
    is_settled = cell.detectable is None and cell.low == cell.high and bool(note)
    return f"{effect(cell)}, {cell.verdict}{'' if is_settled else seen}{note}"


def could_have_seen(milestone: MilestoneComparison) -> str:
    """What "same" is worth: the smallest effects, and what was not looked at at all.

    Where the two train to the same bits, no effect on learning is too small to be seen.
    """
    is_identical = bits(milestone.divergence) == "IDENTICAL"
    measured = [cell for cell in milestone.cells if cell.verdict != "not measured"]
    counted = [c for c in measured if not (is_identical and c.quantity in LEARNING)]
    seen = [f"{smallest(c)} {_of_what(c)}" for c in counted if c.detectable is not None]
    blind = [
        cell.quantity
        for cell in milestone.cells
        if cell.verdict == "not measured" or (cell in counted and cell.detectable is None)
    ]
    parts = [f"could have seen {', '.join(seen)}"] if seen else []
    parts += [f"could not see {', '.join(blind)}"] if blind else []
    return "; ".join(parts) or ("" if is_identical else "nothing was measured")


def _of_what(cell: Cell) -> str:
    return _OF_WHAT[cell.quantity].removeprefix(f"{cell.unit} ")


def bits(divergence: Divergence | None) -> str:
    """Such as "IDENTICAL", "unknown" or "CHANGED step 0 gradient conv1.bias"."""
    if divergence is None:
        return "-"
    if divergence.unsteady:
        return "unsteady"
    if divergence.level != "CHANGED":
        return divergence.level
    step = "" if divergence.step is None else f"step {divergence.step}"
    words = (divergence.level, step, divergence.phase or "", divergence.tensor)
    return " ".join(word for word in words if word)


def parting(divergence: Divergence) -> str:
    """The first divergence in a sentence; "" where the two sides are identical."""
    known = {
        "IDENTICAL": "",
        "unknown": f"not known: {divergence.why or 'no fingerprints were kept'}",
        "ROUNDING": f"only rounding{_where(divergence)}{_by_how_much(divergence)}",
        "CHANGED": f"{_where(divergence).lstrip(', ')}{_values(divergence)}",
    }
    if not divergence.unsteady:
        return known[divergence.level]
    sides = " and ".join(divergence.unsteady)
    return f"not known: other bits each time on {sides}, so that bits prove nothing"


def _where(divergence: Divergence) -> str:
    """Such as ", from step 4 (step 2 is still equal), gradient of conv1.bias, seed 0"."""
    parts = []
    if divergence.step is not None:
        since = "" if divergence.since is None else f" (step {divergence.since} is still equal)"
        parts.append(f"from step {divergence.step}{since}")
    if divergence.phase not in (None, "unknown"):
        parts.append(f"{divergence.phase}{f' of {divergence.tensor}' if divergence.tensor else ''}")
    if divergence.seed is not None:
        parts.append(f"seed {divergence.seed}")
    return "".join(f", {part}" for part in parts)


def _by_how_much(divergence: Divergence) -> str:
    return "" if divergence.difference is None else f", {number(divergence.difference)} of the norm"


def _values(divergence: Divergence) -> str:
    also = f"; also {listed(divergence.also)}" if divergence.also else ""
    if divergence.base is None and divergence.head is None:
        return also
    return f": {norm(divergence.base)} on the base, {norm(divergence.head)} on the head{also}"


def check_sentence(change: CheckChange, seeds: int) -> str:
    """What a check says, and on which of `seeds` seeds, where there are several."""
    where = f" on {len(change.seeds)} of {seeds} seeds" if len(change.seeds) > 1 else ""
    if len(change.seeds) == 1 and seeds > 1:
        where = f" on seed {change.seeds[0]}"
    return f"{change.check}{where}: {change.reason}"


def counters(found: Sequence[Counter]) -> list[str]:
    """Those that differ, such as "ops per step 34 -> 36"."""
    return [
        f"{each.name} {_count(each.base)} -> {_count(each.head)}"
        for each in found
        if each.base != each.head
    ]


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def checks_in_short(milestone: MilestoneComparison) -> str:
    """Such as "2 fail, 1 fixed"; "-" where all say the same."""
    changes = [each.change for each in milestone.checks if each.change != "still failing"]
    found = {change.replace("newly failing", "fail"): changes.count(change) for change in changes}
    return ", ".join(f"{count} {change}" for change, count in found.items()) or "-"


def cell_of(milestone: MilestoneComparison, quantity: str) -> Cell | None:
    """The cell of a quantity, where there is one."""
    return next((cell for cell in milestone.cells if cell.quantity == quantity), None)
