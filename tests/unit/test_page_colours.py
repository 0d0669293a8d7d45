"""The colours of the page: contrast by the formula of WCAG 2, and a scale never inverted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

import pytest

from harness.reports.page import render
from harness.reports.page.material import Material
from harness.reports.page.palette import DARK, LIGHT, heat

TEXTS = ("text", "muted", "good", "bad", "open")
LINES = ("head", "base", "target", "muted", "bad", "open", "focus")
GROUNDS = ("ground", "panel")
PALETTES = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """From 1, none, to 21, black on white."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_of_black_and_of_a_known_grey_on_white() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@PALETTES
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("text", TEXTS)
def test_text_can_be_read_on_both_grounds(
    palette: Mapping[str, str], text: str, ground: str
) -> None:
    assert contrast(palette[text], palette[ground]) >= 4.5


@PALETTES
@pytest.mark.parametrize("ground", [*GROUNDS, "band"])
@pytest.mark.parametrize("line", LINES)
def test_lines_can_be_seen_on_grounds_and_bands(
    palette: Mapping[str, str], line: str, ground: str
) -> None:
    assert contrast(palette[line], palette[ground]) >= 3.0


@pytest.mark.parametrize("is_dark", [False, True])
def test_more_gradient_is_always_further_from_the_ground(is_dark: bool) -> None:
    ground = (DARK if is_dark else LIGHT)["panel"]
    found = [contrast(colour, ground) for colour in heat(is_dark)]
    assert all(more > less for less, more in pairwise(found))
    assert found[-1] > 10.0


@PALETTES
def test_no_colour_of_the_scale_is_the_red_of_what_is_missing(palette: Mapping[str, str]) -> None:
    for colour in (palette["bad"], *heat(palette is DARK)):
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        is_red = red > 1.4 * max(green, blue)
        assert is_red == (colour == palette["bad"])


def test_style_sheet_uses_only_colours_that_there_are() -> None:
    text = render(Material())
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", text))
    defined = set(re.findall(r"--([a-z0-9-]+): #", text))
    assert used <= defined
    assert {name for name in used if name.startswith("heat-")} == {f"heat-{i}" for i in range(14)}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
