"""The way of one gradient from the loss to its tensor, op by op, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap

from harness.explanation import ISSUES, End, Explanation, Hop, Slope
from harness.scorecard import Result

_INDENT = "     "
# Of sentences; a line of a table is as long as the path in it.
_WIDTH = 100


def render(result: Result) -> str:
    """The verdict on the tensor first, then its way, where that ends, and other tensors.

    Nothing when no explanation was asked for.
    """
    told = result.explanation
    if told is None:
        return ""
    verdicts = {row.label: row.verdict for row in result.parameters}
    blocks = [
        _wrapped(f"{told.label} of {result.milestone}, seed {result.seed}: {headline(told)}."),
        _way(told),
        [line for end in told.ends for line in _end(end)],
        _table(map(_cells, told.behind), "behind it, where no gradient arrives:"),
        _slope(told.slope),
        _beside(told, verdicts),
    ]
    return "".join(f"{line}\n" for block in blocks for line in block)


def headline(told: Explanation) -> str:
    """One sentence: whether a gradient arrives, and if not, why not."""
    if told.problem:
        return told.problem
    norm = f"a gradient of norm {_number(told.norm)} arrives"
    if told.null:
        got = norm if told.arrived else "none arrives"
        return f"declared to have no gradient: {told.null} ({got})"
    if told.ends:
        return _lost(told, norm)
    if told.slope and not told.slope.agrees:
        return f"{norm}, but it is wrong"
    return f"{norm} over {len(told.hops)} ops"


def _lost(told: Explanation, norm: str) -> str:
    """What became of a gradient that does not come through, or not all of it."""
    first = told.ends[0]
    if told.is_harmless:
        return f"{norm} and is right, though one way ends: what came through it would cancel"
    if told.arrived and first.kind not in ("zero", "nonfinite"):
        return f"{norm}, but not all of it"
    lost = {"zero": "only zeros arrive", "nonfinite": "what arrives is no finite number"}
    where = f", lost at {first.place}" if first.place else ""
    return f"{lost.get(first.kind, 'no gradient arrives')}{where}"


def _way(told: Explanation) -> list[str]:
    if not told.hops:
        return []
    rows = list(map(_cells, told.hops))
    if told.reached:
        rows.append(("", told.label, _shape(told.shape), _arrived(told.arrived, told.norm), ""))
    return _table(rows, "from the loss, at the first step:")


def _cells(hop: Hop) -> tuple[str, ...]:
    name = hop.op.removesuffix("Backward")
    return (hop.layer, name, _shape(hop.shape), _arrived(hop.arrived, hop.norm), _lines(hop))


def _lines(hop: Hop) -> str:
    """Where the op is, and its apply; the file once when they share it."""
    if not hop.apply:
        return hop.place
    file, _, line = hop.apply.rpartition(":")
    return f"{hop.place}, apply {f':{line}' if hop.place.startswith(f'{file}:') else hop.apply}"


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"


def _arrived(arrived: bool, norm: float | None) -> str:
    return _number(norm) if arrived else "none"


def _number(norm: float | None) -> str:
    return "not finite" if norm is None else f"{norm:.3g}"


def _table(rows: Iterable[tuple[str, ...]], title: str) -> list[str]:
    """Rows in columns, the gradient in the last but one; nothing when there are no rows."""
    found = list(rows)
    if not found:
        return []
    widths = [max(map(len, column)) for column in zip(*found, strict=True)]
    lines = [f"{_INDENT}{title}"]
    for *words, norm, last in found:
        cells = [word.ljust(width) for word, width in zip(words, widths, strict=False)]
        lines.append(f"  {'  '.join([*cells, norm.rjust(widths[-2]), last])}".rstrip())
    return lines


def _end(end: End) -> list[str]:
    place = f"{end.place}: " if end.place else ""
    lines = _wrapped(f"{_INDENT}ends here: {place}{end.sentence}")
    if end.issue:
        bug = f"bug {end.issue} of 'The four common bugs' in CONTRIBUTING.md"
        lines.append(f"{_INDENT}resembles {bug}: {ISSUES[end.issue]}")
    return lines


def _wrapped(text: str) -> list[str]:
    return wrap(text, _WIDTH, subsequent_indent=_INDENT, break_on_hyphens=False)


def _slope(slope: Slope | None) -> list[str]:
    if slope is None:
        return []
    if slope.agrees:
        return [f"{_INDENT}finite differences agree with it: {slope.expected:.3g}"]
    got = "none" if slope.got is None else f"{slope.got:.3g}"
    lines = [f"{_INDENT}finite differences do not agree: got {got}, expected {slope.expected:.3g}"]
    return [*lines, *(f"{_INDENT}wrong by itself: {part}" for part in slope.wrong)]


def _beside(told: Explanation, verdicts: Mapping[str, str]) -> list[str]:
    """The tensor and its siblings: the gradient of the first step, the verdict on all steps."""
    tensors = [(told.label, told.shape, told.arrived, told.norm)] if told.siblings else []
    tensors += [(each.label, each.shape, each.arrived, each.norm) for each in told.siblings]
    rows = [
        (label, _shape(shape), _arrived(arrived, norm), verdicts.get(label, ""))
        for label, shape, arrived, norm in tensors
    ]
    return _table(rows, "beside it, and the verdicts on the whole training:")
