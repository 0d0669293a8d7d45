"""`harness report`: what a path is, what is written, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import comparison, scorecard
from harness.json_files import to_json
from harness.reports import renderer
from harness.reports.kill_matrix import SCHEMA as SELFTEST
from tests.comparisons import EXAMPLES
from tests.examples import bias_lost, healthy, judged, scorecard_of
from tests.pages import Page

Harness = Callable[..., tuple[int, str, str]]
FIRST = "2026-11-27T03:10:00+00:00"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder as `harness run` leaves it."""
    folder = tmp_path / "runs" / "latest"
    folder.mkdir(parents=True)
    record = bias_lost()
    scorecard.save(scorecard_of(judged(record)), [record], folder)
    return folder


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    return comparison.save(EXAMPLES["regressed"], tmp_path / "runs" / "compare").parent


@pytest.fixture
def nights(tmp_path: Path) -> Path:
    folder = tmp_path / "nights"
    folder.mkdir()
    for i in range(3):
        card = scorecard_of(judged(healthy())).model_copy(
            update={"created": FIRST.replace("27", str(10 + i))}
        )
        (folder / f"{i:04}-night.json").write_text(to_json(card), encoding="utf-8")
    return folder


def page(file: Path) -> Page:
    return Page(file.read_text(encoding="utf-8"))


def test_latest_run_is_the_default(harness: Harness, run: Path, tmp_path: Path) -> None:
    assert harness("report", "-o", "page.html") == (0, "report: page.html\n", "")
    found = page(tmp_path / "page.html")
    assert found.texts("h1") == ["0 of 1 milestones pass"]
    assert "hidden.bias" in found.all("article")[0].text
    assert "No losses were kept of it." not in found.texts("p")


def test_all_kinds_go_on_one_page(
    harness: Harness, run: Path, compared: Path, nights: Path, tmp_path: Path
) -> None:
    code, _, err = harness("report", str(run), str(compared), str(nights), "-o", "new/page.html")
    assert (code, err) == (0, "")
    titles = page(tmp_path / "new" / "page.html").texts("h2")
    assert {"Milestones", "Against main", "Over 3 nights"} <= set(titles)


def test_files_are_known_by_their_content(
    harness: Harness, run: Path, compared: Path, tmp_path: Path
) -> None:
    shutil.move(run / "scorecard.json", tmp_path / "comparison.json")
    shutil.move(compared / "comparison.json", tmp_path / "scorecard.json")
    assert harness("report", "comparison.json", "scorecard.json", "-o", "page.html")[0] == 0
    assert harness("report", ".", "-o", "page.html")[0] == 0
    titles = page(tmp_path / "page.html").texts("h2")
    assert {"Milestones", "Against main"} <= set(titles)


