"""The colours of the page, by day and by night, as custom properties for its style sheet.

Text has a contrast of 4.5 or more on every ground that it stands on, lines have 3 or more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

# The heat map's range: half a decade a colour, the same on every page, so that nights compare.
LOWEST, HIGHEST, COLOURS = -6.0, 1.0, 14

LIGHT = {
    "ground": "#ffffff",
    "panel": "#f5f7fa",
    "text": "#1a2027",
    "muted": "#55606c",
    "edge": "#d3dae2",
    "good": "#12682f",
    "bad": "#b4141f",
    "open": "#7d4e00",
    "head": "#0b5cad",
    "base": "#8250a8",
    "band": "#ccd6e1",
    "target": "#8a6100",
    "focus": "#0b5cad",
}
DARK = {
    "ground": "#10151b",
    "panel": "#19212a",
    "text": "#e4eaf0",
    "muted": "#9fabb8",
    "edge": "#36414d",
    "good": "#5fd07f",
    "bad": "#ff8a8a",
    "open": "#e5b454",
    "head": "#6db5ff",
    "base": "#cda3f2",
    "band": "#3a4856",
    "target": "#dcae4a",
    "focus": "#6db5ff",
}
# From the smallest gradient to the largest: always away from the ground, so that more is more
# by day and by night.
_LIGHT_HEAT = ("#f1ead3", "#54aaa8", "#15306b")
_DARK_HEAT = ("#2b2a3a", "#2f8a8f", "#eef6c4")


def heat(is_dark: bool) -> list[str]:
    """The colours of the heat map, from the smallest gradient to the largest."""
    first, middle, last = _DARK_HEAT if is_dark else _LIGHT_HEAT
    places = [2.0 * i / (COLOURS - 1) for i in range(COLOURS)]
    return [
        _between(first, middle, at) if at <= 1 else _between(middle, last, at - 1) for at in places
    ]


def _between(one: str, other: str, at: float) -> str:
    pairs = zip(channels(one), channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * at):02x}" for a, b in pairs)


def channels(colour: str) -> tuple[int, int, int]:
    """ "#0a141e" -> (10, 20, 30)."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def properties(is_dark: bool) -> str:
    """All colours as CSS custom properties: "--ground: #ffffff; ..."."""
    return " ".join(f"--{name}: {value};" for name, value in _named(is_dark))


def _named(is_dark: bool) -> Iterator[tuple[str, str]]:
    palette: Mapping[str, str] = DARK if is_dark else LIGHT
    yield from palette.items()
    yield from ((f"heat-{i}", colour) for i, colour in enumerate(heat(is_dark)))
