"""Foreign text made harmless: for a terminal, for XML, and for Markdown as GitHub reads it.

Names and reasons come from engines, branches and configs; whatever is in them, it stays text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

# What a terminal would obey: colours and cursor moves, titles, and other escapes.
_ORDERS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[ -/]*[0-~]"
)
# Marks that turn the direction of text, so that it reads as something else.
_TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# With a meaning in Markdown; $ begins a formula on GitHub.
_MARKS = re.compile(r"[\\`*_\[\]<|~$&#]")
# A mention, an issue, an address: GitHub links them after all escapes are resolved, so they are
# broken up by a space of no width.
_LINKS = re.compile(r"@(?=\w)|#(?=\d)|\bGH-(?=\d)|\bwww(?=\.)|(?<=\w)(?=://)", re.IGNORECASE)
_NO_WIDTH = "&#8203;"
# GitHub takes 65,536 characters for a comment; some are left for what others add.
MARKDOWN_BYTES = 60_000


def printable(text: str) -> str:
    """Without escapes, control characters and half characters; lines and tabs stay."""
    text = _TURNS.sub("", _ORDERS.sub("", text))
    return "".join(char for char in text if char in "\r\n\t" or _is_text(char))


def _is_text(char: str) -> bool:
    """Whether XML 1.0 may hold it and no terminal obeys it."""
    return unicodedata.category(char) not in ("Cc", "Cs") and char not in "\ufffe\uffff"


def one_line(text: str, limit: int = 2000) -> str:
    """The same on one line, cut at `limit` characters."""
    flat = " ".join(printable(text).split())
    return flat if len(flat) <= limit else f"{flat[: limit - 1].rstrip()}…"


def listed(words: Sequence[str], limit: int = 5) -> str:
    """Such as "a, b and 3 more"."""
    shown = ", ".join(words[:limit])
    return shown if len(words) <= limit else f"{shown} and {len(words) - limit} more"


def markdown(text: str, limit: int = 2000) -> str:
    """One line that Markdown shows as it is: no markup, no link, no mention."""
    parts, end = [], 0
    flat = one_line(text, limit)
    for link in _LINKS.finditer(flat):
        parts += [_MARKS.sub(r"\\\g<0>", flat[end : link.end()]), _NO_WIDTH]
        end = link.end()
    return "".join([*parts, _MARKS.sub(r"\\\g<0>", flat[end:])])


def code(text: str, limit: int = 300) -> str:
    """A span of code for a paragraph; in a table it would end at a pipe."""
    flat = one_line(text, limit)
    fence = "`" * (_longest(flat) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}" if flat else ""


def code_block(text: str, limit: int = 1000) -> str:
    """One line of code on its own, to be copied."""
    flat = one_line(text, limit)
    fence = "`" * max(3, _longest(flat) + 1)
    return f"{fence}\n{flat}\n{fence}"


def _longest(text: str) -> int:
    """How many backticks stand together at most."""
    return max(map(len, re.findall("`+", text)), default=0)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def fitted(blocks: Iterable[str], rest: str, limit: int = MARKDOWN_BYTES) -> str:
    """The blocks as one text of at most `limit` bytes; the last ones go first, with a word.

    `rest` is where all of it can be found.
    """
    kept: list[str] = []
    left_out = 0
    note = "_{} more sections did not fit here: " + rest + "_"
    space = limit - len(note.encode()) - 10
    for block in blocks:
        size = len(block.encode()) + 2
        if left_out or size > space:
            left_out += 1
        else:
            kept.append(block)
            space -= size
    if left_out:
        kept.append(note.format(left_out))
    return "\n\n".join(kept) + "\n"