def test_same_input_gives_the_same_bytes(harness: Harness, run: Path, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        assert harness("report", str(run), "-o", name)[0] == 0
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


@pytest.mark.parametrize("format_", ["markdown", "github", "badge"])
def test_other_formats_are_those_of_their_renderers(
    harness: Harness, run: Path, format_: str
) -> None:
    expected = renderer(format_)(scorecard.load(run))
    assert harness("report", "--format", format_) == (0, expected, "")


def test_text_of_scorecard_and_comparison_follow_each_other(
    harness: Harness, run: Path, compared: Path
) -> None:
    code, out, _ = harness("report", str(run), str(compared), "--format", "text")
    assert code == 0
    assert out.index("0 of 1 milestones pass") < out.index("REGRESSED")


def test_html_needs_a_file(harness: Harness, run: Path) -> None:
    code, out, err = harness("report")
    assert (code, out) == (2, "")
    assert "html needs a file to go to" in err
    assert "-o page.html" in err


BAD = {
    "not there": (None, "bad.json is not there"),
    "no json": ("{", "bad.json is not JSON"),
    "a list": ("[]", "it has no schema"),
    "another schema": ('{"schema": "other/1"}', "its schema is 'other/1'"),
    "half a scorecard": ('{"schema": "harness.scorecard/3"}', "is not a scorecard"),
    "newer": ('{"schema": "harness.scorecard/999"}', "written by a newer harness"),
    "half a comparison": ('{"schema": "harness.comparison/1"}', "is not a comparison"),
    "half a selftest": ('{"schema": "harness.selftest/1"}', "is not a whole selftest"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_refused_and_nothing_is_written(
    harness: Harness, run: Path, tmp_path: Path, name: str
) -> None:
    text, expected = BAD[name]
    if text is not None:
        (tmp_path / "bad.json").write_text(text, encoding="utf-8")
    code, out, err = harness("report", str(run), "bad.json", "-o", "page.html")
    assert (code, out) == (2, "")
    assert expected in err
    assert "\n  " in err  # and what to do
    assert not (tmp_path / "page.html").exists()


def test_page_beside_damaged_curves_comes_without_them_and_says_so(
    harness: Harness, run: Path, tmp_path: Path
) -> None:
    (run / "curves.npz").write_bytes(b"half of it")
    assert harness("report", "-o", "page.html") == (0, "report: page.html\n", "")
    found = page(tmp_path / "page.html")
    assert found.texts("h1") == ["0 of 1 milestones pass"]
    assert found.texts("p").count("curves.npz beside the scorecard cannot be read.") == 2
    assert "pickle" not in found.all("main")[0].text


def test_two_of_a_kind_are_refused(harness: Harness, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "other")
    code, _, err = harness("report", str(run), "other", "-o", "page.html")
    assert code == 2
    assert "each hold a scorecard" in err
    assert "harness compare" in err


def test_folder_without_any_scorecard_is_refused(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = harness("report", "empty", "-o", "page.html")
    assert code == 2
    assert "empty holds no readable scorecard" in err


def test_badge_of_two_things_is_refused(harness: Harness, run: Path, compared: Path) -> None:
    code, out, err = harness("report", str(run), str(compared), "--format", "badge")
    assert (code, out) == (2, "")
    assert "badge shows one thing" in err


def test_text_of_a_history_is_refused(harness: Harness, nights: Path) -> None:
    code, _, err = harness("report", str(nights), "--format", "markdown")
    assert code == 2
    assert "harness history" in err


def test_page_that_cannot_be_written_leaves_what_was_there(
    harness: Harness, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "page.html").mkdir()
    code, _, err = harness("report", "-o", "page.html")
    assert code == 2
    assert "cannot write to page.html: it is a folder" in err
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    code, _, err = harness("report", "-o", "file/page.html")
    assert code == 2
    assert "cannot write to" in err
    assert (tmp_path / "file").read_text(encoding="utf-8") == "kept"


def test_calibration_of_another_config_is_not_drawn(
    harness: Harness, run: Path, tmp_path: Path
) -> None:
    """A milestone that is called like a shipped one, but was trained on other settings."""
    card = json.loads((run / "scorecard.json").read_text(encoding="utf-8"))
    card["results"][0]["milestone"] = "cnn"
    (run / "scorecard.json").write_text(json.dumps(card), encoding="utf-8")
    assert harness("report", "-o", "page.html")[0] == 0
    assert "correct engines" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_curves_of_another_run_are_not_drawn_and_said(
    harness: Harness, run: Path, tmp_path: Path
) -> None:
    record = replace(healthy(), loss=np.linspace(0.6, 0.1, 20))
    scorecard.save(scorecard_of(judged(record)), [record], tmp_path / "runs")
    shutil.move(tmp_path / "runs" / "curves.npz", run / "curves.npz")
    assert harness("report", "-o", "page.html")[0] == 0
    said = page(tmp_path / "page.html").texts("p")
    assert said.count("curves.npz beside the scorecard is of another run.") == 2


@pytest.mark.parametrize("given", ["nights", "selftest"])
def test_who_asks_a_text_of_something_else_is_told_what_shows_it(
    harness: Harness, nights: Path, tmp_path: Path, given: str
) -> None:
    data = {"schema": SELFTEST, "passed": True, "seconds": 1.0, "figures": {}, "faults": [],
            "survived": [], "missed": {}, "accused": []}  # fmt: skip
    (tmp_path / "selftest").write_text(json.dumps(data), encoding="utf-8")
    code, _, err = harness("report", given, "--format", "text")
    assert code == 2
    assert "Use --format html -o page.html" in err
    assert ("harness history" in err) == (given == "nights")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
