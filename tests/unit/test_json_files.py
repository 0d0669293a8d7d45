"""Models in JSON files: written whole with their folder, or refused with a sentence."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from harness.errors import OutputError
from harness.json_files import fitted, read_json, to_json, write_model


class Small(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    kind: str = Field(default="small/1", alias="schema")
    value: float | None


def test_model_is_written_by_its_aliases_into_a_new_folder(tmp_path: Path) -> None:
    file = write_model(Small(value=0.5), tmp_path / "a" / "b" / "small.json")
    assert file == tmp_path / "a" / "b" / "small.json"
    assert file.read_text(encoding="utf-8") == '{\n "schema": "small/1",\n "value": 0.5\n}\n'
    assert fitted(Small, read_json(file), file, "small") == Small(value=0.5)


def test_numbers_that_json_has_no_word_for_are_null() -> None:
    assert json.loads(to_json(Small(value=math.nan))) == {"schema": "small/1", "value": None}


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match=r"cannot write to .*taken: File exists"):
        write_model(Small(value=1.0), tmp_path / "taken" / "small.json")


def test_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "small.json").mkdir()
    with pytest.raises(OutputError, match=r"cannot write to .*: Is a directory"):
        write_model(Small(value=1.0), tmp_path / "small.json")
    assert [each.name for each in tmp_path.iterdir()] == ["small.json"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
