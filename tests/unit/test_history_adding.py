"""One more night: slim, whole, numbered, and never twice."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import HarnessError, OutputError, ScorecardError
from harness.history.adding import add, slim
from harness.history.reading import read_history
from harness.json_files import to_json
from harness.scorecard import FILE_NAME, Scorecard, load
from tests.examples import bias_lost, healthy, judged, scorecard_of


def card(created: str = "2026-11-28T03:10:00+00:00", commit: str | None = "a" * 40) -> Scorecard:
    made = scorecard_of(judged(healthy()), judged(bias_lost(1)))
    provenance = made.provenance.model_copy(update={"commit": commit})
    return made.model_copy(update={"created": created, "provenance": provenance})


def written(folder: Path, made: Scorecard, name: str = FILE_NAME) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(to_json(made), encoding="utf-8")
    return folder / name


def test_first_night_makes_the_folder(tmp_path: Path) -> None:
    file = add(written(tmp_path, card()), tmp_path / "runs" / "history")
    assert file == tmp_path / "runs" / "history" / "0001-2026-11-28.json"
    assert os.listdir(file.parent) == [file.name]  # no lock, nothing half-written


def test_scorecard_may_be_given_as_its_folder(tmp_path: Path) -> None:
    written(tmp_path / "latest", card())
    assert add(tmp_path / "latest", tmp_path / "history").name == "0001-2026-11-28.json"


def test_what_is_added_is_a_scorecard_without_the_evidence_of_passes(tmp_path: Path) -> None:
    whole = card()
    file = add(written(tmp_path, whole), tmp_path / "history")
    assert load(file) == slim(whole)
    text = file.read_text(encoding="utf-8")
    assert "\n" not in text.rstrip("\n")
    assert len(text) < 0.75 * len(to_json(whole))
    passing, failing = load(file).results
    assert all(not verdict.evidence for verdict in passing.verdicts)
    first = next(verdict for verdict in failing.verdicts if verdict.status == "fail")
    assert first.evidence["tensors"] == ["hidden.bias"]
    kept = [(verdict.check, verdict.status, verdict.reason) for verdict in passing.verdicts]
    assert kept == [(v.check, v.status, v.reason) for v in whole.results[0].verdicts]


def test_history_is_the_same_of_a_slim_and_a_whole_scorecard(tmp_path: Path) -> None:
    add(written(tmp_path / "whole", card()), tmp_path / "slim")
    (slimmed,) = read_history(tmp_path / "slim").nights
    (whole,) = read_history(tmp_path / "whole").nights
    assert slimmed.milestones == whole.milestones


def test_older_scorecard_is_added_in_the_schema_of_today(tmp_path: Path) -> None:
    data = json.loads(to_json(card())) | {"schema": "harness.scorecard/2"}
    (tmp_path / FILE_NAME).write_text(json.dumps(data), encoding="utf-8")
    assert load(add(tmp_path, tmp_path / "history")) == slim(card())


def test_number_is_one_more_than_any_that_is_there(tmp_path: Path) -> None:
    history = tmp_path / "history"
    (history / "0041-3f9c2ab").mkdir(parents=True)
    for name in ("0007-2026-11-01.json", "0009-damaged.json", "20261128120000000.json", "notes"):
        (history / name).write_text("", encoding="utf-8")
    assert add(written(tmp_path, card()), history).name == "0042-2026-11-28.json"


def test_number_grows_past_four_digits(tmp_path: Path) -> None:
    (tmp_path / "history" / "9999-x").mkdir(parents=True)
    assert add(written(tmp_path, card()), tmp_path / "history").name == "10000-2026-11-28.json"


def test_date_is_that_of_utc(tmp_path: Path) -> None:
    file = written(tmp_path, card("2026-11-28T23:30:00-05:00"))
    assert add(file, tmp_path / "history").name == "0001-2026-11-29.json"


def test_night_that_is_there_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, card())
    add(file, tmp_path / "history")
    with pytest.raises(ScorecardError, match=r"has this night already: 0001-2026-11-28\.json"):
        add(file, tmp_path / "history")
    assert len(os.listdir(tmp_path / "history")) == 1


@pytest.mark.parametrize(
    "other", [card("2026-11-28T03:10:01+00:00"), card(commit="b" * 40), card(commit=None)]
)
def test_another_commit_or_another_second_is_another_night(
    tmp_path: Path, other: Scorecard
) -> None:
    add(written(tmp_path, card()), tmp_path / "history")
    file = add(written(tmp_path, other, "other.json"), tmp_path / "history")
    assert file.name == "0002-2026-11-28.json"


@pytest.mark.parametrize(
    ("text", "why"), [("", "is not JSON"), ("{}", "schema"), ("no-date", "is 'x', which is none")]
)
def test_what_is_no_scorecard_is_refused(tmp_path: Path, text: str, why: str) -> None:
    bad = to_json(card("x")) if text == "no-date" else text
    (tmp_path / FILE_NAME).write_text(bad, encoding="utf-8")
    with pytest.raises(ScorecardError, match=why):
        add(tmp_path, tmp_path / "history")
    assert not (tmp_path / "history").exists()


def test_folder_that_cannot_be_written_to_is_a_sentence(tmp_path: Path) -> None:
    file = written(tmp_path, card())
    with pytest.raises(OutputError, match=r"cannot write to .*scorecard\.json"):
        add(file, file)


def test_two_that_add_at_once_never_share_a_number(tmp_path: Path) -> None:
    files = [
        written(tmp_path, card(f"2026-11-{day:02}T03:10:00+00:00"), f"{day}.json")
        for day in range(1, 13)
    ]
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda file: add(file, tmp_path / "history"), files))
    assert sorted(each.name[:4] for each in made) == [f"{i:04}" for i in range(1, 13)]
    assert len(read_history(tmp_path / "history").nights) == 12


def test_the_same_night_added_twice_at_once_is_there_once(tmp_path: Path) -> None:
    file = written(tmp_path, card())

    def try_to(_: int) -> bool:
        try:
            return add(file, tmp_path / "history").exists()
        except HarnessError:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(try_to, range(6))) == 1


def test_run_with_other_settings_is_no_night(tmp_path: Path) -> None:
    made = card()
    source = made.provenance.model_copy(update={"modified": ["training.lr=1", "a=b"]})
    file = written(tmp_path, made.model_copy(update={"provenance": source}))
    said = "it was run with other settings, --set training.lr=1, --set a=b"
    with pytest.raises(ScorecardError, match=said) as caught:
        add(file, tmp_path / "history")
    assert caught.value.hint == "Run the milestones without --set for a night."
    assert not (tmp_path / "history").exists()


@pytest.mark.parametrize("name", ["empty", "comparison.json"])
def test_who_names_something_else_is_told_what_to_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "comparison.json").write_text('{"schema": "harness.comparison/1"}', "utf-8")
    with pytest.raises(ScorecardError) as caught:
        add(tmp_path / name, tmp_path / "history")
    assert "scorecard.json that `harness run` wrote" in caught.value.hint


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
