"""Calibrations as files: read back as they were written, and fit for people and for diffs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import on_record
from harness.config_files import milestone_files
from harness.errors import DataError

CALIBRATION = {
    "schema": on_record.SCHEMA,
    "seeds": 200,
    "accuracy": {"low": 0.5, "high": 1.0},
    "curve": {"step": [1, 2, 3], "nothing": {}, "list": []},
    "ok": None,
}


def test_calibration_is_read_back_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_record, "root", lambda name: tmp_path / name)
    assert on_record.load("small") is None
    on_record.save(CALIBRATION, on_record.file_for("small"))
    assert on_record.load("small") == CALIBRATION
    on_record.save(CALIBRATION | {"seeds": 300}, on_record.file_for("small"))
    assert (on_record.load("small") or {})["seeds"] == 300


def test_every_entry_has_a_line_and_every_list_one(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    on_record.save({"a": {"b": [1, 2, 3], "c": "x"}, "d": 1.5}, file)
    assert file.read_text() == '{\n "a": {\n  "b": [1, 2, 3],\n  "c": "x"\n },\n "d": 1.5\n}\n'


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)  # fmt: skip
def test_whatever_json_holds_is_read_back(
    value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("record") / "calibration.json"
    on_record.save({"value": value}, file)
    assert on_record._load(file) == {"value": value}


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        (b'{"schema": "harness.cal', " is not JSON: "),
        (b'{"schema": "two\nlines"}', " is not JSON: control character"),
        (b"\xff\xfe", " is not JSON: "),
        (b"", " is not JSON: "),
        (b"[1, 2]", " is no calibration: it is not a JSON object"),
        (b"null", " is no calibration: it is not a JSON object"),
    ],
)
def test_damaged_calibration_is_a_sentence_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bytes, sentence: str
) -> None:
    monkeypatch.setattr(on_record, "root", lambda name: tmp_path / name)
    file = on_record.file_for("small")
    file.parent.mkdir(parents=True)
    file.write_bytes(kept)
    with pytest.raises(DataError) as caught:
        on_record.load("small")
    assert str(caught.value).startswith(f"{file}{sentence}")
    assert "`harness calibrate` measures a new one" in caught.value.hint


def test_calibration_that_is_a_folder_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_record, "root", lambda name: tmp_path / name)
    file = on_record.file_for("small")
    file.mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        on_record.load("small")
    assert str(caught.value) == f"{file} cannot be read: Is a directory"


@pytest.mark.parametrize("name", milestone_files())
def test_shipped_calibrations_have_all_that_checks_ask_for(name: str) -> None:
    found = on_record.load(name)
    assert found is not None
    asked_for = {"config", "seeds", "steps", "loss_first", "initial_norm", "bands", "examples"}
    assert asked_for <= found.keys()
    assert found["schema"] == on_record.SCHEMA


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
