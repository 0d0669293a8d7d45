"""The page as a whole: one file, the same bytes, sound HTML, and no harm from foreign words."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
from syrupy.assertion import SnapshotAssertion

from harness.comparison import Comparison
from harness.reports.page import render
from harness.reports.page.material import Material
from tests.comparisons import EXAMPLES, HOSTILE, hostile
from tests.examples import bias_lost, healthy, scorecard_of
from tests.pages import (
    KILLS,
    Page,
    full,
    history_of,
    hostile_curves,
    hostile_scorecard,
    material_of,
    point,
)


def hostile_material() -> Material:
    card = hostile_scorecard()
    nights = history_of([point("fail", None, HOSTILE * 20)] * 30, name=HOSTILE)
    kills = replace(KILLS, survived=(HOSTILE,) * 100, accused=(HOSTILE * 100,))
    return Material(card, hostile_curves(card), hostile(), nights, kills)


MATERIALS = {
    "nothing": Material(),
    "a pass": material_of(healthy()),
    "a failure": material_of(bias_lost(), bias_lost(seed=1)),
    "no results": Material(scorecard=scorecard_of()),
    "history": Material(history=history_of([point()] * 5)),
    "selftest": Material(kills=KILLS),
    "all": full(),
    "hostile": hostile_material(),
    **{name: Material(comparison=each) for name, each in EXAMPLES.items()},
}


@cache
def rendered(name: str) -> str:
    return render(MATERIALS[name])


@pytest.mark.parametrize("name", MATERIALS)
def test_page_is_sound_html(name: str) -> None:
    page = Page(rendered(name))
    levels = [int(each.tag[1]) for each in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    ids = [each.attributes["id"] for each in page.elements if "id" in each.attributes]
    assert len(set(ids)) == len(ids)
    named = [each.attributes.get("aria-labelledby") for each in page.elements]
    assert {each for each in named if each} <= set(ids)
    assert page.all("html")[0].attributes["lang"] == "en"
    assert page.all("title")[0].text == page.all("h1")[0].text


@pytest.mark.parametrize("name", MATERIALS)
def test_every_drawing_has_words_and_every_table_its_headers(name: str) -> None:
    page = Page(rendered(name))
    for drawing in page.all("svg"):
        assert drawing.attributes["role"] == "img"
        assert len(drawing.attributes["aria-label"]) > 10
    assert all(each.attributes.get("scope") in ("col", "row") for each in page.all("th"))
    tables = len(page.all("table"))
    assert len(page.all("thead")) == tables
    assert all(section.text.strip() for section in page.all("section"))


@pytest.mark.parametrize("name", MATERIALS)
def test_page_asks_nothing_of_anybody(name: str) -> None:
    text = rendered(name)
    page = Page(text)
    assert not page.all("script", "iframe", "img", "object", "embed", "form", "base", "a")
    attributes = {attribute for each in page.elements for attribute in each.attributes}
    assert not {each for each in attributes if each.startswith("on") or each == "src"}
    assert [each.attributes for each in page.all("link")] == [{"rel": "icon", "href": "data:,"}]
    style = page.all("style")[0].text
    assert not re.search(r"url\(|@import|//", style)


def test_page_is_the_same_whenever_it_is_made() -> None:
    assert render(full()) == render(full())


def test_hostile_words_stay_words() -> None:
    text = rendered("hostile")
    assert "<script" not in text.lower()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", text)
    text.encode()
    assert "<script>alert(1)</script>" in Page(text).all("main")[0].text


def test_page_of_hundreds_of_everything_stays_small() -> None:
    assert len(rendered("hostile").encode()) < 2_000_000


def test_page_of_ten_thousand_nights_stays_small() -> None:
    points = [point("fail" if i % 7 == 0 else "pass", 0.9 + (i % 13) / 1000) for i in range(10_000)]
    assert len(render(Material(history=history_of(points))).encode()) < 100_000


@pytest.mark.parametrize(
    ("material", "sections"),
    [
        (Material(), []),
        (material_of(healthy()), ["Milestones", "Loss", "Gradient flow", "Accuracy by seed",
                                  "Checks"]),
        (Material(comparison=EXAMPLES["same"]), ["Loss", "Accuracy by seed", "Against main"]),
        (Material(history=history_of([point()] * 2)), ["Over 2 nights"]),
        (Material(kills=KILLS), ["Does the harness see planted faults?"]),
    ],
)  # fmt: skip
def test_sections_are_those_that_there_is_something_for(
    material: Material, sections: list[str]
) -> None:
    assert Page(render(material)).texts("h2") == sections


def test_page_without_curves_says_so() -> None:
    page = Page(render(replace(material_of(healthy()), curves={})))
    said = page.texts("p")
    assert "No losses were kept of it." in said
    assert "No gradients were kept of it." in said


def test_failing_checks_are_open_and_passing_ones_closed() -> None:
    page = Page(render(material_of(bias_lost(), healthy(milestone="other"))))
    found = {each.text.split()[0]: "open" in each.attributes for each in page.all("details")}
    assert found == {"small": True, "other": False}


def test_verdict_stands_before_everything_else() -> None:
    page = Page(render(full()))
    assert page.texts("h1") == ["1 of 2 milestones pass"]
    assert page.texts("h2")[0] == "What is wrong"


@pytest.mark.parametrize("name", ["same", "regressed", "does_not_start"])
def test_headline_of_a_comparison_alone(name: str) -> None:
    expected = {
        "same": "Against main: no regression shown",
        "regressed": "Against main: cnn regressed",
        "does_not_start": "Against main: no verdict",
    }
    found: Comparison = EXAMPLES[name]
    assert Page(render(Material(comparison=found))).texts("h1")[0].startswith(expected[name])


def test_page_looks_as_before(snapshot: SnapshotAssertion) -> None:
    """All but the style sheet, whose colours have tests of their own."""
    assert re.sub("(?s)<style>.*</style>", "", render(full())) == snapshot


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
