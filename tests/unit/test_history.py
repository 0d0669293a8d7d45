"""A folder of scorecards is the history: what is read, in which order, and what is skipped."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.errors import JobTimeoutError, ScorecardError
from harness.history.nights import Night, Point
from harness.history.reading import read_history
from harness.json_files import to_json
from harness.scorecard import SCHEMA_VERSION, Result, load
from tests.examples import bias_lost, healthy, judged, scorecard_of, without_verdict

TIMEOUT = JobTimeoutError("it was stopped after 1 s", "Does it loop?")


def card(*results: Result, created: str = "2026-11-28T03:10:00+00:00") -> dict[str, Any]:
    data: dict[str, Any] = json.loads(to_json(scorecard_of(*(results or (judged(healthy()),)))))
    data["created"] = created
    data["provenance"]["commit"] = "3f9c2ab" + "0" * 33
    return data


def put(folder: Path, name: str, data: object) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return file


def changed(data: dict[str, Any], *path: str | int, to: object) -> dict[str, Any]:
    """A copy with another value at the path; `to=...` takes the key away."""
    copy: dict[str, Any] = json.loads(json.dumps(data))
    at: Any = copy
    for key in path[:-1]:
        at = at[key]
    if to is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return copy


def whys(folder: Path) -> dict[str, str]:
    return {each.file: each.why for each in read_history(folder).skipped}


def only(folder: Path) -> Night:
    (night,) = read_history(folder).nights
    return night


# --- what is read ------------------------------------------------------------------------------


def test_night_keeps_a_few_numbers_of_each_milestone(tmp_path: Path) -> None:
    put(tmp_path, "0007-2026-11-28.json", card())
    night = only(tmp_path)
    assert (night.file, night.status, night.engine) == ("0007-2026-11-28.json", "pass", None)
    assert night.label == "night 0007 (2026-11-28, 3f9c2ab)"
    # accuracy 1 from step 20 on, held-out loss 0.1 and half a second of training: by hand
    assert night.milestones == {"small": Point("pass", 1, 1.0, 1.0, 1.0, 0.1, 20.0, 0.5)}


def test_point_is_of_all_seeds(tmp_path: Path) -> None:
    data = card(*(judged(healthy(seed=seed)) for seed in range(4)))
    accuracies, steps, losses = [0.9, 0.7, 1.0, 0.8], [30, 10, None, 20], [0.4, 0.1, 0.2, 0.3]
    for result, accuracy, step, loss in zip(
        data["results"], accuracies, steps, losses, strict=True
    ):
        result["accuracy"] |= {"held_out": accuracy, "steps_to_target": step}
        result["loss"]["held_out"] = loss
    put(tmp_path, "1.json", data)
    point = only(tmp_path).milestones["small"]
    assert (point.seeds, point.lowest) == (4, 0.7)
    assert point.accuracy == pytest.approx(0.85)
    assert point.loss == pytest.approx(0.25)
    assert point.steps_to_target == 25.0  # of 10, 20, 30, never


def test_target_that_most_seeds_never_reach_has_no_median(tmp_path: Path) -> None:
    data = card(*(judged(healthy(seed=seed)) for seed in range(3)))
    for result in data["results"][1:]:
        result["accuracy"]["steps_to_target"] = None
    put(tmp_path, "1.json", data)
    assert only(tmp_path).milestones["small"].steps_to_target is None


def test_cause_is_the_first_failing_check(tmp_path: Path) -> None:
    put(tmp_path, "1.json", card(judged(healthy()), judged(bias_lost(1))))
    point = only(tmp_path).milestones["small"]
    assert (point.status, point.check) == ("fail", "gradients_arrive")
    assert "hidden.bias received no gradient" in point.cause


def test_milestone_without_a_verdict_has_no_numbers(tmp_path: Path) -> None:
    put(tmp_path, "1.json", card(without_verdict(TIMEOUT)))
    point = only(tmp_path).milestones["small"]
    numbers = (point.accuracy, point.lowest, point.loss, point.steps_to_target, point.seconds)
    assert numbers == (None,) * 5
    assert (point.status, point.check, point.cause) == ("error", "runs", TIMEOUT.message)


def test_failure_counts_before_an_error(tmp_path: Path) -> None:
    put(tmp_path, "1.json", card(without_verdict(TIMEOUT), judged(bias_lost(1))))
    assert only(tmp_path).milestones["small"].check == "gradients_arrive"


def test_night_knows_why_the_engine_fails(tmp_path: Path) -> None:
    verdict = {"check": "ops_behave", "status": "fail", "reason": "tanh changes its input"}
    passed = {"check": "ops_compute_right", "status": "pass", "reason": "all right"}
    engine = {"backend": "numpy", "status": "fail", "verdicts": [passed, verdict]}
    put(tmp_path, "1.json", changed(card(), "engine", to=engine))
    night = only(tmp_path)
    assert (night.engine, night.engine_cause) == ("fail", "tanh changes its input")
    assert night.engine_check == "ops_behave"


@pytest.mark.parametrize("version", [1, 2])
def test_older_schemas_are_read(tmp_path: Path, version: int) -> None:
    data = changed(card(), "schema", to=f"harness.scorecard/{version}")
    for key in ["dtype", "cost", "layers", *(["uses", "explanation"] if version == 1 else [])]:
        data = changed(data, "results", 0, key, to=...)
    data = changed(data, "provenance", "settings", to=...)
    file = put(tmp_path, "1.json", changed(data, "engine", to=...))
    assert load(file).results[0].accuracy.held_out == 1.0
    assert only(tmp_path).milestones["small"].accuracy == 1.0


# --- which files, in which order ---------------------------------------------------------------


def test_files_folders_and_packed_files_are_nights_and_others_are_not(tmp_path: Path) -> None:
    put(tmp_path, "0001-2026-11-25.json", card(created="2026-11-25T03:10:00+00:00"))
    put(tmp_path, "0002-x/scorecard.json", card(created="2026-11-26T03:10:00+00:00"))
    put(tmp_path, "0002-x/other.json", "{")
    text = json.dumps(card(created="2026-11-27T03:10:00+00:00")).encode()
    (tmp_path / "0003.json.gz").write_bytes(gzip.compress(text))
    put(tmp_path, "README.md", "nights")
    put(tmp_path, ".git/scorecard.json", "{")
    put(tmp_path, ".0004.json", "{")
    put(tmp_path, "comparison.json", {"schema": "harness.comparison/1"})
    put(tmp_path, "a/b/scorecard.json", card())
    found = read_history(tmp_path)
    files = ["0001-2026-11-25.json", "0002-x/scorecard.json", "0003.json.gz"]
    assert [night.file for night in found.nights] == files
    assert [night.number for night in found.nights] == ["0001", "0002", "0003"]
    assert found.skipped == ()


def test_nights_are_in_the_order_of_their_time_then_of_their_number(tmp_path: Path) -> None:
    put(tmp_path, "1.json", card(created="2026-11-28T03:10:00+00:00"))
    put(tmp_path, "2.json", card(created="2026-11-27T03:10:00+00:00"))  # a clock put back
    put(tmp_path, "10.json", card(created="2026-11-28T03:10:00+00:00"))
    put(tmp_path, "9.json", card(created="2026-11-28T03:10:00Z"))
    put(tmp_path, "3.json", card(created="2026-11-28T05:00:00+02:00"))  # 03:00 UTC
    put(tmp_path, "4.json", card(created="2026-11-28T03:05:00"))  # no zone: UTC
    numbers = [night.number for night in read_history(tmp_path).nights]
    assert numbers == ["2", "3", "4", "1", "9", "10"]


@pytest.mark.parametrize(("nights", "numbers"), [(0, []), (2, ["2", "3"]), (9, ["1", "2", "3"])])
def test_only_the_last_nights_are_given_when_asked(
    tmp_path: Path, nights: int, numbers: list[str]
) -> None:
    for day in (1, 2, 3):
        put(tmp_path, f"{day}.json", card(created=f"2026-11-0{day}T03:10:00+00:00"))
    assert [night.number for night in read_history(tmp_path, nights).nights] == numbers


def test_milestones_of_the_last_night_come_first(tmp_path: Path) -> None:
    old = card(judged(healthy(milestone="a")), judged(healthy(milestone="gone")))
    put(tmp_path, "1.json", changed(old, "created", to="2026-11-27T03:10:00+00:00"))
    new = card(judged(healthy(milestone="new")), judged(healthy(milestone="a")))
    put(tmp_path, "2.json", new)
    assert read_history(tmp_path).milestones == ["new", "a", "gone"]


def test_empty_folder_is_an_empty_history(tmp_path: Path) -> None:
    assert (read_history(tmp_path).nights, read_history(tmp_path).milestones) == ((), [])


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_is_a_sentence(tmp_path: Path, name: str) -> None:
    put(tmp_path, "file", "")
    with pytest.raises(ScorecardError, match=f"{name} cannot be read as a folder of scorecards"):
        read_history(tmp_path / name)


# --- what is skipped ---------------------------------------------------------------------------


def test_file_that_was_cut_anywhere_is_skipped_and_the_rest_is_shown(tmp_path: Path) -> None:
    text = json.dumps(card())
    cuts = range(0, len(text), 61)
    for cut in cuts:
        put(tmp_path, f"{cut}-cut.json", text[:cut])
    put(tmp_path, "9999999.json", text + "\n")
    assert only(tmp_path).number == "9999999"
    assert sorted(whys(tmp_path)) == sorted(f"{cut}-cut.json" for cut in cuts)
    assert whys(tmp_path)["0-cut.json"] == "it is empty"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"digest"', b'"di\xffest"'),  # no UTF-8, in a place that is not kept
        (b'"uses": [', b'"uses": ]'),
        (b"0.5", b"0.5.5"),
        (b'"title": "S', b'"title": "\x00S'),
    ],
)
def test_damage_in_what_is_not_kept_is_found_too(tmp_path: Path, old: bytes, new: bytes) -> None:
    text = json.dumps(card()).encode()
    assert old in text
    (tmp_path / "1.json").write_bytes(text.replace(old, new, 1))
    assert whys(tmp_path)["1.json"].startswith("it is not JSON: ")


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("created",), "yesterday", "its date is 'yesterday', which is none"),
        (("created",), 5, "created: Input should be a valid string"),
        (("schema",), ..., "its schema is not harness.scorecard/N"),
        (("schema",), "harness.scorecard/x", "cannot be brought up to date"),
        (("schema",), "harness.scorecard/0", "cannot be brought up to date"),
        (("schema",), f"harness.scorecard/{SCHEMA_VERSION + 1}", "written by a newer harness"),
        (("results",), ..., "results: Field required"),
        (("results",), None, "results: Input should be a valid list"),
        (("results", 0), [], "results.0: Input should be a valid dictionary"),
        (("results", 0, "status"), "fine", "results.0.status: Input should be 'pass'"),
        (("results", 0, "accuracy", "held_out"), "1", "held_out: Input should be a valid number"),
        (("results", 0, "accuracy", "held_out"), True, "held_out: Input should be a valid number"),
        (("results", 0, "accuracy", "held_out"), 1e308, "held_out: Input should be less than or"),
        (("results", 0, "accuracy", "held_out"), -0.1, "Input should be greater than or equal"),
        (("results", 0, "accuracy", "target"), None, "target: Input should be a valid number"),
        (("results", 0, "loss", "held_out"), float("nan"), "Input should be a finite number"),
        (("results", 0, "seconds"), {"training": "x"}, "seconds.training: Input should be"),
        (("provenance", "commit"), 7, "provenance.commit: Input should be a valid string"),
    ],
)
def test_odd_field_is_named(tmp_path: Path, path: tuple[str], value: object, why: str) -> None:
    put(tmp_path, "1.json", changed(card(), *path, to=value))
    assert read_history(tmp_path).nights == ()
    assert why in whys(tmp_path)["1.json"]


@pytest.mark.parametrize("text", ["[]", "null", "3", "[" * 9999, "\0" * 99, " \n", '{"a": 1}'])
def test_what_is_no_scorecard_at_all_is_skipped(tmp_path: Path, text: str) -> None:
    put(tmp_path, "1.json", text)
    assert list(whys(tmp_path)) == ["1.json"]


def test_files_that_cannot_be_opened_or_unpacked_are_skipped(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps(card()).encode())
    (tmp_path / "cut.json.gz").write_bytes(packed[:-20])
    (tmp_path / "bad.json.gz").write_bytes(b"{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.json")
    put(tmp_path, "folder.json/scorecard.json", "")
    found = whys(tmp_path)
    assert found["link.json"] == found["pipe.json"] == "it is no regular file"
    assert found["cut.json.gz"].startswith("it cannot be unpacked: ")
    assert "gzip" in found["bad.json.gz"]
    assert found["folder.json/scorecard.json"] == "it is empty"
    assert len(found) == 5


def test_link_to_itself_is_skipped_and_the_rest_is_shown(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "loop.json").symlink_to("loop.json")
    put(tmp_path, "1.json", card())
    assert only(tmp_path).number == "1"
    assert whys(tmp_path) == {"loop.json": "it is no regular file"}


def test_file_in_place_of_a_folder_is_sent_to_its_folder(tmp_path: Path) -> None:
    file = put(tmp_path, "card.json", card())
    with pytest.raises(ScorecardError, match="Not a directory") as caught:
        read_history(file)
    assert caught.value.hint.startswith("Name the folder that it is in")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
