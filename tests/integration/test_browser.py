"""The page in a real browser: Chromium, without a network, by day, by night and on paper."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from harness.comparison import save as save_comparison
from harness.reports.page import render
from harness.reports.page.material import Material
from harness.scorecard import save
from tests.comparisons import EXAMPLES, hostile
from tests.examples import bias_lost, healthy, judged, scorecard_of
from tests.pages import full, history_of, hostile_curves, hostile_scorecard, point

playwright = pytest.importorskip("playwright.sync_api")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
WIDTHS = pytest.mark.parametrize("width", [400, 970, 1200])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason=f"no browser: none of {', '.join(NAMES)} is here"),
]
Scheme = Literal["light", "dark"]
# The browser's own types: they exist only where playwright does.
Browser = Any
Tab = Any

# Text and what lies behind it, of all elements with words of their own; colours as [r, g, b].
CONTRASTS = """() => {
  const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
  const ground = element => {
    for (let each = element; each; each = each.parentElement) {
      const found = numbers(getComputedStyle(each).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const light = colour => {
    const [r, g, b] = colour.map(c => c / 255)
      .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const each of document.querySelectorAll("body *")) {
    const words = [...each.childNodes].filter(n => n.nodeType === 3 && n.textContent.trim());
    if (!words.length || !each.getClientRects().length) continue;
    const [text, behind] = [light(numbers(getComputedStyle(each).color)), light(ground(each))];
    const ratio = (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05);
    found.push([ratio, each.className + ": " + words[0].textContent.trim().slice(0, 40)]);
  }
  return found;
}"""
# How many lines an element's own words stand on.
LINES = """e => {
  const range = document.createRange();
  range.selectNodeContents(e);
  return range.getClientRects().length;
}"""
CLIPPED = """() => [...document.querySelectorAll("main *")]
  .filter(each => !each.closest(".hidden, thead, svg"))
  .filter(each => each.getBoundingClientRect().right > innerWidth + 0.5)
  .map(each => each.tagName + " " + each.className)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as found:
        started = found.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    card = hostile_scorecard(seeds=40, tensors=120)
    materials = {
        "full": full(),
        "hostile": Material(card, hostile_curves(card), hostile(seeds=40, tensors=60)),
    }
    for name, material in materials.items():
        (folder / f"{name}.html").write_text(render(material), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in materials}


@contextmanager
def opened(
    browser: Browser, file: Path, width: int = 1200, scheme: Scheme = "light"
) -> Iterator[Tab]:
    """The page in a tab that fails for any request but the first, and for any complaint."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    tab = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(file.as_uri(), wait_until="load")
    yield tab
    tab.wait_for_timeout(50)
    context.close()
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert said == []


@WIDTHS
@SCHEMES
@pytest.mark.parametrize("name", ["full", "hostile"])
def test_page_fits_its_window_and_all_of_it_can_be_seen(
    browser: Browser,
    pages: dict[str, Path],
    name: str,
    width: int,
    scheme: Scheme,
) -> None:
    with opened(browser, pages[name], width, scheme) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate(CLIPPED) == []
        sections = tab.locator("section")
        assert sections.count() >= 7
        for i in range(sections.count()):
            box = sections.nth(i).bounding_box()
            assert box
            assert box["width"] > 0.8 * min(width, 1152) - 40
            assert box["height"] > 40
        for drawing in tab.locator("svg:visible").all()[:20]:
            box = drawing.bounding_box()
            assert box
            assert box["width"] > 100
            assert box["height"] > 10


@SCHEMES
@WIDTHS
def test_every_word_has_contrast(
    browser: Browser, pages: dict[str, Path], width: int, scheme: Scheme
) -> None:
    with opened(browser, pages["full"], width, scheme) as tab:
        found = tab.evaluate(CONTRASTS)
        assert len(found) > 200
        assert [where for ratio, where in found if ratio < 4.5] == []


def test_day_and_night_have_other_grounds_and_paper_is_always_white(
    browser: Browser, pages: dict[str, Path]
) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, pages["full"], scheme="light") as tab:
        day = tab.evaluate(ground)
    with opened(browser, pages["full"], scheme="dark") as tab:
        night = tab.evaluate(ground)
        tab.emulate_media(media="print")
        paper = tab.evaluate(ground)
    assert (day, paper) == ("rgb(255, 255, 255)", "rgb(255, 255, 255)")
    assert night != day


def test_paper_shows_what_is_folded_on_the_screen(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["full"]) as tab:
        folded = tab.locator("details:not([open]) table tbody tr").first
        assert not folded.is_visible()
        tab.emulate_media(media="print")
        assert folded.bounding_box()["height"] > 5
        assert tab.evaluate("document.documentElement.scrollWidth") <= 1200
        assert tab.pdf(format="A4").startswith(b"%PDF")


def test_who_hears_the_page_is_told_all_of_it(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["full"]) as tab:
        headings = tab.get_by_role("heading", level=2)
        titles = headings.all_inner_texts()
        assert titles[:2] == ["What is wrong", "Milestones"]
        regions = [tab.get_by_role("region", name=title, exact=True).count() for title in titles]
        assert regions == [1] * len(titles)
        drawings = tab.get_by_role("img")
        assert drawings.count() > 10
        assert tab.get_by_role("img", name="hidden.bias: no gradient at any of 20 steps.").count()
        heard = tab.locator("main").aria_snapshot()
        assert 'heading "1 of 2 milestones pass" [level=1]' in heard
        assert 'columnheader "Accuracy (target)"' in heard


def test_narrow_tables_are_still_tables_to_who_hears_them(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with opened(browser, pages["full"], 400) as tab:
        table = tab.get_by_role("table", name="Milestones")
        assert table.get_by_role("row").count() == 3
        assert table.get_by_role("columnheader").count() == 8
        cell = table.get_by_role("cell").first
        assert cell.evaluate("e => getComputedStyle(e, '::before').content") == '"Verdict"'
        below = table.get_by_role("cell").nth(1)
        assert below.bounding_box()["y"] > cell.bounding_box()["y"] + 10
        assert below.bounding_box()["width"] > 300


def test_words_of_verdicts_are_never_torn(browser: Browser, pages: dict[str, Path]) -> None:
    """Nor where a note stands beside them: each is one box, on one line."""
    with opened(browser, pages["full"], 400) as tab:
        words = tab.locator("#differences td[data-label=Verdict]:visible > span:first-child").all()
        lines = {each.inner_text(): each.evaluate(LINES) for each in words}
        assert {"worse", "inconclusive", "same"} <= lines.keys()
        assert set(lines.values()) == {1}


def test_lone_night_can_be_seen(browser: Browser, tmp_path: Path) -> None:
    """A point of the median is a dot in its colour, and of some size on the screen."""
    file = tmp_path / "one.html"
    file.write_text(render(Material(history=history_of([point()]))), encoding="utf-8")
    with opened(browser, file) as tab:
        dot = tab.locator("path.median-dots")
        style = dot.evaluate("e => [getComputedStyle(e).strokeLinecap, e.getAttribute('d')]")
        assert style[0] == "round"
        assert style[1].endswith("h0")
        assert float(dot.evaluate("e => parseFloat(getComputedStyle(e).strokeWidth)")) >= 4


def test_paper_has_margins(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["full"]) as tab:
        rules = "[...document.styleSheets[0].cssRules].map(rule => rule.cssText)"
        assert any(each.startswith("@page") and "15mm" in each for each in tab.evaluate(rules))


def test_page_of_the_command_opens(harness: Any, browser: Browser, tmp_path: Path) -> None:
    records = [bias_lost(), healthy(seed=1)]
    save(scorecard_of(*map(judged, records)), records, tmp_path)
    save_comparison(EXAMPLES["regressed"], tmp_path)
    assert harness("report", ".", "-o", "page.html")[0] == 0
    with opened(browser, tmp_path / "page.html") as tab:
        assert tab.title() == "0 of 1 milestones pass"
        assert tab.get_by_text("harness run small.yaml --seed 0 --explain hidden.bias").is_visible()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
