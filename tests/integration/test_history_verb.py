"""`harness history` from outside: folders and names, exit codes, many nights, several at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.json_files import to_json
from harness.scorecard import FILE_NAME, load
from tests.examples import bias_lost, healthy, judged, scorecard_of

Harness = Callable[..., tuple[int, str, str]]


def card(day: int, *, broken: bool = False) -> str:
    made = scorecard_of(
        judged(bias_lost(milestone="cnn") if broken else healthy(milestone="cnn")),
        judged(healthy(milestone="mlp")),
    )
    provenance = made.provenance.model_copy(update={"commit": f"{day:07}" + "0" * 33})
    created = f"2026-11-{day:02}T03:10:00+00:00"
    return to_json(made.model_copy(update={"created": created, "provenance": provenance}))


@pytest.fixture
def nights(tmp_path: Path) -> Path:
    """Four nights, the last two red, and a damaged file, where the command looks by itself."""
    folder = tmp_path / "runs" / "history"
    folder.mkdir(parents=True)
    for day in range(1, 5):
        file = folder / f"{day:04}-2026-11-{day:02}.json"
        file.write_text(card(day, broken=day > 2), encoding="utf-8")
    (folder / "0005-2026-11-05.json").write_text(card(5)[:3000], encoding="utf-8")
    return folder


@pytest.mark.parametrize("where", [[], ["runs/history"]])
def test_history_tells_who_fails_since_when_and_what_was_skipped(
    harness: Harness, nights: Path, where: list[str]
) -> None:
    code, out, err = harness("history", *where)
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    since = "cnn fails since night 0003 (2026-11-03, 0000003), 2 nights in a row: hidden.bias"
    assert since in words
    assert "mlp pass" in words
    assert "Skipped 1 file that cannot be read: 0005-2026-11-05.json: it is not JSON: EOF" in words


@pytest.mark.parametrize("words", [["mlp"], ["runs/history", "mlp"]])
def test_nights_of_a_milestone_are_listed(harness: Harness, nights: Path, words: list[str]) -> None:
    code, out, _ = harness("history", *words, "--nights", "3")
    rows = [line[:4] for line in out.splitlines() if line[:4].isdecimal()]
    assert (code, rows) == (0, ["0002", "0003", "0004"])


def test_json_is_the_same_for_programs(harness: Harness, nights: Path) -> None:
    code, out, _ = harness("history", "--format", "json")
    data = json.loads(out)
    assert code == 0
    assert data["milestones"]["cnn"]["failing"]["since"] == "0003-2026-11-03.json"
    assert data["milestones"]["mlp"] == {"failing": None, "changes": []}
    assert [len(night["milestones"]) for night in data["nights"]] == [2, 2, 2, 2]


def test_add_prints_the_new_file_and_refuses_it_twice(
    harness: Harness, nights: Path, tmp_path: Path
) -> None:
    (tmp_path / FILE_NAME).write_text(card(6), encoding="utf-8")
    code, out, err = harness("history", "runs/history", "--add", FILE_NAME)
    assert (code, out, err) == (0, "runs/history/0006-2026-11-06.json\n", "")
    assert load(nights / "0006-2026-11-06.json").results[0].milestone == "cnn"
    code, out, err = harness("history", "--add", ".")
    assert (code, out) == (2, "")
    assert "has this night already: 0006-2026-11-06.json" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "'nowhere' is neither a folder nor a milestone in runs/history."),
        (["cn"], "Did you mean 'cnn'?"),
        (["./nowhere"], "nowhere cannot be read as a folder of scorecards: No such file"),
        (["nowhere", "cnn"], "nowhere cannot be read as a folder of scorecards: No such file"),
        (["runs/history", "cnn", "mlp"], "3 words are too many"),
        (["--nights", "0"], "0 is not in the range"),
        (["cnn", "--add", "x.json"], "--add shows nothing, got cnn"),
        (["--add", "x.json", "--format", "json"], "--add shows nothing, got --format json"),
        (["0001-2026-11-01.txt"], "neither a folder nor a milestone in runs/history"),
        (["there.json"], "Name the folder that it is in"),
        (["--add", "x.json"], "x.json cannot be read: No such file"),
        (["empty"], "empty has no night that can be read: it is empty"),
        (["other"], "other has no night that can be read: it holds README.md, x.json"),
        (["bad"], "bad has no night that can be read: it holds 1.json (it is empty)"),
    ],
)
def test_what_cannot_be_shown_is_a_sentence_and_exit_code_2(
    harness: Harness, nights: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    for name in ("empty", "other", "bad"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "README.md").write_text("", encoding="utf-8")
    (tmp_path / "other" / "x.json").write_text('{"schema": "other/1"}', encoding="utf-8")
    (tmp_path / "bad" / "1.json").write_text("", encoding="utf-8")
    (tmp_path / "there.json").write_text(card(1), encoding="utf-8")
    code, out, err = harness("history", *words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())


def test_first_night_may_start_a_folder_of_any_name(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(card(6), encoding="utf-8")
    code, out, _ = harness("history", "nights", "--add", FILE_NAME)
    assert (code, out) == (0, "nights/0001-2026-11-06.json\n")


@pytest.mark.parametrize("words", [[], ["mlp"]])
def test_without_any_history_it_says_how_to_start_one(harness: Harness, words: list[str]) -> None:
    code, _, err = harness("history", *words)
    assert code == 2
    assert "runs/history cannot be read as a folder of scorecards: No such file" in err
    assert "`harness history runs/history --add SCORECARD` starts one." in err


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "harness", "history", *words]


def test_many_nights_are_read_by_several_processes_in_their_order(tmp_path: Path) -> None:
    text = card(1)
    for i in range(1, 1203):
        created = f"{2000 + i // 300}-01-01T{i % 300 // 60:02}:{i % 60:02}:00+00:00"
        file = tmp_path / f"{i:05}.json"
        file.write_text(text.replace("2026-11-01T03:10:00+00:00", created), encoding="utf-8")
    (tmp_path / "00601.json").write_text(text[:-9], encoding="utf-8")
    done = subprocess.run(
        command(str(tmp_path), "--format", "json"), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    files = [f"{i:05}.json" for i in range(1, 1203)]
    assert [night["file"] for night in data["nights"]] == files[:600] + files[601:]
    assert [each["file"] for each in data["skipped"]] == ["00601.json"]


def test_commands_that_add_at_once_share_no_number(tmp_path: Path) -> None:
    for day in range(1, 5):
        (tmp_path / f"{day}.json").write_text(card(day), encoding="utf-8")
    history = tmp_path / "history"
    running = [
        subprocess.Popen(command(str(history), "--add", str(tmp_path / f"{day}.json")))
        for day in range(1, 5)
    ]
    assert [each.wait(60) for each in running] == [0, 0, 0, 0]
    assert sorted(file.name[:4] for file in history.iterdir()) == ["0001", "0002", "0003", "0004"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
